"""SLIs, read and written: which series of Prometheus count, and which of them are good.

OpenSLO has two kinds of metric. A `ratioMetric` names counters. A `thresholdMetric` names what is compared with the
objective's `op` and `value`: by `query` a gauge, compared at every moment and therefore counted in time slices; by `histogram`
(ours) every request's own value, compared where the histogram's buckets have an edge.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from slo_rules.errors import SloError
from slo_rules.indicators import ClassicHistogram, EventRatio, GaugeBound, NativeHistogram
from slo_rules.openslo.schema import Metric, Objective, QuerySpec, RatioMetric, SliSpec
from slo_rules.openslo.units import shown
from slo_rules.openslo.windows import TIMESLICES
from slo_rules.selectors import FIELD, Selector, parse_selector

PROMETHEUS = "Prometheus"
_SUFFIXES = ("_bucket", "_count", "_sum")
_OPERATORS: dict[str, Literal["lt", "lte", "gt", "gte"]] = {"lt": "lt", "lte": "lte", "gt": "gt", "gte": "gte"}


@dataclass(frozen=True, slots=True)
class HistogramSource:
    """A histogram whose threshold the objective names."""

    selector: str
    native: bool


@dataclass(frozen=True, slots=True)
class GaugeSource:
    """A gauge whose bound the objective names."""

    selector: str


Source = EventRatio | HistogramSource | GaugeSource
MeasuredIndicator = EventRatio | ClassicHistogram | NativeHistogram | GaugeBound


def source_of(spec: SliSpec, path: str, data_sources: Mapping[str, str]) -> Source:
    """What an SLI measures; `data_sources` are the types of those in the set, by name. `path` is that of `spec`."""
    ratio, threshold = spec.ratioMetric, spec.thresholdMetric
    if ratio is not None and threshold is not None:
        raise SloError(path, "has both a ratioMetric and a thresholdMetric", "remove one of them")
    if ratio is not None:
        return _ratio(ratio, f"{path}.ratioMetric", data_sources)
    if threshold is None:
        raise SloError(path, "measures nothing", "add a ratioMetric or a thresholdMetric")
    return _threshold(threshold, f"{path}.thresholdMetric", data_sources)


def indicator_of(source: Source, objective: Objective, method: str, path: str) -> MeasuredIndicator:
    """The source with the objective's threshold. `path` is that of the objective."""
    if isinstance(source, EventRatio):
        return source
    if objective.op is None or objective.value is None:
        missing = "op" if objective.op is None else "value"
        fix = "add op (lte, for a histogram) and value, the threshold in the metric's own unit"
        raise SloError(f"{path}.{missing}", "is missing, and the indicator is a thresholdMetric", fix)
    if isinstance(source, GaugeSource):
        if method != TIMESLICES:
            fix = f"write budgetingMethod: {TIMESLICES}, or name a histogram instead of a query"
            raise SloError("slices", "a gauge has no events to count", fix)
        return GaugeBound(source.selector, objective.value, _OPERATORS[objective.op])
    if objective.op != "lte":
        raise SloError(f"{path}.op", "a histogram counts what is at most an edge", "write op: lte")
    make = NativeHistogram if source.native else ClassicHistogram
    return make(source.selector, objective.value)


def sli_document(indicator: MeasuredIndicator) -> dict[str, object]:
    """The reverse of `source_of`."""
    if isinstance(indicator, EventRatio):
        counters = {"good": indicator.good, "bad": indicator.bad, "total": indicator.total}
        metrics = {name: _metric({"query": query}) for name, query in counters.items() if query is not None}
        return {"ratioMetric": {"counter": True, **metrics}}
    if isinstance(indicator, GaugeBound):
        return {"thresholdMetric": _metric({"query": indicator.selector})}
    native = {"native": True} if isinstance(indicator, NativeHistogram) else {}
    return {"thresholdMetric": _metric({"histogram": indicator.selector, **native})}


def threshold_document(indicator: MeasuredIndicator) -> dict[str, object]:
    """The reverse of `indicator_of`: fields of the objective."""
    if isinstance(indicator, EventRatio):
        return {}
    if isinstance(indicator, GaugeBound):
        return {"op": indicator.operator, "value": indicator.bound}
    return {"op": "lte", "value": indicator.threshold}


