"""What an SLO's counts look like in time: how much a healthy minute counts, and how long trouble lingers in them.

The scenarios are the same for every indicator; when their consequences show is not. A count looks back over a range, a
composite reads its parts a minute later, a time slice is bad as a whole, and an alert with a parent waits for it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

from contracts.vocabulary import SloId
from slo_rules.indicators import Composite, GaugeBound, NativeHistogram
from slo_rules.model import Slo
from slo_rules.rule_tests.traffic import MINUTE_S
from slo_rules.rules.events import range_s_of
from slo_rules.rules.raw_events import GAUGE_STEP_S, PART_DELAY_S
from slo_rules.tiers import PARENT_PATIENCE_S
from slo_rules.together import members

EVENTS_PER_MINUTE = Decimal(600)
"""Ten requests per second."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """A value that depends on where a range's edge falls, which Prometheus 2 and 3 see differently."""

    least: Decimal
    most: Decimal


@dataclass(frozen=True, slots=True)
class Shape:
    """How scenarios show in the counts of one SLO."""

    healthy_minute: Decimal
    """Count per minute under ten requests per second: events, or time slices."""
    slices: bool
    """Time is counted: a minute is good or bad, and fractions of it are not."""
    has_silence: bool
    """Whether it can be there without counting: a gauge cannot."""
    counts_events_somewhere: bool
    """Whether traffic reaches it as counters, which restart."""
    range_s: int
    delay_s: int
    """From an event to the evaluation that counts it, at most, beyond the range."""
    patience_s: int
    """How long its alerts wait for a parent's."""
    lingering: tuple[Bounds, ...]
    """Share of a minute's count that is still bad one, two, … minutes after an outage."""


def shape_of(slo: Slo, others: Mapping[SloId, Slo]) -> Shape:
    """The shape of `slo`; `others` are those that its parts are looked up in."""
    counted = members(slo, others)
    longest_s = max(range_s_of(member) for member in counted)
    minutes = range(1, longest_s // MINUTE_S + 1)
    shares = [tuple(_bad_share(member, minute * MINUTE_S) for member in counted) for minute in minutes]
    return Shape(
        healthy_minute=_healthy_minute(slo, others),
        slices=any(member.slices for member in counted),
        has_silence=not any(isinstance(member.indicator, GaugeBound) for member in counted),
        counts_events_somewhere=not all(isinstance(m.indicator, GaugeBound | NativeHistogram) for m in counted),
        range_s=longest_s,
        delay_s=PART_DELAY_S if isinstance(slo.indicator, Composite) else 0,
        patience_s=PARENT_PATIENCE_S if slo.depends_on is not None else 0,
        lingering=tuple(
            Bounds(min(share.least for share in each), max(share.most for share in each)) for each in shares
        ),
    )


def _healthy_minute(slo: Slo, others: Mapping[SloId, Slo]) -> Decimal:
    if isinstance(slo.indicator, Composite) and any(member.slices for member in members(slo, others)):
        parts = ((part.weight, others[part.slo]) for part in slo.indicator.parts)
        return sum((Decimal(str(weight)) * _healthy_minute(part, others) for weight, part in parts), Decimal(0))
    return EVENTS_PER_MINUTE if slo.slices is None else Decimal(MINUTE_S) / slo.slices.seconds


def _bad_share(slo: Slo, after_s: int) -> Bounds:
    """Of one minute's count, so long after an outage."""
    range_s = range_s_of(slo)
    if isinstance(slo.indicator, NativeHistogram):
        return Bounds(Decimal(0), Decimal(0))  # its counts are given, not derived: see `traffic`
    inside = Decimal(max(0, range_s - after_s))
    least = most = inside / range_s
    if isinstance(slo.indicator, GaugeBound) and inside >= 0 and after_s <= range_s:
        most = (inside + GAUGE_STEP_S) / (range_s + GAUGE_STEP_S)
    if slo.slices is None:
        return Bounds(least, most)
    allowed = 1 - Decimal(str(slo.slices.target))
    return Bounds(Decimal(least > allowed), Decimal(most > allowed))
