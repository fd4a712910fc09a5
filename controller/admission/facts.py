"""What an admission is judged by: facts about a Prometheus and about the series that an objective would count.

A fact that could not be had is `NoAnswer`, never zero and never an empty list: "there are no such series" and "nobody told us"
lead to different advice.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from contracts.vocabulary import Region

Labels = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class NoAnswer:
    """Prometheus could not be asked, refused the question or answered too much."""

    reason: str


@dataclass(frozen=True, slots=True)
class Row:
    """One element of an instant vector."""

    labels: Labels
    value: float


@dataclass(frozen=True, slots=True)
class Line:
    """One series of a range query: Unix time and value, ascending."""

    labels: Labels
    points: tuple[tuple[float, float], ...]


@dataclass(frozen=True, slots=True)
class ServerFacts:
    """The Prometheus itself."""

    version: str
    retention_s: int | None
    """None: by size alone, or not told."""
    scrape_interval_s: Mapping[tuple[str, str], float]
    """By the `job` and `instance` labels of a target."""

    @property
    def left_open(self) -> bool:
        """Since Prometheus 3 a range does not hold the sample at its far edge."""
        return not self.version.startswith(("2.", "1.", "0."))


class FactSource(Protocol):
    """A Prometheus that answers bounded questions within bounded time."""

    async def server(self) -> ServerFacts | NoAnswer:
        """Version, retention and scrape intervals."""
        ...

    async def metric_type(self, metric: str) -> str | NoAnswer:
        """`counter`, `gauge`, `histogram`, …; empty when nobody exposes it."""
        ...

    async def instant(self, query: str) -> tuple[Row, ...] | NoAnswer:
        """An instant vector, now."""
        ...

    async def minutes(self, query: str, starts_unix_s: int, ends_unix_s: int) -> tuple[Line, ...] | NoAnswer:
        """The query at every minute from start to end, both included; long stretches are asked for in pieces."""
        ...


@dataclass(frozen=True, slots=True)
class TargetSeries:
    """Series of one scrape target."""

    target: str
    """`instance`, or `replica` where there is one."""
    job: str
    instance: str
    region: str
    """Empty when the series carry no region."""
    series: int


@dataclass(frozen=True, slots=True)
class SourceFacts:
    """One selector of an indicator."""

    role: str
    """`total`, `bad`, `good`, `histogram` or `gauge`: its field in the indicator."""
    selector: str
    metrics: tuple[str, ...]
    metric_exists: bool
    """Whether any series has that name, whatever its labels."""
    metric_type: str
    """Empty when nobody says."""
    targets: tuple[TargetSeries, ...]

    @property
    def series(self) -> int:
        """How many series the selector finds."""
        return sum(target.series for target in self.targets)


@dataclass(frozen=True, slots=True)
class BucketFacts:
    """Buckets of a classic histogram."""

    edges: tuple[str, ...]
    """Values of `le` as they are written."""
    without_threshold: tuple[str, ...]
    """Targets that report the histogram, but not its bucket at the threshold."""


@dataclass(frozen=True, slots=True)
class SloFacts:
    """Everything that is known about the series of one objective."""

    server: ServerFacts
    sources: tuple[SourceFacts, ...]
    regions_expected: tuple[Region, ...]
    buckets: BucketFacts | None = None
    """None: the indicator is no classic histogram."""
    native_series: int | None = None
    """Series that hold native histograms; None: the indicator is no native histogram."""

    @property
    def regions_seen(self) -> tuple[str, ...]:
        """Regions of the series that say so, in order."""
        return tuple(sorted({target.region for source in self.sources for target in source.targets} - {""}))

    @property
    def scrape_interval_s(self) -> float | None:
        """Of the slowest target; None when no target of the series is known."""
        known = self.server.scrape_interval_s
        found = [
            known[(target.job, target.instance)]
            for source in self.sources
            for target in source.targets
            if (target.job, target.instance) in known
        ]
        return max(found, default=None)
