"""Events as PromQL: what the expression for each source has to contain, and what it must never do."""

import pytest

from contracts.vocabulary import SloId
from slo_rules import promql
from slo_rules.errors import SloError
from slo_rules.indicators import (
    ClassicHistogram,
    Composite,
    EventRatio,
    ExactCounters,
    GaugeBound,
    NativeHistogram,
    Part,
)
from slo_rules.model import Slo
from slo_rules.rules.events import events_of
from slo_rules.rules.exclusions import excluded
from slo_rules.windows import Exclusion, Slices, Weekday, WeeklyExclusion

ONCE = "max without (prometheus, prometheus_replica)"


def slo(indicator, **fields) -> Slo:
    return Slo(SloId("x"), 0.95, indicator, **fields)


@pytest.mark.parametrize(
    ("edge", "matcher"),
    [
        (0.2, 'le="0.2"'),
        (1, r'le=~"1(\\.0)?"'),
        (100.0, r'le=~"100(\\.0)?"'),
        (1_800_000, r'le=~"1800000(\\.0)?|1\\.8e\\+06"'),
        (0.00005, r'le=~"0\\.00005|5e-05"'),
    ],
)
def test_a_bucket_is_found_in_every_spelling_of_its_edge(edge, matcher):
    assert str(promql.bucket_edge(edge)) == matcher


def test_a_native_histogram_is_counted_and_interpolated_by_prometheus():
    events = events_of(slo(NativeHistogram('h{app="tts"}', 0.2)), {})
    rate = 'rate(h{app="tts"}[2m])'
    assert events.total == f"60 * sum by (region) ({ONCE} (histogram_count({rate})))"
    assert f"histogram_fraction(-Inf, 0.2, {rate})" in events.bad
    assert events.bad.endswith(f">= 0 or 0 * histogram_count({rate})))")  # silence: a share of nothing is NaN


def test_several_metrics_are_added_up_and_not_taken_for_each_other():
    total = events_of(slo(EventRatio('{__name__=~"a|b"}', bad="c")), {}).total
    assert total.count("label_replace") == 2
    assert '"__metric__", "a"' in total


@pytest.mark.parametrize(("operator", "broken"), [("lt", ">="), ("lte", ">"), ("gt", "<="), ("gte", "<")])
def test_a_gauge_is_bad_where_its_bound_does_not_hold(operator, broken):
    bad = events_of(slo(GaugeBound("g", -1.5, operator), slices=Slices()), {}).bad
    assert f"sum_over_time((g {broken} bool -1.5)[1m:30s])" in bad


def test_a_composite_reads_what_its_parts_recorded_a_minute_ago():
    parts = {SloId(name): Slo(SloId(name), 0.95, ExactCounters(0.2)) for name in "ab"}
    events = events_of(slo(Composite((Part(SloId("a")), Part(SloId("b"), 0.5)))), parts)
    assert events.total == (
        'sum by (region) (1 * slo:events_total:inc1m{slo="a"} offset 1m or 0.5 * slo:events_total:inc1m{slo="b"} offset 1m)'
    )


def test_slices_look_back_over_their_length_and_count_a_minutes_share():
    events = events_of(slo(ExactCounters(0.2), slices=Slices(600, 0.9)), {})
    assert "[10m]" in events.total
    assert events.total.endswith("> bool 0) / 10")
    assert "> bool 0.1000000001 * (" in events.bad


def test_maintenance_lasts_until_rates_have_forgotten_it():
    assert excluded((Exclusion(1_000, 1_600),), range_s=120) == "vector(time() - 1000) > 0 < 720"
    weekly = WeeklyExclusion(Weekday.SUNDAY, 60, 120)
    assert excluded((weekly,), range_s=120, delay_s=60) == (
        f"vector((time() - {3 * 86_400 + 3_600 + 60}) % 604800) > 0 < 3720"
    )
    with pytest.raises(ValueError, match="nothing"):
        excluded((), range_s=120)


@pytest.mark.parametrize(
    ("make", "field"),
    [
        (lambda: ClassicHistogram("sum(h)", 1), "selector"),
        (lambda: ClassicHistogram("h_bucket", 1), "selector"),
        (lambda: ClassicHistogram('h{le="1"}', 1), "selector"),
        (lambda: NativeHistogram('{__name__=~"a|b"}', 1), "selector"),
        (lambda: EventRatio("t[5m]", bad="b"), "total"),
        (lambda: EventRatio("t", bad="b} or vector(1"), "bad"),
        (lambda: EventRatio("t", good=""), "good"),
        (lambda: GaugeBound("g", float("inf")), "bound"),
        (lambda: GaugeBound('{__name__=~"a|b"}', 1), "selector"),
    ],
)
def test_a_source_that_is_no_series_is_refused_where_it_is_written(make, field):
    with pytest.raises(SloError) as caught:
        make()
    assert caught.value.field == field
