"""Raw series → events and bad events per minute and region: the only PromQL that depends on whose metrics they are.

Three things are the same for every source. The same target seen by both Prometheus servers of a high-availability pair
counts once. A region is whatever the series' `region` label says; series without that label add up to one region without a
name. And a pair of counts always comes from the same replicas, so that a series which one of them lacks is neither good nor
bad.

Known limit: the first sample of a new series has nothing to be compared with, so what it already counts is lost. Our own
replicas start their counters at zero; others may not.
"""

from dataclasses import dataclass, replace
from typing import assert_never

from contracts.metric_names import (
    JOB_REPLICAS,
    LABEL_JOB,
    LABEL_LE,
    LABEL_OUTCOME,
    LABEL_REGION,
    LABEL_SLO,
    RULE_EVENTS_BAD_INC1M,
    RULE_EVENTS_TOTAL_INC1M,
    SLO_EVENTS_TOTAL,
)
from contracts.vocabulary import Outcome, SloId
from slo_rules import promql
from slo_rules.indicators import (
    ClassicHistogram,
    Composite,
    EventRatio,
    ExactCounters,
    GaugeBound,
    NativeHistogram,
)
from slo_rules.model import Slo
from slo_rules.selectors import Selector, parse_selector

HA_LABELS = ("prometheus", "prometheus_replica")
"""What tells apart the servers of a pair that scrape the same targets (the Prometheus operator's external labels)."""
METRIC_LABEL = "__metric__"
"""Not `__name__`, which PromQL ignores when it compares labels. Names with two underscores belong to nobody's exporter."""
GAUGE_STEP_S = 30
"""How often a gauge is looked at: the slowest scrape that rules promise to work with."""
PART_DELAY_S = 60
"""A composite adds up what its parts recorded a minute ago. Rule groups run independently: the minute makes sure that every
sample of a part is there, and is read exactly once."""
BAD_WHEN = {"lt": ">=", "lte": ">", "gt": "<=", "gte": "<"}
"""The opposite of how the gauge has to relate to its bound. NaN is on neither side of it, and counts as no data."""


@dataclass(frozen=True, slots=True)
class EventExpressions:
    """PromQL for events and bad events per minute, by region (and `slo`, for our own counters)."""

    total: str
    bad: str


def raw_events(slo: Slo, range_s: int) -> EventExpressions:
    """What `slo` counts, looking back over `range_s` seconds; slices and exclusions are not in it yet."""
    indicator = slo.indicator
    match indicator:
        case ExactCounters():
            return _exact(slo.id, range_s)
        case ClassicHistogram():
            return _classic(indicator, range_s)
        case NativeHistogram():
            return _native(indicator, range_s)
        case EventRatio():
            return _ratio(indicator, range_s)
        case GaugeBound():
            return _gauge(indicator, range_s)
        case Composite():
            return _composite(indicator)
    assert_never(indicator)


def without_threshold_bucket(indicator: ClassicHistogram) -> str:
    """Series of the histogram that report all their requests, but not how many were within the threshold."""
    return f"{histogram_buckets(indicator, promql.equals(LABEL_LE, '+Inf'))} unless ignoring ({LABEL_LE}) {_threshold_bucket(indicator)}"


def histogram_buckets(indicator: ClassicHistogram, *more: promql.Matcher) -> str:
    """The histogram's `_bucket` series."""
    return str(_narrowed(parse_selector(indicator.selector), "_bucket", *more))


def once(series: str) -> str:
    """Samples of the same target from both servers of a pair as one sample."""
    return f"max without ({', '.join(HA_LABELS)}) ({series})"


def _exact(slo: SloId, range_s: int) -> EventExpressions:
    def count(*more: promql.Matcher) -> str:
        series = promql.selector(
            SLO_EVENTS_TOTAL, promql.equals(LABEL_JOB, JOB_REPLICAS), promql.equals(LABEL_SLO, slo), *more
        )
        rate = promql.rate(series, promql.duration(range_s))
        return f"60 * {promql.sum_by((LABEL_SLO, LABEL_REGION), once(rate))}"

    return EventExpressions(count(), count(promql.equals(LABEL_OUTCOME, Outcome.BAD.value)))


