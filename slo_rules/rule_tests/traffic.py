"""Made-up traffic as promtool reads it: what the replicas of a region count while a scenario plays.

A scenario speaks of good and bad events; each kind of indicator says them in its own series, so that one scenario tests an
exact counter, a histogram and a composite alike.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from decimal import Decimal

from contracts.metric_names import (
    JOB_REPLICAS,
    LABEL_JOB,
    LABEL_OUTCOME,
    LABEL_REGION,
    LABEL_REPLICA,
    LABEL_SLO,
    RULE_EVENTS_BAD_INC1M,
    RULE_EVENTS_TOTAL_INC1M,
    SLO_EVENTS_TOTAL,
)
from contracts.vocabulary import Outcome, Region, SloId
from slo_rules import promql
from slo_rules.indicators import ClassicHistogram, Composite, EventRatio, ExactCounters, GaugeBound, NativeHistogram
from slo_rules.model import Slo
from slo_rules.rule_tests.labels import Labels, labels_of, labels_outside, selected
from slo_rules.rules.raw_events import HA_LABELS
from slo_rules.selectors import parse_selector
from slo_rules.together import members

EDGE_ABOVE = Decimal(2)
"""A bucket edge above the threshold, in multiples of it: where a histogram without the wanted bucket still counts."""

MINUTE_S = 60
STALE = "stale"
"""Written by Prometheus when a target is gone: without it an instant query finds the last value for five minutes more."""


@dataclass(frozen=True, slots=True)
class Stretch:
    """Constant traffic for a while; `good` and `bad` are events per sample."""

    seconds: int
    good: Decimal
    bad: Decimal
    restart: bool = False
    """The replica begins anew: its counters start again at zero."""


@dataclass(frozen=True, slots=True)
class Absence:
    """No sample for a while."""

    seconds: int


@dataclass(frozen=True, slots=True)
class Replica:
    """One source of events and what it goes through."""

    region: Region
    stretches: tuple[Stretch | Absence, ...]
    name: str = "0"
    has_bucket: bool = True
    """Whether its histogram has the threshold's bucket; means nothing to other indicators."""
    recorded: bool = False
    """Give the recorded series themselves, counts per sample, instead of what they are recorded from."""
    seen_by: str = ""
    """Which server of a high-availability pair scraped it; empty where there is no pair."""
    of: SloId | None = None
    """Whose events, when not those of the SLO under test."""


@dataclass(frozen=True, slots=True)
class Counts:
    """A counter to be: which series, and how much of the good and of the bad events it counts."""

    metric: str
    labels: Labels
    good: bool
    bad: bool


def input_series(slo: Slo, others: Mapping[SloId, Slo], replica: Replica, interval_s: int) -> Iterator[dict[str, str]]:
    """promtool's `input_series` for one replica; `SloError` when a selector is beyond making labels up.

    promtool of Prometheus 2 knows no native histograms: of an SLO about one the recorded series are given.
    """
    indicator = slo.indicator
    if replica.recorded:
        given = _by_minute(replica, interval_s) if interval_s < MINUTE_S else replica
        yield from _recorded(slo, given, interval_s)
    elif isinstance(indicator, Composite):
        for part in indicator.parts:
            share = 1 / (len(indicator.parts) * Decimal(str(part.weight)))
            yield from input_series(others[part.slo], others, _scaled(replica, share), interval_s)
    elif isinstance(indicator, NativeHistogram):
        yield from input_series(slo, others, _counted(slo, replica, interval_s), interval_s)
    elif isinstance(indicator, GaugeBound):
        labels = labels_of(*parse_selector(indicator.selector).matchers)
        metric = parse_selector(indicator.selector).metrics[0]
        yield {"series": _series(metric, labels, replica), "values": _gauge(indicator, replica, interval_s)}
    else:
        for counts in _counters(slo, replica):
            series = _series(counts.metric, counts.labels, replica)
            yield {"series": series, "values": _counter(replica.stretches, counts, interval_s)}


