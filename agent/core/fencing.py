"""May this order be executed here and now?

Orders are delivered at least once, by whoever believes to lead, over a network that may hold them back. Six checks, in
this order, make execution at most once and never outdated: a key that was seen is answered, not executed; an epoch older
than the newest seen belongs to a deposed leader; past `not_after` the world has moved on; after a loss of memory, an order
that may be older than the loss may have been executed; the target must exist, be the incarnation the order was decided
for, and be free; and nothing is started on a GPU that is known to be bad.

Orders about the machine pass the first four checks like any other. Then the host's own policy comes first, and nothing
that runs, ours or not, is ever reset or rebooted away.
"""

from dataclasses import dataclass

from contracts.agent_api import Order, Receipt
from contracts.vocabulary import MACHINE_ORDERS, GpuUuid, OrderKind, RefusalReason

INCARNATION_BOUND = frozenset({OrderKind.RESTART, OrderKind.STOP_REPLICA})
"""Orders that end a process: they mean the one that was looked at, not its successor."""
STARTS = frozenset({OrderKind.RESTART, OrderKind.START_REPLICA})
"""Orders after which a new process uses the replica's GPUs."""


@dataclass(frozen=True, slots=True)
class Target:
    """The replica, or free slot, that an order names."""

    generation: int
    running: bool
    """A process exists or should exist; False for a free slot."""
    busy: bool
    """Another order or a reflex holds it."""
    unfit: str = ""
    """Why it could not be started now on any GPU that it may get; empty when it could."""


@dataclass(frozen=True, slots=True)
class MachineTarget:
    """The machine, as far as one order about it needs to know."""

    permitted: frozenset[OrderKind]
    gpus: frozenset[GpuUuid]
    """Every GPU of this host."""
    under_way: str
    """Key of the machine order that is being carried out; empty when none is."""
    users: tuple[str, ...]
    """What runs on the GPU, or for a reboot on the host: ids of replicas, and pids of programs that are not ours."""
    begun_today: int
    per_day_max: int


NO_MACHINE = MachineTarget(
    permitted=frozenset(), gpus=frozenset(), under_way="", users=(), begun_today=0, per_day_max=0
)
"""A host that permits nothing."""


@dataclass(frozen=True, slots=True)
class Circumstances:
    """Everything the verdict depends on."""

    epoch_seen: int
    controller_now_unix_s: float
    """The controller's clock as the agent estimates it."""
    receipt: Receipt | None
    """What the journal holds under the order's key."""
    target: Target | None
    """None when the host has no such replica."""
    machine: MachineTarget = NO_MACHINE
    fence_unix_s: float = 0.0
    """After a loss of memory: an order that ends by then may be from before. 0 while nothing is lost."""


@dataclass(frozen=True, slots=True)
class Execute:
    """Go ahead."""


@dataclass(frozen=True, slots=True)
class Replay:
    """Seen before: answer with this receipt."""

    receipt: Receipt


@dataclass(frozen=True, slots=True)
class Refuse:
    """Never: the reason is final for this key."""

    reason: RefusalReason
    detail: str


Verdict = Execute | Replay | Refuse


def judge(order: Order, seen: Circumstances) -> Verdict:
    """Execute, replay or refuse one delivery of one order."""
    if seen.receipt is not None:
        return Replay(seen.receipt)
    if order.epoch < seen.epoch_seen:
        return Refuse(RefusalReason.STALE_EPOCH, f"epoch {order.epoch} < {seen.epoch_seen}")
    late_s = seen.controller_now_unix_s - order.not_after_unix_s
    if late_s > 0:
        return Refuse(RefusalReason.TOO_LATE, f"{late_s:.3f} s past not_after")
    if order.not_after_unix_s <= seen.fence_unix_s:
        return Refuse(RefusalReason.MEMORY_LOST, "it may have been executed before this host lost a part of its memory")
    if order.kind in MACHINE_ORDERS:
        return _judge_machine(order, seen.machine)
    if seen.target is None:
        return Refuse(RefusalReason.UNKNOWN_REPLICA, f"no replica {order.replica} on this host")
    return _judge_target(order, seen.target)


def _judge_target(order: Order, target: Target) -> Verdict:
    if order.kind is OrderKind.START_REPLICA and target.running:
        return Refuse(RefusalReason.NO_FREE_SLOT, f"{order.replica} already runs")
    if order.kind is not OrderKind.START_REPLICA and not target.running:
        return Refuse(RefusalReason.UNKNOWN_REPLICA, f"{order.replica} does not run")
    if order.kind in INCARNATION_BOUND and order.generation != target.generation:
        return Refuse(RefusalReason.GENERATION_MISMATCH, f"generation {order.generation} is now {target.generation}")
    if target.busy:
        return Refuse(RefusalReason.TARGET_BUSY, f"{order.replica} is being worked on")
    if order.kind in STARTS and target.unfit:
        return Refuse(RefusalReason.GPU_UNFIT, target.unfit)
    return Execute()


def _judge_machine(order: Order, machine: MachineTarget) -> Verdict:
    if order.kind not in machine.permitted:
        return Refuse(RefusalReason.NOT_PERMITTED, f"the policy of this host does not permit {order.kind.value}")
    if order.kind is OrderKind.RESET_GPU and order.gpu not in machine.gpus:
        return Refuse(RefusalReason.UNKNOWN_GPU, f"no GPU {order.gpu} on this host")
    if machine.under_way:
        return Refuse(RefusalReason.TARGET_BUSY, f"order {machine.under_way} is under way on this machine")
    if machine.users:
        return Refuse(RefusalReason.GPU_IN_USE, f"in use by {', '.join(machine.users)}")
    if machine.begun_today >= machine.per_day_max:
        detail = f"{machine.begun_today} machine orders within a day, at most {machine.per_day_max}"
        return Refuse(RefusalReason.NOT_PERMITTED, detail)
    return Execute()
