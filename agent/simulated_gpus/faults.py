"""Faults of GPUs as data, and what they change in the state of a simulated host.

Each fault is a `Change`: words to set, counters to raise, calls that fail, events to emit. What an Xid brings with it
follows NVIDIA's catalogue of Xid errors (docs.nvidia.com/deploy/xid-errors, 2025-10); one that is not in the table is an event
and nothing else, which is what most of them are.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from agent.simulated_gpus.errors import FaultError
from agent.simulated_gpus.layout import INSTANCES_MAX, GpuState, Hang
from agent.simulated_gpus.state import (
    GIB,
    HEALTHY,
    WITHOUT_SENSOR,
    Code,
    EventType,
    SimulatedHost,
)

RESET, REBOOT, DRAIN_PEERS = 1, 2, 3
"""Values of the driver's recovery action, field 230 (nvml.h 12.9)."""
HW_SLOWDOWN_FOR_HEAT = 0x08 | 0x40
"""Clock event reasons: the hardware slows down, because of heat."""
STORM_EVENTS = 200
"""Below the ring's 256, so that a reader can see every one."""
XID_MAX = 999


class FaultName(StrEnum):
    """What can be injected; `xid` takes a code."""

    XID = "xid"
    LOST = "lost"
    RESET_REQUIRED = "reset-required"
    HANG = "hang"
    HANG_D_STATE = "hang-d-state"
    HOT = "hot"
    MIG = "mig"
    NOT_SUPPORTED = "not-supported"
    DRIVER_MISSING = "driver-missing"
    INIT_HANG = "init-hang"
    CRASH_WORKER = "crash-worker"
    XID_STORM = "xid-storm"
    HEAL = "heal"


@dataclass(frozen=True, slots=True)
class Change:
    """What a fault does to one GPU, and what people are told."""

    says: str
    sets: Mapping[str, int] = field(default_factory=dict)
    """Words of `GpuState` → their new value."""
    adds: Mapping[str, int] = field(default_factory=dict)
    """Counters of `GpuState` → by how much they rise."""
    fails: Mapping[str, int] = field(default_factory=dict)
    """Calls and fields → the code they answer with."""
    host_sets: Mapping[str, int] = field(default_factory=dict)
    """Words of `HostState` → their new value."""
    events: tuple[tuple[EventType, int], ...] = ()


ONE_DOUBLE_BIT_ERROR = {"ecc_uncorrected_volatile": 1, "ecc_uncorrected_aggregate": 1}
RECOMMENDS_RESET = {"recovery_action": RESET}
DOUBLE_BIT_EVENT = ((EventType.DOUBLE_BIT_ECC, 0),)

XIDS: Mapping[int, Change] = {
    46: Change("the GPU stopped processing", sets=RECOMMENDS_RESET),
    48: Change("double-bit ECC error", sets=RECOMMENDS_RESET, adds=ONE_DOUBLE_BIT_ERROR, events=DOUBLE_BIT_EVENT),
    62: Change("internal micro-controller halted", sets=RECOMMENDS_RESET),
    63: Change("a row was remapped, pending a reset", sets={"remap_pending": 1}, adds={"remapped_uncorrectable": 1}),
    64: Change("remapping a row failed", sets={"remap_failed": 1, **RECOMMENDS_RESET}),
    74: Change(
        "NVLink error: link 0 is down",
        sets={"nvlink_down_mask": 0b1, "recovery_action": DRAIN_PEERS},
        adds={"nvlink_crc_flit": 12, "nvlink_replays": 3, "nvlink_recoveries": 1},
    ),
    79: Change("fell off the bus: every call answers GPU_IS_LOST", sets={"error": Code.GPU_IS_LOST}),
    92: Change(
        "high rate of single-bit ECC errors", adds={"ecc_corrected_volatile": 90, "ecc_corrected_aggregate": 90}
    ),
    94: Change("contained ECC error: one program lost its memory", adds=ONE_DOUBLE_BIT_ERROR, events=DOUBLE_BIT_EVENT),
    95: Change("uncontained ECC error", sets=RECOMMENDS_RESET, adds=ONE_DOUBLE_BIT_ERROR, events=DOUBLE_BIT_EVENT),
    119: Change("GSP does not answer: every call hangs", sets={"hang": Hang.SLEEP, **RECOMMENDS_RESET}),
    120: Change("GSP error: every call hangs", sets={"hang": Hang.SLEEP, **RECOMMENDS_RESET}),
    140: Change("unrecovered ECC error", sets=RECOMMENDS_RESET, adds=ONE_DOUBLE_BIT_ERROR, events=DOUBLE_BIT_EVENT),
    154: Change("the recommended recovery is now a reset", sets=RECOMMENDS_RESET),
}
"""Xids with consequences, without the event itself."""

