"""What this host's replicas are doing, and how long they take to answer a probe."""

from dataclasses import dataclass

from agent.exporter.page import Page
from agent.healing.board import Board
from agent.healing.healer import Healer
from contracts import metric_names as names
from contracts.vocabulary import ReplicaState


@dataclass(frozen=True, slots=True)
class ReplicaSection:
    """One set of series per replica that ever ran here."""

    board: Board
    healer: Healer

    def write(self, page: Page) -> None:
        """States and probe times."""
        ran = [unit for unit in self.board.units.values() if unit.generation > 0 or unit.running]
        states = [(unit.spec.replica, unit.health.state) for unit in ran]
        page.family(
            names.AGENT_REPLICA_UP,
            "gauge",
            [({names.LABEL_REPLICA: replica}, state is ReplicaState.READY) for replica, state in states],
        )
        page.family(
            names.AGENT_REPLICA_STATE,
            "gauge",
            [
                ({names.LABEL_REPLICA: replica, names.LABEL_STATE: each.value}, state is each)
                for replica, state in states
                for each in ReplicaState
            ],
        )
        page.family(
            names.AGENT_REPLICA_WITHHELD,
            "gauge",
            [({names.LABEL_REPLICA: unit.spec.replica}, bool(unit.withheld)) for unit in ran],
        )
        page.family(
            names.AGENT_REPLICA_START_REFUSALS,
            "gauge",
            [({names.LABEL_REPLICA: unit.spec.replica}, unit.refusals) for unit in ran],
        )
        page.histograms(
            names.AGENT_PROBE_SECONDS,
            [({names.LABEL_REPLICA: replica}, seconds) for replica, seconds in self.healer.probe_seconds.items()],
        )
