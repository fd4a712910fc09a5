"""What becomes of an order, written down: receipts made from values, so that every path words them alike.

An order that was under way when its agent died is FAILED, because nobody can know what it came to. One exception proves
itself: a reboot that was ordered, and a kernel that has booted since.
"""

from dataclasses import dataclass

from contracts.agent_api import Order, Receipt
from contracts.vocabulary import OrderKey, OrderKind, ReceiptStatus, RefusalReason

INTERRUPTED = "interrupted: the agent ended while this was under way; whether it worked is unknown"
REBOOTED = "the host was rebooted"
DAY_S = 86_400.0


@dataclass(frozen=True, slots=True)
class Result:
    """How an execution ended."""

    status: ReceiptStatus
    detail: str = ""


@dataclass(frozen=True, slots=True)
class MachineNote:
    """That a machine order was begun, durable before it was: for the daily limit, and to recognise a reboot afterwards."""

    key: OrderKey
    kind: OrderKind
    at_unix_s: float
    boot_id: str
    """The kernel's boot in which it was begun."""


def done(detail: str = "") -> Result:
    """It worked."""
    return Result(ReceiptStatus.DONE, detail)


def failed(detail: str) -> Result:
    """It was tried and did not work."""
    return Result(ReceiptStatus.FAILED, detail)


def running(order: Order, now_unix_s: float) -> Receipt:
    """Executed from now on, for the first and only time."""
    return Receipt(
        key=order.key, epoch=order.epoch, status=ReceiptStatus.RUNNING, executions=1, started_unix_s=now_unix_s
    )


def refused(order: Order, reason: RefusalReason, detail: str) -> Receipt:
    """Never executed."""
    return Receipt(key=order.key, epoch=order.epoch, status=ReceiptStatus.REFUSED, refusal=reason, detail=detail)


def ended(begun: Receipt, result: Result, now_unix_s: float, generation: int | None) -> Receipt:
    """The final receipt of an execution; `generation` is the replica's now, None for an order about the machine."""
    return begun.model_copy(
        update={
            "status": result.status,
            "detail": result.detail,
            "finished_unix_s": now_unix_s,
            "generation_after": generation,
        }
    )


def settled(begun: Receipt, note: MachineNote | None, boot_id: str, now_unix_s: float) -> Receipt:
    """The final receipt of an execution that was cut off, as the next agent, in boot `boot_id`, can know it."""
    rebooted = (
        note is not None
        and note.kind is OrderKind.REBOOT_HOST
        and bool(note.boot_id)
        and boot_id not in {"", note.boot_id}
    )
    return ended(begun, done(REBOOTED) if rebooted else failed(INTERRUPTED), now_unix_s, begun.generation_after)


def within_a_day(notes: tuple[MachineNote, ...], now_unix_s: float) -> int:
    """Machine orders begun in the last 24 hours. Wall time, because only that survives a reboot; one from the future counts."""
    return sum(now_unix_s - note.at_unix_s < DAY_S for note in notes)
