"""Request counters from Prometheus: two queries per sample, whatever the size of the fleet.

The counters are read as a short range instead of an instant: only a range carries the time of the scrape itself, and all
samples of one scrape share it. So the counters of a replica always belong together, and their age is true. A scrape that
failed leaves the last one visible, getting older, until the range has passed over it.
"""

import asyncio
from collections.abc import Iterable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, TypedDict, cast

from prometheus_api_client import PrometheusConnect
from prometheus_api_client.exceptions import PrometheusApiClientException
from requests import RequestException, Session
from urllib3.util.retry import Retry

from chassis.clock import Clock
from contracts.metric_names import (
    JOB_REPLICAS,
    LABEL_JOB,
    LABEL_OUTCOME,
    LABEL_REASON,
    LABEL_REGION,
    LABEL_REPLICA,
    LABEL_SLO,
    SLO_EVENTS_TOTAL,
    TTS_ADMITTED_TOTAL,
    TTS_AUDIO_SECONDS_TOTAL,
    TTS_QUEUE_SECONDS_TOTAL,
    TTS_REJECTED_TOTAL,
    TTS_SERVICE_SECONDS_TOTAL,
)
from contracts.vocabulary import Outcome, Region, ReplicaId, SloId
from controller.ports import ReplicaCounters, SignalSample, SloCounter, SourceDown

TIMEOUT_S = 3.0
"""Under the tick: a Prometheus that needs longer is a finding, not something to wait for."""
LOOKBACK_S = 30
"""Six scrapes of 5 s: long enough to see a failed scrape get old, short enough to stay cheap."""
REJECTED_OVERLOAD = "overload"
_COUNTERS = (
    SLO_EVENTS_TOTAL,
    TTS_ADMITTED_TOTAL,
    TTS_REJECTED_TOTAL,
    TTS_QUEUE_SECONDS_TOTAL,
    TTS_SERVICE_SECONDS_TOTAL,
    TTS_AUDIO_SECONDS_TOTAL,
)
_TARGETS = f'{LABEL_JOB}="{JOB_REPLICAS}",{LABEL_REPLICA}!="",{LABEL_REGION}!=""'
# "overload or no such label": the other reasons of a refusal are a fifth of all series, and nobody here asks for them.
_COUNTERS_OF_TARGETS = f'{{__name__=~"{"|".join(_COUNTERS)}",{LABEL_REASON}=~"{REJECTED_OVERLOAD}|",{_TARGETS}}}'


class _Series(TypedDict, total=False):
    """One element of Prometheus' answer: `values` in a range, `value` in an instant."""

    metric: dict[str, str]
    values: list[tuple[float, str]]
    value: tuple[float, str]


@dataclass(frozen=True, slots=True)
class _Point:
    """The newest sample of one series."""

    labels: Mapping[str, str]
    at_unix_s: float
    value: float


@dataclass(slots=True)
class _Tally:
    """Counters of one replica while its series are added up."""

    region: Region
    at_unix_s: float
    slos: dict[str, dict[str, float]] = field(default_factory=dict)
    sums: dict[str, float] = field(default_factory=dict)

    def add(self, point: _Point) -> None:
        """Count one series in."""
        labels = point.labels
        name = labels["__name__"]
        if name == SLO_EVENTS_TOTAL:
            counts = self.slos.setdefault(labels.get(LABEL_SLO, ""), {})
            outcome = labels.get(LABEL_OUTCOME, "")
            counts[outcome] = counts.get(outcome, 0.0) + point.value
        elif name != TTS_REJECTED_TOTAL or labels.get(LABEL_REASON) == REJECTED_OVERLOAD:
            self.sums[name] = self.sums.get(name, 0.0) + point.value


