"""What has to follow from the journal beside the loop: thresholds to agents, rules to Prometheus, old lines forgotten.

Each is brought to the wanted state again and again, so a change made through another controller, or while Prometheus was
away, arrives a little later instead of never.
"""

import asyncio
from collections.abc import Callable
from typing import assert_never

from chassis.clock import Clock
from chassis.logs import logger
from contracts.serving_api import SloThreshold, SloThresholds
from contracts.vocabulary import Region
from controller.ports import FleetSource
from controller.stores import (
    RulePublisher,
    RulesPublished,
    RulesRefused,
    RulesUnknown,
    SloSet,
    SloStore,
    Story,
    ThresholdSink,
)
from slo_rules.compiler import compile_slos
from slo_rules.render import render_rules

log = logger(__name__)


class Upkeep:
    """Keeps agents and Prometheus in step with the objectives."""

    def __init__(
        self,
        *,
        slos: SloStore,
        story: Story,
        thresholds: ThresholdSink,
        rules: RulePublisher | None,
        fleet: FleetSource,
        gateways: tuple[Region, ...],
    ) -> None:
        """`rules` is None where Prometheus' rules are not ours to write."""
        self._slos = slos
        self._story = story
        self._thresholds = thresholds
        self._rules = rules
        self._fleet = fleet
        self._gateways = gateways
        self._settled_rules = ""
        """Text that was loaded or refused: not worth another try until it changes."""

    async def follow_objectives(self, *, leading: bool) -> None:
        """Hand the newest thresholds to the agents, and, as leader, the compiled rules to Prometheus."""
        found = await asyncio.to_thread(self._slos.slos)
        self._thresholds.publish_thresholds(_thresholds(found))
        if self._rules is None or not leading:
            return
        text = await asyncio.to_thread(self._compile, found)
        if text != self._settled_rules:
            await self._publish(self._rules, text, found.revision)

    def _compile(self, found: SloSet) -> str:
        return render_rules(compile_slos(tuple(stored.slo for stored in found.slos), self._regions()))

    def _regions(self) -> tuple[Region, ...]:
        """Regions that are expected to report: configured, journaled or seen. One that fell silent must stay in."""
        traffic = self._story.control().traffic
        journaled = {share.region for share in traffic.shares} if traffic else set()
        return tuple(sorted({*self._gateways, *self._fleet.fleet().regions, *journaled}))

    async def _publish(self, rules: RulePublisher, text: str, revision: int) -> None:
        outcome = await rules.publish(text)
        match outcome:
            case RulesPublished(groups=groups):
                self._settled_rules = text
                log.info("rules_published", revision=revision, groups=groups)
            case RulesRefused(reason=reason):
                self._settled_rules = text
                log.error("rules_refused", revision=revision, reason=reason)
            case RulesUnknown(reason=reason):
                log.warning("rules_not_confirmed", revision=revision, reason=reason)
            case _:
                assert_never(outcome)


async def forget_old_lines(prune: Callable[[float], int], clock: Clock, keep_s: float) -> None:
    """Drop what is closed and older than `keep_s`."""
    gone = await asyncio.to_thread(prune, clock.now_unix_s() - keep_s)
    log.info("story_pruned", decisions=gone, keep_s=keep_s)


def _thresholds(found: SloSet) -> SloThresholds:
    return SloThresholds(
        revision=found.revision,
        thresholds=tuple(
            SloThreshold(slo=stored.slo.id, sli=exact.sli, threshold_s=exact.threshold_s)
            for stored in found.slos
            if (exact := stored.slo.exact) is not None
        ),
    )
