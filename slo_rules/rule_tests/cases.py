"""Scenarios that hold every compiled SLO to its promises, whatever its events come from.

The first region is the one in trouble; the others are there to be left alone. Traffic is ten requests per second unless a
case says otherwise, and scrapes come every 30 s, the slowest that the rules promise to work with.
"""

from dataclasses import dataclass, replace
from decimal import Decimal

from contracts.metric_names import (
    ALERT_SLO_BUCKET_MISSING,
    ALERT_SLO_NO_DATA,
    RULE_BUDGET_REMAINING,
    RULE_COVERAGE,
    RULE_EVENTS_BAD_INC1M,
    RULE_EVENTS_TOTAL_INC1M,
    RULE_LATENCY_QUANTILE,
    RULE_OBJECTIVE,
    RULE_SLO_INFO,
    RULE_TIER_THRESHOLD,
)
from contracts.vocabulary import Region
from slo_rules import promql
from slo_rules.indicators import ClassicHistogram, NativeHistogram
from slo_rules.rule_tests.expect import Case, Expectation, Tested
from slo_rules.rule_tests.shape import EVENTS_PER_MINUTE
from slo_rules.rule_tests.traffic import MINUTE_S, Absence, Replica, Stretch
from slo_rules.rules.latency import QUANTILES
from slo_rules.rules.states import TRAFFIC_RANGE_S, SloState
from slo_rules.tiers import exact_budget

SCRAPE_S = 30
"""The slowest scrape the rules promise to work with."""
EVENTS_PER_SCRAPE = EVENTS_PER_MINUTE * SCRAPE_S / MINUTE_S
HISTORY_S = 600
SILENCE_S = TRAFFIC_RANGE_S + 5 * MINUTE_S
"""Until the last request is so long ago that there is no traffic."""
COVERED_S = 1_920
"""Half an hour and a little, a multiple of the four minutes that are summed first."""
VANISHED_WITHIN_S = 300
"""Two minutes until `rate` sees nothing, two of patience, one for the evaluation grid."""


def everyday_cases(tested: Tested) -> tuple[Case, ...]:
    """What happens to every service sooner or later, but for burns: those are about tiers."""
    shape = tested.shape
    return (
        _within_budget(tested),
        _beyond_budget(tested),
        *((_silence(tested),) if shape.has_silence else ()),
        _nothing(tested),
        _vanished(tested),
        *((_restarted(tested),) if shape.counts_events_somewhere else ()),
        _replaced(tested),
        _earlier_revision(tested),
        *(_without_bucket(tested) if isinstance(tested.slo.indicator, ClassicHistogram) else ()),
    )


@dataclass(frozen=True, slots=True)
class _Steady:
    """Traffic that spends half the budget, or none where whole minutes are good or bad; and what is left of it."""

    bad: Decimal
    left: str

    @classmethod
    def of(cls, tested: Tested) -> "_Steady":
        if tested.shape.slices:
            return cls(Decimal(0), "1")
        return cls(EVENTS_PER_SCRAPE * exact_budget(tested.slo) / 2, "0.5")

    def stretch(self, seconds: int, *, restart: bool = False) -> Stretch:
        return Stretch(seconds, EVENTS_PER_SCRAPE - self.bad, self.bad, restart=restart)


def _within_budget(tested: Tested) -> Case:
    end_s = 2 * HISTORY_S
    has_latency = isinstance(tested.slo.indicator, ClassicHistogram) and not tested.shape.slices
    return Case(
        "half the allowed bad requests spend half the budget and alert nobody",
        tuple(_spending(tested, region, Decimal("0.5"), end_s) for region in tested.regions),
        (
            tested.quiet(end_s),
            tested.budget_left(end_s, "0.5"),
            tested.in_state(end_s, SloState.OK),
            Expectation(end_s, f"sum({tested.of_slo(RULE_OBJECTIVE)})", Decimal(str(tested.slo.objective))),
            tested.count(end_s, tested.of_slo(RULE_TIER_THRESHOLD), len(tested.tiers)),
            *((tested.count(end_s, tested.series(RULE_LATENCY_QUANTILE), len(QUANTILES)),) if has_latency else ()),
        ),
    )


def _beyond_budget(tested: Tested) -> Case:
    return Case(
        "more bad requests than allowed are a breach",
        (_spending(tested, tested.regions[0], Decimal("1.5"), HISTORY_S),),
        (tested.budget_left(HISTORY_S, "-0.5"), tested.in_state(HISTORY_S, SloState.BREACH)),
    )