class PrometheusSignals:
    """`ports.SignalSource` over Prometheus' HTTP API."""

    def __init__(self, *, url: str, clock: Clock, timeout_s: float = TIMEOUT_S, lookback_s: int = LOOKBACK_S) -> None:
        session = Session()
        session.trust_env = False  # settings come from `__main__` alone, proxies included
        self._client = PrometheusConnect(
            url=url.rstrip("/"), retry=Retry(total=0), timeout=timeout_s, method="POST", session=session
        )
        self._clock = clock
        self._timeout_s = timeout_s
        self._lookback_s = lookback_s
        # One thread: a blocking client cannot be interrupted, so a stuck one must not be joined by others.
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="prometheus")
        self._running: Future[SignalSample | SourceDown] | None = None

    async def sample(self) -> SignalSample | SourceDown:
        """Read every counter once; any trouble, also a slow answer, is `SourceDown`."""
        if self._running is not None and not self._running.done():
            return SourceDown(reason="Prometheus has not answered the former query yet")
        self._running = self._thread.submit(self._read, self._clock.now_unix_s())
        try:
            return await asyncio.wait_for(asyncio.shield(asyncio.wrap_future(self._running)), self._timeout_s)
        except TimeoutError:
            return SourceDown(reason=f"Prometheus did not answer within {self._timeout_s} s")

    def close(self) -> None:
        """Drop the connections; a query that is still running ends by its own timeout."""
        self._thread.shutdown(wait=False, cancel_futures=True)
        self._client.close()

    def _read(self, now_unix_s: float) -> SignalSample | SourceDown:
        try:
            counters = self._query(f"{_COUNTERS_OF_TARGETS}[{self._lookback_s}s]", now_unix_s)
            targets = self._query(f"up{{{_TARGETS}}}", now_unix_s)
            return SignalSample(
                at_unix_s=now_unix_s,
                replicas=gather(counters),
                scraped_ok=sum(1 for target in targets if float(target["value"][1]) == 1.0),
                scraped_expected=len(targets),
            )
        except (RequestException, PrometheusApiClientException) as error:
            return SourceDown(reason=f"Prometheus could not be asked: {error!r}")
        except (KeyError, IndexError, TypeError, ValueError) as error:
            return SourceDown(reason=f"Prometheus answered something else than samples: {error!r}")

    def _query(self, query: str, at_unix_s: float) -> list[_Series]:
        answer: Any = self._client.custom_query(query, params={"time": f"{at_unix_s:.3f}"})
        return cast("list[_Series]", answer)


def gather(series: Iterable[_Series]) -> tuple[ReplicaCounters, ...]:
    """Counters per replica, from its newest scrape alone.

    A series that is missing from that scrape ended with a former process and does not count. A labelled counter that was
    never raised is absent, which means 0; a replica without its admission counter was not scraped whole and is left out.
    """
    points = [_newest(one) for one in series]
    tallies: dict[str, _Tally] = {}
    for point in points:
        if point.labels["__name__"] == TTS_ADMITTED_TOTAL:
            replica = point.labels[LABEL_REPLICA]
            if replica not in tallies or tallies[replica].at_unix_s < point.at_unix_s:
                tallies[replica] = _Tally(region=Region(point.labels[LABEL_REGION]), at_unix_s=point.at_unix_s)
    for point in points:
        tally = tallies.get(point.labels[LABEL_REPLICA])
        if tally is not None and tally.at_unix_s == point.at_unix_s:
            tally.add(point)
    return tuple(_counters(ReplicaId(replica), tally) for replica, tally in sorted(tallies.items()))


def _newest(series: _Series) -> _Point:
    at_unix_s, value = series["values"][-1]
    return _Point(labels=series["metric"], at_unix_s=float(at_unix_s), value=float(value))


def _counters(replica: ReplicaId, tally: _Tally) -> ReplicaCounters:
    return ReplicaCounters(
        replica=replica,
        region=tally.region,
        sampled_unix_s=tally.at_unix_s,
        slos=tuple(
            SloCounter(slo=SloId(slo), good=counts.get(Outcome.GOOD, 0.0), bad=counts.get(Outcome.BAD, 0.0))
            for slo, counts in sorted(tally.slos.items())
        ),
        admitted=tally.sums[TTS_ADMITTED_TOTAL],
        rejected_overload=tally.sums.get(TTS_REJECTED_TOTAL, 0.0),
        queue_s=tally.sums.get(TTS_QUEUE_SECONDS_TOTAL, 0.0),
        service_s=tally.sums.get(TTS_SERVICE_SECONDS_TOTAL, 0.0),
        audio_s=tally.sums.get(TTS_AUDIO_SECONDS_TOTAL, 0.0),
    )
