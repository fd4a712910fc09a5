"""The NVML worker: `python -m agent.probes.nvml` reads GPUs and prints JSON lines; the agent reads those.

NVML calls can block for ever inside a wedged driver, in a way that even SIGKILL does not end. So they never run in the
process that owns the agent's socket, and each GPU has a thread of its own: one that blocks stops neither the others nor
the agent. The worker ends when its stdin does. Only field ids up to 250 are used: those above were renumbered between
CUDA 12.9 and 13.
"""

import json
import sys
import threading
from collections.abc import Callable, Mapping

import pynvml

from chassis.clock import blocking_sleep

SAMPLE_INTERVAL_S = 1.0
XID_WAIT_MS = 1000
"""Longest block of the event thread; only bounds how long it outlives the worker's end."""
RECOVERY_ACTION_FIELD = 230
"""NVML_FI_DEV_GET_GPU_RECOVERY_ACTION, R570 and later."""
LOST_CODES = frozenset({pynvml.NVML_ERROR_GPU_IS_LOST, pynvml.NVML_ERROR_RESET_REQUIRED, pynvml.NVML_ERROR_UNKNOWN})
"""After these the handle is stale and must be asked for anew."""
REASONS = {
    pynvml.NVML_ERROR_LIBRARY_NOT_FOUND: "library_not_found",
    pynvml.NVML_ERROR_DRIVER_NOT_LOADED: "driver_not_loaded",
    pynvml.NVML_ERROR_NO_PERMISSION: "no_permission",
    pynvml.NVML_ERROR_GPU_IS_LOST: "gpu_lost",
    pynvml.NVML_ERROR_RESET_REQUIRED: "reset_required",
    pynvml.NVML_ERROR_NOT_FOUND: "not_found",
    pynvml.NVML_ERROR_UNKNOWN: "unknown",
}
_PRINTING = threading.Lock()

Handle = object
READERS: Mapping[str, Callable[[Handle], float]] = {
    "utilization_ratio": lambda gpu: pynvml.nvmlDeviceGetUtilizationRates(gpu).gpu / 100.0,
    "memory_used_bytes": lambda gpu: float(pynvml.nvmlDeviceGetMemoryInfo(gpu).used),
    "memory_total_bytes": lambda gpu: float(pynvml.nvmlDeviceGetMemoryInfo(gpu).total),
    "temperature_celsius": lambda gpu: float(pynvml.nvmlDeviceGetTemperature(gpu, pynvml.NVML_TEMPERATURE_GPU)),
    "power_watts": lambda gpu: pynvml.nvmlDeviceGetPowerUsage(gpu) / 1000.0,
    "sm_clock_hertz": lambda gpu: pynvml.nvmlDeviceGetClockInfo(gpu, pynvml.NVML_CLOCK_SM) * 1e6,
    "recovery_action": lambda gpu: float(_field(gpu, RECOVERY_ACTION_FIELD)),
}
"""What is read of each GPU, in base units."""
UNSUPPORTED = (pynvml.NVMLError_NotSupported, pynvml.NVMLError_FunctionNotFound)


def main() -> int:
    """Read until stdin ends; exit code 0 also when there is no driver, which is a fact and not a failure."""
    try:
        pynvml.nvmlInit()
        count = pynvml.nvmlDeviceGetCount()
    except pynvml.NVMLError as error:
        say(kind="driver", up=False, reason=reason_of(error))
        return 0
    say(kind="driver", up=True, reason="")
    for index in range(count):
        threading.Thread(target=watch_gpu, args=(index,), daemon=True).start()
    threading.Thread(target=watch_xids, args=(count,), daemon=True).start()
    sys.stdin.read()
    return 0


def watch_gpu(index: int) -> None:
    """Read one GPU once a second for ever; what it does not support is left out, never zero."""
    handle: Handle | None = None
    uuid = ""
    skipped: set[str] = set()
    while True:
        try:
            if handle is None:
                handle = pynvml.nvmlDeviceGetHandleByIndex(index)
                uuid = pynvml.nvmlDeviceGetUUID(handle)
            say(kind="gpu", gpu=index, uuid=uuid, up=True, reason="", values=read_values(handle, skipped))
        except pynvml.NVMLError as error:
            if error.value in LOST_CODES:
                handle = None
            say(kind="gpu", gpu=index, uuid=uuid, up=False, reason=reason_of(error), values={})
        blocking_sleep(SAMPLE_INTERVAL_S)


def read_values(handle: Handle, skipped: set[str]) -> dict[str, float]:
    """Every supported value; adds to `skipped` what this GPU will never have."""
    values = {}
    for name, read in READERS.items():
        if name in skipped:
            continue
        try:
            values[name] = read(handle)
        except UNSUPPORTED:
            skipped.add(name)
    return values


def watch_xids(count: int) -> None:
    """Tell every Xid as it happens; a driver without events is silent here."""
    try:
        events = pynvml.nvmlEventSetCreate()
        for index in range(count):
            handle = pynvml.nvmlDeviceGetHandleByIndex(index)
            pynvml.nvmlDeviceRegisterEvents(handle, pynvml.nvmlEventTypeXidCriticalError, events)
    except pynvml.NVMLError as error:
        say(kind="xids_unavailable", reason=reason_of(error))
        return
    while True:
        try:
            event = pynvml.nvmlEventSetWait_v2(events, XID_WAIT_MS)
            index = pynvml.nvmlDeviceGetIndex(event.device)
            say(kind="xid", gpu=index, uuid=pynvml.nvmlDeviceGetUUID(event.device), xid=int(event.eventData))
        except pynvml.NVMLError_Timeout:
            continue
        except pynvml.NVMLError:
            blocking_sleep(SAMPLE_INTERVAL_S)


def _field(handle: Handle, field_id: int) -> int:
    value = pynvml.nvmlDeviceGetFieldValues(handle, [field_id])[0]
    if value.nvmlReturn != pynvml.NVML_SUCCESS:
        raise pynvml.NVMLError(value.nvmlReturn)
    return int(value.value.uiVal)


def reason_of(error: pynvml.NVMLError) -> str:
    """A short word for a metric label."""
    return REASONS.get(error.value, f"nvml_error_{error.value}")


def say(**fact: object) -> None:
    """One JSON line on stdout, whole even when threads speak at once."""
    with _PRINTING:
        sys.stdout.write(json.dumps(fact) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
