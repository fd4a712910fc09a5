"""Samples that Prometheus reads for one evaluation of every rule of an engine, at 20 and 200 replicas.

Real data of the last days, a scrape every 15 seconds; what an engine recorded earlier is extended back to a whole window, so
that no window is cheap for want of history. Raw series reach back only as far as the longest alert window: Pyrra's increase
over 30 days, which reads them all, is therefore counted too low. Figures are Prometheus' own: `totalQueryableSamples` and the
evaluation time of an instant query per rule.
"""

import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bench.rulelab.engines import ENGINES, OURS, Engine
from bench.rulelab.replay import Span, plan, record
from bench.rulelab.report import Section, table
from bench.rulelab.server import Server
from bench.rulelab.traffic import Counter, exact_counters, exact_slo, histogram, histogram_slo, steady
from contracts.metric_names import RULE_EVENTS_BAD_INC4M, RULE_EVENTS_TOTAL_INC4M, RULE_OBSERVED_MINUTES_INC4M
from slo_rules import promql
from slo_rules.model import Slo
from slo_rules.rule_file import RuleFile
from slo_rules.rules.recorded import SPAN_S

REPLICAS = (20, 200)
SCRAPE_S = 15
OBJECTIVE = 0.95
RATE_PER_S = 2.0
RAW_S = 4 * 86_400 + 8 * 3_600
"""Pyrra's longest alert window for 30 days, 4d6h51m, and a little."""
COUNTED_S = 3_600
"""Nothing reads more than minutes of the exact counters themselves."""
WINDOW_S = 30 * 86_400
WINDOWS = (f"[{promql.duration(WINDOW_S)}]", f"[{promql.just_under(WINDOW_S)}]")
SPARSE_S = dict.fromkeys((RULE_EVENTS_TOTAL_INC4M, RULE_EVENTS_BAD_INC4M, RULE_OBSERVED_MINUTES_INC4M), SPAN_S)
"""Recorded less often than their group is evaluated."""
RECENT_S = 600
SCENE = "cost"
FEWER_MIN = 50
MINUTE_S = 60


@dataclass(frozen=True, slots=True)
class Cost:
    """Of all rules of one engine."""

    engine: str
    replicas: int
    samples: int
    """Read when every rule is evaluated once."""
    samples_per_minute: float
    """With every group at its own interval."""
    window_per_minute: float
    """Those of them that rules over the whole 30 days read."""
    seconds: float


def measure() -> Section:
    """The table, and how many times fewer ours reads."""
    costs = [cost for replicas in REPLICAS for cost in _costs(replicas)]
    rows, missed = [], []
    for cost in costs:
        ours = next(each for each in costs if each.engine == OURS.name and each.replicas == cost.replicas)
        times = cost.samples_per_minute / ours.samples_per_minute
        rows.append(
            (
                str(cost.replicas),
                cost.engine,
                f"{cost.samples:,}",
                f"{cost.samples_per_minute:,.0f}",
                f"{cost.window_per_minute:,.0f}",
                f"{times:.1f} ×",
                f"{cost.seconds * 1000:.0f} ms",
            )
        )
        if not cost.engine.startswith(OURS.name) and times < FEWER_MIN:
            missed.append(
                f"cost: ours reads {times:.1f} times fewer samples than {cost.engine} at {cost.replicas} replicas"
            )
    head = (
        "replicas",
        "engine",
        "samples, every rule once",
        "samples per minute",
        "of them over 30 days",
        "times ours",
        "time, every rule once",
    )
    return Section("Samples read", table(head, rows), tuple(missed))


def _costs(replicas: int) -> Iterator[Cost]:
    asked = [
        *((engine.name, engine, histogram_slo(SCENE, OBJECTIVE)) for engine in ENGINES),
        (f"{OURS.name}, exact counters", OURS, exact_slo(SCENE, OBJECTIVE)),
    ]
    with tempfile.TemporaryDirectory(prefix="rulelab-") as folder:
        server = Server(Path(folder))
        server.write(_raw(replicas))
        server.write(_counters(replicas), start_s=RAW_S - COUNTED_S)
        wanted = [(engine.rules(slo), _expressions(engine.rules(slo))) for _, engine, slo in asked]
        recent = Span(RAW_S - RECENT_S, RAW_S)
        record(server, wanted, recent, recent)
        _extend(server, [rules for rules, _ in wanted])
        with server.open():
            for name, engine, slo in asked:
                yield _cost(server, name, replicas, engine, slo)


def _cost(server: Server, name: str, replicas: int, engine: Engine, slo: Slo) -> Cost:
    samples, per_minute, window_per_minute, seconds = 0, 0.0, 0.0, 0.0
    for group in engine.rules(slo).groups:
        for rule in group.rules:
            answer = server.ask(rule.expr, RAW_S)
            samples += answer.samples
            seconds += answer.seconds
            each_minute = answer.samples * MINUTE_S / group.interval_s
            per_minute += each_minute
            window_per_minute += each_minute if any(window in rule.expr for window in WINDOWS) else 0.0
    return Cost(name, replicas, samples, per_minute, window_per_minute, seconds)


def _expressions(rules: RuleFile) -> list[str]:
    return [rule.expr for group in rules.groups for rule in group.rules]


def _raw(replicas: int) -> Iterator[Counter]:
    flow = steady(RAW_S, RATE_PER_S, 0.0, SCRAPE_S)
    for number in range(replicas):
        yield from histogram(SCENE, f"replica-{number}", flow)


def _counters(replicas: int) -> Iterator[Counter]:
    flow = steady(COUNTED_S, RATE_PER_S, 0.0, SCRAPE_S)
    for number in range(replicas):
        yield from exact_counters(exact_slo(SCENE, OBJECTIVE), f"replica-{number}", flow)


def _extend(server: Server, files: Sequence[RuleFile]) -> None:
    """What a range reads of the recorded series, back to the start of a whole window, at its own interval."""
    steps = {
        (step.rule.record, SPARSE_S.get(step.rule.record, step.interval_s))
        for rules in files
        for step in plan(rules, _expressions(rules))
        if step.back
    }
    with server.open():
        found = [
            (labels, interval_s)
            for name, interval_s in sorted(steps)
            for labels in server.ask(f"last_over_time({name}[{RECENT_S}s])", RAW_S).labels
        ]
    # Ends where the recorded samples begin, so that no minute is counted twice.
    start_s = RAW_S - WINDOW_S
    for labels, interval_s in found:
        samples = (WINDOW_S - RECENT_S) // interval_s
        series = tuple(sorted((name, value) for name, value in labels.items() if name != "__name__"))
        server.write(
            [Counter(labels["__name__"], series, np.zeros(samples, dtype=np.int64), interval_s)], start_s=start_s
        )
