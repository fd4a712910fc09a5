"""What the agent knows about one GPU, in values: the words that the worker, the page, the report and the healer share.

A `GpuSample` is what the driver said at one moment; a `Gpu` is the picture now, with everything that outlives a sample:
counts of Xids, throttle seconds, the recommended action. What is not known is absent: never 0, never NaN. Units are
base units, and the name of every value ends in its unit.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from contracts.agent_api import GpuReport
from contracts.vocabulary import GpuAction, GpuUuid

SIMULATED_MARK = "simulated"
"""A stand-in driver carries this word in its version, so that its figures are never taken for a real device's."""
SLOWING_REASONS = frozenset({"hw_slowdown", "hw_thermal_slowdown", "hw_power_brake_slowdown", "sw_thermal_slowdown"})
"""Clock event reasons that are trouble. `sw_power_cap` is not: healthy, busy devices assert it all day."""


@dataclass(frozen=True, slots=True)
class Driver:
    """Whether NVML answers."""

    up: bool
    reason: str = ""
    """Why not: library_not_found on a host without a GPU, driver_not_loaded, worker_silent, …"""
    version: str = ""
    gpus: int = 0
    """How many it counts."""


@dataclass(frozen=True, slots=True)
class GpuIdentity:
    """What does not change while the driver is loaded."""

    index: int
    """NVML's own number; it can change at a reboot, unlike the UUID."""
    uuid: GpuUuid
    pci_bus_id: str = ""
    """`00000000:3B:00.0`; empty until the device told it."""
    model: str = ""
    serial: str = ""
    vbios: str = ""


@dataclass(frozen=True, slots=True)
class GpuProcess:
    """One process that holds memory of the GPU, by the pid that the host's own PID namespace gives it."""

    pid: int
    memory_used_bytes: int | None
    """None where the driver does not attribute memory to processes."""
    gpu_instance: int | None = None
    """MIG instance ids; None outside MIG."""
    compute_instance: int | None = None


@dataclass(frozen=True, slots=True)
class MigInstance:
    """One slice of a GPU in MIG mode."""

    uuid: GpuUuid
    gpu_instance: int
    compute_instance: int
    profile: str
    """`1g.10gb`; empty when the driver does not say."""
    memory_used_bytes: int | None = None
    memory_total_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class GpuSample:
    """What the worker read of one GPU at one moment."""

    at_s: float
    """Monotonic time of its arrival."""
    up: bool
    reason: str = ""
    """Why it is not up: gpu_lost, reset_required, …; empty when it is."""
    values: Mapping[str, float] = field(default_factory=dict)
    processes: tuple[GpuProcess, ...] | None = None
    """None when the driver did not say who is there."""
    mig: tuple[MigInstance, ...] = ()


@dataclass(frozen=True, slots=True)
class Gpu:
    """One GPU now. Of one that is not up there are no `values`, `processes` or `mig`: old figures are worse than none."""

    identity: GpuIdentity
    up: bool
    reason: str
    sample_age_s: float
    """Also of a GPU that is down: how long ago anything was heard of it."""
    values: Mapping[str, float] = field(default_factory=dict)
    """`memory_used_bytes`, `sm_clock_ratio`, …: every name is in `agent.exporter.gpu_table`. Includes the driver's own counters."""
    processes: tuple[GpuProcess, ...] | None = None
    """None when it is not known who is there."""
    mig: tuple[MigInstance, ...] = ()
    clock_event_seconds: Mapping[str, float] = field(default_factory=dict)
    """Seconds per clock event reason, since the agent started; empty while the device never told its reasons."""
    clock_event_transitions: Mapping[str, int] = field(default_factory=dict)
    """How often each reason became active."""
    slowed: bool | None = None
    """A reason of `SLOWING_REASONS` is active now; None when the newest sample has no reasons."""
    xid_counts: Mapping[int, int] = field(default_factory=dict)
    """Events per Xid, with a zero for every known one: a first event has to have a zero before it."""
    xid_last_unix_s: Mapping[int, float] = field(default_factory=dict)
    ecc_events: Mapping[str, int] = field(default_factory=dict)
    """Events per severity, `single_bit` and `double_bit`."""
    recommended_action: GpuAction = GpuAction.NONE
    action_source: str = ""
    """What recommends it: `driver`, `xid 79`, the name of a health rule, or empty."""
    notes: tuple[str, ...] = ()
    """For people: rma_candidate, reset_when_idle, …"""
    driver_version: str = ""

    @property
    def index(self) -> int:
        """NVML's number of the device."""
        return self.identity.index

    @property
    def uuid(self) -> GpuUuid:
        """NVML's UUID of the device; empty while a device that never answered has not told it."""
        return self.identity.uuid

    @property
    def pci_bus_id(self) -> str:
        """Where it sits."""
        return self.identity.pci_bus_id

    @property
    def model(self) -> str:
        """The product's name."""
        return self.identity.model

    @property
    def simulated(self) -> bool:
        """A stand-in for tests and development."""
        return SIMULATED_MARK in self.driver_version


def gpu_report(gpu: Gpu) -> GpuReport:
    """The part of the picture that the controller decides by."""
    used, total = gpu.values.get("memory_used_bytes"), gpu.values.get("memory_total_bytes")
    return GpuReport(
        gpu=gpu.index,
        uuid=gpu.uuid,
        up=gpu.up,
        reason=gpu.reason,
        utilization_ratio=gpu.values.get("utilization_ratio"),
        memory_used_ratio=used / total if used is not None and total else None,
        temperature_celsius=gpu.values.get("temperature_celsius"),
        clock_ratio=gpu.values.get("sm_clock_ratio"),
        slowed=gpu.slowed is True,
        recommended_action=gpu.recommended_action,
        action_source=gpu.action_source,
        model=gpu.model,
        simulated=gpu.simulated,
    )


def gpu_reports(gpus: Sequence[Gpu], driver: Driver) -> tuple[GpuReport, ...]:
    """Every GPU ever seen; on a host without any, one line that says why the driver does not answer."""
    if not gpus and not driver.up:
        return (GpuReport(gpu=0, uuid="", up=False, reason=driver.reason),)
    return tuple(gpu_report(gpu) for gpu in gpus)
