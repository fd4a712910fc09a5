"""The slices of a GPU in MIG mode, and who holds memory on a GPU."""

from collections.abc import Iterable
from dataclasses import dataclass

import pynvml

from agent.core.worker_words import PROCESSES_MAX
from agent.probes.nvml.codes import DEVICE_DOWN, DRIVER_GONE, UNSUPPORTED
from agent.probes.nvml.reader import Handle, is_blank, text

INSTANCES_MAX = 16
"""Hardware has at most seven; bounds a line if a driver counts more."""
ABSENT = frozenset({pynvml.NVML_ERROR_NOT_FOUND, pynvml.NVML_ERROR_INVALID_ARGUMENT})
"""An index without an instance."""
FATAL = DEVICE_DOWN | DRIVER_GONE


@dataclass(frozen=True, slots=True)
class Slice:
    """One MIG instance, with the handle that its memory is asked by."""

    handle: Handle
    uuid: str
    gpu_instance: int
    compute_instance: int
    profile: str


def slices(handle: Handle) -> tuple[Slice, ...] | None:
    """Every instance; empty outside MIG mode and on devices without it, None when the driver gave no answer.

    Raises `NVMLError` when the device is gone.
    """
    try:
        mode, _pending = pynvml.nvmlDeviceGetMigMode(handle)
        if mode != pynvml.NVML_DEVICE_MIG_ENABLE:
            return ()
        count = min(pynvml.nvmlDeviceGetMaxMigDeviceCount(handle), INSTANCES_MAX)
        return tuple(found for index in range(count) if (found := _slice(handle, index)) is not None)
    except pynvml.NVMLError as error:
        if error.value in FATAL:
            raise
        return () if error.value in UNSUPPORTED else None


def slice_facts(found: Iterable[Slice]) -> list[dict[str, object]]:
    """Each instance with its memory now."""
    return [
        {
            "uuid": each.uuid,
            "gpu_instance": each.gpu_instance,
            "compute_instance": each.compute_instance,
            "profile": each.profile,
            **_memory(each.handle),
        }
        for each in found
    ]


def processes(handle: Handle) -> list[list[int | None]] | None:
    """[pid, memory bytes, GPU instance, compute instance] of at most `PROCESSES_MAX` processes, most memory first.

    None when the driver gave no answer: that is not the same as no process.
    """
    try:
        found = pynvml.nvmlDeviceGetComputeRunningProcesses(handle)
    except pynvml.NVMLError as error:
        if error.value in FATAL:
            raise
        return None
    ranked = sorted(found, key=lambda each: each.usedGpuMemory or 0, reverse=True)[:PROCESSES_MAX]
    return [
        [
            int(each.pid),
            _known(each.usedGpuMemory),
            _known(getattr(each, "gpuInstanceId", None)),
            _known(getattr(each, "computeInstanceId", None)),
        ]
        for each in ranked
    ]


def _slice(handle: Handle, index: int) -> Slice | None:
    try:
        instance = pynvml.nvmlDeviceGetMigDeviceHandleByIndex(handle, index)
    except pynvml.NVMLError as error:
        if error.value in ABSENT:
            return None
        raise
    return Slice(
        handle=instance,
        uuid=text(pynvml.nvmlDeviceGetUUID(instance)),
        gpu_instance=int(pynvml.nvmlDeviceGetGpuInstanceId(instance)),
        compute_instance=int(pynvml.nvmlDeviceGetComputeInstanceId(instance)),
        profile=_profile(instance),
    )


def _profile(instance: Handle) -> str:
    """`NVIDIA H100 80GB HBM3 MIG 1g.10gb` → `1g.10gb`."""
    try:
        return text(pynvml.nvmlDeviceGetName(instance)).partition("MIG ")[2]
    except pynvml.NVMLError as error:
        if error.value in FATAL:
            raise
        return ""


def _memory(instance: Handle) -> dict[str, int]:
    try:
        memory = pynvml.nvmlDeviceGetMemoryInfo(instance)
    except pynvml.NVMLError as error:
        if error.value in FATAL:
            raise
        return {}
    return {"memory_used_bytes": int(memory.used), "memory_total_bytes": int(memory.total)}


def _known(raw: int | None) -> int | None:
    return None if raw is None or is_blank(raw) else int(raw)
