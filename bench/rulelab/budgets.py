"""Uneven traffic: what each engine says is left of a 30-day budget, beside the truth.

A month in a real Prometheus: a scrape every 30 seconds, recording rules at their own intervals, the budget asked for at the
end and every two hours on the way.
"""

import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bench.rulelab.engines import ENGINES, OURS, Engine
from bench.rulelab.replay import Span, offset_s, plan, record
from bench.rulelab.report import Section, percent, table
from bench.rulelab.server import Server
from bench.rulelab.traffic import SCRAPE_S, Flow, exact_counters, exact_slo, histogram, histogram_slo, poisson, steady
from slo_rules.model import Slo

DAY_S = 86_400
DAYS = 30
OBJECTIVE = 0.95
EVERY_S = 7_200
ERROR_MAX = 0.005
"""Of the whole budget: what ours may be off by at the end of the month."""
SEED = 4


@dataclass(frozen=True, slots=True)
class Scene:
    """A month of traffic."""

    name: str
    what: str
    flow: Flow


@dataclass(frozen=True, slots=True)
class Line:
    """What one engine says about one scene over the month."""

    scene: Scene
    engine: str
    times_s: tuple[int, ...]
    values: tuple[float, ...]

    @property
    def error(self) -> float:
        """At the end of the month, in shares of the whole budget."""
        return abs(self.values[-1] - truth(self.scene)[self.times_s[-1] // SCRAPE_S - 1])


def scenes() -> tuple[Scene, ...]:
    """Two that repeat every day, and one without any rhythm."""
    half = DAY_S // 2
    slow_night = steady(half, 100, 0.0).then(steady(half, 1, 0.2))
    slow_day = steady(half, 100, 0.09).then(steady(half, 1, 0.0))
    return (
        Scene("night-slow", "day 100 rps, none slow; night 1 rps, 20 % slow", _days(slow_night)),
        Scene("day-slow", "day 100 rps, 9 % slow; night 1 rps, none slow", _days(slow_day)),
        Scene("random", "every hour another rate, 0.02–50 rps, and another slow share, 0–30 %; Poisson", _random()),
    )


def truth(scene: Scene) -> np.ndarray:
    """Budget left after every scrape."""
    return scene.flow.budget_left(OBJECTIVE)


def measure() -> tuple[list[Line], Section]:
    """Curves for a picture, and the table."""
    found = scenes()
    asked: list[tuple[Scene, str, Engine, Slo]] = [
        *((scene, engine.name, engine, histogram_slo(scene.name, OBJECTIVE)) for scene in found for engine in ENGINES),
        *((scene, f"{OURS.name}, exact counters", OURS, exact_slo(scene.name, OBJECTIVE)) for scene in found),
    ]
    whole = Span(0, DAYS * DAY_S)
    with tempfile.TemporaryDirectory(prefix="rulelab-") as folder:
        server = Server(Path(folder))
        for scene in found:
            server.write(histogram(scene.name, "a", scene.flow))
            server.write(exact_counters(exact_slo(scene.name, OBJECTIVE), "a", scene.flow))
        wanted = [(engine.rules(slo), [engine.budget_left(slo)]) for _, _, engine, slo in asked]
        record(server, wanted, whole, whole, every_s=EVERY_S)
        with server.open():
            lines = [_line(server, *each, whole) for each in asked]
    return lines, _section(found, lines)


def _line(server: Server, scene: Scene, name: str, engine: Engine, slo: Slo, whole: Span) -> Line:
    expr = engine.budget_left(slo)
    recorded = max(plan(engine.rules(slo), [expr]), key=lambda step: step.level).rule.record
    start_s = offset_s(server, recorded, whole.end_s, EVERY_S)
    curve = server.ask_range(expr, start_s, whole.end_s, EVERY_S)[0]
    return Line(scene, name, curve.times_s, curve.values)


def _section(found: tuple[Scene, ...], lines: list[Line]) -> Section:
    rows, missed = [], []
    for scene in found:
        for line in (line for line in lines if line.scene.name == scene.name):
            said, real = line.values[-1], truth(scene)[line.times_s[-1] // SCRAPE_S - 1]
            rows.append(
                (
                    scene.what,
                    line.engine,
                    percent(real),
                    percent(said),
                    f"{100 * line.error:.2f}" if line.error >= 0 else "–",
                )
            )
            if line.engine.startswith(OURS.name) and not line.error < ERROR_MAX:
                missed.append(f"budget, {scene.what}: {line.engine} is off by {line.error:.4f}")
    head = ("traffic", "engine", "truly left", "engine says", "off by, points")
    return Section(f"Budget left after {DAYS} days of uneven traffic", table(head, rows), tuple(missed))


def _days(day: Flow) -> Flow:
    return Flow(np.tile(day.fast, DAYS), np.tile(day.slow, DAYS))


def _random() -> Flow:
    random = np.random.default_rng(SEED)
    flow: Flow | None = None
    for hour in range(DAYS * 24):
        rate = float(np.exp(random.uniform(np.log(0.02), np.log(50))))
        share = float(random.choice((0.0, 0.02, 0.05, 0.3), p=(0.5, 0.3, 0.15, 0.05)))
        piece = poisson(3_600, rate, share, seed=SEED + hour)
        flow = piece if flow is None else flow.then(piece)
    assert flow is not None  # noqa: S101  # a month has hours
    return flow
