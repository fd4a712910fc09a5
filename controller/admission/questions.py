"""What to ask a Prometheus about an indicator, and what its answers mean."""

from collections.abc import Iterable
from dataclasses import dataclass

from contracts import metric_names as names
from contracts.vocabulary import Region, SloId
from controller.admission.facts import Line, Row, TargetSeries
from slo_rules import promql
from slo_rules.backtest import History, RegionCounts
from slo_rules.indicators import (
    ClassicHistogram,
    Composite,
    EventRatio,
    ExactCounters,
    GaugeBound,
    Indicator,
    NativeHistogram,
)
from slo_rules.rules.raw_events import histogram_buckets, without_threshold_bucket
from slo_rules.selectors import parse_selector

TARGET_LABELS = (names.LABEL_JOB, names.LABEL_INSTANCE, names.LABEL_REPLICA, names.LABEL_REGION)
MINUTE_S = 60


@dataclass(frozen=True, slots=True)
class Source:
    """One selector of an indicator: where it stands there, and what it selects."""

    role: str
    selector: str
    metrics: tuple[str, ...]
    """Names of its series."""
    described_as: str
    """Name under which targets describe the metric: a histogram's without `_bucket`."""


def sources_of(slo: SloId, indicator: Indicator) -> tuple[Source, ...]:
    """None for a composite: its parts have their own."""
    match indicator:
        case ExactCounters():
            job, own = promql.equals(names.LABEL_JOB, names.JOB_REPLICAS), promql.equals(names.LABEL_SLO, slo)
            metric = names.SLO_EVENTS_TOTAL
            return (Source("threshold_s", promql.selector(metric, job, own), (metric,), metric),)
        case ClassicHistogram():
            everything = promql.equals(names.LABEL_LE, "+Inf")
            found = parse_selector(indicator.selector)
            buckets = tuple(f"{metric}_bucket" for metric in found.metrics)
            return (Source("selector", histogram_buckets(indicator, everything), buckets, found.metrics[0]),)
        case NativeHistogram() | GaugeBound():
            role = "gauge" if isinstance(indicator, GaugeBound) else "selector"
            return (_source(role, indicator.selector),)
        case EventRatio():
            named = (("total", indicator.total), ("bad", indicator.bad), ("good", indicator.good))
            return tuple(_source(role, selector) for role, selector in named if selector is not None)
        case Composite():
            return ()


def by_target(selector: str) -> str:
    """How many series each target has."""
    return f"count by ({', '.join(TARGET_LABELS)}) ({selector})"


def any_series(metrics: Iterable[str]) -> str:
    """Whether a metric exists at all."""
    pattern = promql.matches("__name__", "|".join(metrics))
    return f"count({{{pattern}}})"


def edges(indicator: ClassicHistogram) -> str:
    """One row per spelling of `le`."""
    return f"group by ({names.LABEL_LE}) ({histogram_buckets(indicator)})"


def without_bucket(indicator: ClassicHistogram) -> str:
    """One row per target that lacks the threshold's bucket."""
    return by_target(without_threshold_bucket(indicator))


def native_series(indicator: NativeHistogram) -> str:
    """Series that hold native histograms; other samples have no count."""
    return f"count(histogram_count({indicator.selector}))"


def targets_in(rows: Iterable[Row]) -> tuple[TargetSeries, ...]:
    """Answers to `by_target`, by name."""
    found = [
        TargetSeries(
            target=row.labels.get(names.LABEL_REPLICA) or row.labels.get(names.LABEL_INSTANCE) or "unknown target",
            job=row.labels.get(names.LABEL_JOB, ""),
            instance=row.labels.get(names.LABEL_INSTANCE, ""),
            region=row.labels.get(names.LABEL_REGION, ""),
            series=int(row.value),
        )
        for row in rows
    ]
    return tuple(sorted(found, key=lambda target: (target.target, target.instance)))


def history_of(
    total: Iterable[Line], bad: Iterable[Line], starts_unix_s: int, ends_unix_s: int, *, left_open: bool
) -> History:
    """Answers to the events of an objective, laid on the grid of minutes that was asked for."""
    bad_of = {line.labels.get(names.LABEL_REGION, ""): line for line in bad}
    minutes = (ends_unix_s - starts_unix_s) // MINUTE_S + 1
    regions = []
    for line in sorted(total, key=lambda line: line.labels.get(names.LABEL_REGION, "")):
        region = line.labels.get(names.LABEL_REGION, "")
        regions.append(
            RegionCounts(
                Region(region),
                _grid(line, starts_unix_s, minutes),
                _grid(bad_of.get(region, Line({}, ())), starts_unix_s, minutes),
            )
        )
    return History(starts_unix_s, tuple(regions), left_open=left_open)


def _grid(line: Line, starts_unix_s: int, minutes: int) -> tuple[float | None, ...]:
    cells: list[float | None] = [None] * minutes
    for at, value in line.points:
        index = round((at - starts_unix_s) / MINUTE_S)
        if 0 <= index < minutes and value == value:  # noqa: PLR0124  # NaN is no count
            cells[index] = value
    return tuple(cells)


def _source(role: str, selector: str) -> Source:
    found = parse_selector(selector)
    return Source(role, str(found), found.metrics, found.metrics[0])
