"""One look at driver and GPUs, for people: `python -m agent.probes.nvml.survey` prints one JSON line and ends.

A program of its own with a thread per GPU, because a call into a wedged driver never returns: a device that hangs is told
as one, and the others are still told. Whoever asks gives it a deadline all the same, for a thread can also keep it from ending.
"""

import os
import threading

import pynvml

from agent.probes.nvml.codes import reason_of
from agent.probes.nvml.reader import text
from agent.probes.nvml.speech import say

GPUS_MAX = 64
OPENING_S_MAX = 4.0
"""Without persistence mode a driver wakes its GPUs first, which takes some seconds."""
GPUS_S_MAX = 2.0
"""Four calls of microseconds each."""
HANGS = "hangs"


def main() -> None:
    """Always exits with 0, also while threads hang: that there is no driver is an answer."""
    driver: dict[str, object] = {"up": False, "reason": HANGS}
    opening = threading.Thread(target=_open, args=(driver,), daemon=True)
    opening.start()
    opening.join(OPENING_S_MAX)
    count = driver.pop("count", 0)
    gpus = [_unread(index) for index in range(count if isinstance(count, int) else 0)]
    threads = [threading.Thread(target=_read, args=(gpu,), daemon=True) for gpu in gpus]
    for thread in threads:
        thread.start()
    _join_all(threads)
    say(**driver, gpus=[dict(gpu) for gpu in gpus])
    os._exit(0)


def _open(driver: dict[str, object]) -> None:
    try:
        pynvml.nvmlInit()
        cuda = pynvml.nvmlSystemGetCudaDriverVersion()
        found = {
            "version": text(pynvml.nvmlSystemGetDriverVersion()),
            "cuda": f"{cuda // 1000}.{cuda % 1000 // 10}",
            "count": min(pynvml.nvmlDeviceGetCount(), GPUS_MAX),
        }
    except pynvml.NVMLError as error:
        driver["reason"] = reason_of(error)
        return
    driver.update(found, up=True, reason="")


def _unread(index: int) -> dict[str, object]:
    return {"index": index, "uuid": "", "model": "", "persistence": None, "trouble": HANGS}


def _read(gpu: dict[str, object]) -> None:
    try:
        handle = pynvml.nvmlDeviceGetHandleByIndex(gpu["index"])
        gpu["uuid"], gpu["model"] = text(pynvml.nvmlDeviceGetUUID(handle)), text(pynvml.nvmlDeviceGetName(handle))
        gpu["persistence"] = _persistence(handle)
        pynvml.nvmlDeviceGetUtilizationRates(handle)
    except pynvml.NVMLError as error:
        unsupported = error.value == pynvml.NVML_ERROR_NOT_SUPPORTED  # as under MIG, where there is no single figure
        gpu["trouble"] = "" if unsupported else reason_of(error)
        return
    gpu["trouble"] = ""


def _persistence(handle: object) -> bool | None:
    try:
        return bool(pynvml.nvmlDeviceGetPersistenceMode(handle))
    except pynvml.NVMLError:
        return None


def _join_all(threads: list[threading.Thread]) -> None:
    """Within one bound for all of them."""

    def join() -> None:
        for thread in threads:
            thread.join()

    waiting = threading.Thread(target=join, daemon=True)
    waiting.start()
    waiting.join(GPUS_S_MAX)


if __name__ == "__main__":
    main()
