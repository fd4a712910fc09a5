"""One simulated host: its agent heals locally, obeys orders at most once each, and reports."""

from dataclasses import dataclass, field

from contracts.agent_api import Order, Receipt
from contracts.vocabulary import (
    MACHINE_ORDERS,
    Locality,
    OrderKey,
    OrderKind,
    ReceiptStatus,
    ReflexKind,
    RefusalReason,
    ReplicaId,
    ReplicaState,
)
from controller.core.fleet import Host, Reflex, Replica
from controller.simulation.faults import FaultKind, Faults
from controller.simulation.machines import SimulatedMachine
from controller.simulation.replicas import PROFILES, SWITCH_S, SimulatedReplica

REFLEX_S = 1.0
"""Probes miss three times at 250 ms; then the agent acts."""
REFLEXES_MAX = 3
"""Local restarts per replica and host boot before it is quarantined."""
REFLEXES_SHOWN = 32
_REFLEX_OF = {ReplicaState.HUNG: ReflexKind.RESTART_HUNG, ReplicaState.CRASHED: ReflexKind.RESTART_CRASHED}


@dataclass(slots=True)
class Work:
    """An order being carried out."""

    order: Order
    started_s: float


@dataclass(slots=True)
class SimulatedHost:
    """Replicas, slots and an agent with a memory of its own."""

    locality: Locality
    address: str
    """One per host, as on a network: gateways tell endpoints apart by address and port."""
    slots: tuple[ReplicaId, ...]
    replicas: dict[ReplicaId, SimulatedReplica]
    faults: Faults = field(default_factory=Faults)
    machine: SimulatedMachine = field(default_factory=SimulatedMachine)
    checks_epochs: bool = True
    """False breaks fencing on purpose."""
    boot: int = 1
    seq: int = 0
    epoch_seen: int = 0
    receipts: dict[OrderKey, Receipt] = field(default_factory=dict)
    """The agent's journal: it survives the agent."""
    work: dict[OrderKey, Work] = field(default_factory=dict)
    reflexes: list[Reflex] = field(default_factory=list)
    local_restarts: dict[ReplicaId, int] = field(default_factory=dict)
    executions: dict[OrderKey, int] = field(default_factory=dict)
    """How often each key was executed: more than once is a defect somewhere."""
    executed_epochs: list[tuple[float, int]] = field(default_factory=list)
    """(when, epoch of the order) of every execution, for those who check fencing."""
    last_report: Host | None = None
    reported_s: float = 0.0

    # ── local healing ─────────────────────────────────────────────────────────────────────────────────────────────────
    def heal(self, now_s: float, wall_s: float) -> None:
        """Restart what hangs or crashed, within the local budget; note when it is ready again."""
        for replica in self.replicas.values():
            kind = _REFLEX_OF.get(replica.state)
            if kind is None or now_s - replica.since_s < REFLEX_S:
                continue
            if self._is_withheld(replica, wall_s):
                continue
            spent = self.local_restarts.get(replica.id, 0)
            if spent >= REFLEXES_MAX:
                replica.enter(ReplicaState.QUARANTINED, now_s)
                self._note(ReflexKind.QUARANTINE, replica, wall_s)
                continue
            self.local_restarts[replica.id] = spent + 1
            self._note(kind, replica, wall_s)
            replica.start(now_s)

    def _is_withheld(self, replica: SimulatedReplica, wall_s: float) -> bool:
        """Never restarted onto an unfit GPU: it would only fail there again."""
        why = self.machine.why_unfit(replica.gpus)
        if why and not replica.withheld:
            self._note(ReflexKind.WITHHOLD, replica, wall_s)
        replica.withheld = why
        return bool(why)

    def note_healed(self, wall_s: float) -> None:
        """Fill in the time of recovery of reflexes whose replica is ready."""
        for index, reflex in enumerate(self.reflexes):
            replica = self.replicas.get(reflex.replica)
            if reflex.healed_unix_s is None and replica is not None and replica.serves:
                self.reflexes[index] = Reflex(
                    reflex.host,
                    reflex.boot_id,
                    reflex.seq,
                    reflex.kind,
                    reflex.replica,
                    reflex.generation,
                    reflex.detected_unix_s,
                    wall_s,
                    reflex.evidence,
                )

    def _note(self, kind: ReflexKind, replica: SimulatedReplica, wall_s: float) -> None:
        self.reflexes.append(
            Reflex(
                self.locality.host,
                f"boot-{self.boot}",
                len(self.reflexes) + 1,
                kind,
                replica.id,
                replica.generation,
                wall_s,
                None,
                (("state", str(replica.state)),),
            )
        )

    # ── orders ────────────────────────────────────────────────────────────────────────────────────────────────────────
    def receive(self, order: Order, now_s: float, wall_s: float) -> None:
        """Begin an order, refuse it, or answer from memory when its key is known."""
        if order.key in self.receipts or order.key in self.work:
            return
        refusal = self._why_not(order, wall_s)
        if refusal is not None:
            self._answer(order, ReceiptStatus.REFUSED, refusal)
            return
        self.epoch_seen = max(self.epoch_seen, order.epoch)
        self.executions[order.key] = self.executions.get(order.key, 0) + 1
        self.executed_epochs.append((now_s, order.epoch))
        self.work[order.key] = Work(order, now_s)
        self._answer(order, ReceiptStatus.RUNNING, None)
        self._begin(order, now_s)

    def _why_not(self, order: Order, wall_s: float) -> RefusalReason | None:
        if self.checks_epochs and order.epoch < self.epoch_seen:
            return RefusalReason.STALE_EPOCH
        if wall_s > order.not_after_unix_s:
            return RefusalReason.TOO_LATE
        if order.kind in MACHINE_ORDERS:
            return self.machine.why_not(order, self.replicas)
        if order.kind is OrderKind.START_REPLICA:
            return self._why_not_start(order)
        return self._why_not_change(order)

    def _why_not_change(self, order: Order) -> RefusalReason | None:
        replica = self._replica(order)
        if replica is None:
            return RefusalReason.UNKNOWN_REPLICA
        if order.kind is not OrderKind.SWITCH_PROFILE and replica.generation != order.generation:
            return RefusalReason.GENERATION_MISMATCH
        if order.kind is OrderKind.RESTART and self.machine.guards and self.machine.why_unfit(replica.gpus):
            return RefusalReason.GPU_UNFIT
        return None

    def _why_not_start(self, order: Order) -> RefusalReason | None:
        if order.replica not in self.slots or self._replica(order) is not None:
            return RefusalReason.NO_FREE_SLOT
        return RefusalReason.GPU_UNFIT if self.machine.place(self.replicas) is None else None

    def _replica(self, order: Order) -> SimulatedReplica | None:
        return self.replicas.get(order.replica) if order.replica is not None else None

    def _begin(self, order: Order, now_s: float) -> None:
        replica = self._replica(order)
        if order.kind in MACHINE_ORDERS:
            takes = FaultKind.RESET_TAKES if order.kind is OrderKind.RESET_GPU else FaultKind.REBOOT_TAKES
            extra_s = self.faults.size(takes, now_s, self.locality.host)
            self.machine.begin(order, self.replicas, now_s, extra_s)
        elif order.kind is OrderKind.START_REPLICA and order.replica is not None:
            port = 9000 + self.slots.index(order.replica)
            started = SimulatedReplica(order.replica, self.locality, self.address, port, generation=0)
            started.profile = order.profile or started.profile
            started.gpus = self.machine.place(self.replicas) or ()
            self._start(started, now_s)
            self.replicas[order.replica] = started
        elif replica is not None and order.kind is OrderKind.RESTART:
            self.local_restarts.pop(replica.id, None)
            self._start(replica, now_s)
        elif replica is not None and order.kind is OrderKind.STOP_REPLICA:
            replica.enter(ReplicaState.STOPPED, now_s)

    def _start(self, replica: SimulatedReplica, now_s: float) -> None:
        if self.machine.why_unfit(replica.gpus):
            self.machine.unfit_starts.append(replica.id)
        replica.start(now_s)

    def work_on(self, now_s: float) -> None:
        """Finish what can be finished now."""
        for key, work in tuple(self.work.items()):
            if not self._is_done(work, now_s):
                continue
            del self.work[key]
            cured = work.order.kind is not OrderKind.RESET_GPU or self.machine.end_reset(
                work.order.gpu, self.faults, now_s
            )
            self._answer(work.order, ReceiptStatus.DONE if cured else ReceiptStatus.FAILED, None)

    def _is_done(self, work: Work, now_s: float) -> bool:
        replica = self._replica(work.order)
        if work.order.kind is OrderKind.RESET_GPU:
            return self.machine.reset_ends_s is None or now_s >= self.machine.reset_ends_s
        if work.order.kind is OrderKind.REBOOT_HOST:
            return self.machine.back_s is None
        if work.order.kind is OrderKind.STOP_REPLICA and replica is not None:
            del self.replicas[replica.id]
            return True
        if replica is None:
            return True
        if work.order.kind is OrderKind.SWITCH_PROFILE:
            if now_s - work.started_s < SWITCH_S:
                return False
            replica.profile = work.order.profile or replica.profile
            return True
        return replica.serves

    def drop_work(self) -> None:
        """The host died: what was under way is called failed once its agent is back."""
        for work in self.work.values():
            self._answer(work.order, ReceiptStatus.FAILED, None)
        self.work.clear()

    def _answer(self, order: Order, status: ReceiptStatus, refusal: RefusalReason | None) -> None:
        replica = self._replica(order)
        self.receipts[order.key] = Receipt(
            key=order.key,
            epoch=order.epoch,
            status=status,
            refusal=refusal,
            executions=self.executions.get(order.key, 0),
            generation_after=replica.generation if replica is not None else None,
        )

    # ── reporting ─────────────────────────────────────────────────────────────────────────────────────────────────────
    def report(self, now_s: float) -> None:
        """Make the report that the controller sees from now on."""
        self.seq += 1
        self.reported_s = now_s
        self.last_report = Host(
            locality=self.locality,
            boot_id=f"boot-{self.boot}",
            seq=self.seq,
            runtime="simulated",
            report_age_s=0.0,
            agent_address=self.address,
            agent_port=9700,
            free_slots=tuple(slot for slot in self.slots if slot not in self.replicas),
            replicas=tuple(self._replica_report(replica, now_s) for replica in self.replicas.values()),
            reflexes=tuple(self.reflexes[-REFLEXES_SHOWN:]),
            gpus=self.machine.seen,
            machine_orders=self.machine.permits,
        )

    def _replica_report(self, replica: SimulatedReplica, now_s: float) -> Replica:
        hung = replica.state is ReplicaState.HUNG
        return Replica(
            id=replica.id,
            locality=replica.locality,
            address=replica.address,
            port=replica.port,
            state=replica.state,
            reason="",
            generation=replica.generation,
            state_age_s=now_s - replica.since_s,
            profile=replica.profile,
            profiles=PROFILES,
            progress_age_s=now_s - replica.since_s if hung else 0.0,
            in_flight=1 if hung else 0,
            queued_s=replica.backlog_s,
            slo_revision=1,
            gpus=replica.gpus,
            withheld=replica.withheld,
        )
