"""What facts lead to which finding: the cases that a well-kept Prometheus does not show."""

from dataclasses import replace

import pytest

from controller.admission.cost import Cost
from controller.admission.facts import BucketFacts, ServerFacts, SloFacts, SourceFacts, TargetSeries
from controller.admission.findings import SAMPLES_MAX, Code, judge, judge_backtest
from controller.admission.references import dependents_of, why_unfit
from controller.admission.words import promise_in_words, tier_in_words
from slo_rules.backtest import Backtest, Firing, RegionBacktest
from slo_rules.indicators import ClassicHistogram, Composite, EventRatio, ExactCounters, Part
from slo_rules.model import Slo
from slo_rules.tiers import Severity, derive_tiers
from slo_rules.windows import CalendarWindow, Slices

TARGET = TargetSeries("a-0", "svc", "a:1", "eu-west", 2)
SOURCE = SourceFacts("total", "t", ("t",), metric_exists=True, metric_type="counter", targets=(TARGET,))
SERVER = ServerFacts("2.42.0", 40 * 86_400, {("svc", "a:1"): 15.0})
FACTS = SloFacts(SERVER, (SOURCE,), ("eu-west",))
RATIO = Slo("r", 0.95, EventRatio("t", bad="b"))
CHEAP = Cost(10, 2, 1_000, 10.0)


def codes(slo: Slo, facts: SloFacts, cost: Cost = CHEAP) -> list[Code]:
    return [finding.code for finding in judge(slo, facts, cost)]


def sourced(**changes: object) -> SloFacts:
    return replace(FACTS, sources=(replace(SOURCE, **changes),))


def test_nothing_is_found_where_nothing_is_wrong() -> None:
    assert codes(RATIO, FACTS) == []


@pytest.mark.parametrize(
    ("facts", "found"),
    [
        (sourced(metric_type="gauge"), [Code.WRONG_TYPE]),
        (sourced(metric_type="unknown"), []),
        (sourced(targets=(), metric_exists=False), [Code.METRIC_ABSENT]),
        (sourced(targets=(), metric_exists=True), [Code.NO_SERIES]),
        (sourced(targets=(replace(TARGET, region="asia"),)), [Code.REGION_UNSEEN, Code.REGION_UNEXPECTED]),
        (replace(FACTS, server=replace(SERVER, retention_s=None)), [Code.RETENTION_UNKNOWN]),
        (replace(FACTS, server=replace(SERVER, retention_s=86_400)), [Code.RETENTION_TOO_SHORT]),
        (replace(FACTS, server=replace(SERVER, scrape_interval_s={})), [Code.SCRAPE_INTERVAL_UNKNOWN]),
        (replace(FACTS, server=replace(SERVER, scrape_interval_s={("svc", "a:1"): 31.0})), [Code.SCRAPED_TOO_SLOWLY]),
        (replace(FACTS, server=replace(SERVER, scrape_interval_s={("svc", "a:1"): 30.0})), []),
    ],
)
def test_each_fact_has_its_finding(facts: SloFacts, found: list[Code]) -> None:
    assert codes(RATIO, facts) == found


def test_a_calendar_month_has_to_be_kept_for_as_long_as_the_longest_lasts() -> None:
    month = replace(RATIO, window=CalendarWindow())
    (finding,) = judge(month, replace(FACTS, server=replace(SERVER, retention_s=30 * 86_400)), CHEAP)
    assert (finding.code, "30d, " in finding.problem) == (Code.RETENTION_TOO_SHORT, True)
    assert codes(month, replace(FACTS, server=replace(SERVER, retention_s=32 * 86_400))) == []


def test_series_without_a_region_are_told_once_and_accuse_no_region() -> None:
    assert codes(RATIO, sourced(targets=(replace(TARGET, region=""),))) == [Code.NO_REGION_LABEL]


def test_failures_that_never_happened_are_no_error() -> None:
    (finding,) = judge(RATIO, sourced(role="bad", targets=()), CHEAP)
    assert (finding.code, finding.severity) == (Code.NO_SERIES, "warning")


