"""One replica as others see it: who it is, whether it is ready and why not, and what it can be told.

Readiness is evidence, not hope: every worker must have made sound within `PROOF_AGE_S_MAX`. A busy replica proves itself
by working, an idle one by vocoding five golden frames.
"""

from dataclasses import dataclass

from chassis.clock import Clock
from contracts.serving_api import ReplicaStatus, SloThresholds
from contracts.vocabulary import ReplicaId
from serving.core.slo import StaleRevision, Threshold
from serving.metrics import Live, Scorekeeper
from serving.ports import VoiceFacts
from serving.speech import SpeechDesk
from serving.switching import Switchboard
from serving.worker import WorkerPool

PROOF_AGE_S_MAX = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Replica:
    """The parts of a running replica."""

    id: ReplicaId
    facts: VoiceFacts
    desk: SpeechDesk
    pool: WorkerPool
    switchboard: Switchboard
    score: Scorekeeper
    clock: Clock
    started_s: float

    def why_unready(self) -> str:
        """Why no work should be sent here, or an empty string."""
        if self.desk.draining:
            return "draining"
        age_s = self.pool.proof_age_s
        if age_s is None:
            return "a worker has not proven itself yet"
        if age_s > PROOF_AGE_S_MAX:
            return f"a worker made no sound for {age_s:.0f} s, at most {PROOF_AGE_S_MAX:.0f} s"
        return ""

    def status(self) -> ReplicaStatus:
        """Everything the agent's probe reads."""
        reason = self.why_unready()
        load = self.pool.load()
        stage = self.switchboard.stage
        return ReplicaStatus(
            replica=self.id,
            ready=not reason,
            reason=reason,
            profile=stage.profile,
            profiles=self.facts.profiles,
            profile_generation=stage.generation,
            progress_total=self.pool.tally.steps,
            in_flight=load.in_flight,
            queued_s=load.work_s,
            uptime_s=self.clock.monotonic_s() - self.started_s,
            slo_revision=self.score.ledger.revision,
            draining=self.desk.draining,
        )

    def take_thresholds(self, offered: SloThresholds) -> StaleRevision | None:
        """Count by these thresholds from now on; None when taken."""
        thresholds = tuple(Threshold(it.slo, it.sli, it.threshold_s) for it in offered.thresholds)
        ledger = self.score.ledger.with_thresholds(offered.revision, thresholds)
        if isinstance(ledger, StaleRevision):
            return ledger
        self.score.ledger = ledger
        return None

    def live(self) -> Live:
        """What a scrape reads when it comes."""
        board = self.switchboard
        return Live(
            tally=lambda: self.pool.tally,
            load=self.pool.load,
            profile=lambda: board.stage.profile,
            switches=lambda: {"committed": board.committed, "rolled_back": board.rolled_back},
        )
