"""Where data is missing, scarce or new: what each engine says and whom it wakes, in promtool.

Small scenes of hours: silence, a handful of slow requests, replicas without the threshold's bucket, replicas that vanish, and
one that starts cold. Every engine sees the same series; the counters of our own replicas are an additional line.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from bench.rulelab.engines import ENGINES, OURS, Engine
from bench.rulelab.promtool import Question, ask, first_s, lasted_s
from bench.rulelab.report import Section, minutes, percent, table
from bench.rulelab.traffic import (
    SCRAPE_S,
    Counter,
    Flow,
    burst,
    exact_counters,
    exact_slo,
    histogram,
    histogram_slo,
    steady,
)
from contracts.metric_names import ALERT_SLO_BUCKET_MISSING, ALERT_SLO_NO_DATA
from slo_rules import promql
from slo_rules.compiler import MIN_BAD
from slo_rules.model import Slo

HOUR_S = 3_600
OBJECTIVE = 0.95
RATE_PER_S = 10.0
SCENE_NAME = "gaps"
SLO = histogram_slo(SCENE_NAME, OBJECTIVE)
EXACT = exact_slo(SCENE_NAME, OBJECTIVE)
BURSTS = (1, 5, MIN_BAD - 1, MIN_BAD)
COLD_SLOW = 600
OUTAGE_S = HOUR_S
"""Long enough for every engine's page to fire before the replicas vanish."""
GONE_S = 2 * HOUR_S
TOLD_WITHIN_S = 360
"""Two minutes that `rate` still sees, two of patience, and scrape and evaluation on top."""
BUDGET_ERROR_MAX = 0.005


@dataclass(frozen=True, slots=True)
class Line:
    """An engine and what it reads: the histogram, or the exact counters."""

    name: str
    engine: Engine
    slo: Slo


@dataclass(frozen=True, slots=True)
class Scene:
    """Series by what is read, and what to know at the end."""

    name: str
    series: Callable[[Line], Iterable[Counter]]
    end_s: int
    questions: tuple[tuple[str, Callable[[Line], str]], ...]


PEERS_AND_OURS = tuple(Line(engine.name, engine, SLO) for engine in ENGINES)
EXACT_LINE = Line(f"{OURS.name}, exact counters", OURS, EXACT)
ALL = (*PEERS_AND_OURS, EXACT_LINE)
Answers = dict[tuple[str, str, str], float | None]
"""By scene, question and line."""


def measure() -> list[Section]:
    """Idle time, few requests, and lost data."""
    asked = [
        (scene, what, line, expr)
        for scene in (_idle(), *_few(), _half_blind(), _blind(), _vanished(), _cold())
        for line in (PEERS_AND_OURS if scene.name.startswith("bucket") else ALL)
        for what, expr in scene.questions
    ]
    answers = ask(
        [
            Question(
                line.engine.rules(line.slo), line.engine.eval_s, tuple(scene.series(line)), scene.end_s, expr(line)
            )
            for scene, _, line, expr in asked
        ]
    )
    found = {(scene.name, what, line.name): value for (scene, what, line, _), value in zip(asked, answers, strict=True)}
    return [_idle_section(found), _few_section(found), _lost_section(found)]


def _read(line: Line, flow: Flow, replica: str = "a") -> Iterable[Counter]:
    """What the line reads of one replica."""
    return exact_counters(EXACT, replica, flow) if line.slo is EXACT else histogram(SCENE_NAME, replica, flow)


def _budget(line: Line) -> str:
    return f"sum({line.engine.budget_left(line.slo)})"


def _paged_s(over_s: int) -> Callable[[Line], str]:
    return lambda line: lasted_s(line.engine.paging(), over_s, line.engine.eval_s)


def _first_page(end_s: int) -> Callable[[Line], str]:
    return lambda line: first_s(line.engine.paging(), end_s, line.engine.eval_s)


def _first(alert: str, end_s: int) -> Callable[[Line], str]:
    firing = promql.selector("ALERTS", promql.equals("alertname", alert), promql.equals("alertstate", "firing"))
    return lambda line: first_s(firing, end_s, line.engine.eval_s)


def _idle() -> Scene:
    busy = steady(HOUR_S, RATE_PER_S, 0.0)
    flow = busy.then(steady(1_200, 0.0, 0.0)).then(busy)
    return Scene("idle", lambda line: _read(line, flow), 2 * HOUR_S + 1_200, (("left", _budget),))


def _few() -> list[Scene]:
    end_s = 2 * HOUR_S
    return [
        Scene(
            f"{slow} slow",
            lambda line, slow=slow: _read(line, _silence(HOUR_S).then(burst(slow)).then(_silence(HOUR_S))),
            end_s,
            (("paged", _paged_s(end_s)),),
        )
        for slow in BURSTS
    ]


def _half_blind() -> Scene:
    end_s, flow = 2 * HOUR_S, steady(2 * HOUR_S, RATE_PER_S, 0.0)
    return Scene(
        "bucket missing on one of two",
        lambda _: (*histogram(SCENE_NAME, "a", flow), *histogram(SCENE_NAME, "b", flow, bucket=False)),
        end_s,
        (("left", _budget), ("page", _first_page(end_s)), ("told", _first(ALERT_SLO_BUCKET_MISSING, end_s))),
    )


