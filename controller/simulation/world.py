"""The simulated world: regions with demand, gateways that route it, hosts that serve it, and faults on a schedule.

Time moves only by `advance`, in steps of a second, on a clock that the loop under test shares. The same seed and the same
faults give the same world.
"""

import random
from collections import deque
from dataclasses import dataclass, field, replace

from chassis.clock import ManualClock
from contracts.agent_api import Order, Receipt
from contracts.vocabulary import HostId, Locality, OrderKey, OrderKind, Region, ReplicaId, ReplicaState, SloId
from controller.core.fleet import Fleet
from controller.core.gateways import GatewayPlan
from controller.core.telemetry import ReplicaCounters, SignalSample, SloCounter
from controller.simulation.faults import Fault, FaultKind, Faults
from controller.simulation.gpus import SimulatedGpu
from controller.simulation.hosts import SimulatedHost
from controller.simulation.machines import SimulatedMachine
from controller.simulation.replicas import SimulatedReplica

STEP_S = 1.0
SLO = SloId("first-audio")
SAMPLES_KEPT = 90
"""Samples from which late signals are served: one per `advance`."""
_HITS_REPLICA = (FaultKind.HANG, FaultKind.CRASH, FaultKind.SLOW_REPLICA)


@dataclass(frozen=True, slots=True)
class RegionPlan:
    """How one region is built."""

    region: Region
    hosts: int
    replicas_per_host: int
    slots_per_host: int
    rps: float
    """Usual requests per second that arrive at its gateway."""
    gpus_per_host: int = 0
    permits: frozenset[OrderKind] = frozenset()
    """Orders about the machine that its hosts allow."""


@dataclass(slots=True)
class Gateway:
    """One region's gateway: its newest plan and its own counters."""

    region: Region
    plan: GatewayPlan | None = None
    version: str = ""
    completed: dict[Region, float] = field(default_factory=dict)
    failed: dict[Region, float] = field(default_factory=dict)


