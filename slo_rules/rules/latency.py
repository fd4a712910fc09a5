"""Quantiles of latency, for the eye: p50, p95, p99 of the last five minutes, interpolated between buckets.

No verdict is taken from them. Several SLOs are often about one histogram, so its buckets are read and added up once, and every
SLO's quantiles come from that sum. A source is named by the series it is read from.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from typing import assert_never

from contracts.metric_names import (
    JOB_REPLICAS,
    LABEL_JOB,
    LABEL_LE,
    LABEL_QUANTILE,
    LABEL_REGION,
    LABEL_SLI,
    LABEL_SLO,
    LABEL_SOURCE,
    RULE_LATENCY_BUCKETS,
    RULE_LATENCY_QUANTILE,
    TTS_REQUEST_SECONDS,
)
from slo_rules import promql
from slo_rules.indicators import ClassicHistogram, Composite, EventRatio, ExactCounters, GaugeBound, NativeHistogram
from slo_rules.model import Slo
from slo_rules.rule_file import RecordingRule, RuleGroup
from slo_rules.rules.raw_events import histogram_buckets, once
from slo_rules.rules.recorded import EVENTS_INTERVAL_S
from slo_rules.selectors import parse_selector

QUANTILES = (Decimal("0.5"), Decimal("0.95"), Decimal("0.99"))
RANGE_S = 300
GROUP = "slo-latency"


@dataclass(frozen=True, slots=True)
class _Source:
    series: str
    """Selector of buckets, or of a native histogram."""
    native: bool


def latency_groups(slos: Iterable[Slo]) -> tuple[RuleGroup, ...]:
    """One group with a rule per histogram, in the order of their names; none when no SLO has one."""
    sources = sorted({source for slo in slos if (source := _source_of(slo)) is not None}, key=lambda it: it.series)
    rules = tuple(
        RecordingRule(RULE_LATENCY_BUCKETS, _added(source), ((LABEL_SOURCE, source.series),)) for source in sources
    )
    return (RuleGroup(GROUP, EVENTS_INTERVAL_S, rules),) if rules else ()


def quantile_rules(slo: Slo) -> tuple[RecordingRule, ...]:
    """One per quantile; none for an SLO without a histogram. A quantile of nothing is NaN, and is left out."""
    source = _source_of(slo)
    if source is None:
        return ()
    buckets = promql.selector(RULE_LATENCY_BUCKETS, promql.equals(LABEL_SOURCE, source.series))
    kept = (LABEL_REGION,) if source.native else (LABEL_LE, LABEL_REGION)
    return tuple(
        RecordingRule(
            RULE_LATENCY_QUANTILE,
            f"histogram_quantile({promql.number(q)}, {promql.sum_by(kept, buckets)}) >= 0",
            ((LABEL_SLO, slo.id), (LABEL_QUANTILE, promql.number(q))),
        )
        for q in QUANTILES
    )


def _added(source: _Source) -> str:
    rate = promql.rate(source.series, promql.duration(RANGE_S))
    if source.native:
        return promql.sum_by((LABEL_REGION,), rate)
    return promql.sum_by((LABEL_LE, LABEL_REGION), once(rate))


def _source_of(slo: Slo) -> _Source | None:
    """The histogram behind `slo`; None when there is none."""
    indicator = slo.indicator
    match indicator:
        case ExactCounters():
            ours = (promql.equals(LABEL_JOB, JOB_REPLICAS), promql.equals(LABEL_SLI, indicator.sli.value))
            return _Source(promql.selector(f"{TTS_REQUEST_SECONDS}_bucket", *ours), native=False)
        case ClassicHistogram():
            return _Source(histogram_buckets(indicator), native=False)
        case NativeHistogram():
            return _Source(str(parse_selector(indicator.selector)), native=True)
        case EventRatio() | GaugeBound() | Composite():
            return None
    assert_never(indicator)
