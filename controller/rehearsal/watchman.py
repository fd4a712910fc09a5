"""What must hold at every moment, checked from outside: against the true world, not against what the loop believes."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from contracts.vocabulary import FULL_FP32, Region, ReplicaId
from controller.core.actions import ActionRecord, RebootHost, ResetGpu, Restart, Stage
from controller.core.ledger import LOOP, taken_from
from controller.core.policy import Policy
from controller.journal.memory import MemoryJournal
from controller.rehearsal.machines import MachineWatch
from controller.simulation.faults import FaultKind
from controller.simulation.replicas import SERVICE_S
from controller.simulation.world import SimulatedWorld

DEMAND_MEMORY_S = 40.0
"""A plan rests on the load of the last blocks: demand that rose more recently is not its fault."""
BLIND_S = 40.0
"""Signals that have been gone this long are known to be gone."""


class ViolatedError(AssertionError):
    """An invariant does not hold; the message says which, and how."""


@dataclass(slots=True)
class Watchman:
    """Holds one world and one journal to the invariants after every tick."""

    world: SimulatedWorld
    journal: MemoryJournal
    policy: Policy
    known: set[str] = field(default_factory=set)
    demand: list[tuple[float, dict[Region, float]]] = field(default_factory=list)
    served_s: dict[ReplicaId, float] = field(default_factory=dict)
    """When each replica last served."""
    machines: MachineWatch = field(init=False)

    def __post_init__(self) -> None:
        self.machines = MachineWatch(self.world, self.policy)

    def open_s_max(self, record: ActionRecord) -> float:
        """Longest life of an action: every stage at its limit, one verification, and a few ticks between them."""
        p = self.policy
        match record.action:
            case ResetGpu():
                answered_s = p.gpu_reset_within_s
            case RebootHost():
                answered_s = p.host_reboot_within_s
            case _:
                answered_s = p.ready_within_s
        verify_s = max(p.verify_s, p.verify_restart_s, p.verify_gpu_s)
        return p.drain_s + answered_s + verify_s + 3 * p.block_s + 6 * p.tick_s

    def check(self) -> None:
        """Raise `ViolatedError` when anything is wrong now."""
        now_s = self.world.now_s
        self.demand = [seen for seen in self.demand if now_s - seen[0] <= DEMAND_MEMORY_S]
        self.demand.append((now_s, {region: self._arriving_rps(region) for region in self.world.plans}))
        self.served_s |= {replica.id: now_s for replica in self.world.replicas() if replica.serves}
        actions = self.journal.load(self.world.clock.now_unix_s(), self.policy.history_s).actions
        open_ = [record for record in actions if record.stage is not Stage.CLOSED]
        self._executions_are_clean({record.id for record in actions})
        self._hosts_are_disrupted_once(open_)
        self._nothing_is_open_for_ever(open_)
        for wrong in self.machines.wrong_now(actions):
            raise ViolatedError(wrong)
        for record in actions:
            if record.id not in self.known:
                self.known.add(record.id)
                if wrong := self.machines.wrong_at_its_beginning(record):
                    raise ViolatedError(wrong)
                self._capacity_is_kept(record, open_)
                self._nothing_is_done_blindly(record)
                self._the_sick_are_treated(record)

    def not_home(self) -> Iterator[str]:
        """What is not as it was configured, to be asked after a long calm."""
        for region in self.world.plans:
            yield from self._region_not_home(region)
        traffic = self.journal.load(self.world.clock.now_unix_s(), self.policy.history_s).traffic
        for gateway in self.world.gateways.values():
            share = traffic.share(gateway.region, gateway.region) if traffic is not None else 0.0
            if share < 1.0:
                yield f"gateway {gateway.region} sends only {share:.0%} home"
            if gateway.plan is None or any(endpoint.draining for endpoint in gateway.plan.endpoints):
                yield f"gateway {gateway.region} still drains"

    def _region_not_home(self, region: Region) -> Iterator[str]:
        plan = self.world.plans[region]
        configured = plan.hosts * plan.replicas_per_host
        replicas = self.world.replicas(region)
        serving = sum(replica.serves for replica in replicas)
        if serving != configured or len(replicas) != configured:
            yield f"{region}: {serving} of {len(replicas)} replicas serve, {configured} are configured"
        if any(replica.profile != FULL_FP32.id for replica in replicas):
            yield f"{region}: not at full quality"
        if any(replica.slowness > 1.0 for replica in replicas):
            yield f"{region}: a slow replica was never healed"

    def _arriving_rps(self, region: Region) -> float:
        """True requests per second that the running plans send to a region."""
        return sum(
            self.world.demand_rps(gateway.region) * dict(gateway.plan.shares).get(region, 0.0)
            for gateway in self.world.gateways.values()
            if gateway.plan is not None
        )

    def _executions_are_clean(self, journaled: set[str]) -> None:
        for host in self.world.hosts.values():
            for key, times in host.executions.items():
                if times > 1:
                    msg = f"order {key} was executed {times} times"
                    raise ViolatedError(msg)
                if key.partition(":")[0] not in journaled:
                    msg = f"order {key} belongs to no journaled action"
                    raise ViolatedError(msg)
            epochs = [epoch for _at_s, epoch in host.executed_epochs]
            if epochs != sorted(epochs):
                msg = f"{host.locality.host} obeyed an older leader: epochs {epochs}"
                raise ViolatedError(msg)

    def _hosts_are_disrupted_once(self, open_: list[ActionRecord]) -> None:
        hosts = [taken[0] for record in open_ if (taken := taken_from(record.action)) is not None]
        if len(hosts) != len(set(hosts)):
            msg = f"two disruptive actions on one host: {sorted(hosts)}"
            raise ViolatedError(msg)

    def _nothing_is_open_for_ever(self, open_: list[ActionRecord]) -> None:
        for record in open_:
            age_s = self.world.clock.now_unix_s() - record.intended_unix_s
            if age_s > self.open_s_max(record):
                msg = f"{record.id} ({record.action.kind}) is open for {age_s:.0f} s, in {record.stage}"
                raise ViolatedError(msg)

    def _capacity_is_kept(self, record: ActionRecord, open_: list[ActionRecord]) -> None:
        """At the moment a disruption begins, who is left must carry what has been arriving for a while."""
        taken = taken_from(record.action)
        if taken is None or record.stage is Stage.CLOSED:
            return
        serving = [replica for replica in self.world.replicas(taken[1]) if replica.serves]
        if taken[2] not in {replica.id for replica in serving}:
            return  # it serves nobody
        going = {other[2] for o in open_ if (other := taken_from(o.action)) is not None}
        left = [r for r in self.world.replicas(taken[1]) if r.id not in going and self._is_thought_to_serve(r.id)]
        needed_rps = min(demand[taken[1]] for _at_s, demand in self.demand)
        if sum(1.0 / SERVICE_S[replica.profile] for replica in left) < needed_rps:
            msg = f"{record.action.kind} of {taken[2]} leaves {len(left)} replicas for {needed_rps:.0f} requests per second"
            raise ViolatedError(msg)

    def _the_sick_are_treated(self, record: ActionRecord) -> None:
        """The loop takes down no replica that is well: overload and bad neighbours are no reason to restart it."""
        action = record.action
        if not isinstance(action, Restart) or not action.graceful or record.origin != LOOP:
            return
        replica = next((r for r in self.world.replicas(action.region) if r.id == action.replica), None)
        was_sick = any(
            self.world.faults.active(FaultKind.SICK_DEVICE, self.world.now_s - ago_s, action.replica)
            for ago_s in (0.0, DEMAND_MEMORY_S)
        )
        if replica is None or not replica.serves or replica.slowness > 1.0:
            return
        if not was_sick and not self.machines.was_hot(replica):
            msg = f"{action.kind} of {action.replica}, which is well"
            raise ViolatedError(msg)

    def _is_thought_to_serve(self, replica: ReplicaId) -> bool:
        """True while a report in which it served is young enough to be relied on."""
        age_s = self.world.now_s - self.served_s.get(replica, -self.policy.report_age_s_max)
        return age_s < self.policy.report_age_s_max

    def _nothing_is_done_blindly(self, record: ActionRecord) -> None:
        """Without counters, only what its own agent reports as dead is touched."""
        now_s, faults = self.world.now_s, self.world.faults
        is_blind = faults.active(FaultKind.SIGNALS_DOWN, now_s) and faults.active(
            FaultKind.SIGNALS_DOWN, now_s - BLIND_S
        )
        heals_the_dead = isinstance(record.action, Restart) and not record.action.graceful
        if is_blind and taken_from(record.action) is not None and not heals_the_dead:
            msg = f"{record.action.kind} on stale data"
            raise ViolatedError(msg)
