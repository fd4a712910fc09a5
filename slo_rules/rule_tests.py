"""Every compiled SLO carries its own tests: a `promtool test rules` file that holds the rules to their promises.

Rules that quietly never fire are the usual fate of alerting, so the cases are generated with the rules: an outage pages in
time and not at once, silence and a few slow requests stay quiet, a borderline ratio is no verdict, a region that vanishes
is reported, and the budget adds up.

promtool loads at most 10,000 samples per query. These cases keep their histories short, so they run against the very file
that ships; a test that fills a whole window has to compile the SLO with one of six days or less.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal

import yaml

from contracts.metric_names import (
    ALERT_SLO_BURN,
    ALERT_SLO_NO_DATA,
    JOB_REPLICAS,
    LABEL_JOB,
    LABEL_OUTCOME,
    LABEL_REGION,
    LABEL_REPLICA,
    LABEL_SLO,
    LABEL_TIER,
    RULE_BUDGET_REMAINING,
    SLO_EVENTS_TOTAL,
)
from contracts.vocabulary import Outcome, Region
from slo_rules import promql
from slo_rules.compiler import MIN_BAD
from slo_rules.model import Slo
from slo_rules.tiers import LAG_S, Tier, derive_tiers, exact_budget

SCRAPE_S = 30
"""The slowest scrape the rules promise to work with."""
EVENTS_PER_SCRAPE = Decimal(300)
"""Ten requests per second."""
MINUTE_S = 60
HISTORY_S_MIN = 3_600
HISTORY_S_MAX = 12 * 3_600
"""720 recorded samples per series: far from promtool's cap even when an expression reads eight of them."""
HEARD_S = HISTORY_S_MIN + 2 * MINUTE_S
"""When a burst after an hour of silence is fully recorded and still inside the shortest window."""
ENDS_AFTER_S = 180
"""After the short window: two minutes until `rate` has forgotten the trouble, one for the evaluation grid."""
VANISHED_WITHIN_S = 300
"""Two minutes until `rate` sees nothing, two of patience, one for the evaluation grid."""


@dataclass(frozen=True, slots=True)
class Stretch:
    """Constant traffic for a while; `bad` and `good` are events per scrape."""

    seconds: int
    good: Decimal
    bad: Decimal


_SILENT = Stretch(HISTORY_S_MIN, Decimal(0), Decimal(0))


@dataclass(frozen=True, slots=True)
class Expectation:
    """`expr` must be exactly `value` at that time."""

    at_s: int
    expr: str
    value: Decimal


@dataclass(frozen=True, slots=True)
class Case:
    """One scenario: what happens in each region, and what must be true then."""

    name: str
    traffic: tuple[tuple[Region, tuple[Stretch, ...]], ...]
    expected: tuple[Expectation, ...]


def render_rule_tests(slo: Slo, regions: tuple[Region, ...], *, rules_file: str) -> str:
    """A file for `promtool test rules`; `rules_file` is the compiled file's path, relative to this one."""
    document = {
        "rule_files": [rules_file],
        "evaluation_interval": promql.duration(MINUTE_S),
        "tests": [_test(slo, case) for case in cases_of(slo, regions)],
    }
    return yaml.safe_dump(document, sort_keys=False, width=4_096, allow_unicode=True)


def cases_of(slo: Slo, regions: tuple[Region, ...]) -> tuple[Case, ...]:
    """The scenarios for `slo`; the first region is the one in trouble. `ValueError` without a region."""
    if not regions:
        msg = "a test needs at least one region to send traffic to"
        raise ValueError(msg)
    first = derive_tiers(slo)[0]
    return (
        _outage(slo, first, regions),
        _within_budget(slo, regions),
        _silence(slo, regions),
        _too_few_slow(slo, regions),
        _enough_slow(slo, first, regions),
        _borderline(slo, first, regions),
        _vanished(slo, regions),
    )


