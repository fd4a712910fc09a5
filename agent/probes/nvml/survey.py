"""One look at driver and GPUs, for people: `python -m agent.probes.nvml.survey` prints one JSON line and ends.

A program of its own, because a call into a wedged driver never returns: whoever asks gives it a deadline.
"""

import pynvml

from agent.probes.nvml.codes import reason_of
from agent.probes.nvml.reader import text
from agent.probes.nvml.speech import say

GPUS_MAX = 64


def main() -> None:
    """Always exits with 0: that there is no driver is an answer."""
    try:
        pynvml.nvmlInit()
        version, cuda = text(pynvml.nvmlSystemGetDriverVersion()), pynvml.nvmlSystemGetCudaDriverVersion()
        gpus = [_gpu(index) for index in range(min(pynvml.nvmlDeviceGetCount(), GPUS_MAX))]
    except pynvml.NVMLError as error:
        say(up=False, reason=reason_of(error), detail=str(error))
        return
    say(up=True, version=version, cuda=f"{cuda // 1000}.{cuda % 1000 // 10}", gpus=gpus)


def _gpu(index: int) -> dict[str, object]:
    found: dict[str, object] = {"index": index, "uuid": "", "model": "", "persistence": None, "trouble": ""}
    try:
        handle = pynvml.nvmlDeviceGetHandleByIndex(index)
        found["uuid"], found["model"] = text(pynvml.nvmlDeviceGetUUID(handle)), text(pynvml.nvmlDeviceGetName(handle))
        found["persistence"] = _persistence(handle)
        pynvml.nvmlDeviceGetUtilizationRates(handle)
    except pynvml.NVMLError as error:
        if error.value != pynvml.NVML_ERROR_NOT_SUPPORTED:
            found["trouble"] = reason_of(error)
    return found


def _persistence(handle: object) -> bool | None:
    try:
        return bool(pynvml.nvmlDeviceGetPersistenceMode(handle))
    except pynvml.NVMLError:
        return None


if __name__ == "__main__":
    main()