def _classic(indicator: ClassicHistogram, range_s: int) -> EventExpressions:
    """Bad is what is not in the threshold's bucket. All counts are of the replicas that have it."""
    everything = promql.rate(histogram_buckets(indicator, promql.equals(LABEL_LE, "+Inf")), promql.duration(range_s))
    total = _by_region(f"{everything} and ignoring ({LABEL_LE}) {_threshold_bucket(indicator)}")
    good = _by_region(promql.rate(_threshold_bucket(indicator), promql.duration(range_s)))
    # Below zero only when a scrape falls between the two samples: buckets of one scrape never shrink.
    return EventExpressions(total, f"clamp_min({total} - {good}, 0)")


def _native(indicator: NativeHistogram, range_s: int) -> EventExpressions:
    """`histogram_fraction` of silence is NaN, which no comparison holds for: then nothing was bad."""
    rate = promql.rate(str(parse_selector(indicator.selector)), promql.duration(range_s))
    count = f"histogram_count({rate})"
    bad = f"{count} * (1 - histogram_fraction(-Inf, {promql.number(indicator.threshold)}, {rate})) >= 0 or 0 * {count}"
    return EventExpressions(_by_region(count), _by_region(bad))


def _ratio(indicator: EventRatio, range_s: int) -> EventExpressions:
    """A counter that is not there has counted nothing, as long as there is a total to compare with."""
    total = _counted(indicator.total, range_s)
    if indicator.good is not None:
        good = _counted(indicator.good, range_s)
        return EventExpressions(total, f"clamp_min({total} - ({good} or 0 * {total}), 0)")
    bad = _counted(indicator.bad or "", range_s)
    return EventExpressions(total, f"({bad} or 0 * {total}) and {total}")


def _gauge(indicator: GaugeBound, range_s: int) -> EventExpressions:
    """Its samples are the events."""
    gauge, window = (
        str(parse_selector(indicator.selector)),
        f"{promql.duration(range_s)}:{promql.duration(GAUGE_STEP_S)}",
    )
    broken = f"{gauge} {BAD_WHEN[indicator.operator]} bool {promql.number(indicator.bound)}"
    return EventExpressions(
        _sum_by_region(once(f"count_over_time(({gauge} == {gauge})[{window}])")),
        _sum_by_region(once(f"sum_over_time(({broken})[{window}])")),
    )


def _composite(indicator: Composite) -> EventExpressions:
    """Parts differ in their `slo` label, so `or` keeps all that are there, and the sum is of those."""

    def added(record: str) -> str:
        parts = (
            f"{promql.number(part.weight)} * "
            f"{promql.selector(record, promql.equals(LABEL_SLO, part.slo))} offset {promql.duration(PART_DELAY_S)}"
            for part in indicator.parts
        )
        return _sum_by_region(" or ".join(parts))

    return EventExpressions(added(RULE_EVENTS_TOTAL_INC1M), added(RULE_EVENTS_BAD_INC1M))


def _threshold_bucket(indicator: ClassicHistogram) -> str:
    return histogram_buckets(indicator, promql.bucket_edge(indicator.threshold))


def _counted(selector: str, range_s: int) -> str:
    """Events per minute of counters. `rate` drops the metric's name, so several metrics are kept apart by a label."""
    found, window = parse_selector(selector), promql.duration(range_s)
    if len(found.metrics) == 1:
        return _by_region(promql.rate(str(found), window))
    rates = (
        f"label_replace({once(promql.rate(str(replace(found, metrics=(metric,))), window))}, "
        f'"{METRIC_LABEL}", {promql.quote(metric)}, "", "")'
        for metric in found.metrics
    )
    return f"60 * {_sum_by_region(' or '.join(rates))}"


def _narrowed(found: Selector, suffix: str, *more: promql.Matcher) -> Selector:
    return replace(found, metrics=tuple(metric + suffix for metric in found.metrics), matchers=(*found.matchers, *more))


def _by_region(rate: str) -> str:
    return f"60 * {_sum_by_region(once(rate))}"


def _sum_by_region(series: str) -> str:
    return promql.sum_by((LABEL_REGION,), series)
