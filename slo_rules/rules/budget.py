"""How much of the budget is left, how much of the window was seen, and everything about an SLO that may change.

A rolling window of weeks is the longest sum of all, so it adds up counts of four minutes and reads a quarter of the samples. A
calendar window adds up minutes: a count of four could belong to two periods.
"""

from decimal import Decimal

from contracts.metric_names import (
    LABEL_PERIOD,
    LABEL_SLI,
    LABEL_SLO,
    LABEL_WINDOW,
    RULE_BUDGET_REMAINING,
    RULE_COVERAGE,
    RULE_EVENTS_BAD_INC1M,
    RULE_EVENTS_BAD_INC4M,
    RULE_EVENTS_TOTAL_INC1M,
    RULE_EVENTS_TOTAL_INC4M,
    RULE_EXCLUDED,
    RULE_FIRST_SEEN,
    RULE_OBSERVED_MINUTES_INC4M,
    RULE_PERIOD_EVENTS_BAD,
    RULE_PERIOD_EVENTS_TOTAL,
    RULE_PERIOD_EXCLUDED,
    RULE_SLO_INFO,
    RULE_WINDOW_START,
)
from slo_rules import promql
from slo_rules.indicators import Composite
from slo_rules.model import Slo
from slo_rules.rule_file import RecordingRule
from slo_rules.rules.counts import current_period
from slo_rules.rules.recorded import SPAN_S, Surroundings, expected_regions, may_be_excluded, per_region, recorded
from slo_rules.tiers import exact_budget
from slo_rules.windows import UNIT_S_MAX, CalendarWindow, RollingWindow, Window
from slo_rules.words.promise import promise_of, sli_of, window_of


def budget_rules(slo: Slo, around: Surroundings) -> tuple[RecordingRule, ...]:
    """In the order in which they read each other."""
    labels = ((LABEL_SLO, slo.id), (LABEL_WINDOW, window_of(slo.window)))
    return (
        RecordingRule(RULE_BUDGET_REMAINING, _remaining(slo), labels),
        RecordingRule(RULE_FIRST_SEEN, _first_seen(slo), labels[:1]),
        RecordingRule(RULE_COVERAGE, _coverage(slo, around), labels),
        RecordingRule(
            RULE_SLO_INFO,
            "vector(1)",
            (
                (LABEL_SLO, slo.id),
                ("objective", promql.number(slo.objective)),
                ("promise", promise_of(slo)),
                (LABEL_SLI, sli_of(slo)),
                (LABEL_WINDOW, window_of(slo.window)),
                ("owner", slo.owner),
            ),
        ),
    )


def _remaining(slo: Slo) -> str:
    """1 − bad / total / budget. At least one event below the line: an idle SLO has spent nothing, which 0 / 0 would not say."""
    bad = _over_window(slo, RULE_EVENTS_BAD_INC4M, RULE_PERIOD_EVENTS_BAD, RULE_EVENTS_BAD_INC1M)
    total = _over_window(slo, RULE_EVENTS_TOTAL_INC4M, RULE_PERIOD_EVENTS_TOTAL, RULE_EVENTS_TOTAL_INC1M)
    return f"1 - {bad} / clamp_min({total}, {_smallest_event(slo)}) / {promql.number(exact_budget(slo))}"


def _coverage(slo: Slo, around: Surroundings) -> str:
    """Minutes with a count over minutes that could have had one: of the window, since the SLO exists, without maintenance."""
    observed = _over_window(
        slo, RULE_OBSERVED_MINUTES_INC4M, RULE_PERIOD_EVENTS_TOTAL, RULE_EVENTS_TOTAL_INC1M, "count_over_time"
    )
    first_seen = f"min({recorded(RULE_FIRST_SEEN, slo.id)})"
    if isinstance(slo.window, CalendarWindow):
        # Whichever is later.
        start = f"max({recorded(RULE_WINDOW_START, slo.id)})"
        first_seen = f"({start} > {first_seen} or {first_seen})"
        window_s = UNIT_S_MAX[slo.window.unit]
    else:
        window_s = slo.window.seconds
    expected = f"clamp_max(time() - {first_seen}, {window_s}) / 60"
    if may_be_excluded(slo, around):
        excluded = _over_window(slo, RULE_EXCLUDED, RULE_PERIOD_EXCLUDED)
        expected = f"{expected} - (max({excluded}) or vector(0))"
    seen = f"{per_region(observed)}{expected_regions(slo, around, 0)}"
    # At least a minute below the line: before it, nothing could have been missed.
    return f"clamp_max(({seen}) / on () group_left () clamp_min({expected}, 1), 1)"


def _first_seen(slo: Slo) -> str:
    """Since when these rules run, as remembered by the series itself, for as long as the window looks back."""
    window = promql.duration(_longest_s(slo.window))
    return f"min(min_over_time({recorded(RULE_FIRST_SEEN, slo.id)}[{window}])) or vector(time())"


def _over_window(slo: Slo, record: str, period_record: str, minutes: str = "", function: str = "sum_over_time") -> str:
    """Sum of `record` over the last seconds, or `function` over the samples of the current period.

    A region that has no sum of four minutes yet has `minutes`, the counts that they are made of by `function`.
    """
    if isinstance(slo.window, RollingWindow):
        summed = f"sum_over_time({recorded(record, slo.id)}[{promql.just_under(slo.window.seconds)}])"
        if not minutes:
            return summed
        return f"({summed} or {function}({recorded(minutes, slo.id)}[{promql.just_under(SPAN_S)}]))"
    # An hour more than the longest period, for a sample that is recorded a little late.
    reach = promql.duration(_longest_s(slo.window) + 3_600)
    samples = f"{function}({recorded(period_record, slo.id)}[{reach}])"
    return f"sum without ({LABEL_PERIOD}) ({samples} and on ({LABEL_PERIOD}) {current_period(slo)})"


def _longest_s(window: Window) -> int:
    return UNIT_S_MAX[window.unit] if isinstance(window, CalendarWindow) else window.seconds


def _smallest_event(slo: Slo) -> str:
    """What the least of its events counts."""
    if isinstance(slo.indicator, Composite):
        return promql.number(min(Decimal(str(part.weight)) for part in slo.indicator.parts))
    return "1"