def metrics_of(slo: Slo, others: Mapping[SloId, Slo]) -> frozenset[str]:
    """What the events of `slo` are counted in, to see whether another SLO counts in the same."""
    names: set[str] = set()
    for member in members(slo, others):
        match member.indicator:
            case ExactCounters():
                names.add(f"{SLO_EVENTS_TOTAL} of {member.id}")
            case EventRatio() as ratio:
                names.update(parse_selector(ratio.total).metrics)
            case ClassicHistogram() | NativeHistogram() | GaugeBound() as indicator:
                names.update(parse_selector(indicator.selector).metrics)
    return frozenset(names)


def _series(metric: str, labels: Labels, replica: Replica) -> str:
    where = {LABEL_REGION: replica.region, LABEL_REPLICA: f"{replica.region}-{replica.name}"}
    if replica.seen_by:
        where[HA_LABELS[-1]] = replica.seen_by
    return promql.selector(metric, *(promql.equals(*pair) for pair in sorted({**where, **labels}.items())))


def _counters(slo: Slo, replica: Replica) -> tuple[Counts, ...]:
    indicator = slo.indicator
    match indicator:
        case ExactCounters():
            return tuple(
                Counts(
                    SLO_EVENTS_TOTAL,
                    {LABEL_JOB: JOB_REPLICAS, LABEL_SLO: slo.id, LABEL_OUTCOME: outcome.value},
                    good=outcome is Outcome.GOOD,
                    bad=outcome is Outcome.BAD,
                )
                for outcome in (Outcome.GOOD, Outcome.BAD)
            )
        case ClassicHistogram():
            return _histogram(indicator, has_bucket=replica.has_bucket)
        case EventRatio():
            return _ratio(indicator)
        case _:
            raise AssertionError(f"{indicator.kind} has no counters to make up")


def _histogram(indicator: ClassicHistogram, *, has_bucket: bool) -> tuple[Counts, ...]:
    selector = parse_selector(indicator.selector)
    labels = labels_of(*selector.matchers)
    threshold = Decimal(str(indicator.threshold))
    edges = [(promql.number(threshold * EDGE_ABOVE), True, True), ("+Inf", True, True)]
    if has_bucket:
        edges.insert(0, (promql.number(threshold), True, False))
    name = selector.metrics[0]
    buckets = (Counts(f"{name}_bucket", {**labels, "le": le}, good=good, bad=bad) for le, good, bad in edges)
    return (*buckets, Counts(f"{name}_count", labels, good=True, bad=True))


def _ratio(indicator: EventRatio) -> tuple[Counts, ...]:
    """One series of the marked events, bad or good, and one of the others; or of all, where the total has its own counter."""
    total = parse_selector(indicator.total)
    marks_bad = indicator.bad is not None
    marked = parse_selector(indicator.bad or indicator.good or "")
    metric = next((name for name in marked.metrics if name in total.metrics), marked.metrics[0])
    both = total.matchers if metric in total.metrics else ()
    first = Counts(metric, labels_of(*marked.matchers, *both), good=not marks_bad, bad=marks_bad)
    is_part = selected(total, first.metric, first.labels)
    name, labels = labels_outside(marked, total)
    return (first, Counts(name, labels, good=marks_bad or not is_part, bad=not marks_bad or not is_part))


def _gauge(indicator: GaugeBound, replica: Replica, interval_s: int) -> str:
    """On the good side of the bound, or on the bad one while anything is bad; the value on the bound itself where it may be."""
    upwards = Decimal(1) if indicator.operator in {"lt", "lte"} else Decimal(-1)
    bound = Decimal(str(indicator.bound))
    inclusive = indicator.operator in {"lte", "gte"}
    good, bad = (bound, bound + upwards) if inclusive else (bound - upwards, bound)
    parts: list[str] = []
    for stretch in replica.stretches:
        samples = stretch.seconds // interval_s + (not parts)
        value = good if isinstance(stretch, Absence) or not stretch.bad else bad
        parts.append(_gap(samples) if isinstance(stretch, Absence) else f"{promql.number(value)}+0x{samples - 1}")
    return " ".join((*parts, STALE))


