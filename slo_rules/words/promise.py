"""What an SLO promises, in words: for alerts, tables and dashboards."""

from decimal import Decimal
from typing import assert_never

from slo_rules import promql
from slo_rules.indicators import (
    ClassicHistogram,
    Composite,
    EventRatio,
    ExactCounters,
    GaugeBound,
    Indicator,
    NativeHistogram,
)
from slo_rules.model import Slo
from slo_rules.windows import CalendarWindow, Window

OPERATORS = {"lt": "<", "lte": "≤", "gt": ">", "gte": "≥"}


def promise_of(slo: Slo) -> str:
    """What makes an event of `slo` a good one, to follow "95 %": `within 0.2 s (total)`."""
    if slo.slices is None:
        return _good(slo.indicator)
    share = promql.number(Decimal(str(slo.slices.target)) * 100)
    return f"of {promql.duration(slo.slices.seconds)} slices with {share} % {_good(slo.indicator)}"


def _good(indicator: Indicator) -> str:
    match indicator:
        case ExactCounters():
            return f"within {promql.number(indicator.threshold_s)} s ({indicator.sli.value})"
        case ClassicHistogram() | NativeHistogram():
            return f"up to {promql.number(indicator.threshold)} in {indicator.selector}"
        case EventRatio():
            return f"good events among {indicator.total}"
        case GaugeBound():
            return f"{indicator.selector} {OPERATORS[indicator.operator]} {promql.number(indicator.bound)}"
        case Composite():
            return f"over all of {', '.join(part.slo for part in indicator.parts)}"
    assert_never(indicator)


def window_of(window: Window) -> str:
    """`30d`, or `month` for the current calendar month: the `window` label."""
    return window.unit.value if isinstance(window, CalendarWindow) else promql.duration(window.seconds)


def sli_of(slo: Slo) -> str:
    """The measured quantity in a word: `total`, `first_audio`, or the kind of the indicator."""
    return slo.exact.sli.value if slo.exact is not None else slo.indicator.kind