def test_an_expensive_objective_is_told() -> None:
    assert codes(RATIO, FACTS, replace(CHEAP, samples_per_evaluation=SAMPLES_MAX + 1)) == [Code.TOO_MANY_SAMPLES]


@pytest.mark.parametrize(
    ("buckets", "found"),
    [
        (BucketFacts(("0.1", "0.2", "+Inf"), ()), []),
        (BucketFacts(("0.1", "0.20", "+Inf"), ()), [Code.LE_NOT_CANONICAL]),
        (BucketFacts(("0.1", "+Inf"), ()), [Code.NOT_A_BUCKET]),
        (BucketFacts(("0.1", "0.2", "+Inf"), ("a-1",)), [Code.BUCKET_MISSING]),
        (BucketFacts((), ()), []),
    ],
)
def test_each_fault_of_a_bucket_has_its_finding(buckets: BucketFacts, found: list[Code]) -> None:
    facts = replace(sourced(role="selector", metric_type="histogram"), buckets=buckets)
    assert codes(Slo("h", 0.95, ClassicHistogram("t", 0.2)), facts) == found


# ── the past ──────────────────────────────────────────────────────────────────────────────────────────────────────────
def past(firings: int = 0, *, left: float = 0.5, coverage: float = 1.0, events: float = 100.0) -> Backtest:
    fired = tuple(Firing("eu", 1, Severity.PAGE, at * 3_600, at * 3_600 + 60) for at in range(firings))
    region = RegionBacktest("eu", fired, (), ((0, 1.0), (86_400, left)), coverage, events, 1.0)
    return Backtest(0, 86_400, (region,))


@pytest.mark.parametrize(
    ("seen", "found"),
    [
        (past(1), []),
        (past(3), [Code.PAGES_TOO_OFTEN]),
        (past(left=-0.1), [Code.BUDGET_SPENT]),
        (past(coverage=0.5), [Code.HISTORY_WITH_GAPS]),
        (past(events=0.0), [Code.NO_HISTORY]),
        (Backtest(0, 60, ()), [Code.NO_HISTORY]),
    ],
)
def test_each_past_has_its_finding(seen: Backtest, found: list[Code]) -> None:
    assert [finding.code for finding in judge_backtest(RATIO, seen)] == found


def test_overlapping_pages_are_one_and_a_muted_ticket_is_none() -> None:
    def firing(tier: int, severity: Severity, starts: int, ends: int) -> Firing:
        return Firing("eu", tier, severity, starts, ends)

    fired = (
        firing(1, Severity.PAGE, 100, 200),
        firing(2, Severity.PAGE, 150, 400),
        firing(1, Severity.PAGE, 900, 960),
        firing(3, Severity.TICKET, 160, 300),
        firing(4, Severity.TICKET, 950, 2_000),
    )
    seen = Backtest(0, 3_600, (RegionBacktest("eu", fired, (), (), 1.0, 1.0, 1.0),))
    assert (seen.pages, seen.tickets) == (2, 1)


# ── words and references ──────────────────────────────────────────────────────────────────────────────────────────────
def test_promise_and_tiers_are_told_in_words() -> None:
    slo = Slo("fast", 0.95, ExactCounters(0.2))
    assert promise_in_words(slo) == "95 % within 0.2 s (total), over 30d"
    told = [tier_in_words(tier) for tier in derive_tiers(slo)]
    assert told[0].startswith("tier 1 pages when more than 50 % are bad over 10m and still over 2m: after 5m")
    assert "opens a ticket" in told[-1]


def test_dependents_are_found_and_held_to_what_they_need() -> None:
    a, b = Slo("a", 0.9, EventRatio("t", bad="b")), Slo("b", 0.9, EventRatio("t", bad="b"), depends_on="a")
    both = Slo("both", 0.9, Composite((Part("a"), Part("b"))))
    assert dependents_of("a", (both, b, a)) == ("b", "both")
    assert dependents_of("both", (both, b, a)) == ()
    broken = why_unfit(replace(a, slices=Slices()), (both, b, a))
    assert broken is not None
    assert "both" in broken.problem
    assert why_unfit(replace(a, objective=0.95), (both, b, a)) is None
