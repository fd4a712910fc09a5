"""What compiled rules say about real series, source by source: promtool evaluates the file that ships."""

import pytest

from contracts.vocabulary import SloId
from slo_rules.indicators import (
    ClassicHistogram,
    Composite,
    EventRatio,
    ExactCounters,
    GaugeBound,
    Part,
)
from slo_rules.model import Slo
from slo_rules.windows import (
    CalendarUnit,
    CalendarWindow,
    Exclusion,
    RollingWindow,
    Slices,
    Weekday,
    WeeklyExclusion,
)
from tests.unit.slo_rules.slo_promtool import EU, US, Story, firing, judge, per_scrape

pytestmark = pytest.mark.prometheus
DAY = RollingWindow(86_400)
TOTAL, BAD = "slo:events_total:inc1m", "slo:events_bad:inc1m"
LEFT = "slo:error_budget_remaining:ratio"


def slo(name, indicator, objective=0.95, **fields):
    return Slo(SloId(name), objective, indicator, **{"window": DAY, **fields})


def state(name, region="eu"):
    return f'slo:state{{slo="x",region="{region}",state="{name}"}}'


HISTOGRAM = slo("x", ClassicHistogram('h{app="tts"}', 1))


def buckets(replica, counts, edge="1"):
    """(minutes, requests per scrape, of them within the edge)."""
    labels = f'app="tts",instance="{replica}",region="eu"'
    everything = {f'h_bucket{{{labels},le="+Inf"}}': per_scrape(*((minutes, count) for minutes, count, _ in counts))}
    within = {f'h_bucket{{{labels},le="{edge}"}}': per_scrape(*((minutes, good) for minutes, _, good in counts))}
    return everything | (within if edge else {})


def counters(slo_id, region, counts, more=""):
    """(minutes, good per scrape, bad per scrape) of our own replicas."""
    series = f'slo_events_total{{job="tts",slo="{slo_id}",region="{region}",replica="{region}-0"{more},outcome='
    return {
        f'{series}"good"}}': per_scrape(*((minutes, good) for minutes, good, _ in counts)),
        f'{series}"bad"}}': per_scrape(*((minutes, bad) for minutes, _, bad in counts)),
    }


EXACT = slo("x", ExactCounters(0.2))
MAINTENANCE = slo("x", ExactCounters(0.2), 0.8, exclusions=(Exclusion(3_600, 7_200),))
SHORT_DAY = 1_774_738_800
"""2026-03-28 23:00 UTC: midnight in Berlin, and this day has 23 hours."""
NEW_YEAR = 1_798_758_000
"""2026-12-31 23:00 UTC."""