OLD_DEVICE_LACKS = (
    "nvmlDeviceGetMarginTemperature",
    "nvmlDeviceGetTotalEnergyConsumption",
    "nvmlDeviceGetTotalEccErrors",
    "nvmlDeviceGetEccMode",
    "nvmlDeviceGetRemappedRows",
    "nvmlDeviceGetRowRemapperHistogram",
    "nvmlDeviceGetMigMode",
    "nvmlGpmQueryDeviceSupport",
    "nvmlDeviceGetNvLinkState",
    "nvmlDeviceGetNvLinkErrorCounter",
    "nvmlDeviceGetProcessUtilization",
    "nvmlDeviceGetCurrentClocksEventReasons",
    "field 82",
    "field 83",
    "field 142",
    "field 143",
    "field 144",
    "field 145",
    "field 230",
)
"""Calls and fields that a device of an older generation answers with NOT_SUPPORTED."""

PLAIN: Mapping[FaultName, Change] = {
    FaultName.LOST: Change("every call answers GPU_IS_LOST", sets={"error": Code.GPU_IS_LOST}),
    FaultName.RESET_REQUIRED: Change(
        "every call answers RESET_REQUIRED", sets={"error": Code.RESET_REQUIRED, **RECOMMENDS_RESET}
    ),
    FaultName.HANG: Change("every call blocks until it is healed", sets={"hang": Hang.SLEEP}),
    FaultName.HANG_D_STATE: Change("every call blocks inside the kernel (state D)", sets={"hang": Hang.D_STATE}),
    FaultName.HOT: Change(
        "93 °C: the hardware slows its clocks to a third",
        sets={
            "temperature_c": 93,
            "memory_temperature_c": 101,
            "event_reasons": HW_SLOWDOWN_FOR_HEAT,
            "sm_clock_mhz": 660,
            "graphics_clock_mhz": 660,
            "power_mw": 310_000,
        },
    ),
    FaultName.NOT_SUPPORTED: Change(
        "answers as a device of an older generation: half of the calls are not supported",
        fails=dict.fromkeys(OLD_DEVICE_LACKS, Code.NOT_SUPPORTED),
    ),
    FaultName.DRIVER_MISSING: Change(
        "initialisation answers DRIVER_NOT_LOADED, for whoever starts from now on",
        host_sets={"init_error": Code.DRIVER_NOT_LOADED},
    ),
    FaultName.INIT_HANG: Change("initialisation blocks until it is healed", host_sets={"init_hang": Hang.SLEEP}),
    FaultName.CRASH_WORKER: Change("the next call kills its caller (SIGSEGV), once", sets={"crashes_left": 1}),
    FaultName.XID_STORM: Change(
        f"{STORM_EVENTS} Xids 31 at once", events=tuple((EventType.XID, 31) for _ in range(STORM_EVENTS))
    ),
}
"""Faults that are a change and nothing else."""

DESCRIPTIONS: Mapping[FaultName, str] = {
    FaultName.XID: "an Xid with what it brings along, e.g. `xid 79` (fell off the bus)",
    FaultName.MIG: "split the GPU into seven MIG instances",
    FaultName.HEAL: "undo every fault; counters keep what they counted",
    **{name: change.says for name, change in PLAIN.items()},
}
"""Fault → one line for people."""


@dataclass(frozen=True, slots=True)
class Fault:
    """A fault by name; `xid` is set for `FaultName.XID` and for nothing else."""

    name: FaultName
    xid: int | None = None

    def __post_init__(self) -> None:
        if (self.name is FaultName.XID) != (self.xid is not None):
            msg = "`xid` takes a code, e.g. `xid 79`" if self.xid is None else f"{self.name} takes no code"
            raise FaultError(msg)
        if self.xid is not None and not 0 < self.xid <= XID_MAX:
            msg = f"{self.xid} is no Xid: choose 1 to {XID_MAX}"
            raise FaultError(msg)

    def __str__(self) -> str:
        return self.name if self.xid is None else f"{self.name} {self.xid}"


