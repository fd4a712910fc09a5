"""What an SLO counts, as PromQL: events and bad events per minute and region, before anything is recorded.

From the raw counts of `raw_events` to what the budget is made of: time slices become the events where an SLO budgets time,
and announced maintenance is left out.
"""

from collections.abc import Mapping
from decimal import Decimal

from contracts.vocabulary import SloId
from slo_rules import promql
from slo_rules.indicators import Composite, GaugeBound
from slo_rules.model import Slo
from slo_rules.rules.exclusions import excluded
from slo_rules.rules.raw_events import PART_DELAY_S, EventExpressions, raw_events
from slo_rules.together import check_parts
from slo_rules.windows import Slices

EVENTS_RANGE_S = 120
"""`rate` wants four samples: correct with scrapes every 30 s or faster."""
_ROUNDING = Decimal("1.000000001")
"""A slice with exactly the allowed share of bad events is a good one, also after rounding."""


def events_of(slo: Slo, others: Mapping[SloId, Slo]) -> EventExpressions:
    """Events per minute of `slo` now, by (slo, region); the `slo` label may be left to the recording rule.

    `others` are the SLOs that its parts are looked up in. Raises `SloError` for a part that is not there or does not fit.
    """
    check_parts(slo, others)
    events = raw_events(slo, range_s_of(slo))
    if slo.slices is not None:
        events = _sliced(slo.slices, events)
    if not slo.exclusions:
        return events
    maintenance = f"unless on () ({excluded_now(slo)})"
    return EventExpressions(f"({events.total}) {maintenance}", f"({events.bad}) {maintenance}")


def excluded_now(slo: Slo) -> str:
    """A vector with one sample while events of `slo` do not count; it must have exclusions."""
    delay_s = PART_DELAY_S if isinstance(slo.indicator, Composite) else 0
    return excluded(slo.exclusions, range_s=range_s_of(slo), delay_s=delay_s)


def range_s_of(slo: Slo) -> int:
    """How far back one recorded count looks: the slice, but never less than `rate` needs of a counter."""
    if slo.slices is None:
        return EVENTS_RANGE_S
    return slo.slices.seconds if isinstance(slo.indicator, GaugeBound) else max(slo.slices.seconds, EVENTS_RANGE_S)


def _sliced(slices: Slices, events: EventExpressions) -> EventExpressions:
    """Every minute speaks for the slice that ends with it, and counts as a minute's share of a slice.

    Over a window that adds up to its slices, and unlike slices that begin at fixed times it needs no memory, looks the same
    wherever the window begins, and tells of an outage at once. A slice without events is none.
    """
    minutes = slices.seconds // 60
    allowed = promql.number((1 - Decimal(str(slices.target))) * _ROUNDING)
    share = f" / {minutes}" if minutes > 1 else ""
    return EventExpressions(
        f"(({events.total}) > bool 0){share}",
        f"(({events.bad}) > bool {allowed} * ({events.total})){share}",
    )
