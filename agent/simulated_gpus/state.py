"""A simulated host as a file: create one, open one, change it while readers run.

`host.gpus[3].temperature_c = 91` is seen by the next call of any reader. Every fault is one word, so nobody ever sees half
of one. Events go through a ring that several writers may share: they take turns by a lock on the file.
"""

import ctypes
import fcntl
import mmap
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import IntEnum
from pathlib import Path

from agent.simulated_gpus.errors import StateError
from agent.simulated_gpus.layout import (
    EVENTS_KEPT,
    GPUS_MAX,
    LAYOUT_VERSION,
    MAGIC,
    PROCESSES_MAX,
    GpuState,
    HostState,
    ProcessKind,
)

MODEL = "Simulated H100 80GB"
DRIVER_VERSION = "570.86.15-simulated"
"""R570: the first whose field 230 recommends what to do about a GPU."""
NVML_VERSION = "12.570.86.15-simulated"
NOT_AN_INSTANCE = 0xFFFF_FFFF
"""GPU and compute instance of something outside MIG."""
FIRST_BUS = 0x18
NAMESPACE = uuid.UUID("5153c0de-0000-4000-8000-000000000000")
"""Of the GPUs' UUIDs: the same state file always has the same ones, and no two files share any."""
GIB = 1 << 30
MIB = 1 << 20


class Code(IntEnum):
    """Return codes of NVML that faults use."""

    NOT_SUPPORTED = 3
    NOT_FOUND = 6
    DRIVER_NOT_LOADED = 9
    GPU_IS_LOST = 15
    RESET_REQUIRED = 16
    UNKNOWN = 999


class EventType(IntEnum):
    """Kinds of event that readers can wait for."""

    SINGLE_BIT_ECC = 0x1
    DOUBLE_BIT_ECC = 0x2
    XID = 0x8


HEALTHY: dict[str, int] = {
    "gpu_percent": 55,
    "memory_percent": 30,
    "sm_percent": 48,
    "sm_occupancy_percent": 22,
    "temperature_c": 61,
    "memory_temperature_c": 70,
    "slowdown_c": 92,
    "shutdown_c": 95,
    "max_operating_c": 87,
    "memory_max_c": 105,
    "power_mw": 412_000,
    "power_limit_mw": 700_000,
    "power_limit_min_mw": 200_000,
    "power_limit_max_mw": 700_000,
    "graphics_clock_mhz": 1755,
    "sm_clock_mhz": 1755,
    "memory_clock_mhz": 2619,
    "video_clock_mhz": 1545,
    "graphics_clock_max_mhz": 1980,
    "sm_clock_max_mhz": 1980,
    "memory_clock_max_mhz": 2619,
    "video_clock_max_mhz": 1545,
    "pcie_generation": 5,
    "pcie_generation_max": 5,
    "pcie_width": 16,
    "pcie_width_max": 16,
    "pcie_sent_kb_per_s": 120_000,
    "pcie_received_kb_per_s": 240_000,
    "pcie_window_ms": 20,
    "nvlink_count": 18,
    "nvlink_kib_per_s": 512_000,
    "ecc_enabled": 1,
    "gpm_supported": 1,
    "memory_total_bytes": 80 * GIB,
    "memory_used_bytes": 61 * GIB,
    "memory_reserved_bytes": 600 * MIB,
    "bar1_total_bytes": 128 * GIB,
    "bar1_used_bytes": 1 * MIB,
    "energy_uj": 10**12,
}
"""A healthy, busy H100 as it is made; words that are not named are 0."""
WITHOUT_SENSOR = ("nvmlDeviceGetFanSpeed", "nvmlDeviceGetRetiredPages", "nvmlDeviceGetRetiredPagesPendingStatus")
"""A passively cooled H100 has no fan, and remaps rows instead of retiring pages."""


@dataclass(frozen=True, slots=True)
class SimulatedProcess:
    """A program on a GPU."""

    pid: int
    memory_bytes: int
    sm_percent: int = 25
    kind: ProcessKind = ProcessKind.COMPUTE
    gpu_instance: int = NOT_AN_INSTANCE
    compute_instance: int = NOT_AN_INSTANCE


