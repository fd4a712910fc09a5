"""The recording rules that everything else adds up: events, bad events, maintenance, and the calendar period they belong to."""

from contracts.metric_names import (
    LABEL_PERIOD,
    LABEL_SLO,
    RULE_EVENTS_BAD_INC1M,
    RULE_EVENTS_BAD_INC4M,
    RULE_EVENTS_TOTAL_INC1M,
    RULE_EVENTS_TOTAL_INC4M,
    RULE_EXCLUDED,
    RULE_OBSERVED_MINUTES_INC4M,
    RULE_PERIOD_EVENTS_BAD,
    RULE_PERIOD_EVENTS_TOTAL,
    RULE_PERIOD_EXCLUDED,
    RULE_WINDOW_START,
)
from slo_rules import promql
from slo_rules.errors import SloError
from slo_rules.model import Slo
from slo_rules.rule_file import RecordingRule
from slo_rules.rules.calendar_periods import period_start
from slo_rules.rules.events import events_of, excluded_now
from slo_rules.rules.raw_events import PART_DELAY_S
from slo_rules.rules.recorded import EVENTS_INTERVAL_S, SPAN_S, Surroundings, excluded_parts, may_be_excluded, recorded
from slo_rules.windows import CalendarWindow, RollingWindow

COUNT_AGE_S = 60
"""A count of the last two minutes speaks of a minute ago, on average: the period it belongs to is the one of then."""


def count_rules(slo: Slo, around: Surroundings) -> tuple[RecordingRule, ...]:
    """In the order in which they read each other. Raises `SloError` for a calendar window without today's date."""
    events = events_of(slo, around.slos)
    return (
        RecordingRule(RULE_EVENTS_TOTAL_INC1M, events.total, ((LABEL_SLO, slo.id),)),
        RecordingRule(RULE_EVENTS_BAD_INC1M, events.bad, ((LABEL_SLO, slo.id),)),
        *_excluded_rules(slo, around),
        *_span_rules(slo),
        *_period_rules(slo, around),
    )


def current_period(slo: Slo) -> str:
    """A vector with one sample, labelled with the period of now."""
    return f'count_values("{LABEL_PERIOD}", {recorded(RULE_WINDOW_START, slo.id)})'


def _excluded_rules(slo: Slo, around: Surroundings) -> tuple[RecordingRule, ...]:
    """Own maintenance; and that of parts when no part reports, for then there is nothing to add up."""
    reasons = [f"vector(1) and on () ({excluded_now(slo)})"] if slo.exclusions else []
    parts = excluded_parts(slo, around)
    if parts:
        delay = promql.duration(PART_DELAY_S)
        found = " or ".join(f"{recorded(RULE_EXCLUDED, part)} offset {delay}" for part in parts)
        reasons.append(f"max({found}) unless on () {recorded(RULE_EVENTS_TOTAL_INC1M, slo.id)}")
    if not reasons:
        return ()
    return (RecordingRule(RULE_EXCLUDED, " or ".join(reasons), ((LABEL_SLO, slo.id),)),)


def _span_rules(slo: Slo) -> tuple[RecordingRule, ...]:
    """Counts of four minutes, recorded every fourth minute, for windows of weeks: a quarter of the samples to add up.

    A minute is in exactly one of them: the range leaves out the sample at its far edge, and the clock of the evaluation says
    when four minutes are full, whatever second the group runs at.
    """
    if not isinstance(slo.window, RollingWindow):
        return ()
    minutes = SPAN_S // EVENTS_INTERVAL_S
    span_is_full = f"floor(vector(time()) / {EVENTS_INTERVAL_S}) % {minutes} == 0"
    return tuple(
        RecordingRule(
            record,
            f"{function}({recorded(counts, slo.id)}[{promql.just_under(SPAN_S)}]) and on () ({span_is_full})",
            ((LABEL_SLO, slo.id),),
        )
        for record, function, counts in (
            (RULE_EVENTS_TOTAL_INC4M, "sum_over_time", RULE_EVENTS_TOTAL_INC1M),
            (RULE_EVENTS_BAD_INC4M, "sum_over_time", RULE_EVENTS_BAD_INC1M),
            (RULE_OBSERVED_MINUTES_INC4M, "count_over_time", RULE_EVENTS_TOTAL_INC1M),
        )
    )


def _period_rules(slo: Slo, around: Surroundings) -> tuple[RecordingRule, ...]:
    """The counts once more, labelled with the start of their period.

    A range in PromQL has a fixed length, a period so far has not. Labelled samples can be added up over the longest possible
    period, and those of earlier ones stand apart. Compared with a subquery that looks at the period's start it reads each
    sample once, exactly, also after a gap; a window that becomes a calendar one begins to count on that day.
    """
    if not isinstance(slo.window, CalendarWindow):
        return ()
    if around.today is None:
        raise SloError("window", "a calendar window is compiled for a year", "give today's date")
    labels = ((LABEL_SLO, slo.id),)
    start = period_start(slo.window, around.today, delay_s=COUNT_AGE_S)
    return (
        RecordingRule(RULE_WINDOW_START, start, labels),
        *(
            RecordingRule(
                period_record,
                f"{recorded(record, slo.id)} * on () group_left ({LABEL_PERIOD}) {current_period(slo)}",
                labels,
            )
            for period_record, record in (
                (RULE_PERIOD_EVENTS_TOTAL, RULE_EVENTS_TOTAL_INC1M),
                (RULE_PERIOD_EVENTS_BAD, RULE_EVENTS_BAD_INC1M),
                *(((RULE_PERIOD_EXCLUDED, RULE_EXCLUDED),) if may_be_excluded(slo, around) else ()),
            )
        ),
    )