def _spending(tested: Tested, region: Region, share: Decimal, seconds: int) -> Replica:
    """Steady traffic that spends this share of the budget. Time slices are given as counted: none is a little bad."""
    events = tested.shape.healthy_minute * SCRAPE_S / MINUTE_S if tested.shape.slices else EVENTS_PER_SCRAPE
    bad = events * exact_budget(tested.slo) * share
    return Replica(region, (Stretch(seconds, events - bad, bad),), recorded=tested.shape.slices)


def coverage_case(tested: Tested) -> Case:
    """Half an hour of counts, and none for another half."""
    counts, region = tested.shape.healthy_minute, tested.regions[0]
    spent = counts * exact_budget(tested.slo) / 2
    half = Stretch(COVERED_S, counts - spent, spent)
    seen = "always there"
    return Case(
        "time without counts spends nothing, and is missing in the coverage",
        (
            Replica(region, (half,), recorded=True),
            Replica(Region(seen), (replace(half, seconds=2 * COVERED_S),), recorded=True),
        ),
        tuple(
            expected
            for where, share in ((region, "0.5"), (Region(seen), "1"))
            for expected in (
                tested.budget_left(2 * COVERED_S, "0.5", where),
                Expectation(2 * COVERED_S, f"sum(round({tested.series(RULE_COVERAGE, where)}, 0.1))", Decimal(share)),
            )
        ),
    )


def _silence(tested: Tested) -> Case:
    stretches = (Stretch(5 * MINUTE_S, EVENTS_PER_SCRAPE, Decimal(0)), Stretch(SILENCE_S, Decimal(0), Decimal(0)))
    end_s = 5 * MINUTE_S + SILENCE_S
    never = Region("never asked")
    return Case(
        "silence is neither an outage nor missing data, and spends nothing",
        (
            *(Replica(region, stretches) for region in tested.regions),
            Replica(never, (Stretch(end_s, Decimal(0), Decimal(0)),)),
        ),
        (
            tested.quiet(end_s),
            tested.count(end_s, tested.alerts(ALERT_SLO_NO_DATA), 0),
            *(tested.budget_left(end_s, "1", region) for region in (tested.regions[0], never)),
            *(tested.in_state(end_s, SloState.NO_TRAFFIC, region) for region in (tested.regions[0], never)),
        ),
    )


def _nothing(tested: Tested) -> Case:
    """No replica anywhere, from the first day on: a typing error in a selector looks like this."""
    end_s = VANISHED_WITHIN_S
    return Case(
        "where nothing ever reports, every expected region is missing data and none was observed",
        (),
        (
            tested.quiet(end_s),
            *(tested.count(end_s, tested.alerts(ALERT_SLO_NO_DATA, region), 1) for region in tested.regions),
            *(tested.in_state(end_s, SloState.NO_DATA, region) for region in tested.regions),
            *(
                Expectation(end_s, f"sum({tested.series(RULE_COVERAGE, region)})", Decimal(0))
                for region in tested.regions
            ),
        ),
    )


def _vanished(tested: Tested) -> Case:
    """Ten minutes of health: then the last value is stale, or forgotten by `rate`."""
    before_s = 10 * MINUTE_S
    told_s = before_s + VANISHED_WITHIN_S + tested.shape.delay_s + max(0, tested.shape.range_s - 2 * MINUTE_S)
    healthy = Stretch(told_s, EVENTS_PER_SCRAPE, Decimal(0))
    others = tested.regions[1:]
    return Case(
        "a region that stops reporting is missing data, not health; the others are not accused",
        (
            Replica(tested.regions[0], (Stretch(before_s, EVENTS_PER_SCRAPE, Decimal(0)),)),
            *(Replica(region, (healthy,)) for region in others),
        ),
        (
            tested.count(before_s, tested.alerts(ALERT_SLO_NO_DATA), 0),
            tested.in_state(before_s, SloState.OK),
            tested.count(told_s, tested.alerts(ALERT_SLO_NO_DATA), 1),
            tested.in_state(told_s, SloState.NO_DATA),
            *(tested.count(told_s, tested.alerts(ALERT_SLO_NO_DATA, region), 0) for region in others),
            *(tested.in_state(told_s, SloState.OK, region) for region in others),
        ),
    )


