"""What the agent did: reflexes of its own and orders it was given, zero-initialised so that a first event is a step."""

from dataclasses import dataclass

from agent.exporter.page import Page
from agent.orders import OrderDesk
from agent.reflexes import ReflexLog
from contracts import metric_names as names
from contracts.vocabulary import OrderKind, ReceiptStatus

FINAL_OUTCOMES = (ReceiptStatus.DONE.value, ReceiptStatus.FAILED.value)


@dataclass(frozen=True, slots=True)
class ActSection:
    """Counts of acts, and how long healing took."""

    reflexes: ReflexLog
    desk: OrderDesk

    def write(self, page: Page) -> None:
        """Reflexes, then orders."""
        page.family(
            names.AGENT_REFLEXES_TOTAL,
            "counter",
            [({names.LABEL_KIND: kind.value}, count) for kind, count in self.reflexes.totals.items()],
        )
        page.histograms(
            names.AGENT_REPLICA_HEAL_SECONDS,
            [({names.LABEL_KIND: kind.value}, seconds) for kind, seconds in self.reflexes.heal_seconds.items()],
        )
        zeros = {(kind, outcome): 0 for kind in OrderKind for outcome in FINAL_OUTCOMES}
        page.family(
            names.AGENT_ORDERS_TOTAL,
            "counter",
            [
                ({names.LABEL_KIND: kind.value, names.LABEL_OUTCOME: outcome}, count)
                for (kind, outcome), count in {**zeros, **self.desk.outcomes}.items()
            ],
        )