def _recorded(slo: Slo, replica: Replica, interval_s: int) -> Iterator[dict[str, str]]:
    where = (promql.equals(LABEL_SLO, slo.id), promql.equals(LABEL_REGION, replica.region))
    for metric, good in ((RULE_EVENTS_TOTAL_INC1M, True), (RULE_EVENTS_BAD_INC1M, False)):
        parts: list[str] = []
        for stretch in replica.stretches:
            samples = stretch.seconds // interval_s + (not parts)
            if isinstance(stretch, Absence):
                parts.append(_gap(samples))
            else:
                counts = stretch.bad + (stretch.good if good else 0)
                parts.append(f"{promql.number(counts)}+0x{samples - 1}")
        yield {"series": promql.selector(metric, *where), "values": " ".join((*parts, STALE))}


def _by_minute(replica: Replica, interval_s: int) -> Replica:
    """Samples that come more often than once a minute, as one sample a minute: that is how often rules record."""
    per_minute = MINUTE_S // interval_s
    samples = [
        Absence(interval_s) if isinstance(stretch, Absence) else replace(stretch, seconds=interval_s)
        for stretch in replica.stretches
        for _ in range(stretch.seconds // interval_s)
    ]
    minutes: list[Stretch | Absence] = [Absence(0)]
    for start in range(0, len(samples), per_minute):
        counted = [sample for sample in samples[start : start + per_minute] if isinstance(sample, Stretch)]
        minutes.append(Absence((per_minute - bool(counted)) * interval_s))
        if counted:
            good, bad = (sum((getattr(one, what) for one in counted), Decimal(0)) for what in ("good", "bad"))
            minutes.append(Stretch(interval_s, good, bad))
    return replace(replica, stretches=tuple(minutes))


def _counted(slo: Slo, replica: Replica, interval_s: int) -> Replica:
    """The replica as its counts: events, or of time slices the share that a sample stands for."""
    if slo.slices is None:
        return replace(replica, recorded=True)
    share = Decimal(interval_s) / slo.slices.seconds
    allowed = 1 - Decimal(str(slo.slices.target))

    def sliced(stretch: Stretch | Absence) -> Stretch | Absence:
        if isinstance(stretch, Absence) or not stretch.good + stretch.bad:
            return stretch
        is_bad = stretch.bad > allowed * (stretch.good + stretch.bad)
        return replace(stretch, good=share * (not is_bad), bad=share * is_bad)

    return replace(replica, recorded=True, stretches=tuple(map(sliced, replica.stretches)))


def _counter(stretches: tuple[Stretch | Absence, ...], counts: Counts, interval_s: int) -> str:
    """promtool's notation for a counter that grows by so much per sample for so long: `0+300x120 36300+0x10`."""
    value = Decimal(0)
    parts: list[str] = []
    for stretch in stretches:
        samples = stretch.seconds // interval_s
        if isinstance(stretch, Absence):
            parts.append(_gap(samples + (not parts)))
            continue
        step = stretch.good * counts.good + stretch.bad * counts.bad
        if stretch.restart:
            value = Decimal(0)
        start, more = (value, samples) if not parts else (value + step, samples - 1)
        parts.append(f"{promql.number(start)}+{promql.number(step)}x{more}")
        value += step * samples
    return " ".join(parts)


def _gap(samples: int) -> str:
    return f"_x{samples}"


def _scaled(replica: Replica, share: Decimal) -> Replica:
    stretches = tuple(
        stretch
        if isinstance(stretch, Absence)
        else replace(stretch, good=stretch.good * share, bad=stretch.bad * share)
        for stretch in replica.stretches
    )
    return replace(replica, stretches=stretches)
