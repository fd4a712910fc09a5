"""The story for people: one sentence per decision, with the numbers behind it. `trimtab why` prints these.

Only changes are told. A tick in which nothing changes adds nothing, so the story stays short enough to be read.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import count

from contracts.vocabulary import HostId, ReflexKind
from controller.core.actions import ActionRecord, MachineAction, ResetGpu, Restart, ScaleIn, Shift, Stage, Verdict
from controller.core.decision import Act, Agreed, Decision, Hold, Refused
from controller.core.findings import Finding
from controller.core.fleet import Fleet, Reflex
from controller.core.intents import SetPaused
from controller.core.ledger import describe, target_of
from controller.core.story import DecisionRecord, JournalState

ReflexId = tuple[HostId, str, int]
REFUSAL_EVIDENCE = "refusal"
"""Names the piece of evidence that is the type of a refusal, e.g. `StaleSignals`."""
HEALED = "/healed"
"""Added to the boot id under which a healing is remembered, so that it is told once, like its beginning."""
_VERDICTS = {
    Verdict.IMPROVED: "It helped",
    Verdict.NO_EFFECT: "It had no effect",
    Verdict.WORSE: "It made things worse",
    Verdict.INCONCLUSIVE: "It cannot be judged",
    Verdict.FAILED: "It failed",
}
_REFLEXES = {
    ReflexKind.RESTART_HUNG: "restarted hung replica",
    ReflexKind.RESTART_CRASHED: "restarted crashed replica",
    ReflexKind.RESTART_XID: "restarted, after a driver error on its GPU, replica",
    ReflexKind.QUARANTINE: "gave up on replica",
    ReflexKind.WITHHOLD: "did not restart, while its GPU is unfit, replica",
}


@dataclass(frozen=True, slots=True)
class Narrator:
    """Signs every line of one tick."""

    now_unix_s: float
    epoch: int
    tick_id: str
    numbers: Iterator[int]

    @classmethod
    def of(cls, now_unix_s: float, epoch: int, tick_id: str) -> "Narrator":
        """A narrator whose lines are numbered from one."""
        return cls(now_unix_s, epoch, tick_id, count(1))

    def line(self, kind: str, subject: str, summary: str, evidence: Iterable[tuple[str, str]] = ()) -> DecisionRecord:
        """One line that belongs to no action."""
        return DecisionRecord(
            id=f"{self.tick_id}.{next(self.numbers)}",
            at_unix_s=self.now_unix_s,
            epoch=self.epoch,
            kind=kind,
            subject=subject,
            summary=summary,
            evidence=tuple(evidence),
        )

    def about(
        self, kind: str, record: ActionRecord, summary: str, evidence: Iterable[tuple[str, str]] = ()
    ) -> DecisionRecord:
        """One line about an action."""
        return DecisionRecord(
            id=f"{self.tick_id}.{next(self.numbers)}",
            at_unix_s=self.now_unix_s,
            epoch=self.epoch,
            kind=kind,
            subject=target_of(record.action),
            summary=summary,
            evidence=tuple(evidence),
            action_id=record.id,
        )


def tell_decision(decision: Decision, narrator: Narrator) -> DecisionRecord:
    """A decision in one sentence."""
    match decision:
        case Act(record=record):
            return tell_begun(record, narrator)
        case Hold(finding=finding, refusal=refusal, considered=considered):
            evidence = (
                *finding.evidence,
                (REFUSAL_EVIDENCE, type(refusal).__name__),
                ("considered", ", ".join(considered)),
            )
            return narrator.line("hold", finding.subject, f"{finding.summary} Holding: {refusal}.", evidence)
        case Refused(intent=intent, refusal=refusal):
            evidence = (*intent.arguments, (REFUSAL_EVIDENCE, type(refusal).__name__), ("intent", intent.id))
            subject = next((value for _name, value in intent.arguments), "fleet")
            return narrator.line("refuse", subject, f"{intent.operator} asked to {intent.verb}: {refusal}.", evidence)
        case Agreed(intent=intent, change=SetPaused(paused=paused)):
            what = "paused new actions" if paused else "resumed"
            return narrator.line("operator", "fleet", f"{intent.operator} {what}.", (("intent", intent.id),))
        case Agreed(intent=intent, change=ActionRecord() as record):
            return narrator.about("operator", record, f"{intent.operator}: {describe(record.action)}.", record.evidence)
        case Agreed():
            raise AssertionError(decision)


def tell_advance(former: ActionRecord, record: ActionRecord, narrator: Narrator) -> tuple[DecisionRecord, ...]:
    """A stage reached or the end; nothing while an action stands still or has only just begun, for that has been told."""
    if former.stage is record.stage:
        return ()
    if record.stage is Stage.CLOSED:
        return (_closed(record, narrator),)
    if former.stage is Stage.INTENDED:
        return ()
    after_s = record.stage_unix_s - record.intended_unix_s
    evidence = (("stage", str(record.stage)), ("after_s", f"{after_s:.1f}"))
    return (narrator.about("advance", record, _stage_sentence(record), evidence),)


def tell_begun(record: ActionRecord, narrator: Narrator) -> DecisionRecord:
    """Why an action begins, and which."""
    doing = describe(record.action)
    return narrator.about("act", record, f"{record.cause} So: {doing}.", record.evidence)


def _closed(record: ActionRecord, narrator: Narrator) -> DecisionRecord:
    verdict = record.verdict or Verdict.INCONCLUSIVE
    took_s = record.stage_unix_s - record.intended_unix_s
    summary = f"{_VERDICTS[verdict]}: {describe(record.action)} ({record.detail})."
    evidence = (("verdict", str(verdict)), ("took_s", f"{took_s:.1f}"), ("scope", record.expectation.scope))
    return narrator.about("verdict", record, summary, evidence)


def _stage_sentence(record: ActionRecord) -> str:
    action = record.action
    detail = f" ({record.detail})" if record.detail else ""
    if record.stage is Stage.ORDERED and isinstance(action, MachineAction):
        target = action.name if isinstance(action, ResetGpu) else action.host
        return f"Nothing runs on {target}{detail}; its order is out."
    if record.stage is Stage.ORDERED:
        drained = isinstance(action, ScaleIn | Restart)
        return f"{target_of(action)} is drained{detail}; its order is out." if drained else f"The order is out{detail}."
    if isinstance(action, Shift):
        return (
            f"Every gateway it concerns runs the new shares{detail}; watching for {record.expectation.window_s:.0f} s."
        )
    return f"Done: {describe(action)}{detail}; watching for {record.expectation.window_s:.0f} s."


# ── reflexes ──────────────────────────────────────────────────────────────────────────────────────────────────────────
def tell_reflexes(
    fleet: Fleet, journal: JournalState, narrator: Narrator
) -> tuple[list[DecisionRecord], tuple[ReflexId, ...]]:
    """What agents did by themselves since the last tick, each told once when seen and once when healed."""
    told: list[DecisionRecord] = []
    seen: list[ReflexId] = []
    for host in fleet.hosts:
        for reflex in host.reflexes:
            begun = (reflex.host, reflex.boot_id, reflex.seq)
            if begun not in journal.reflexes_seen:
                told.append(_reflex_seen(reflex, narrator))
                seen.append(begun)
            healed = (reflex.host, reflex.boot_id + HEALED, reflex.seq)
            if reflex.healed_unix_s is not None and healed not in journal.reflexes_seen:
                told.append(_reflex_healed(reflex, reflex.healed_unix_s, narrator))
                seen.append(healed)
    return told, tuple(seen)


def _reflex_seen(reflex: Reflex, narrator: Narrator) -> DecisionRecord:
    evidence = (*reflex.evidence, ("host", reflex.host), ("generation", str(reflex.generation)))
    summary = f"The agent on {reflex.host} {_REFLEXES[reflex.kind]} {reflex.replica}."
    return narrator.line("reflex", reflex.replica, summary, evidence)


def _reflex_healed(reflex: Reflex, healed_unix_s: float, narrator: Narrator) -> DecisionRecord:
    took_s = healed_unix_s - reflex.detected_unix_s
    summary = f"{reflex.replica} serves again, {took_s:.1f} s after its agent saw the fault."
    return narrator.line("reflex", reflex.replica, summary, (("healed_s", f"{took_s:.1f}"), ("host", reflex.host)))


# ── findings ──────────────────────────────────────────────────────────────────────────────────────────────────────────
def hold_key(hold: Hold) -> tuple[str, str, str]:
    """What makes a hold a new one: another subject, cause or sort of reason, but not other numbers."""
    finding: Finding = hold.finding
    return finding.subject, str(finding.cause), type(hold.refusal).__name__
