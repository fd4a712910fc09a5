"""The host report: the board, the reflexes, the GPUs and the host's load, as the controller reads them."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from agent.core.gpu import gpu_reports
from agent.degradation import Degradations
from agent.healing.board import Board, Unit
from agent.healing.places import GpuPlaces
from agent.healing.reflexes import ReflexLog
from agent.ports import LOG_TAIL_LINES_MAX, HostMemory
from agent.probes.gpu import GpuWatch
from agent.probes.host import HostMeter
from chassis.clock import Clock
from contracts.agent_api import HostReport, ReplicaReport
from contracts.vocabulary import GpuUuid, HostId, OrderKind, Region, ReplicaState

TROUBLED_STATES = frozenset({ReplicaState.HUNG, ReplicaState.CRASHED, ReplicaState.QUARANTINED})


@dataclass(frozen=True, slots=True)
class HostIdentity:
    """Who this agent is, for this boot."""

    host: HostId
    region: Region
    boot_id: str
    runtime: str
    address: str
    port: int
    machine_orders: tuple[OrderKind, ...] = ()
    """Kinds of machine order that this host's policy permits."""


@dataclass(slots=True)
class Reporter:
    """Builds reports; each has the next number."""

    identity: HostIdentity
    board: Board
    reflexes: ReflexLog
    memory: HostMemory
    gpus: GpuWatch
    meter: HostMeter
    degradations: Degradations
    clock: Clock
    places: GpuPlaces = field(default_factory=GpuPlaces)
    """Without any: a host without GPUs."""
    rtts_s: Mapping[Region, float] = field(default_factory=dict)
    """The newest round trip to each other region, kept up to date by whoever measures."""
    _seq: int = 0

    def report(self) -> HostReport:
        """Everything this host knows about itself now."""
        self._seq += 1
        who, now_s = self.identity, self.clock.monotonic_s()
        units = tuple(self.board.units.values())
        load = self.meter.newest
        return HostReport(
            host=who.host,
            region=who.region,
            boot_id=who.boot_id,
            seq=self._seq,
            runtime=who.runtime,
            agent_address=who.address,
            agent_port=who.port,
            replicas=tuple(
                replica_report(unit, self.places.devices_of(unit), now_s)
                for unit in units
                if unit.generation > 0 or unit.running
            ),
            free_slots=self.places.free_slots(self.board),
            gpus=gpu_reports(self.gpus.newest(now_s), self.gpus.driver),
            reflexes=self.reflexes.newest(),
            cpu_utilization_ratio=None if load is None else load.cpu_utilization_ratio,
            epoch_seen=self.memory.epoch_seen,
            degraded=self.degradations.current(),
            region_rtts_s=dict(self.rtts_s),
            machine_orders=who.machine_orders,
        )


def replica_report(unit: Unit, gpus: tuple[GpuUuid, ...], now_s: float) -> ReplicaReport:
    """One replica as its agent sees it, with the devices that it works on."""
    health, pulse, spec = unit.health, unit.health.pulse, unit.spec
    known = (
        {}
        if pulse is None
        else {
            "profiles": pulse.profiles,
            "progress_total": pulse.progress_total,
            "in_flight": pulse.in_flight,
            "queued_s": pulse.queued_s,
            "slo_revision": pulse.slo_revision,
        }
    )
    return ReplicaReport(
        replica=spec.replica,
        address=spec.address,
        port=spec.port,
        state=health.state,
        reason=health.reason,
        generation=unit.generation,
        state_age_s=max(0.0, now_s - health.since_s),
        profile=None if pulse is None else pulse.profile,
        progress_age_s=health.progress_age_s(now_s),
        restarts_total=unit.restarts_total,
        gpus=gpus,
        withheld=unit.withheld,
        canaries_failed=unit.canaries_failed,
        log_tail=unit.log_tail[-LOG_TAIL_LINES_MAX:] if health.state in TROUBLED_STATES else (),
        **known,
    )