def _restarted(tested: Tested) -> Case:
    """Counters that fall to zero, seen by two servers: what was counted stays counted, once, and nothing is counted backwards."""
    steady, end_s = _Steady.of(tested), 2 * HISTORY_S
    stretches = (steady.stretch(HISTORY_S), steady.stretch(HISTORY_S, restart=True))
    lowest = f"min_over_time({tested.series(RULE_EVENTS_TOTAL_INC1M)}[{promql.duration(HISTORY_S)}])"
    return Case(
        "a replica that restarts loses no event that was scraped; what a pair of servers sees counts once, and never below 0",
        tuple(Replica(tested.regions[0], stretches, seen_by=server) for server in ("a", "b")),
        (
            tested.quiet(end_s),
            tested.budget_left(end_s, steady.left),
            Expectation(end_s, f"sum(round({lowest}, 0.01))", tested.shape.healthy_minute),
        ),
    )


def _replaced(tested: Tested) -> Case:
    """One replica ends, another begins: the sum by region goes on, whatever the new one is called."""
    steady, end_s = _Steady.of(tested), 2 * HISTORY_S
    return Case(
        "a replica that takes another's place goes on with the same series",
        (
            Replica(tested.regions[0], (steady.stretch(HISTORY_S),), "old"),
            Replica(tested.regions[0], (Absence(HISTORY_S), steady.stretch(HISTORY_S)), "new"),
        ),
        (
            tested.quiet(end_s),
            tested.count(end_s, tested.series(RULE_EVENTS_TOTAL_INC1M), 1),
            tested.budget_left(end_s, steady.left),
        ),
    )


def _earlier_revision(tested: Tested) -> Case:
    """History recorded by an earlier revision of the SLO, another owner's, and then what this one records."""
    counts = tested.shape.healthy_minute * SCRAPE_S / MINUTE_S
    spent = counts * exact_budget(tested.slo)
    end_s = 2 * HISTORY_S
    info = tested.of_slo(RULE_SLO_INFO, promql.equals("owner", tested.slo.owner))
    return Case(
        "what an earlier revision recorded counts on when the owner changes",
        _after(tested, Stretch(HISTORY_S, counts - spent, spent)),
        (
            tested.count(end_s, tested.series(RULE_BUDGET_REMAINING), 1),
            tested.count(end_s, tested.series(RULE_EVENTS_BAD_INC1M), 1),
            tested.count(end_s, f"{tested.series(RULE_BUDGET_REMAINING)} > 0.2 < 0.8", 1),
            tested.count(end_s, info, 1),
        ),
    )


def _after(tested: Tested, old: Stretch) -> tuple[Replica, ...]:
    """What was recorded, and then health; both as recorded where no counter can be given."""
    healthy = Stretch(HISTORY_S, EVENTS_PER_SCRAPE, Decimal(0))
    region = tested.regions[0]
    if isinstance(tested.slo.indicator, NativeHistogram):
        counts = tested.shape.healthy_minute * SCRAPE_S / MINUTE_S
        return (Replica(region, (old, Stretch(HISTORY_S, counts, Decimal(0))), recorded=True),)
    return Replica(region, (Absence(HISTORY_S), healthy)), Replica(region, (old,), recorded=True)


def _without_bucket(tested: Tested) -> tuple[Case, Case]:
    """Replicas whose histogram has no bucket at the threshold: nobody knows how many of their requests were slow."""
    end_s = HISTORY_S
    healthy = (Stretch(end_s, EVENTS_PER_SCRAPE, Decimal(0)),)
    region, *others = tested.regions
    counted = tested.series(RULE_EVENTS_TOTAL_INC1M)
    told = tested.count(end_s, tested.alerts(ALERT_SLO_BUCKET_MISSING), 1)
    return (
        Case(
            "a replica without the bucket is reported, and no request of it counts as slow",
            (
                Replica(region, healthy),
                Replica(region, healthy, "bare", has_bucket=False),
                *(Replica(other, healthy) for other in others),
            ),
            (
                told,
                tested.quiet(end_s),
                tested.budget_left(end_s, "1"),
                Expectation(end_s, f"sum(round({counted}, 0.01))", tested.shape.healthy_minute),
                tested.count(end_s, tested.alerts(ALERT_SLO_NO_DATA), 0),
                *(tested.count(end_s, tested.alerts(ALERT_SLO_BUCKET_MISSING, other), 0) for other in others),
            ),
        ),
        Case(
            "a region without the bucket is reported as such and as missing data, and pages no burn",
            (Replica(region, healthy, has_bucket=False), *(Replica(other, healthy) for other in others)),
            (told, tested.quiet(end_s), tested.count(end_s, tested.alerts(ALERT_SLO_NO_DATA), 1)),
        ),
    )
