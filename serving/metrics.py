"""What a replica counts, and how Prometheus reads it.

Exact SLO events come from the ledger; everything a scrape can read from the parts themselves is read when it comes, so
that nothing is counted twice; a scrape costs about a millisecond (1.3 ms with 50 SLOs). Names and label sets are
`contracts.metric_names`; every label value exists, at zero, before the first event.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Protocol

from prometheus_client import CollectorRegistry, Histogram, disable_created_metrics, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from contracts import metric_names as names
from contracts.vocabulary import Outcome, ProfileId, SliKind
from serving.cache import Lookup
from serving.core.admission import Load
from serving.core.slo import Durations, SloLedger
from serving.worker import Tally

BUCKETS_S = (0.025, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 5.0, 10.0, 30.0)
"""For quantiles on dashboards: dense around 200 ms, where the usual objectives are."""
Samples = Iterable[tuple[str, float]]


class RequestEnd(StrEnum):
    """How an admitted request ended."""

    OK = "ok"
    FAILED = "failed"
    CANCELLED = "cancelled"


class Rejection(StrEnum):
    """Why a request was turned away before any work."""

    TOO_LARGE = "too_large"
    INVALID = "invalid"
    OVERLOAD = "overload"
    DRAINING = "draining"


class CanaryEnd(StrEnum):
    """What became of one of the agent's own utterances."""

    OK = "ok"
    FAILED = "failed"
    CANCELLED = "cancelled"
    REFUSED = "refused"


class Account(Protocol):
    """Where the fate of one request is written down."""

    admitted: int

    def finished(self, durations: Durations, profile: ProfileId) -> None:
        """It was spoken to its end."""
        ...

    def failed(self) -> None:
        """A step of it could not be done."""
        ...

    def cancelled(self) -> None:
        """The client went away."""
        ...

    def rejected(self, why: Rejection) -> None:
        """It was turned away."""
        ...


class CanaryAccount:
    """`Account` of the agent's own utterances: they are nobody's requests, so they count nowhere else."""

    def __init__(self) -> None:
        self.admitted = 0
        self.ends = dict.fromkeys(CanaryEnd, 0)

    def finished(self, durations: Durations, profile: ProfileId) -> None:  # noqa: ARG002  # an account's signature
        """It was spoken; how fast is the agent's to measure."""
        self.ends[CanaryEnd.OK] += 1

    def failed(self) -> None:
        """A step of it could not be done."""
        self.ends[CanaryEnd.FAILED] += 1

    def cancelled(self) -> None:
        """The agent gave up."""
        self.ends[CanaryEnd.CANCELLED] += 1

    def rejected(self, why: Rejection) -> None:  # noqa: ARG002  # an account's signature
        """There is real work, or the replica is draining."""
        self.ends[CanaryEnd.REFUSED] += 1


@dataclass(frozen=True, slots=True)
class Live:
    """The parts that are read when a scrape comes."""

    tally: Callable[[], Tally]
    load: Callable[[], Load]
    profile: Callable[[], ProfileId]
    switches: Callable[[], Mapping[str, int]]


