"""Canary utterances and the way to other regions, zero-initialised so that a first failure is a step."""

from dataclasses import dataclass

from agent.core.canary import CanaryOutcome
from agent.exporter.page import Page
from agent.healing.board import Board
from agent.outlook.canary import Canaries
from agent.outlook.rtt import RegionRtts, RttOutcome
from contracts import metric_names as names


@dataclass(frozen=True, slots=True)
class OutlookSection:
    """What was found by asking around."""

    board: Board
    canaries: Canaries
    rtts: RegionRtts

    def write(self, page: Page) -> None:
        """Voices, then regions."""
        self._write_canaries(page)
        self._write_regions(page)

    def _write_canaries(self, page: Page) -> None:
        units = [unit for unit in self.board.units.values() if unit.generation > 0]
        page.family(
            names.AGENT_CANARIES_TOTAL,
            "counter",
            [
                (
                    {names.LABEL_REPLICA: unit.spec.replica, names.LABEL_OUTCOME: outcome.value},
                    self.canaries.outcomes[unit.spec.replica, outcome],
                )
                for unit in units
                for outcome in CanaryOutcome
            ],
        )
        page.family(
            names.AGENT_CANARIES_FAILED,
            "gauge",
            [({names.LABEL_REPLICA: unit.spec.replica}, unit.canaries_failed) for unit in units],
        )
        page.histograms(names.AGENT_CANARY_SECONDS, [({}, self.canaries.seconds)])

    def _write_regions(self, page: Page) -> None:
        page.family(
            names.AGENT_REGION_PROBES_TOTAL,
            "counter",
            [
                (
                    {names.LABEL_REGION: region, names.LABEL_OUTCOME: outcome.value},
                    self.rtts.outcomes[region, outcome],
                )
                for region in self.rtts.gateways
                for outcome in RttOutcome
            ],
        )
        page.family(
            names.AGENT_REGION_RTT_NEWEST_SECONDS,
            "gauge",
            [({names.LABEL_REGION: region}, seconds) for region, seconds in self.rtts.newest_s.items()],
        )
        page.histograms(
            names.AGENT_REGION_RTT_SECONDS,
            [({names.LABEL_REGION: region}, seconds) for region, seconds in self.rtts.seconds.items()],
        )
