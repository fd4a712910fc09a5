"""What a scenario saw, put together and judged."""

from dataclasses import dataclass

from trimtab.api_bodies import Decision
from trimtab.demo.checks import Promise, Seen, broken
from trimtab.demo.report import ActionLine, ScenarioReport
from trimtab.demo.world import World
from trimtab.load.records import Record, tally

EVIDENCE_MAX = 3
"""Facts in the table; `trimtab why` and the JSON journal have the rest."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """Facts of one scenario; durations as in `ScenarioReport`."""

    name: str
    fault: str
    detected_by: str
    """Empty when nobody noticed."""
    evidence: tuple[str, ...]
    actions: tuple[ActionLine, ...]
    detect_s: float | None
    mitigate_s: float | None
    restore_s: float | None
    records: tuple[Record, ...]
    further_problems: tuple[str, ...] = ()
    """What only this scenario can know to be wrong."""


def judged(outcome: Outcome, promise: Promise, world: World) -> ScenarioReport:
    """The report, with every broken promise; told at once."""
    requests = tally(outcome.records, world.sizing.threshold_s)
    seen = Seen(
        actions=outcome.actions,
        detected=bool(outcome.detected_by),
        mitigate_s=outcome.mitigate_s,
        restore_s=outcome.restore_s,
        requests=requests,
    )
    report = ScenarioReport(
        name=outcome.name,
        fault=outcome.fault,
        detected_by=outcome.detected_by or "nobody",
        evidence=outcome.evidence,
        actions=outcome.actions,
        detect_s=outcome.detect_s,
        mitigate_s=outcome.mitigate_s,
        restore_s=outcome.restore_s,
        requests=requests,
        problems=(*broken(promise, seen), *outcome.further_problems),
    )
    world.narrator.say(f"{outcome.name}: {report.verdict}")
    return report


def facts_of(line: Decision) -> tuple[str, ...]:
    """The first few numbers of a line of the story."""
    return tuple(f"{name}={value}" for name, value in list(line.evidence.items())[:EVIDENCE_MAX])


def finding_of(line: Decision) -> str:
    """What was found, without what is done about it."""
    return line.summary.partition(" So: ")[0]