class Scorekeeper:
    """`Account` of every client's request; used on the event loop only."""

    def __init__(self, profiles: tuple[ProfileId, ...]) -> None:
        self.profiles = profiles
        self.ledger = SloLedger()
        self.canaries = CanaryAccount()
        self.admitted = 0
        self.ends = dict.fromkeys(RequestEnd, 0)
        self.rejections = dict.fromkeys(Rejection, 0)
        self.lookups = dict.fromkeys(Lookup, 0)
        self.registry = CollectorRegistry()
        disable_created_metrics()  # type: ignore[no-untyped-call]  # creation times would double the series
        self._seconds = Histogram(
            names.TTS_REQUEST_SECONDS,
            "From accepted to ready to send.",
            (names.LABEL_SLI, names.LABEL_PROFILE),
            buckets=BUCKETS_S,
            registry=self.registry,
        )
        for sli in SliKind:
            for profile in profiles:
                self._seconds.labels(sli.value, profile)

    def finished(self, durations: Durations, profile: ProfileId) -> None:
        """A request was spoken to its end."""
        self.ends[RequestEnd.OK] += 1
        self.ledger = self.ledger.finished(durations)
        for sli in SliKind:
            self._seconds.labels(sli.value, profile).observe(durations.of(sli))

    def failed(self) -> None:
        """A step of an admitted request could not be done."""
        self.ends[RequestEnd.FAILED] += 1
        self.ledger = self.ledger.broken()

    def cancelled(self) -> None:
        """The client went away: nobody's promise was broken."""
        self.ends[RequestEnd.CANCELLED] += 1

    def rejected(self, why: Rejection) -> None:
        """A request was turned away; only overload breaks a promise."""
        self.rejections[why] += 1
        if why is Rejection.OVERLOAD:
            self.ledger = self.ledger.broken()

    def looked_up(self, how: Lookup) -> None:
        """The cache was asked, or left alone."""
        self.lookups[how] += 1

    def expose(self, live: Live) -> None:
        """Let scrapes read `live` too."""
        self.registry.register(_LiveCollector(self, live))

    def scrape(self) -> bytes:
        """The exposition text."""
        return generate_latest(self.registry)


class _LiveCollector(Collector):
    """Reads everything when a scrape comes."""

    def __init__(self, score: Scorekeeper, live: Live) -> None:
        self._score = score
        self._live = live

    def collect(self) -> Iterator[Any]:
        score, tally, load = self._score, self._live.tally(), self._live.load()
        events = CounterMetricFamily(
            names.SLO_EVENTS_TOTAL, "Requests per SLO.", labels=(names.LABEL_SLO, names.LABEL_OUTCOME)
        )
        for slo, counts in score.ledger.counts.items():
            events.add_metric((slo, Outcome.GOOD), counts.good)
            events.add_metric((slo, Outcome.BAD), counts.bad)
        yield events
        yield _counters(names.TTS_REQUESTS_TOTAL, "Finished requests.", names.LABEL_OUTCOME, score.ends.items())
        yield _counters(
            names.TTS_CANARIES_TOTAL, "The agent's own utterances.", names.LABEL_OUTCOME, score.canaries.ends.items()
        )
        yield _counters(names.TTS_REJECTED_TOTAL, "Turned away.", names.LABEL_REASON, score.rejections.items())
        yield _counters(names.TTS_CACHE_LOOKUPS_TOTAL, "Lookups.", names.LABEL_OUTCOME, score.lookups.items())
        yield _counters(
            names.TTS_PROFILE_SWITCHES_TOTAL, "Switches.", names.LABEL_OUTCOME, self._live.switches().items()
        )
        stages = (("acoustic", tally.acoustic_s), ("vocoder", tally.vocoder_s))
        yield _counters(names.TTS_SERVICE_SECONDS_TOTAL, "Seconds of work.", names.LABEL_STAGE, stages)
        yield CounterMetricFamily(names.TTS_QUEUE_SECONDS_TOTAL, "Waited before the first step.", tally.queue_s)
        yield CounterMetricFamily(names.TTS_AUDIO_SECONDS_TOTAL, "Audio made.", tally.audio_s)
        yield CounterMetricFamily(names.TTS_ADMITTED_TOTAL, "Requests admitted.", score.admitted)
        yield CounterMetricFamily(names.TTS_PROGRESS_TOTAL, "Steps of work finished.", tally.steps)
        yield GaugeMetricFamily(names.TTS_IN_FLIGHT, "Admitted, not finished.", load.in_flight)
        yield GaugeMetricFamily(names.TTS_QUEUED_AUDIO_SECONDS, "Predicted work waiting.", load.work_s)
        in_use = self._live.profile()
        info = GaugeMetricFamily(names.TTS_PROFILE_INFO, "1 for the profile in use.", labels=(names.LABEL_PROFILE,))
        for profile in score.profiles:
            info.add_metric((profile,), float(profile == in_use))
        yield info


def _counters(name: str, text: str, label: str, samples: Samples) -> CounterMetricFamily:
    family = CounterMetricFamily(name, text, labels=(label,))
    for value, count in samples:
        family.add_metric((str(value),), count)
    return family
