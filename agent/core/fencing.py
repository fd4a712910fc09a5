"""May this order be executed here and now?

Orders are delivered at least once, by whoever believes to lead, over a network that may hold them back. Five checks, in
this order, make execution at most once and never outdated: a key that was seen is answered, not executed; an epoch older
than the newest seen belongs to a deposed leader; past `not_after` the world has moved on; the target must exist, be the
incarnation the order was decided for, and be free.
"""

from dataclasses import dataclass

from contracts.agent_api import Order, Receipt
from contracts.vocabulary import OrderKind, RefusalReason

INCARNATION_BOUND = frozenset({OrderKind.RESTART, OrderKind.STOP_REPLICA})
"""Orders that end a process: they mean the one that was looked at, not its successor."""


@dataclass(frozen=True, slots=True)
class Target:
    """The replica, or free slot, that an order names."""

    generation: int
    running: bool
    """A process exists or should exist; False for a free slot."""
    busy: bool
    """Another order or a reflex holds it."""


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
    return Execute()
