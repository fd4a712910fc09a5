"""What became of each request, and sums over them."""

import math
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from contracts.vocabulary import Region


class Fate(StrEnum):
    """How a request ended."""

    SPOKEN = "spoken"
    """A complete 200."""
    REFUSED = "refused"
    """An honest no with Retry-After: admission control at work, decided before any work was done."""
    FAILED = "failed"
    """Everything else: an error, a cut answer, no answer in time, no connection."""


@dataclass(frozen=True, slots=True)
class Record:
    """One request."""

    gateway: Region
    stream: str
    sent_s: float
    """Monotonic clock of the load generator."""
    latency_s: float
    """Sent → last byte; for failures, sent → given up."""
    fate: Fate
    status: int | None
    """None when no status line came back."""
    audio_bytes: int = 0
    profile: str = ""
    """What the replica said it used."""
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Tally:
    """Counts over some records."""

    sent: int
    spoken: int
    late: int
    """Spoken, but over the threshold."""
    refused: int
    failed: int
    profiles: tuple[tuple[str, int], ...] = ()

    @property
    def bad_ratio(self) -> float:
        """Share that was late, refused or failed; 0 when nothing was sent."""
        return (self.late + self.refused + self.failed) / self.sent if self.sent else 0.0


def tally(records: Iterable[Record], threshold_s: float) -> Tally:
    """Count; "late" means over `threshold_s`."""
    records = tuple(records)
    fates = Counter(record.fate for record in records)
    profiles = Counter(record.profile for record in records if record.profile)
    return Tally(
        sent=len(records),
        spoken=fates[Fate.SPOKEN],
        late=sum(record.fate is Fate.SPOKEN and record.latency_s > threshold_s for record in records),
        refused=fates[Fate.REFUSED],
        failed=fates[Fate.FAILED],
        profiles=tuple(sorted(profiles.items())),
    )


def quantile(values: Iterable[float], q: float) -> float:
    """Nearest-rank quantile of at least one value: always a value that was measured."""
    ordered = sorted(values)
    if not ordered:
        msg = "a quantile of nothing"
        raise ValueError(msg)
    return ordered[min(len(ordered) - 1, max(0, math.ceil(q * len(ordered)) - 1))]