def _blind() -> Scene:
    end_s, flow = 2 * HOUR_S, steady(2 * HOUR_S, RATE_PER_S, 1.0)
    return Scene(
        "bucket missing on all",
        lambda _: histogram(SCENE_NAME, "a", flow, bucket=False),
        end_s,
        (("left", _budget), ("page", _first_page(end_s)), ("told", _first(ALERT_SLO_BUCKET_MISSING, end_s))),
    )


def _vanished() -> Scene:
    """An outage that ends with the replicas themselves gone: their users are no better off."""
    flow = steady(HOUR_S, RATE_PER_S, 0.0).then(steady(OUTAGE_S, RATE_PER_S, 1.0))
    return Scene(
        "vanished",
        lambda line: _read(line, flow),
        HOUR_S + OUTAGE_S + GONE_S,
        (("paged", _paged_s(GONE_S)), ("told", _first(ALERT_SLO_NO_DATA, HOUR_S + OUTAGE_S + GONE_S))),
    )


def _cold() -> Scene:
    """A second replica whose first scrape already shows slow requests, and which then gets none."""
    busy = steady(2 * HOUR_S, RATE_PER_S, 0.0)
    cold = burst(COLD_SLOW).then(_silence(HOUR_S - SCRAPE_S))

    def series(line: Line) -> Iterable[Counter]:
        started = HOUR_S // SCRAPE_S
        new = (
            exact_counters(EXACT, "b", cold) if line.slo is EXACT else histogram(SCENE_NAME, "b", cold, from_zero=False)
        )
        return (*_read(line, busy), *(replace(counter, absent_scrapes=started) for counter in new))

    return Scene("cold", series, 2 * HOUR_S, (("left", _budget),))


def _silence(seconds: int) -> Flow:
    return steady(seconds, 0.0, 0.0)


def _idle_section(found: Answers) -> Section:
    rows, missed = [], []
    cold_truth = 1 - COLD_SLOW / (2 * HOUR_S * RATE_PER_S + COLD_SLOW) / (1 - OBJECTIVE)
    for line in ALL:
        idle, cold = found["idle", "left", line.name], found["cold", "left", line.name]
        rows.append((line.name, percent(idle), percent(cold)))
        if line.engine is OURS and not _near(idle, 1.0):
            missed.append(f"idle: {line.name} says {percent(idle)} are left of a budget that nobody spent")
        if line is EXACT_LINE and not _near(cold, cold_truth):
            missed.append(f"cold start: {line.name} says {percent(cold)}, the truth is {percent(cold_truth)}")
    head = (
        "engine",
        "20 idle minutes (truth: +100.0 %)",
        f"a cold start with {COLD_SLOW} slow requests before its first scrape (truth: {percent(cold_truth)})",
    )
    return Section("Budget left after idle time and after a cold start", table(head, rows), tuple(missed))


def _few_section(found: Answers) -> Section:
    rows, missed = [], []
    for line in ALL:
        lasted = [found[f"{slow} slow", "paged", line.name] or 0.0 for slow in BURSTS]
        rows.append((line.name, *(minutes(each) if each else "–" for each in lasted)))
        for slow, each in zip(BURSTS, lasted, strict=True):
            if line.engine is OURS and (each > 0) != (slow >= MIN_BAD):
                missed.append(f"few requests: {line.name} pages for {each:.0f} s after {slow} slow ones")
    head = ("engine", *(f"{slow} slow" for slow in BURSTS))
    return Section("Minutes paged for a few slow requests after an hour of silence", table(head, rows), tuple(missed))


def _lost_section(found: Answers) -> Section:
    rows, missed = [], []
    half, blind = "bucket missing on one of two", "bucket missing on all"
    for line in ALL:
        paged, told = found["vanished", "paged", line.name] or 0.0, found["vanished", "told", line.name]
        gone = f"paged {minutes(min(paged, GONE_S))} of {minutes(GONE_S)} min"
        seen = [
            _blindness(found, scene, line) if line is not EXACT_LINE else "has no bucket" for scene in (half, blind)
        ]
        rows.append((line.name, *seen, gone))
        if line.engine is OURS and (told is None or told - HOUR_S - OUTAGE_S > TOLD_WITHIN_S):
            missed.append(f"vanished: {line.name} tells nobody within {TOLD_WITHIN_S} s")
    ours = [found[half, what, OURS.name] for what in ("left", "page", "told")]
    if not _near(ours[0], 1.0) or ours[1] is not None or ours[2] is None or ours[2] > TOLD_WITHIN_S:
        missed.append(f"{half}: left, page, told are {ours}")
    for what in ("page", "told"):
        at_s = found[blind, what, OURS.name]
        if at_s is None or at_s > TOLD_WITHIN_S:
            missed.append(f"{blind}: {what} after {minutes(at_s)} min")
    head = (
        "engine",
        "bucket missing on one of two replicas, none slow (truth: +100.0 %)",
        "bucket missing on both, all slow",
        "all series vanish during an outage",
    )
    return Section("What is said when data is missing", table(head, rows), tuple(missed))


def _blindness(found: Answers, scene: str, line: Line) -> str:
    left, page, told = (found[scene, what, line.name] for what in ("left", "page", "told"))
    said = f"budget {percent(left)}; " + (f"pages after {minutes(page)} min" if page is not None else "no page")
    return said + (f"; {ALERT_SLO_BUCKET_MISSING} after {minutes(told)} min" if told is not None else "")


def _near(value: float | None, truth: float) -> bool:
    return value is not None and abs(value - truth) < BUDGET_ERROR_MAX
