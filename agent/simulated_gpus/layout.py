"""The state file as ctypes structures: the mirror of `nvml/state.h`, checked by the compiler at every build.

Attributes are the words themselves: reading one reads the shared file, assigning one stores it at once, while readers in
other processes go on. Units are in the names; what each word does is said in `nvml/state.h`.
"""

import ctypes
from enum import IntEnum
from typing import Annotated, TypeVar, get_args, get_type_hints

from agent.simulated_gpus.errors import FaultError

MAGIC = 0x54474C53
LAYOUT_VERSION = 1
GPUS_MAX = 16
PROCESSES_MAX = 16
INSTANCES_MAX = 7
OVERRIDES_MAX = 32
OVERRIDE_NAME_BYTES = 60
EVENTS_KEPT = 256

U32 = Annotated[int, ctypes.c_uint32]
I32 = Annotated[int, ctypes.c_int32]
U64 = Annotated[int, ctypes.c_uint64]
AnyStructure = TypeVar("AnyStructure", bound=type[ctypes.Structure])


class Hang(IntEnum):
    """How a call blocks until the word is 0 again."""

    NONE = 0
    SLEEP = 1
    D_STATE = 2
    """Inside the kernel, as `ps` shows it; current kernels still let SIGKILL through."""
    FROZEN_WRITE = 3
    """A write to `HostState.hang_path` on a frozen file system: SIGKILL waits as well."""


class ProcessKind(IntEnum):
    """Which list a process is in."""

    NONE = 0
    COMPUTE = 1
    GRAPHICS = 2
    MPS = 3


def laid_out(structure: AnyStructure) -> AnyStructure:
    """Turn annotations into the fields of a C structure, in their order."""
    hints = get_type_hints(structure, include_extras=True)
    structure._fields_ = [(name, get_args(hints[name])[1]) for name in structure.__annotations__]
    return structure


@laid_out
class OverrideState(ctypes.Structure):
    """One call that answers with a code; free while the code is 0."""

    call: Annotated[bytes, ctypes.c_char * OVERRIDE_NAME_BYTES]
    code: I32


@laid_out
class ProcessState(ctypes.Structure):
    """One process on a GPU; free while its kind is 0."""

    pid: U32
    gpu_instance: U32
    compute_instance: U32
    sm_percent: U32
    memory_bytes: U64
    kind: U32
    reserved: U32


@laid_out
class InstanceState(ctypes.Structure):
    """One MIG instance."""

    uuid: Annotated[bytes, ctypes.c_char * 48]
    profile: Annotated[bytes, ctypes.c_char * 16]
    gpu_instance: U32
    compute_instance: U32
    slices: U32
    multiprocessors: U32
    sm_percent: U32
    reserved: U32
    memory_total_bytes: U64
    memory_used_bytes: U64


