"""A program that asks NVML through pynvml, as readers of GPUs do: one request a line, each in a thread of its own.

`{"id": 1, "ask": "nvmlDeviceGetPowerUsage(gpu(3))"}` is answered with `{"id": 1, "value": 412000}`, or with the `error` that
NVML raised. Answers come when they are ready: a request that hangs holds up no other.
"""

import ctypes
import json
import sys
import threading
import time
from collections.abc import Callable

import pynvml

PRINTING = threading.Lock()
NAMES = {
    name: value
    for name, value in vars(pynvml).items()
    if name.startswith(("nvml", "NVML", "c_nvml")) or name == "byref"
}


def gpu(index: int) -> object:
    return pynvml.nvmlDeviceGetHandleByIndex(index)


def fields(handle: object, *ids: object) -> list[object]:
    """Value of each field, or the code that it was answered with."""
    by_type = {1: "uiVal", 3: "ullVal", 5: "siVal"}
    return [
        {"error": field.nvmlReturn} if field.nvmlReturn else getattr(field.value, by_type[field.valueType])
        for field in pynvml.nvmlDeviceGetFieldValues(handle, list(ids))
    ]


def gpm(take: object, *metrics: int) -> list[object]:
    """Each metric between two samples that `take` filled."""
    first, second = pynvml.nvmlGpmSampleAlloc(), pynvml.nvmlGpmSampleAlloc()
    take(first)
    take(second)
    request = pynvml.c_nvmlGpmMetricsGet_t()
    request.version, request.numMetrics = pynvml.NVML_GPM_METRICS_GET_VERSION, len(metrics)
    request.sample1, request.sample2 = first, second
    for slot, metric in zip(request.metrics, metrics, strict=False):
        slot.metricId = metric
    pynvml.nvmlGpmMetricsGet(request)
    answers = [
        slot.value if slot.nvmlReturn == 0 else {"error": slot.nvmlReturn} for slot in request.metrics[: len(metrics)]
    ]
    pynvml.nvmlGpmSampleFree(first)
    pynvml.nvmlGpmSampleFree(second)
    return answers


def watch(*indices: int, types: int = pynvml.nvmlEventTypeXidCriticalError) -> str:
    """Make the event set that `next_event` waits on."""
    NAMES["events"] = pynvml.nvmlEventSetCreate()
    for index in indices:
        pynvml.nvmlDeviceRegisterEvents(gpu(index), types, NAMES["events"])
    return "watching"


def next_event(timeout_ms: int = 5000) -> list[int]:
    event = pynvml.nvmlEventSetWait_v2(NAMES["events"], timeout_ms)
    return [pynvml.nvmlDeviceGetIndex(event.device), event.eventType, event.eventData]


def seconds_of(call: Callable[[], object]) -> float:
    started_s = time.monotonic()
    call()
    return time.monotonic() - started_s


def keep(handle: object) -> str:
    """Hold on to a handle, as readers do between samples."""
    NAMES["handle"] = handle
    return "kept"


def kept() -> object:
    return NAMES["handle"]


def plain(value: object) -> object:
    """Structures as lists of their values, so that JSON can carry them."""
    if isinstance(value, bytes):
        return value.decode()
    if isinstance(value, ctypes.c_uint):
        return value.value
    if isinstance(value, ctypes.Structure):
        return [plain(getattr(value, field[0])) for field in value._fields_]
    if isinstance(value, pynvml.nvmlFriendlyObject):
        return {name: plain(part) for name, part in vars(value).items()}
    if isinstance(value, list | tuple):
        return [plain(part) for part in value]
    return value


def answer(request: dict[str, object]) -> None:
    try:
        reply = {"value": plain(eval(str(request["ask"]), {**NAMES, **OURS}))}  # noqa: S307  # asked by our own tests
    except pynvml.NVMLError as error:
        reply = {"error": error.value}
    except Exception as error:  # noqa: BLE001  # whatever it is, the test shall see it and not wait for it
        reply = {"error": repr(error)}
    with PRINTING:
        sys.stdout.write(json.dumps({"id": request["id"], **reply}) + "\n")
        sys.stdout.flush()


OURS = {call.__name__: call for call in (gpu, fields, gpm, watch, next_event, keep, kept, seconds_of)}

if __name__ == "__main__":
    for line in sys.stdin:
        threading.Thread(target=answer, args=(json.loads(line),), daemon=True).start()
