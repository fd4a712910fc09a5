"""What the journal remembers: decisions, orders without an answer, what operators asked for, and one tick's writing.

Together these values are everything a new leader needs to go on where the last one stopped.
"""

from dataclasses import dataclass

from contracts.agent_api import Order, Receipt
from contracts.vocabulary import HostId, OrderKey
from controller.core.actions import ActionRecord
from controller.core.fleet import TrafficIntent
from slo_rules.model import Slo


@dataclass(frozen=True, slots=True)
class DecisionRecord:
    """One line of the story: an act, a hold, a refusal, a reflex seen, a verdict. Append-only."""

    id: str
    at_unix_s: float
    epoch: int
    kind: str
    """act, hold, refuse, reflex, advance, verdict, operator, signal."""
    subject: str
    """What it is about: a replica, region or the fleet."""
    summary: str
    """One sentence for a person."""
    evidence: tuple[tuple[str, str], ...] = ()
    action_id: str | None = None


@dataclass(frozen=True, slots=True)
class OpenOrder:
    """An order that has no final receipt yet, as journaled; it survives the death of the leader that issued it."""

    host: HostId
    order: Order


@dataclass(frozen=True, slots=True)
class OperatorIntent:
    """Something a person asked for through the API; the loop judges and acts on it at its own pace."""

    id: str
    at_unix_s: float
    operator: str
    verb: str
    """restart, switch_profile, scale_out, scale_in, shift, reset_gpu, reboot_host, pause, resume."""
    arguments: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class JournalState:
    """What a leader must know to go on where the last one stopped."""

    actions: tuple[ActionRecord, ...]
    """Every open action, and those closed within `history_s` (for cooldowns, budgets and attempt caps)."""
    orders: tuple[OpenOrder, ...]
    traffic: TrafficIntent | None
    slos: tuple[Slo, ...]
    slo_revision: int
    paused: bool
    intents: tuple[OperatorIntent, ...]
    """Not yet taken up."""
    reflexes_seen: frozenset[tuple[HostId, str, int]]
    """(host, boot, seq) of reflexes already in the story."""


@dataclass(frozen=True, slots=True)
class TickRecord:
    """What one tick wants remembered: one transaction, written before anything is touched."""

    decisions: tuple[DecisionRecord, ...] = ()
    actions: tuple[ActionRecord, ...] = ()
    """Upserts by id."""
    orders_issued: tuple[OpenOrder, ...] = ()
    receipts: tuple[tuple[HostId, Receipt], ...] = ()
    """Final receipts: they close their orders."""
    orders_dropped: tuple[OrderKey, ...] = ()
    """Orders whose action closed without an answer: closed too, and never offered again."""
    traffic: TrafficIntent | None = None
    """None leaves the stored one."""
    intents_taken: tuple[str, ...] = ()
    paused: bool | None = None
    reflexes_seen: tuple[tuple[HostId, str, int], ...] = ()

    @property
    def empty(self) -> bool:
        """True when there is nothing to write."""
        return self == TickRecord()
