"""Keeps Prometheus at the newest rules, and knows how far that has got.

What was loaded or refused is not tried again until it changes; what is not known is. Between changes Prometheus is looked at
now and then: somebody may have restarted it with another file, and a rule that loads may still fail whenever it is evaluated.
"""

from dataclasses import replace
from typing import assert_never

from chassis.clock import Clock
from chassis.logs import logger
from controller.rules_ports import (
    RulePublisher,
    RulesPublished,
    RulesRefused,
    RulesSeen,
    RulesStanding,
    RulesState,
    RulesUnknown,
)
from controller.rules_series import RulesSeries

log = logger(__name__)

LOOK_EVERY_S = 60.0
"""As often as rules are evaluated; Prometheus lists all of them each time."""
NOT_OURS = RulesState(RulesStanding.NOT_OURS, None, "no rules file is configured: nothing is written to Prometheus")
STANDBY = RulesState(RulesStanding.STANDBY, None, "another controller leads and takes care of it")
NOT_YET = RulesState(RulesStanding.BEHIND, None, "not published yet")


class RulesKeeper:
    """One publisher's memory; `follow` is called again and again."""

    def __init__(self, publisher: RulePublisher | None, clock: Clock, series: RulesSeries) -> None:
        """`publisher` is None where Prometheus' rules are not ours to write."""
        self._publisher = publisher
        self._clock = clock
        self._series = series
        self._state = NOT_OURS if publisher is None else NOT_YET
        self._settled: tuple[str, int] | None = None
        """What was loaded or refused last; None: nothing, or it is not there any more."""
        self._digest = ""
        """Of the text that Prometheus took last."""
        self._why_refused = ""
        """Of what is settled; empty when it was loaded."""
        self._looked_s: float | None = None

    @property
    def state(self) -> RulesState:
        """How things stood when it was last looked at."""
        return self._state

    async def follow(self, rules: str, revision: int) -> None:
        """As the leader: bring `rules` into Prometheus, or look whether they still are there."""
        if self._publisher is None:
            self._state = NOT_OURS
            self._series.stand(self._state, revision)
            return
        if self._settled == (rules, revision):
            await self._look(self._publisher, revision)
        if self._settled != (rules, revision):
            await self._publish(self._publisher, rules, revision)
        self._series.stand(self._state, revision)

    def cannot_compile(self, why: str, revision: int) -> None:
        """The objectives of `revision` make no rules; the former ones stay."""
        self._settled = None
        self._state = replace(self._state, state=RulesStanding.REFUSED, why_not=f"they cannot be compiled: {why}")
        self._series.stand(self._state, revision)

    def stand_by(self, revision: int) -> None:
        """Another controller leads: forget what was seen."""
        if self._publisher is not None:
            self._settled, self._looked_s = None, None
            self._state = STANDBY
        self._series.stand(self._state, revision)

    async def _publish(self, publisher: RulePublisher, rules: str, revision: int) -> None:
        outcome = await publisher.publish(rules, revision)
        self._series.tried(outcome)
        match outcome:
            case RulesPublished(digest=digest):
                self._settled, self._digest, self._why_refused = (rules, revision), digest, ""
                self._looked_s = None  # what was just loaded has not been evaluated yet: look again soon
                self._state = RulesState(RulesStanding.IN_STEP, revision, "")
                log.info("rules_published", revision=revision, digest=digest)
            case RulesRefused(reason=reason):
                self._settled, self._why_refused = (rules, revision), reason
                log.error("rules_refused", revision=revision, reason=reason)
                self._state = RulesState(RulesStanding.REFUSED, await self._revision_in(publisher), reason)
            case RulesUnknown(reason=reason):
                self._settled = None
                log.warning("rules_not_confirmed", revision=revision, reason=reason)
                self._state = RulesState(RulesStanding.UNKNOWN, None, reason)
            case _:
                assert_never(outcome)

    async def _look(self, publisher: RulePublisher, revision: int) -> None:
        """Forget what is settled when Prometheus shows something else."""
        now_s = self._clock.monotonic_s()
        if self._looked_s is not None and now_s - self._looked_s < LOOK_EVERY_S:
            return
        self._looked_s = now_s
        seen = await publisher.look()
        if isinstance(seen, RulesUnknown):
            self._state = replace(self._state, state=RulesStanding.UNKNOWN, why_not=seen.reason)
        elif seen.digest != self._digest:
            log.warning("rules_lost", revision=revision, revision_loaded=seen.revision)
            self._settled = None
        else:
            self._take(seen, revision)

    def _take(self, seen: RulesSeen, revision: int) -> None:
        if seen.unhealthy != self._state.unhealthy:
            for rule in seen.unhealthy:
                log.error("rule_unhealthy", group=rule.group, rule=rule.rule, error=rule.error)
            if not seen.unhealthy:
                log.info("rules_healthy_again", revision=revision)
        standing = RulesStanding.REFUSED if self._why_refused else RulesStanding.IN_STEP
        self._state = RulesState(standing, seen.revision, self._why_refused, seen.unhealthy)

    async def _revision_in(self, publisher: RulePublisher) -> int | None:
        seen = await publisher.look()
        if isinstance(seen, RulesUnknown):
            return None
        self._digest = seen.digest
        return seen.revision