STORIES = {
    "a replica without the bucket is left out and reported, and nobody is accused": Story(
        (HISTOGRAM,),
        buckets("a", [(30, 300, 300)]) | buckets("b", [(30, 300, 0)], edge=""),
        (
            (30, TOTAL, 600),
            (30, BAD, 0),
            (30, firing("SLOBucketMissing", region="eu"), 1),
            (30, firing("SLOBurn"), 0),
            (30, firing("SLONoData"), 0),
            (30, state("ok"), 1),
        ),
    ),
    "a bucket that nobody has is no data, not health and not an outage": Story(
        (HISTOGRAM,),
        buckets("a", [(30, 300, 0)], edge=""),
        ((30, firing("SLOBucketMissing"), 1), (30, firing("SLONoData"), 1), (30, state("no_data"), 1)),
    ),
    "what is beyond the edge is bad, in Prometheus 3's spelling too": Story(
        (HISTOGRAM,),
        buckets("a", [(60, 300, 285)]) | buckets("b", [(60, 300, 285)], edge="1.0"),
        ((60, TOTAL, 1200), (60, BAD, 60), (60, f"{LEFT}", 0), (60, firing("SLOBucketMissing"), 0)),
    ),
    "a replica restarts and its counters begin anew": Story(
        (HISTOGRAM,),
        buckets("a", [(30, 300, 150), (30, 300, 150)]),
        ((60, f"{LEFT} < bool 0", 1), (60, BAD, 300), (60, 'slo:latency:quantile{quantile="0.5"}', 1)),
    ),
    "bad events that were never counted are none, but only where there is a total": Story(
        (slo("x", EventRatio("t", bad='t{code="500"}')),),
        {'t{region="eu",code="200"}': per_scrape((30, 300)), 't{region="us",code="500"}': per_scrape((30, 3))},
        (
            (30, f'{TOTAL}{{region="eu"}}', 600),
            (30, f'{BAD}{{region="eu"}}', 0),
            (30, f'{TOTAL}{{region="us"}}', 6),
            (30, f'{BAD}{{region="us"}}', 6),
        ),
        regions=(EU, US),
    ),
    "without a single good event all of them are bad": Story(
        (slo("x", EventRatio('{__name__=~"a_total|b_total"}', good="ok_total")),),
        {'a_total{region="eu"}': per_scrape((30, 300)), 'b_total{region="eu"}': per_scrape((30, 30))},
        ((30, TOTAL, 660), (30, BAD, 660)),
    ),
    "series without a region speak for all regions, and their silence for all": Story(
        (slo("x", EventRatio("t", bad="b")),),
        {"t": per_scrape((30, 300)) + " _x40"},
        (
            (30, f'{TOTAL}{{region=""}}', 600),
            (30, firing("SLONoData"), 0),
            (30, 'slo:state{state="ok"}', 1),
            (30, 'slo:state{state="no_data"}', 0),
            (40, firing("SLONoData"), 2),
            (40, 'slo:state{state="no_data"}', 2),
        ),
        regions=(EU, US),
    ),
    "a gauge is bad in the minutes in which it breaks its bound, and NaN is no data": Story(
        (slo("x", GaugeBound("queue", 5), 0.8, slices=Slices(60), page_within_s=600.0),),
        {'queue{region="eu"}': " ".join(("5x119 6x59", *["NaN"] * 60))},
        (
            (59, f"sum_over_time({BAD}[1h])", 0),
            (89, f"sum_over_time({TOTAL}[59m30s])", 60),
            (89, f"sum_over_time({BAD}[59m30s])", 30),
            (100, f"{TOTAL} or vector(0)", 0),
        ),
    ),
    "time slices: bad ones, good ones with bad events, and silent ones that are none": Story(
        (slo("x", ExactCounters(0.2), 0.8, slices=Slices(60, 0.9)),),
        counters("x", "eu", [(60, 270, 30), (60, 200, 100), (60, 0, 0)]),
        (
            (60, f"sum_over_time({TOTAL}[59m30s])", 60),
            (60, f"sum_over_time({BAD}[59m30s])", 0),
            (120, f"sum_over_time({BAD}[58m30s])", 59),
            (180, f"sum_over_time({TOTAL}[57m30s])", 0),
            (180, state("no_traffic"), 1),
        ),
    ),
    "slices of five minutes: twelve an hour, bad ones at once and for as long as they overlap": Story(
        (slo("x", ExactCounters(0.2), 0.9, slices=Slices(300, 0.9)),),
        counters("x", "eu", [(60, 300, 0), (10, 0, 300), (60, 300, 0)]),
        (
            (60, f"sum_over_time({TOTAL}[59m30s])", 12),
            (68, firing("SLOBurn", severity="page", tier="1"), 1),
            (62, BAD, 0.2),
            (74, BAD, 0.2),
            (76, BAD, 0),
            (130, f"{LEFT} < bool 0", 1),
        ),
    ),
    "an hour of maintenance gives the budget of the same traffic without that hour": Story(
        (MAINTENANCE,),
        counters("x", "eu", [(60, 270, 30), (60, 0, 9_000), (60, 270, 30)]),
        (
            (60, LEFT, 0.5),
            (90, firing("SLOBurn"), 0),
            (90, f"{TOTAL} or vector(0)", 0),
            (110, state("no_traffic"), 1),
            (180, LEFT, 0.5),
            (180, "slo:coverage:ratio > bool 0.98", 1),
            (180, firing("SLOBurn"), 0),
        ),
    ),
    "the same traffic without maintenance is a catastrophe": Story(
        (slo("x", ExactCounters(0.2), 0.8),),
        counters("x", "eu", [(60, 270, 30), (60, 0, 9_000), (60, 270, 30)]),
        ((180, f"{LEFT} < bool -3", 1), (90, firing("SLOBurn", tier="1"), 1)),
    ),
    "who is away during maintenance is not missed, and afterwards is": Story(
        (MAINTENANCE,),
        {series: f"{values} _x200" for series, values in counters("x", "eu", [(60, 300, 0)]).items()},
        (
            (100, firing("SLONoData"), 0),
            (100, 'slo:state{state="no_data"}', 0),
            (121, firing("SLONoData"), 0),
            (126, firing("SLONoData"), 1),
            (126, state("no_data"), 1),
        ),
    ),
    "weekly maintenance: 1970 began on a Thursday": Story(
        (
            slo(
                "x",
                ExactCounters(0.2),
                0.8,
                exclusions=(WeeklyExclusion(Weekday.THURSDAY, 20, 40), WeeklyExclusion(Weekday.FRIDAY, 50, 60)),
            ),
        ),
        counters("x", "eu", [(60, 300, 0)]),
        ((20, f"count({TOTAL})", 1), (21, f"count({TOTAL}) or vector(0)", 0), (42, TOTAL, 600), (55, TOTAL, 600)),
    ),
    "a month's budget is whole again with the month": Story(
        (slo("x", ExactCounters(0.2), 0.9, window=CalendarWindow(CalendarUnit.MONTH)),),
        counters("x", "eu", [(60, 200, 100), (60, 300, 0), (60, 200, 100)]),
        (
            (59, f"{LEFT} < bool -2", 1),
            (64, 'slo:window_start:seconds{slo="x"}', 1_798_761_600),
            (118, f"{LEFT} > bool 0.95", 1),
            (180, f"{LEFT} < bool 0", 1),
            (180, 'slo:coverage:ratio{window="month"}', 1),
        ),
        begins_unix_s=NEW_YEAR,
    ),
    "a day of 23 hours ends an hour sooner": Story(
        (slo("x", ExactCounters(0.2), 0.9, window=CalendarWindow(CalendarUnit.DAY, "Europe/Berlin")),),
        counters("x", "eu", [(120, 30, 0), (60, 0, 30), (60, 30, 0)]),
        (
            (118, 'slo:window_start:seconds{slo="x"}', SHORT_DAY),
            (176, f"{LEFT} < bool -2", 1),
            (238, 'slo:window_start:seconds{slo="x"}', SHORT_DAY + 23 * 3_600),
            (238, f"{LEFT} > bool 0.9", 1),
        ),
        begins_unix_s=SHORT_DAY + 20 * 3_600,
    ),
    "a composite adds up the weighted events of its parts, and of those that are there": Story(
        (
            slo("a", ExactCounters(0.2)),
            slo("b", ExactCounters(0.5)),
            slo("x", Composite((Part(SloId("a")), Part(SloId("b"), 2.5)))),
        ),
        counters("a", "eu", [(60, 200, 10)])
        | counters("b", "eu", [(60, 100, 20)])
        | counters("a", "us", [(60, 200, 10)]),
        (
            (60, f'{TOTAL}{{slo="x",region="eu"}}', 2 * (210 + 2.5 * 120)),
            (60, f'{BAD}{{slo="x",region="eu"}}', 2 * (10 + 2.5 * 20)),
            (60, f'{TOTAL}{{slo="x",region="us"}}', 420),
            (60, f'sum_over_time({BAD}{{slo="x"}}[30m]) - sum_over_time({BAD}{{slo="x"}}[29m])', 140),
            (60, firing("SLONoData", slo="x"), 0),
        ),
        regions=(EU, US),
    ),
    "a composite whose parts are in maintenance is not missing": Story(
        (
            slo("a", ExactCounters(0.2), exclusions=(Exclusion(1_200, 3_600),)),
            slo("b", ExactCounters(0.5), exclusions=(Exclusion(1_200, 3_600),)),
            slo("x", Composite((Part(SloId("a")), Part(SloId("b"))))),
        ),
        counters("a", "eu", [(70, 300, 0)]) | counters("b", "eu", [(70, 300, 0)]),
        ((40, f"count({TOTAL}) or vector(0)", 0), (40, firing("SLONoData"), 0), (70, firing("SLONoData"), 0)),
    ),
    "a child pages nobody where its parent burns, and everybody where it does not": Story(
        (
            slo("parent", ExactCounters(0.2)),
            slo("child", ExactCounters(0.2), depends_on=SloId("parent"), page_within_s=540.0),
            slo("grandchild", ExactCounters(0.2), depends_on=SloId("child"), page_within_s=540.0),
        ),
        counters("parent", "eu", [(60, 300, 0), (20, 0, 300)])
        | counters("child", "eu", [(60, 300, 0), (20, 0, 300)])
        | counters("grandchild", "eu", [(60, 300, 0), (20, 0, 300)])
        | counters("parent", "us", [(80, 300, 0)])
        | counters("child", "us", [(60, 300, 0), (20, 0, 300)])
        | counters("grandchild", "us", [(60, 300, 0), (20, 0, 300)]),
        tuple(
            (minute, firing("SLOBurn", slo=name, region=region, tier="1"), value)
            for minute, name, region, value in (
                (69, "parent", "eu", 1),
                (69, "child", "eu", 0),
                (69, "grandchild", "eu", 0),
                (80, "child", "eu", 0),
                (80, "grandchild", "eu", 0),
                (69, "parent", "us", 0),
                (69, "child", "us", 1),
                (69, "grandchild", "us", 0),
            )
        ),
        regions=(EU, US),
    ),
    "the same replica seen by both Prometheus of a pair counts once": Story(
        (EXACT,),
        counters("x", "eu", [(60, 270, 30)], ',prometheus_replica="a"')
        | counters("x", "eu", [(60, 270, 30)], ',prometheus_replica="b"'),
        ((60, TOTAL, 600), (60, BAD, 60), (60, f"{LEFT}", -1)),
    ),
    "what the other Prometheus of a pair has recorded breaks no rule": Story(
        (EXACT,),
        counters("x", "eu", [(60, 300, 0)])
        | {
            f'{record}{{slo="x",region="eu",prometheus_replica="b"{more}}}': f"{value}x120"
            for record, more, value in (
                (TOTAL, "", 600),
                (BAD, "", 0),
                (LEFT, ',window="1d"', 1),
                ("slo:state", ',state="no_data"', 0),
                ("slo:coverage:ratio", ',window="1d"', 1),
            )
        },
        ((60, f"count({LEFT})", 2), (60, state("ok"), 1), (60, "count(slo:coverage:ratio)", 2)),
    ),
    "a new owner is a new label of the info alone; the budget goes on": Story(
        (slo("x", ExactCounters(0.2), owner="platform"),),
        counters("x", "eu", [(60, 290, 10)])
        | {'slo_info{slo="x",objective="0.95",owner="speech",sli="total",window="1d"}': "1x120"},
        ((60, "count(slo_info)", 2), (60, f"count({LEFT})", 1), (60, LEFT, 0.333)),
    ),
    "exactly one state each: ok, breach, no traffic, no data": Story(
        (EXACT,),
        counters("x", "eu", [(60, 300, 0)])
        | counters("x", "us", [(60, 200, 100)])
        | counters("x", "idle", [(30, 300, 0), (30, 0, 0)]),
        (
            (60, state("ok"), 1),
            (60, state("breach", "us"), 1),
            (60, state("no_traffic", "idle"), 1),
            (60, state("no_data", "gone"), 1),
            (60, 'slo:state{slo="x"}', 4),
            (60, 'count(slo:state{slo="x"})', 16),
            (60, 'max(sum by (region) (slo:state{slo="x"}))', 1),
            (60, 'slo:coverage:ratio{region="gone"}', 0),
            (60, 'slo:coverage:ratio{region="eu"} > bool 0.95', 1),
        ),
        regions=(EU, US, "idle", "gone"),
    ),
    "coverage: half an hour unseen is half an hour missing": Story(
        (EXACT,),
        {series: f"{values} _x60" for series, values in counters("x", "eu", [(30, 300, 0)]).items()},
        ((60, 'round(slo:coverage:ratio{window="1d"}, 0.1)', 0.5),),
    ),
}


@pytest.fixture(scope="module")
def verdicts(tmp_path_factory):
    return judge(tmp_path_factory.mktemp("stories"), STORIES)


@pytest.mark.parametrize("name", STORIES)
def test_compiled_rules_tell_the_truth(verdicts, name):
    assert verdicts.get(name, f"promtool never came to it: {verdicts}") == ""