def _outage(slo: Slo, tier: Tier, regions: tuple[Region, ...]) -> Case:
    """Healthy, then down, then healthy again: told in time, not sooner than agreed, and told when it is over."""
    down_s = min(max(HISTORY_S_MIN, tier.long_s), HISTORY_S_MAX)
    too_soon_s = down_s + _minutes(slo.page_within_s - LAG_S)
    page_s = down_s + _minutes(slo.page_within_s)
    up_s = page_s + MINUTE_S
    over_s = up_s + tier.short_s + ENDS_AFTER_S
    traffic = (
        _healthy(down_s),
        Stretch(up_s - down_s, Decimal(0), EVENTS_PER_SCRAPE),
        _healthy(over_s - up_s),
    )
    # A window longer than the history fills sooner, so only the deadline can be held against it.
    patient = _quiet(slo, regions[0], too_soon_s, tier) if tier.long_s <= down_s else ()
    return Case(
        f"a total outage pages within {promql.duration(page_s - down_s)}, and the page ends with it",
        ((regions[0], traffic), *((region, (_healthy(over_s),)) for region in regions[1:])),
        (
            *_quiet(slo, regions[0], down_s),
            *patient,
            _count(page_s, _burning(slo, regions[0], tier), 1),
            *(_count(page_s, _burning(slo, region), 0) for region in regions[1:]),
            *_quiet(slo, regions[0], over_s, tier),
        ),
    )


def _within_budget(slo: Slo, regions: tuple[Region, ...]) -> Case:
    bad = EVENTS_PER_SCRAPE * exact_budget(slo) / 2
    steady = Stretch(2 * HISTORY_S_MIN, EVENTS_PER_SCRAPE - bad, bad)
    left = f"round({_region_series(RULE_BUDGET_REMAINING, slo, regions[0])}, 0.01)"
    return Case(
        "half the allowed bad requests spend half the budget and alert nobody",
        tuple((region, (steady,)) for region in regions),
        (
            *_quiet(slo, regions[0], steady.seconds),
            Expectation(steady.seconds, f"sum({left})", Decimal("0.5")),
        ),
    )


def _silence(slo: Slo, regions: tuple[Region, ...]) -> Case:
    left = _region_series(RULE_BUDGET_REMAINING, slo, regions[0])
    return Case(
        "silence is neither an outage nor missing data, and spends nothing",
        tuple((region, (_SILENT,)) for region in regions),
        (
            *_quiet(slo, regions[0], _SILENT.seconds),
            _count(_SILENT.seconds, _alerts(ALERT_SLO_NO_DATA, slo, regions[0]), 0),
            Expectation(_SILENT.seconds, f"sum({left})", Decimal(1)),
        ),
    )


def _too_few_slow(slo: Slo, regions: tuple[Region, ...]) -> Case:
    return Case(
        f"after silence {MIN_BAD - 1} slow requests alert nobody",
        ((regions[0], _burst(MIN_BAD - 1)),),
        _quiet(slo, regions[0], HEARD_S),
    )


def _enough_slow(slo: Slo, tier: Tier, regions: tuple[Region, ...]) -> Case:
    return Case(
        f"after silence {MIN_BAD} slow requests page",
        ((regions[0], _burst(MIN_BAD)),),
        (_count(HEARD_S, _burning(slo, regions[0], tier), 1),),
    )


def _burst(bad: Decimal | int, good: Decimal | int = 0) -> tuple[Stretch, ...]:
    """An hour of silence, one scrape with these events, and silence again."""
    return (_SILENT, Stretch(SCRAPE_S, Decimal(good), Decimal(bad)), _SILENT)


def _borderline(slo: Slo, tier: Tier, regions: tuple[Region, ...]) -> Case:
    """1.05 θ among so few requests that θ itself would give as much in two of five such samples."""
    requests = 2 * MIN_BAD / tier.theta
    bad = requests * tier.theta * Decimal("1.05")
    return Case(
        "a bad ratio just above the threshold is not significant in a small sample",
        ((regions[0], _burst(bad, good=requests - bad)),),
        _quiet(slo, regions[0], HEARD_S, tier),
    )