def parse_fault(words: Iterable[str]) -> Fault:
    """`["xid", "79"]` or `["hot"]`; raises `FaultError` that lists what there is."""
    name, *rest = list(words) or [""]
    try:
        codes = [int(word) for word in rest]
        fault = FaultName(name)
    except ValueError as error:
        msg = f"no fault {' '.join([name, *rest])!r}: choose from {', '.join(FaultName)}"
        raise FaultError(msg) from error
    if len(codes) > 1:
        msg = f"{name} takes one code at most, not {len(codes)}"
        raise FaultError(msg)
    return Fault(fault, codes[0] if codes else None)


def inject(host: SimulatedHost, gpu: int, fault: Fault) -> str:
    """Do it to one GPU; returns one sentence. Raises `FaultError` when there is no such GPU."""
    words = gpu_of(host, gpu)
    says = DESCRIPTIONS[fault.name]
    match fault.name:
        case FaultName.HEAL:
            heal(host, gpu)
        case FaultName.MIG:
            split(words, INSTANCES_MAX)
        case _:
            change = PLAIN[fault.name] if fault.xid is None else change_of_xid(fault.xid)
            says = change.says
            _apply(host, gpu, change)
    return f"simulated GPU {gpu}: {fault} ({says})"


def change_of_xid(xid: int) -> Change:
    """Consequences and event; of an Xid without consequences, the event alone."""
    known = XIDS.get(xid, Change("an event and nothing else"))
    events = (*known.events, (EventType.XID, xid))
    return Change(known.says, known.sets, known.adds, known.fails, known.host_sets, events)


def heal(host: SimulatedHost, gpu: int) -> None:
    """Make one GPU, and the driver, healthy again; counters keep what they counted, as on a real device."""
    host.words.init_error = 0
    host.words.init_hang = Hang.NONE
    words = gpu_of(host, gpu)
    words.mig_mode = words.instance_count = 0
    for word in touched_by_faults():
        setattr(words, word, HEALTHY.get(word, 0))
    for entry in words.overrides:
        entry.code = 0
    for call in WITHOUT_SENSOR:
        words.override(call, Code.NOT_SUPPORTED)


def touched_by_faults() -> frozenset[str]:
    """Words that some fault sets: what healing has to put back."""
    changes = [*XIDS.values(), *PLAIN.values()]
    return frozenset(word for change in changes for word in change.sets) | {"call_cost_us"}


def split(gpu: GpuState, instances: int) -> None:
    """Turn MIG on, with so many instances of a seventh of the GPU each."""
    for number, instance in enumerate(gpu.instances[:instances]):
        instance.uuid = gpu.uuid.replace(b"GPU-", b"MIG-")[:-2] + f"{number:02d}".encode()
        instance.profile = b"1g.10gb"
        instance.gpu_instance = 7 + number
        instance.compute_instance = 0
        instance.slices = 1
        instance.multiprocessors = 16
        instance.sm_percent = 40
        instance.memory_total_bytes = 10 * GIB
        instance.memory_used_bytes = 4 * GIB
    gpu.instance_count = instances
    gpu.mig_mode = 1  # last: readers look for instances only then


def gpu_of(host: SimulatedHost, gpu: int) -> GpuState:
    """Its words; raises `FaultError` when the host has no such GPU."""
    if not 0 <= gpu < len(host.gpus):
        msg = f"no simulated GPU {gpu}: there are {len(host.gpus)}, from 0"
        raise FaultError(msg)
    return host.gpus[gpu]


def _apply(host: SimulatedHost, gpu: int, change: Change) -> None:
    words = host.gpus[gpu]
    for word, value in change.host_sets.items():
        setattr(host.words, word, int(value))
    for call, code in change.fails.items():
        words.override(call, code)
    for word, amount in change.adds.items():
        setattr(words, word, getattr(words, word) + amount)
    for kind, data in change.events:  # before the GPU goes silent, as a real driver would tell it
        host.emit(gpu, kind, data)
    for word, value in change.sets.items():
        setattr(words, word, int(value))
