"""What the agent did: reflexes of its own and orders it was given, zero-initialised so that a first event is a step."""

from collections.abc import Mapping
from dataclasses import dataclass

from agent.exporter.page import Page, label_text
from agent.healing.reflexes import ReflexLog
from agent.orders.desk import OrderDesk
from contracts import metric_names as names
from contracts.vocabulary import OrderKind, ReceiptStatus, RefusalReason

FINAL_OUTCOMES = (ReceiptStatus.DONE.value, ReceiptStatus.FAILED.value)
NO_ORDERS: Mapping[tuple[OrderKind, str], int] = {
    (kind, outcome): 0 for kind in OrderKind for outcome in FINAL_OUTCOMES
}
ORDER_LABELS: Mapping[tuple[OrderKind, str], str] = {
    (kind, outcome.value): label_text({names.LABEL_KIND: kind.value, names.LABEL_OUTCOME: outcome.value})
    for kind in OrderKind
    for outcome in (*ReceiptStatus, *RefusalReason)
}
"""Rendered: an order ends with a status, or is refused for a reason."""


@dataclass(slots=True)
class ActSection:
    """Counts of acts, and how long healing took. Acts are rare: their text is put together when there was another."""

    reflexes: ReflexLog
    desk: OrderDesk
    _acts: tuple[int, ...] | None = None
    """As many as the text tells of."""
    _text: str = ""

    def write(self, page: Page) -> None:
        """Reflexes, then orders."""
        reflexes, orders = self.reflexes, self.desk.outcomes
        acts = (*reflexes.totals.values(), *(each.count for each in reflexes.heal_seconds.values()), *orders.values())
        if acts != self._acts:
            self._acts, self._text = acts, self._rendered()
        page.block(self._text)

    def _rendered(self) -> str:
        page = Page()
        page.family(
            names.AGENT_REFLEXES_TOTAL,
            "counter",
            [({names.LABEL_KIND: kind.value}, count) for kind, count in self.reflexes.totals.items()],
        )
        page.histograms(
            names.AGENT_REPLICA_HEAL_SECONDS,
            [({names.LABEL_KIND: kind.value}, seconds) for kind, seconds in self.reflexes.heal_seconds.items()],
        )
        counts = {**NO_ORDERS, **self.desk.outcomes}
        page.family(
            names.AGENT_ORDERS_TOTAL, "counter", [(ORDER_LABELS[which], count) for which, count in counts.items()]
        )
        return page.text()
