"""What sources tell the core about requests: raw counters per replica, or that nothing could be read.

Raw and monotonic on purpose: differencing, resets and trust are judged in one place, `signals.py`, from the same values
whichever source delivered them.
"""

from dataclasses import dataclass

from contracts.vocabulary import Region, ReplicaId, SloId


@dataclass(frozen=True, slots=True)
class SloCounter:
    """Raw, monotonic event counts of one SLO at one replica since its process started."""

    slo: SloId
    good: float
    bad: float


@dataclass(frozen=True, slots=True)
class ReplicaCounters:
    """Raw counters of one replica at one scrape. Resets are the reader's to handle."""

    replica: ReplicaId
    region: Region
    sampled_unix_s: float
    """When Prometheus scraped it; the age of the signal is counted from here."""
    slos: tuple[SloCounter, ...]
    admitted: float
    rejected_overload: float
    queue_s: float
    service_s: float
    audio_s: float


@dataclass(frozen=True, slots=True)
class SignalSample:
    """All counters of all replicas, read with a constant number of queries."""

    at_unix_s: float
    replicas: tuple[ReplicaCounters, ...]
    scraped_ok: int
    """Replica targets whose last scrape worked; `scraped_ok` of `scraped_expected` is the coverage."""
    scraped_expected: int


@dataclass(frozen=True, slots=True)
class SourceDown:
    """The source could not be read. Not zero traffic, not health: nothing is known."""

    reason: str
