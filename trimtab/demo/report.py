"""What the demo found: one value per scenario, as a table for people and as JSON for machines."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from rich.table import Table

from trimtab.load.records import Tally

HEALED = "healed"


@dataclass(frozen=True, slots=True)
class ActionLine:
    """One action of the controller, or one reflex of an agent, inside a scenario."""

    id: str
    kind: str
    subject: str
    verdict: str
    """Empty while it is open."""
    executions: int
    """How often its most repeated order was executed: one, or the promise is broken."""


@dataclass(frozen=True, slots=True)
class ScenarioReport:
    """One fault and what became of it.

    `detect_s` and `mitigate_s` count from the fault, or, where a fault grows until it is felt, from the first request that
    suffered; `restore_s` counts from the end of the fault.
    """

    name: str
    fault: str
    detected_by: str
    evidence: tuple[str, ...]
    actions: tuple[ActionLine, ...]
    detect_s: float | None
    """None when it was never detected; likewise below."""
    mitigate_s: float | None
    restore_s: float | None
    requests: Tally
    problems: tuple[str, ...]
    """What did not hold, in sentences; empty means healed."""

    @property
    def verdict(self) -> str:
        """One word when all is well, else every problem."""
        return "; ".join(self.problems) or HEALED


@dataclass(frozen=True, slots=True)
class DemoReport:
    """The whole run."""

    started_at: str
    duration_s: float
    machine: dict[str, float | int | str]
    """What calibration measured and what was sized from it."""
    scenarios: tuple[ScenarioReport, ...]

    @property
    def problems(self) -> tuple[str, ...]:
        """Every problem with its scenario's name; empty is the only success."""
        return tuple(f"{s.name}: {problem}" for s in self.scenarios for problem in s.problems)


def as_json(report: DemoReport) -> str:
    """The same facts for machines."""
    body = asdict(report)
    for scenario, source in zip(body["scenarios"], report.scenarios, strict=True):
        scenario["verdict"] = source.verdict
    return json.dumps({**body, "healed": not report.problems}, indent=1)


def write_report(report: DemoReport, path: Path) -> None:
    """Store the JSON."""
    path.write_text(as_json(report) + "\n", encoding="utf-8")


def as_table(report: DemoReport) -> Table:
    """The final table."""
    columns = ("fault", "detected by", "actions", "detect", "mitigate", "restore", "requests", "verdict")
    table = Table(*columns, title="What happened", title_justify="left", show_lines=True)
    for scenario in report.scenarios:
        style = "red" if scenario.problems else "green"
        table.add_row(
            scenario.fault,
            "\n".join([scenario.detected_by, *scenario.evidence]),
            "\n".join(_action_text(action) for action in scenario.actions) or "none",
            _seconds(scenario.detect_s),
            _seconds(scenario.mitigate_s),
            _seconds(scenario.restore_s),
            _requests_text(scenario.requests),
            f"[{style}]{scenario.verdict}[/]",
        )
    return table


def _requests_text(requests: Tally) -> str:
    return f"{requests.sent} sent\n{requests.refused} refused\n{requests.late} late\n{requests.failed} failed"


def _action_text(action: ActionLine) -> str:
    return f"{action.kind} {action.subject}: {action.verdict or 'open'}"


def _seconds(value: float | None) -> str:
    return "–" if value is None else f"{value:.1f} s"
