"""Where an SLO's events come from: which requests count, and which of them were good.

Every indicator ends as two counts, events and bad events, because counts add up over windows, regions and SLOs where
ratios and quantiles do not. The best source is our own replicas, which count exactly and against any threshold; the others
are for software that is not ours: a histogram is exact only at an edge between two of its buckets.

`kind` tells the indicators apart in JSON. Selectors are PromQL instant selectors of counters, without a range.
"""

import math
from dataclasses import dataclass
from typing import Literal

from contracts.vocabulary import SliKind, SloId
from slo_rules.errors import SloError
from slo_rules.selectors import Selector, parse_selector

THRESHOLD_MAX = 3_600_000.0
"""An hour in milliseconds."""
PARTS_MAX = 20
"""A promise made of more parts tells nobody what to mend."""
WEIGHT_MAX = 1_000.0


@dataclass(frozen=True, slots=True)
class ExactCounters:
    """Our replicas' own counts, `slo_events_total{slo, outcome}`: the threshold is handed to the replicas."""

    threshold_s: float
    """A request is good when its `sli` duration is at most this."""
    sli: SliKind = SliKind.TOTAL
    kind: Literal["exact_counters"] = "exact_counters"

    def __post_init__(self) -> None:
        if not 0 < self.threshold_s <= 3600:  # noqa: PLR2004  # an hour, said by the message
            raise SloError(
                "threshold_s", f"{self.threshold_s} is outside 0..3600", "write seconds, e.g. 0.2 for 200 ms"
            )


@dataclass(frozen=True, slots=True)
class ClassicHistogram:
    """A histogram with `le` buckets: good is what lies in the buckets up to `threshold`, which must be a bucket's edge."""

    selector: str
    """Of the histogram without suffix, e.g. `vllm:time_to_first_token_seconds{model_name="maya1"}`."""
    threshold: float
    """In the histogram's own unit: seconds for most, milliseconds for Envoy."""
    kind: Literal["classic_histogram"] = "classic_histogram"

    def __post_init__(self) -> None:
        _check_threshold(self.threshold)
        _check_histogram(self.selector)


@dataclass(frozen=True, slots=True)
class NativeHistogram:
    """A native (exponential) histogram: the share up to `threshold` is interpolated by Prometheus."""

    selector: str
    threshold: float
    """In the histogram's own unit."""
    kind: Literal["native_histogram"] = "native_histogram"

    def __post_init__(self) -> None:
        _check_threshold(self.threshold)
        _check_histogram(self.selector)


@dataclass(frozen=True, slots=True)
class EventRatio:
    """Counters of events: all of them, and either the good or the bad ones."""

    total: str
    bad: str | None = None
    good: str | None = None
    kind: Literal["event_ratio"] = "event_ratio"

    def __post_init__(self) -> None:
        if (self.bad is None) == (self.good is None):
            raise SloError("bad", "exactly one of good and bad is needed", "name the counter of one of them")
        for field, selector in (("total", self.total), ("bad", self.bad), ("good", self.good)):
            if selector is not None:
                _parsed(selector, field)


@dataclass(frozen=True, slots=True)
class GaugeBound:
    """A gauge that must stay on one side of a bound; every time slice counts once, so it needs `Slices`."""

    selector: str
    bound: float
    operator: Literal["lt", "lte", "gt", "gte"] = "lte"
    """How the gauge has to relate to the bound for a slice to be good."""
    kind: Literal["gauge_bound"] = "gauge_bound"

    def __post_init__(self) -> None:
        if len(_parsed(self.selector, "selector").metrics) > 1:
            raise SloError("selector", "several gauges have no bound in common", "write one SLO for each")
        if not math.isfinite(self.bound):
            raise SloError("bound", f"a gauge cannot be held to {self.bound}", "write a number")


@dataclass(frozen=True, slots=True)
class Part:
    """Another SLO as part of a composite."""

    slo: SloId
    weight: float = 1.0
    """How much one of its events counts."""

    def __post_init__(self) -> None:
        if not 0 < self.weight <= WEIGHT_MAX:
            raise SloError("weight", f"{self.weight} is outside 0..{WEIGHT_MAX:g}", "write a positive weight, e.g. 1")


@dataclass(frozen=True, slots=True)
class Composite:
    """The weighted events of other SLOs, added up."""

    parts: tuple[Part, ...]
    kind: Literal["composite"] = "composite"

    def __post_init__(self) -> None:
        if not 2 <= len(self.parts) <= PARTS_MAX:  # noqa: PLR2004  # said by the message
            raise SloError("parts", f"{len(self.parts)} parts are not 2..{PARTS_MAX}", "name at least two SLOs")
        names = [part.slo for part in self.parts]
        if len(set(names)) != len(names):
            raise SloError("parts", "an SLO appears twice", "give it one part with the sum of the weights")


Indicator = ExactCounters | ClassicHistogram | NativeHistogram | EventRatio | GaugeBound | Composite


def _parsed(selector: str, field: str) -> Selector:
    """The series; `SloError` names the field of the indicator."""
    try:
        return parse_selector(selector)
    except SloError as error:
        raise SloError(field, error.problem, error.fix) from error


def _check_histogram(selector: str) -> None:
    found = _parsed(selector, "selector")
    if len(found.metrics) > 1:
        raise SloError("selector", "several histograms have no edges in common", "write one SLO for each")
    if found.metrics[0].endswith(("_bucket", "_count", "_sum")):
        raise SloError("selector", f"{found.metrics[0]} is a part of a histogram", "write its name without the suffix")
    if any(matcher.label == "le" for matcher in found.matchers):
        raise SloError("selector", "a condition on le selects a part of a histogram", "leave it out: threshold says it")


def _check_threshold(threshold: float) -> None:
    if not 0 < threshold <= THRESHOLD_MAX:
        raise SloError("threshold", f"{threshold} is outside 0..{THRESHOLD_MAX:g}", "write it in the histogram's unit")