def _vanished(slo: Slo, regions: tuple[Region, ...]) -> Case:
    before_s = HISTORY_S_MIN // 2
    told_s = before_s + VANISHED_WITHIN_S
    return Case(
        "a region that stops reporting is missing data, not health; the others are not accused",
        (
            (regions[0], (_healthy(before_s),)),
            *((region, (_healthy(told_s),)) for region in regions[1:]),
        ),
        (
            _count(before_s, _alerts(ALERT_SLO_NO_DATA, slo, regions[0]), 0),
            _count(told_s, _alerts(ALERT_SLO_NO_DATA, slo, regions[0]), 1),
            *(_count(told_s, _alerts(ALERT_SLO_NO_DATA, slo, region), 0) for region in regions[1:]),
        ),
    )


def _minutes(seconds: float) -> int:
    """Down to the evaluation grid."""
    return int(seconds) // MINUTE_S * MINUTE_S


def _healthy(seconds: int) -> Stretch:
    return Stretch(seconds, EVENTS_PER_SCRAPE, Decimal(0))


def _quiet(slo: Slo, region: Region, at_s: int, tier: Tier | None = None) -> tuple[Expectation, ...]:
    return (_count(at_s, _burning(slo, region, tier), 0),)


def _burning(slo: Slo, region: Region, tier: Tier | None = None) -> str:
    only = (promql.equals(LABEL_TIER, str(tier.number)),) if tier is not None else ()
    return _alerts(ALERT_SLO_BURN, slo, region, *only)


def _alerts(alert: str, slo: Slo, region: Region, *more: promql.Matcher) -> str:
    return promql.selector(
        "ALERTS",
        promql.equals("alertname", alert),
        promql.equals("alertstate", "firing"),
        promql.equals(LABEL_SLO, slo.id),
        promql.equals(LABEL_REGION, region),
        *more,
    )


def _region_series(metric: str, slo: Slo, region: Region) -> str:
    return promql.selector(metric, promql.equals(LABEL_SLO, slo.id), promql.equals(LABEL_REGION, region))


def _count(at_s: int, series: str, value: int) -> Expectation:
    return Expectation(at_s, f"count({series}) or vector(0)", Decimal(value))


def _test(slo: Slo, case: Case) -> dict[str, object]:
    return {
        "name": case.name,
        "interval": promql.duration(SCRAPE_S),
        "input_series": [series for region, stretches in case.traffic for series in _series(slo, region, stretches)],
        "promql_expr_test": [
            {
                "expr": expected.expr,
                "eval_time": promql.duration(expected.at_s),
                "exp_samples": [{"labels": "{}", "value": float(expected.value)}],
            }
            for expected in case.expected
        ],
    }


def _series(slo: Slo, region: Region, stretches: tuple[Stretch, ...]) -> Iterator[dict[str, str]]:
    counts = {
        Outcome.GOOD: [(stretch.seconds, stretch.good) for stretch in stretches],
        Outcome.BAD: [(stretch.seconds, stretch.bad) for stretch in stretches],
    }
    for outcome, steps in counts.items():
        series = promql.selector(
            SLO_EVENTS_TOTAL,
            promql.equals(LABEL_JOB, JOB_REPLICAS),
            promql.equals(LABEL_REGION, region),
            promql.equals(LABEL_REPLICA, f"{region}-0"),
            promql.equals(LABEL_SLO, slo.id),
            promql.equals(LABEL_OUTCOME, outcome.value),
        )
        yield {"series": series, "values": _counter(steps)}


def _counter(steps: list[tuple[int, Decimal]]) -> str:
    """promtool's notation for a counter that grows by so much per scrape for so long: `0+300x120 36300+0x10`."""
    value = Decimal(0)
    parts: list[str] = []
    for seconds, per_scrape in steps:
        scrapes = seconds // SCRAPE_S
        start = value if not parts else value + per_scrape
        more = scrapes if not parts else scrapes - 1
        parts.append(f"{promql.number(start)}+{promql.number(per_scrape)}x{more}")
        value += per_scrape * scrapes
    return " ".join(parts)
