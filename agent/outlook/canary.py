"""Canary utterances: has each quiet, ready replica speak now and then, one at a time on this host.

A replica that fails three in a row answers its probes and yet has no voice: it is turned over to the reflexes as hung. A
canary changes nothing else: the replica does not count it, and refuses it while it has real work.
"""

import random
from collections import Counter
from dataclasses import dataclass, field

from agent.core.canary import CanaryOutcome, CanaryPolicy, Quiet, Verdict, looked
from agent.core.histogram import Histogram
from agent.healing.board import Board, Unit
from agent.ports import Speaker
from chassis.clock import Clock
from chassis.logs import logger
from contracts.vocabulary import ReplicaId, ReplicaState

log = logger(__name__)
LOOK_S = 1.0
"""Between two looks at who is quiet."""
SECONDS_BOUNDS = (0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1.0, 2.0, 3.0, 5.0, 10.0)
"""Up to the speaker's deadline."""


@dataclass(slots=True)
class Canaries:
    """Asks, counts, and says which replica has no voice."""

    board: Board
    speaker: Speaker
    policy: CanaryPolicy
    clock: Clock
    rng: random.Random
    outcomes: Counter[tuple[ReplicaId, CanaryOutcome]] = field(default_factory=Counter)
    seconds: Histogram = field(default_factory=lambda: Histogram(SECONDS_BOUNDS))
    """How long canaries took that were spoken."""
    _quiet: dict[ReplicaId, Quiet] = field(default_factory=dict)
    _failed_s: dict[ReplicaId, float] = field(default_factory=dict)
    """When each failed last (monotonic)."""

    async def run(self) -> None:
        """Look and ask for ever; returns at once when canaries are off."""
        while self.policy.after_s > 0:
            await self.clock.sleep(LOOK_S)
            unit = self.most_due()
            if unit is not None:
                await self.ask(unit)

    def most_due(self) -> Unit | None:
        """Look at every replica; the one whose canary is most overdue, if any is due."""
        now_s = self.clock.monotonic_s()
        for unit in self.board.units.values():
            self._look(unit, now_s)
        due = [(self._quiet[replica].due_s, replica) for replica in self._quiet if self._quiet[replica].due_s <= now_s]
        return self.board.units[min(due)[1]] if due else None

    async def ask(self, unit: Unit) -> None:
        """Have it speak once, and draw the conclusions."""
        replica, instance, began_s = unit.spec.replica, unit.instance, self.clock.monotonic_s()
        verdict = _without_crowd(await self.speaker.speak(unit.spec), unit)
        self.outcomes[replica, verdict.outcome] += 1
        self._quiet.pop(replica, None)
        if instance is None or unit.instance != instance or not _is_expected_to_speak(unit):
            return  # it was replaced meanwhile, is worked on, or says itself that it cannot: that explains what was heard
        if verdict.outcome is CanaryOutcome.OK:
            self.seconds.observe(self.clock.monotonic_s() - began_s)
            unit.canaries_failed = 0
        elif verdict.outcome is CanaryOutcome.FAILED:
            unit.canaries_failed += 1
            self._failed_s[replica] = self.clock.monotonic_s()
            log.warning("canary_failed", replica=replica, in_a_row=unit.canaries_failed, reason=verdict.reason)
            self.board.changed.ring()
        if unit.canaries_failed >= self.policy.failures_max:
            reason = f"{unit.canaries_failed} canaries in a row failed: {verdict.reason}"
            self.board.voiceless(replica, instance, reason)

    def _look(self, unit: Unit, now_s: float) -> None:
        """A replica that is not expected to speak starts anew when it is again."""
        replica, pulse = unit.spec.replica, unit.health.pulse
        if not _is_expected_to_speak(unit) or pulse is None:
            self._quiet.pop(replica, None)
            return
        if now_s - self._failed_s.get(replica, now_s) > self.policy.failure_memory_s:
            unit.canaries_failed = 0
        wait_s = self.policy.wait_s(self.rng.random(), failed=unit.canaries_failed > 0)
        self._quiet[replica] = looked(self._quiet.get(replica), pulse, now_s, wait_s)


def _is_expected_to_speak(unit: Unit) -> bool:
    """Ready, and nobody works on it."""
    return unit.health.state is ReplicaState.READY and unit.claimed_by is None


def _without_crowd(verdict: Verdict, unit: Unit) -> Verdict:
    """A failure beside real work proves nothing: the canary may just have been crowded out."""
    pulse = unit.health.pulse
    if verdict.outcome is CanaryOutcome.FAILED and pulse is not None and pulse.in_flight > 1:
        return Verdict(CanaryOutcome.REFUSED, verdict.reason)
    return verdict