def _metric(spec: dict[str, object]) -> dict[str, object]:
    return {"metricSource": {"type": PROMETHEUS, "spec": spec}}


def _ratio(ratio: RatioMetric, path: str, data_sources: Mapping[str, str]) -> EventRatio:
    given = {"total": ratio.total, "good": ratio.good, "bad": ratio.bad}
    if (ratio.good is None) == (ratio.bad is None):
        raise SloError(path, "needs exactly one of good and bad", "name the counter of one of them")
    queries = {name: _counter(metric, f"{path}.{name}", data_sources) for name, metric in given.items() if metric}
    if queries["total"] in {queries.get("good"), queries.get("bad")}:
        raise SloError(f"{path}.total", "selects the same series as the other counter", "select all events here")
    return EventRatio(total=queries["total"], good=queries.get("good"), bad=queries.get("bad"))


def _counter(metric: Metric, path: str, data_sources: Mapping[str, str]) -> str:
    spec, here = _spec(metric, path, data_sources)
    if spec.histogram is not None or spec.native is not None:
        raise SloError(here, "a ratio is made of counters", "write a query, or a thresholdMetric with the histogram")
    return str(_selector(spec.query, f"{here}.query"))


def _threshold(metric: Metric, path: str, data_sources: Mapping[str, str]) -> HistogramSource | GaugeSource:
    spec, here = _spec(metric, path, data_sources)
    if (spec.query is None) == (spec.histogram is None):
        raise SloError(here, "needs exactly one of query and histogram", "query names a gauge, histogram a histogram")
    if spec.histogram is None:
        if spec.native is not None:
            raise SloError(f"{here}.native", "is about histograms", "remove it, or name a histogram")
        return GaugeSource(_single(_selector(spec.query, f"{here}.query"), f"{here}.query"))
    selector, name = _selector(spec.histogram, f"{here}.histogram"), f"{here}.histogram"
    metric_name = _single(selector, name) and selector.metrics[0]
    if metric_name.endswith(_SUFFIXES):
        raise SloError(name, f"{shown(metric_name)} is one of a histogram's series", "name it without the suffix")
    return HistogramSource(str(selector), native=bool(spec.native))


def _spec(metric: Metric, path: str, data_sources: Mapping[str, str]) -> tuple[QuerySpec, str]:
    """The query of a metric once it is clear that Prometheus answers it."""
    source, here = metric.metricSource, f"{path}.metricSource"
    kind = source.type
    if source.metricSourceRef is not None:
        known = data_sources.get(source.metricSourceRef)
        if known is None:
            fix = f"add that DataSource to the set, or write type: {PROMETHEUS}"
            raise SloError(f"{here}.metricSourceRef", f"no DataSource is called {source.metricSourceRef}", fix)
        if kind is not None and kind.casefold() != known.casefold():
            raise SloError(f"{here}.type", f"contradicts the DataSource, which is {shown(known)}", "remove it")
        kind = known
    if kind is None:
        raise SloError(f"{here}.type", "is missing", f"write type: {PROMETHEUS}")
    if kind.casefold() != PROMETHEUS.casefold():
        raise SloError(
            f"{here}.type", f"{shown(kind)} cannot be read", f"write type: {PROMETHEUS}, the only one we read"
        )
    return source.spec, f"{here}.spec"


def _selector(query: str | None, path: str) -> Selector:
    if query is None:
        raise SloError(path, "is missing", 'write a plain selector, e.g. http_requests_total{code="500"}')
    try:
        selector = parse_selector(query)
    except SloError as error:
        raise SloError(path if error.field == FIELD else error.field, error.problem, error.fix) from error
    if any(matcher.label == "le" for matcher in selector.matchers):
        fix = "write a thresholdMetric with the histogram: the compiler knows how each Prometheus spells an edge"
        raise SloError(path, "names a bucket by its label le", fix)
    return selector


def _single(selector: Selector, path: str) -> str:
    if len(selector.metrics) > 1:
        raise SloError(path, "names several metrics", "name one: only counters of a ratio are added up")
    return str(selector)
