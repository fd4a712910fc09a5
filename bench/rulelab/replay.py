"""Rules over history: what an engine would have recorded, and when its alerts would have fired.

Recording rules go through `promtool tsdb create-blocks-from rules`, which evaluates them in a running Prometheus at their
own interval; those that read other recorded series come after those. An alert's expression is then asked for at every
evaluation, and `for` is applied to the answers. Only what an expression needs is recorded, over all of history only where a
range reaches back, for the sake of time.
"""

import dataclasses
import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import yaml

from bench.rulelab.engines import Engine
from bench.rulelab.server import BLOCKS_OF, EPOCH_S, Server, create_blocks
from slo_rules import promql
from slo_rules.model import Slo
from slo_rules.rule_file import AlertingRule, RecordingRule, RuleFile

LOOKBACK_S = 300
"""How old a sample Prometheus still takes for the present one."""
RULES = "replay.yml"
"""Always the same file and group names: Prometheus spreads groups over their interval by a hash of both."""
HISTORY_BLOCK_H = ((60, 162), (30, 54))
"""(interval of at least so many seconds, hours of a block): a block is one range query of at most 11,000 points."""


@dataclass(frozen=True, slots=True)
class Span:
    """Seconds of a scene, both ends included."""

    start_s: int
    end_s: int


@dataclass(frozen=True, slots=True)
class Step:
    """One recording rule at its place in a replay."""

    level: int
    interval_s: int
    back: bool
    """Whether all of history is needed, or only the span in question."""
    rule: RecordingRule


def record(
    server: Server,
    wanted: Iterable[tuple[RuleFile, Sequence[str]]],
    history: Span,
    asked: Span,
    every_s: int | None = None,
) -> None:
    """Write what the expressions need of each rule file into `server`, which must be closed.

    With `every_s` the last links of the chain, which no range reads, are recorded so seldom: enough for a curve.
    """
    steps = [step for rules, expressions in wanted for step in plan(rules, expressions)]
    if every_s is not None:
        steps = [step if step.back else dataclasses.replace(step, interval_s=every_s) for step in steps]
    for level, interval_s, back in sorted({(step.level, step.interval_s, step.back) for step in steps}):
        chosen = [step.rule for step in steps if (step.level, step.interval_s, step.back) == (level, interval_s, back)]
        span = history if back else Span(max(history.start_s, asked.start_s - LOOKBACK_S), asked.end_s)
        _backfill(server, chosen, interval_s, span)


def plan(rules: RuleFile, expressions: Sequence[str]) -> list[Step]:
    """The recording rules that `expressions` need, directly or not, in any order."""
    recording = [
        (rule, group.interval_s) for group in rules.groups for rule in group.rules if isinstance(rule, RecordingRule)
    ]
    names = {rule.record for rule, _ in recording}
    needs = {
        name: _needs([rule.expr for rule, _ in recording if rule.record == name], names - {name}) for name in names
    }
    back: dict[str, bool] = {}

    def visit(found: dict[str, bool], from_history: bool) -> None:
        for name, over_range in found.items():
            wanted = from_history or over_range
            if name not in back or (wanted and not back[name]):
                back[name] = wanted
                visit(needs[name], wanted)

    visit(_needs(expressions, names), False)
    return [
        Step(_level(rule.record, needs), interval_s, back[rule.record], rule)
        for rule, interval_s in recording
        if rule.record in back
    ]


def firing(server: Server, engine: Engine, slo: Slo, span: Span) -> list[Span]:
    """When a page of `engine` would have fired; `server` is open and has what was recorded for it."""
    pages = engine.pages(slo)
    recorded = plan(engine.rules(slo), [alert.expr for alert in pages])[0].rule.record
    start_s = span.start_s + offset_s(server, recorded, span.end_s, engine.eval_s)
    span = Span(start_s, span.end_s)
    spans = [found for alert in pages for found in _firing(server, alert, span, engine.eval_s)]
    merged: list[Span] = []
    for found in sorted(spans, key=lambda each: each.start_s):
        if merged and found.start_s <= merged[-1].end_s + engine.eval_s:
            merged[-1] = Span(merged[-1].start_s, max(merged[-1].end_s, found.end_s))
        else:
            merged.append(found)
    return merged


def offset_s(server: Server, series: str, at_s: int, interval_s: int) -> int:
    """When within its interval Prometheus evaluated a group: its alerts see the samples of the same moment."""
    back = f"[{promql.duration(interval_s + LOOKBACK_S)}:1m]"
    newest = server.ask(f"max(max_over_time(timestamp({series}){back}))", at_s).values[0]
    return math.ceil(newest - EPOCH_S) % interval_s  # up: a fraction earlier would see the sample before


def _firing(server: Server, alert: AlertingRule, span: Span, eval_s: int) -> list[Span]:
    found = []
    for series in server.ask_range(alert.expr, span.start_s, span.end_s, eval_s):
        began = last = series.times_s[0]
        for at_s in (*series.times_s[1:], span.end_s + 2 * eval_s):
            if at_s - last > eval_s:
                if last - began >= alert.for_s:
                    found.append(Span(began + alert.for_s, last))
                began = at_s
            last = at_s
    return found


def _needs(expressions: Iterable[str], names: Iterable[str]) -> dict[str, bool]:
    """Recorded names that occur, and whether under a range."""
    found: dict[str, bool] = {}
    for expression in expressions:
        subquery = ")[" in expression
        for name in names:
            for use in re.finditer(rf"(?<![\w:]){re.escape(name)}(?![\w:])(?P<rest>(\{{[^}}]*\}})?\[?)", expression):
                found[name] = found.get(name, False) or subquery or use["rest"].endswith("[")
    return found


def _level(name: str, needs: dict[str, dict[str, bool]]) -> int:
    return 1 + max((_level(other, needs) for other in needs[name]), default=-1)


def _backfill(server: Server, rules: Sequence[RecordingRule], interval_s: int, span: Span) -> None:
    group = {
        "name": f"every-{interval_s}",
        "interval": promql.duration(interval_s),
        "rules": [{"record": rule.record, "expr": rule.expr, "labels": dict(rule.labels)} for rule in rules],
    }
    (server.folder / RULES).write_text(yaml.safe_dump({"groups": [group]}, width=1_000_000))
    hours = next(hours for at_least_s, hours in HISTORY_BLOCK_H if interval_s >= at_least_s)
    with server.open():
        create_blocks(
            f"{BLOCKS_OF}={hours}h", "rules", f"--url={server.url}", f"--start={EPOCH_S + span.start_s}",
            f"--end={EPOCH_S + span.end_s}", f"--output-dir={server.data}", RULES, folder=server.folder,
        )  # fmt: skip
