"""The journal as dictionaries: for simulations and tests, with the same promises as the SQL one except durability.

One write is one transaction: it is checked against the newest epoch first and then applied whole, so a crash leaves
either all of a tick or nothing of it.
"""

from contracts.vocabulary import HostId, OrderKey, ReceiptStatus
from controller.core.actions import ActionId, ActionRecord, Stage
from controller.core.fleet import TrafficIntent
from controller.core.story import DecisionRecord, JournalState, OpenOrder, OperatorIntent, TickRecord
from controller.ports import FencedError, Lease, LeaseHeld
from slo_rules.model import Slo

FINAL = frozenset({ReceiptStatus.DONE, ReceiptStatus.FAILED, ReceiptStatus.REFUSED})


class MemoryJournal:
    """A `Journal` that lives as long as its process; several loops may share one to simulate leader changes."""

    def __init__(self) -> None:
        self.decisions: list[DecisionRecord] = []
        """The whole story, oldest first. Unbounded: a simulation's length bounds it."""
        self._lease: Lease | None = None
        self._actions: dict[ActionId, ActionRecord] = {}
        self._orders: dict[OrderKey, OpenOrder] = {}
        self._closed: set[OrderKey] = set()
        self._traffic: TrafficIntent | None = None
        self._slos: tuple[Slo, ...] = ()
        self._slo_revision = 0
        self._paused = False
        self._intents: dict[str, OperatorIntent] = {}
        self._reflexes_seen: set[tuple[HostId, str, int]] = set()

    def acquire(self, holder: str, now_unix_s: float, ttl_s: float) -> Lease | LeaseHeld:
        """Take or renew the lease; a new holder gets the next epoch."""
        lease = self._lease
        if lease is not None and lease.holder != holder and lease.expires_unix_s > now_unix_s:
            return LeaseHeld(holder=lease.holder, expires_unix_s=lease.expires_unix_s)
        newest = 0 if lease is None else lease.epoch
        renewed = lease is not None and lease.holder == holder
        self._lease = Lease(holder=holder, epoch=newest if renewed else newest + 1, expires_unix_s=now_unix_s + ttl_s)
        return self._lease

    def load(self, now_unix_s: float, history_s: float) -> JournalState:
        """Every open action, those closed within `history_s`, and everything else that is not yet done."""
        since_unix_s = now_unix_s - history_s
        return JournalState(
            actions=tuple(
                action
                for action in self._actions.values()
                if action.stage is not Stage.CLOSED or action.stage_unix_s >= since_unix_s
            ),
            orders=tuple(issued for key, issued in self._orders.items() if key not in self._closed),
            traffic=self._traffic,
            slos=self._slos,
            slo_revision=self._slo_revision,
            paused=self._paused,
            intents=tuple(self._intents.values()),
            reflexes_seen=frozenset(self._reflexes_seen),
        )

    def write(self, epoch: int, record: TickRecord) -> None:
        """Apply `record` whole, or raise `FencedError` and apply nothing."""
        newest = 0 if self._lease is None else self._lease.epoch
        if epoch != newest:
            msg = f"epoch {epoch} tried to write, but the newest is {newest}"
            raise FencedError(msg)
        self.decisions.extend(record.decisions)
        self._actions.update({action.id: action for action in record.actions})
        for issued in record.orders_issued:
            self._orders.setdefault(issued.order.key, issued)  # a key means one order for ever
        for _host, receipt in record.receipts:
            if receipt.status in FINAL:
                self._closed.add(receipt.key)
        self._closed.update(record.orders_dropped)
        if record.traffic is not None:
            self._traffic = record.traffic
        if record.paused is not None:
            self._paused = record.paused
        for intent_id in record.intents_taken:
            self._intents.pop(intent_id, None)
        self._reflexes_seen.update(record.reflexes_seen)

    def submit(self, intent: OperatorIntent) -> None:
        """Queue what an operator asked for."""
        self._intents[intent.id] = intent

    def put_slos(self, slos: tuple[Slo, ...]) -> None:
        """Replace the objectives; the revision grows by one."""
        self._slos = slos
        self._slo_revision += 1
