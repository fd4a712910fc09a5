"""What has to follow from the journal beside the loop: thresholds to agents, rules to Prometheus, old lines forgotten.

Each is brought to the wanted state again and again, so a change made through another controller, or while Prometheus was
away, arrives a little later instead of never.
"""

import asyncio
from collections.abc import Callable
from datetime import date

from chassis.clock import Clock, utc_date
from chassis.logs import logger
from contracts.serving_api import SloThreshold, SloThresholds
from contracts.vocabulary import Region
from controller.ports import FleetSource
from controller.rules_keeper import RulesKeeper
from controller.slo_store import SloSet, SloStore
from controller.stores import Story, ThresholdSink
from slo_rules.compiler import compile_slos
from slo_rules.errors import SloError
from slo_rules.render import render_rules

log = logger(__name__)


class Upkeep:
    """Keeps agents and Prometheus in step with the objectives."""

    def __init__(
        self,
        *,
        slos: SloStore,
        thresholds: ThresholdSink,
        rules: RulesKeeper,
        regions: Callable[[], tuple[Region, ...]],
        clock: Clock,
    ) -> None:
        """`regions` are those expected to report; it may block."""
        self._slos = slos
        self._thresholds = thresholds
        self._rules = rules
        self._regions = regions
        self._clock = clock
        self._made_from: tuple[int, tuple[Region, ...], date] | None = None
        self._made = ""
        """Rules for `_made_from`: a thousand objectives take seconds to compile, and rarely change."""

    async def follow_objectives(self, *, leading: bool) -> None:
        """Hand the newest thresholds to the agents, and, as leader, the compiled rules to Prometheus."""
        found = await asyncio.to_thread(self._slos.slos)
        self._thresholds.publish_thresholds(_thresholds(found))
        if not leading:
            self._rules.stand_by(found.revision)
            return
        try:
            text = await asyncio.to_thread(self._compile, found)
        except SloError as error:  # it was accepted by a former version, or by one with other limits
            log.error("objectives_not_compiled", revision=found.revision, reason=str(error))  # noqa: TRY400  # a value
            self._rules.cannot_compile(str(error), found.revision)
            return
        await self._rules.follow(text, found.revision)

    def _compile(self, found: SloSet) -> str:
        regions, today = self._regions(), utc_date(self._clock.now_unix_s())
        if self._made_from != (found.revision, regions, today):
            slos = tuple(stored.slo for stored in found.slos)
            self._made = render_rules(compile_slos(slos, regions, today=today))
            self._made_from = (found.revision, regions, today)
        return self._made


def expected_regions(story: Story, fleet: FleetSource, gateways: tuple[Region, ...]) -> tuple[Region, ...]:
    """Regions that are expected to report: configured, journaled or seen. One that fell silent must stay in."""
    traffic = story.control().traffic
    journaled = {share.region for share in traffic.shares} if traffic else set()
    return tuple(sorted({*gateways, *fleet.fleet().regions, *journaled}))


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