@laid_out
class GpuState(ctypes.Structure):
    """One GPU: its identity, faults, gauges and counters."""

    uuid: Annotated[bytes, ctypes.c_char * 48]
    name: Annotated[bytes, ctypes.c_char * 64]
    bus_id: Annotated[bytes, ctypes.c_char * 32]
    serial: Annotated[bytes, ctypes.c_char * 32]
    error: I32
    hang: U32
    crashes_left: U32
    call_cost_us: U32
    gpu_percent: U32
    memory_percent: U32
    sm_percent: U32
    sm_occupancy_percent: U32
    encoder_percent: U32
    decoder_percent: U32
    fan_percent: U32
    temperature_c: U32
    memory_temperature_c: U32
    slowdown_c: U32
    shutdown_c: U32
    max_operating_c: U32
    memory_max_c: U32
    power_mw: U32
    power_limit_mw: U32
    power_limit_min_mw: U32
    power_limit_max_mw: U32
    graphics_clock_mhz: U32
    sm_clock_mhz: U32
    memory_clock_mhz: U32
    video_clock_mhz: U32
    graphics_clock_max_mhz: U32
    sm_clock_max_mhz: U32
    memory_clock_max_mhz: U32
    video_clock_max_mhz: U32
    performance_state: U32
    pcie_generation: U32
    pcie_generation_max: U32
    pcie_width: U32
    pcie_width_max: U32
    pcie_sent_kb_per_s: U32
    pcie_received_kb_per_s: U32
    pcie_window_ms: U32
    pcie_replays: U32
    nvlink_count: U32
    nvlink_down_mask: U32
    nvlink_kib_per_s: U32
    ecc_enabled: U32
    remapped_correctable: U32
    remapped_uncorrectable: U32
    remap_pending: U32
    remap_failed: U32
    retired_single_bit: U32
    retired_double_bit: U32
    retired_pending: U32
    recovery_action: U32
    gpm_supported: U32
    mig_mode: U32
    instance_count: U32
    reserved: U32
    event_reasons: U64
    memory_total_bytes: U64
    memory_used_bytes: U64
    memory_reserved_bytes: U64
    bar1_total_bytes: U64
    bar1_used_bytes: U64
    ecc_corrected_volatile: U64
    ecc_corrected_aggregate: U64
    ecc_uncorrected_volatile: U64
    ecc_uncorrected_aggregate: U64
    nvlink_replays: U64
    nvlink_recoveries: U64
    nvlink_crc_flit: U64
    nvlink_crc_data: U64
    nvlink_ecc_data: U64
    advanced_at_us: U64
    energy_uj: U64
    power_violation_ns: U64
    thermal_violation_ns: U64
    pcie_sent_bytes: U64
    pcie_received_bytes: U64
    nvlink_kib: U64
    calls: U64
    overrides: Annotated["ctypes.Array[OverrideState]", OverrideState * OVERRIDES_MAX]
    processes: Annotated["ctypes.Array[ProcessState]", ProcessState * PROCESSES_MAX]
    instances: Annotated["ctypes.Array[InstanceState]", InstanceState * INSTANCES_MAX]

    def override(self, call: str, code: int) -> None:
        """Let one call (`nvmlDeviceGetFanSpeed`), or one field (`field 230`), answer with `code`; 0 makes it work again.

        Raises `FaultError` when the table is full or the name too long.
        """
        name = call.encode()
        known = next((entry for entry in self.overrides if entry.code and entry.call == name), None)
        entry = known or next((entry for entry in self.overrides if not entry.code), None)
        if entry is None or len(name) >= OVERRIDE_NAME_BYTES:
            msg = f"cannot override {call!r}: at most {OVERRIDES_MAX} names of {OVERRIDE_NAME_BYTES - 1} characters"
            raise FaultError(msg)
        if known is None:
            entry.call = name
        entry.code = code  # last: from now on it is valid


@laid_out
class EventState(ctypes.Structure):
    """One event of the ring."""

    sequence: U64
    type: U64
    data: U64
    gpu: U32
    gpu_instance: U32
    compute_instance: U32
    reserved: U32


@laid_out
class HostState(ctypes.Structure):
    """The whole file."""

    magic: U32
    layout_version: U32
    gpu_count: U32
    init_error: I32
    init_hang: U32
    boots: U32
    driver_version: Annotated[bytes, ctypes.c_char * 80]
    nvml_version: Annotated[bytes, ctypes.c_char * 80]
    hang_path: Annotated[bytes, ctypes.c_char * 256]
    event_head: U64
    events: Annotated["ctypes.Array[EventState]", EventState * EVENTS_KEPT]
    gpus: Annotated["ctypes.Array[GpuState]", GpuState * GPUS_MAX]


STRUCTURES: dict[str, type[ctypes.Structure]] = {
    "override_state": OverrideState,
    "process_state": ProcessState,
    "instance_state": InstanceState,
    "gpu_state": GpuState,
    "event_state": EventState,
    "host_state": HostState,
}
"""C name → its mirror."""


def layout_assertions() -> str:
    """C source that compiles only where `nvml/state.h` lays out every word as this module does; the error names the word."""
    lines = ['#include "core.h"', ""]
    for name, structure in STRUCTURES.items():
        lines.append(_assertion(f"sizeof(struct {name}) == {ctypes.sizeof(structure)}", name))
        for field in structure.__annotations__:
            word = getattr(structure, field)
            lines.append(_assertion(f"offsetof(struct {name}, {field}) == {word.offset}", f"{name}.{field}"))
            lines.append(_assertion(f"sizeof(((struct {name} *)0)->{field}) == {word.size}", f"{name}.{field}"))
    return "\n".join(lines) + "\n"


def _assertion(fact: str, what: str) -> str:
    return f'_Static_assert({fact}, "layout.py and state.h disagree about {what}");'