@dataclass(slots=True)
class SimulatedHost:
    """An open state file; valid as long as this object lives."""

    path: Path
    words: HostState = field(repr=False)

    @property
    def gpus(self) -> tuple[GpuState, ...]:
        """The GPUs, live: attributes are words of the file."""
        return tuple(self.words.gpus[: self.words.gpu_count])

    def emit_xid(self, gpu: int, xid: int) -> None:
        """Tell every waiting reader of an Xid."""
        self.emit(gpu, EventType.XID, xid)

    def emit(self, gpu: int, kind: EventType, data: int = 0) -> None:
        """Add one event to the ring; the oldest of the last 256 gives way."""
        with self._one_writer():
            head = self.words.event_head
            slot = self.words.events[head % EVENTS_KEPT]
            slot.sequence = 0
            slot.type, slot.data, slot.gpu = int(kind), data, gpu
            slot.gpu_instance = slot.compute_instance = NOT_AN_INSTANCE
            slot.sequence = head + 1
            self.words.event_head = head + 1  # last: readers look no further

    def run_processes(self, gpu: int, processes: Sequence[SimulatedProcess]) -> None:
        """Replace what runs on a GPU."""
        if len(processes) > PROCESSES_MAX:
            msg = f"{len(processes)} processes on one simulated GPU: at most {PROCESSES_MAX}"
            raise StateError(msg)
        slots = self.gpus[gpu].processes
        for slot in slots:
            slot.kind = ProcessKind.NONE
        for slot, process in zip(slots, processes, strict=False):
            slot.pid, slot.memory_bytes, slot.sm_percent = process.pid, process.memory_bytes, process.sm_percent
            slot.gpu_instance, slot.compute_instance = process.gpu_instance, process.compute_instance
            slot.kind = process.kind  # last: from now on it is shown

    @contextmanager
    def _one_writer(self) -> Iterator[None]:
        with self.path.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield  # closing the file lets the next writer go on


def create(path: Path, gpus: int = 8) -> SimulatedHost:
    """A healthy host with so many GPUs; replaces a file that is there. Raises `StateError` for an impossible number."""
    if not 0 <= gpus <= GPUS_MAX:
        msg = f"{gpus} simulated GPUs: choose 0 to {GPUS_MAX}"
        raise StateError(msg)
    host = HostState(layout_version=LAYOUT_VERSION, gpu_count=gpus, magic=MAGIC)
    host.driver_version = DRIVER_VERSION.encode()
    host.nvml_version = NVML_VERSION.encode()
    for index in range(gpus):
        _make_gpu(host.gpus[index], index, path)
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_suffix(".new")
    beside.write_bytes(bytes(host))
    beside.replace(path)  # readers of a former file keep it until they start again
    return open_state(path)


def open_state(path: Path) -> SimulatedHost:
    """An existing host. Raises `StateError` when there is none, or one of another version."""
    try:
        with path.open("r+b") as file:
            mapped = mmap.mmap(file.fileno(), ctypes.sizeof(HostState))
    except (OSError, ValueError) as error:
        msg = f"no simulated GPUs in {path}: make some with `python -m agent.simulated_gpus create`"
        raise StateError(msg) from error
    words = HostState.from_buffer(mapped)
    if (words.magic, words.layout_version) != (MAGIC, LAYOUT_VERSION):
        msg = f"{path} is not a state file of this version: make a new one with `python -m agent.simulated_gpus create`"
        raise StateError(msg)
    return SimulatedHost(path, words)


def _make_gpu(gpu: GpuState, index: int, path: Path) -> None:
    gpu.uuid = f"GPU-{uuid.uuid5(NAMESPACE, f'{path}#{index}')}".encode()
    gpu.name = MODEL.encode()
    gpu.bus_id = f"00000000:{FIRST_BUS + index:02X}:00.0".encode()
    gpu.serial = f"SIMULATED{index:04d}".encode()
    for word, value in HEALTHY.items():
        setattr(gpu, word, value)
    for call in WITHOUT_SENSOR:
        gpu.override(call, Code.NOT_SUPPORTED)