class SimulatedWorld:
    """Everything outside the controller."""

    def __init__(
        self,
        plans: tuple[RegionPlan, ...],
        *,
        seed: int,
        faults: Faults | None = None,
        checks_epochs: bool = True,
        guards: bool = True,
    ) -> None:
        self.clock = ManualClock()
        self.plans = {plan.region: plan for plan in plans}
        self.faults = faults or Faults()
        self.rng = random.Random(seed)  # noqa: S311  # a simulation wants repeatable chance, not secrets
        self.hosts: dict[HostId, SimulatedHost] = {}
        self.gateways = {plan.region: Gateway(plan.region) for plan in plans}
        self.offers: dict[str, tuple[tuple[HostId, Order], ...]] = {}
        """Open orders per controller; a split brain has two."""
        self.delivered: dict[HostId, list[Order]] = {}
        """Every order that ever arrived, for repeated delivery."""
        self.settled: set[OrderKey] = set()
        self.answers: dict[OrderKey, tuple[HostId, Receipt]] = {}
        """Receipts that reached the controller's side and are not settled."""
        self._samples: deque[SignalSample] = deque(maxlen=SAMPLES_KEPT)
        self._arrivals: dict[ReplicaId, float] = {}
        for plan in plans:
            self._build(plan, checks_epochs=checks_epochs, guards=guards)
        self._places = {gpu.uuid: gpu.place for host in self.hosts.values() for gpu in host.machine.gpus}
        """What faults call the GPU of a replica."""
        for host in self.hosts.values():
            host.report(0.0)
        self._samples.append(self._sample())

    @property
    def now_s(self) -> float:
        """Seconds since the simulation began."""
        return self.clock.monotonic_s()

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        for _ in range(round(seconds / STEP_S)):
            self.clock.advance(STEP_S)
            self._step()
        for host in self.hosts.values():
            if self._is_heard(host):
                host.report(self.now_s)
        self._samples.append(self._sample())

    def active(self, kind: FaultKind, where: str = "") -> bool:
        """True while that fault is on."""
        return self.faults.active(kind, self.now_s, where)

    def replicas(self, region: Region | None = None) -> list[SimulatedReplica]:
        """Replicas as they are, not as they are reported."""
        return [
            replica
            for host in self.hosts.values()
            if region is None or host.locality.region == region
            for replica in host.replicas.values()
        ]

    def demand_rps(self, region: Region) -> float:
        """What arrives at one gateway now."""
        return self.plans[region].rps * self.faults.size(FaultKind.SURGE, self.now_s, region)

    def sample(self) -> SignalSample:
        """The counters as a source would read them now, with the faults of that source."""
        late_s = self.faults.size(FaultKind.SIGNALS_LATE, self.now_s) if self.active(FaultKind.SIGNALS_LATE) else 0.0
        newest_unix_s = self.clock.now_unix_s() - late_s
        old_enough = [sample for sample in self._samples if sample.at_unix_s <= newest_unix_s]
        sample = old_enough[-1] if old_enough else self._samples[0]
        if self.active(FaultKind.SIGNALS_PARTIAL):
            missing = self.faults.size(FaultKind.SIGNALS_PARTIAL, self.now_s)
            kept = tuple(c for i, c in enumerate(sample.replicas) if (i + 0.5) / len(sample.replicas) > missing)
            sample = replace(sample, replicas=kept, scraped_ok=len(kept))
        return sample

    def fleet(self) -> Fleet:
        """The newest reports with their ages."""
        return Fleet(
            hosts=tuple(
                replace(host.last_report, report_age_s=self.now_s - host.reported_s)
                for host in self.hosts.values()
                if host.last_report is not None
            )
        )

    def _is_heard(self, host: SimulatedHost) -> bool:
        name = host.locality.host
        away = self.active(FaultKind.HOST_DEAD, name) or self.active(FaultKind.HOST_SILENT, name)
        return not away and host.machine.back_s is None

    # ── building ──────────────────────────────────────────────────────────────────────────────────────────────────────
    def _build(self, plan: RegionPlan, *, checks_epochs: bool, guards: bool) -> None:
        for index in range(plan.hosts):
            locality = Locality(plan.region, HostId(f"{plan.region}-{chr(ord('a') + index)}"))
            address = f"127.0.{1 + len(self.hosts) // 250}.{1 + len(self.hosts) % 250}"
            slots = tuple(ReplicaId(f"{locality.host}-{slot}") for slot in range(plan.slots_per_host))
            replicas = {
                slot: SimulatedReplica(slot, locality, address, 9000 + number)
                for number, slot in enumerate(slots[: plan.replicas_per_host])
            }
            gpus = tuple(SimulatedGpu(locality.host, number) for number in range(plan.gpus_per_host))
            machine = SimulatedMachine(gpus, plan.permits, guards=guards)
            machine.look(self.faults, 0.0)
            for number, replica in enumerate(replicas.values()):
                replica.gpus = (gpus[number % len(gpus)].uuid,) if gpus else ()
            self.hosts[locality.host] = SimulatedHost(
                locality, address, slots, replicas, self.faults, machine, checks_epochs=checks_epochs
            )

    # ── one second ────────────────────────────────────────────────────────────────────────────────────────────────────
    def _step(self) -> None:
        now_s, wall_s = self.now_s, self.clock.now_unix_s()
        for fault in self.faults.beginning(_HITS_REPLICA, now_s - STEP_S, now_s):
            self._hit(fault)
        for fault in self.faults.beginning((FaultKind.GPU_XID_RESTART,), now_s - STEP_S, now_s):
            self._crash_on(fault.where)
        for host in self.hosts.values():
            self._run_host(host, now_s, wall_s)
        for gateway in self.gateways.values():
            self._route(gateway)
        self._serve()

    def _hit(self, fault: Fault) -> None:
        replica = next((r for r in self.replicas() if r.id == fault.where), None)
        if replica is None or not replica.serves:
            return
        if fault.kind is FaultKind.SLOW_REPLICA:
            replica.slowness = fault.size
        else:
            replica.enter(ReplicaState.HUNG if fault.kind is FaultKind.HANG else ReplicaState.CRASHED, self.now_s)

    def _crash_on(self, place: str) -> None:
        """The programs on one GPU end."""
        gpus = {gpu.uuid for host in self.hosts.values() for gpu in host.machine.gpus if gpu.place == place}
        for replica in self.replicas():
            if gpus.intersection(replica.gpus) and replica.serves:
                replica.enter(ReplicaState.CRASHED, self.now_s)

    def _run_host(self, host: SimulatedHost, now_s: float, wall_s: float) -> None:
        name = host.locality.host
        if self.active(FaultKind.HOST_DEAD, name):
            for replica in host.replicas.values():
                replica.enter(ReplicaState.STOPPED, now_s)
            host.drop_work()
            host.machine.back_s = host.machine.reset_ends_s = None
            return
        if host.machine.back_s is not None and not self._has_booted(host, host.machine.back_s):
            return
        host.machine.look(self.faults, now_s)
        stopped = [r for r in host.replicas.values() if r.state is ReplicaState.STOPPED and not host.work]
        if stopped:  # it was dead and has booted
            host.boot += 1
            host.machine.boot(now_s)
            for replica in stopped:
                replica.start(now_s)
        for replica in host.replicas.values():
            if not replica.ended and host.machine.is_lost(replica.gpus):
                replica.enter(ReplicaState.CRASHED, now_s)
            replica.step(now_s)
        if not self.active(FaultKind.REFLEX_OFF, name):
            host.heal(now_s, wall_s)
        host.note_healed(wall_s)
        if not self.active(FaultKind.HOST_SILENT, name):
            self._sync(host, now_s, wall_s)
        host.work_on(now_s)

    def _has_booted(self, host: SimulatedHost, back_s: float) -> bool:
        """A reboot under way ends what still ran; afterwards the agent comes up anew."""
        for replica in host.replicas.values():
            if not replica.ended:
                replica.enter(ReplicaState.CRASHED, self.now_s)
        if self.now_s < back_s:
            return False
        host.boot += 1
        host.machine.boot(self.now_s)
        return True

    def _sync(self, host: SimulatedHost, now_s: float, wall_s: float) -> None:
        name = host.locality.host
        history = self.delivered.setdefault(name, [])
        if not self.active(FaultKind.ORDERS_LOST, name):
            arrived = [order for offer in self.offers.values() for target, order in offer if target == name]
            repeated = history if self.active(FaultKind.ORDERS_REPEATED, name) else []
            for order in (*arrived, *repeated):
                host.receive(order, now_s, wall_s)
            history.extend(arrived)
        if not self.active(FaultKind.RECEIPTS_LOST, name):
            for key, receipt in host.receipts.items():
                if key not in self.settled:
                    self.answers[key] = (name, receipt)

    def _route(self, gateway: Gateway) -> None:
        """Split one gateway's requests as its plan says, around what its health checks see."""
        requests = self.demand_rps(gateway.region) * STEP_S * max(0.0, 1.0 + self.rng.gauss(0.0, 0.08))
        if gateway.plan is None:
            return
        by_region: dict[Region, list[SimulatedReplica]] = {}
        here = {replica.id: replica for replica in self.replicas()}
        for endpoint in gateway.plan.endpoints:
            replica = here.get(endpoint.replica)
            if not endpoint.draining and replica is not None and replica.serves:
                by_region.setdefault(endpoint.region, []).append(replica)
        wanted = {region: share for region, share in gateway.plan.shares if region in by_region and share > 0}
        if not wanted:  # standby regions take over
            wanted = dict.fromkeys(by_region, 1.0)
        whole = sum(wanted.values())
        for region, share in wanted.items():
            part = requests * share / whole
            gateway.completed[region] = gateway.completed.get(region, 0.0) + part
            for replica in by_region[region]:
                self._arrivals[replica.id] = self._arrivals.get(replica.id, 0.0) + part / len(by_region[region])

    def _serve(self) -> None:
        arrivals, self._arrivals = self._arrivals, {}
        for replica in self.replicas():
            slowness = self.faults.size(FaultKind.SLOW_REGION, self.now_s, replica.locality.region)
            slowness *= self.faults.size(FaultKind.SICK_DEVICE, self.now_s, replica.id)
            for gpu in replica.gpus:
                slowness *= self.faults.size(FaultKind.GPU_SLOWED, self.now_s, self._places[gpu])
            if replica.serves:
                replica.serve(arrivals.get(replica.id, 0.0), STEP_S, slowness)

    def _sample(self) -> SignalSample:
        now_unix_s = self.clock.now_unix_s()
        counters = tuple(
            ReplicaCounters(
                replica=replica.id,
                region=replica.locality.region,
                sampled_unix_s=now_unix_s,
                slos=(SloCounter(SLO, replica.counters.good, replica.counters.bad),),
                admitted=replica.counters.admitted,
                rejected_overload=replica.counters.rejected,
                queue_s=replica.counters.queue_s,
                service_s=replica.counters.service_s,
                audio_s=replica.counters.audio_s,
            )
            for replica in self.replicas()
            if replica.serves
        )
        return SignalSample(now_unix_s, counters, len(counters), len(self.replicas()))
