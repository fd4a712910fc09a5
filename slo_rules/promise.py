"""What an SLO promises, in words: for alerts, tables and dashboards."""

from typing import assert_never

from slo_rules import promql
from slo_rules.indicators import ClassicHistogram, Composite, EventRatio, ExactCounters, GaugeBound, NativeHistogram
from slo_rules.model import Slo

OPERATORS = {"lt": "<", "lte": "≤", "gt": ">", "gte": "≥"}


def promise_of(slo: Slo) -> str:
    """What makes an event of `slo` a good one, to follow "95 %": `within 0.2 s (total)`."""
    indicator = slo.indicator
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


def sli_of(slo: Slo) -> str:
    """The measured quantity in a word: `total`, `first_audio`, or the kind of the indicator."""
    return slo.exact.sli.value if slo.exact is not None else slo.indicator.kind
