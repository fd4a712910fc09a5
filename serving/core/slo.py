"""Exact SLO counts: every request that ended is good or bad for every SLO, counted once.

Thresholds arrive at run time and may change; the counters of an SLO that stays are kept, and a new one starts at zero
before its first event, so that no increase is lost. Refusals for overload and failures are bad; what the client itself
called off, and what could never have been spoken, is not counted. Promises: pure; counts never fall; one event per
request and SLO.
"""

from dataclasses import dataclass, field, replace

from contracts.vocabulary import Outcome, SliKind, SloId


@dataclass(frozen=True, slots=True)
class Threshold:
    """A request is good when its `sli` duration is at most `threshold_s`."""

    slo: SloId
    sli: SliKind
    threshold_s: float


@dataclass(frozen=True, slots=True)
class Counts:
    """Good and bad requests of one SLO since the replica started."""

    good: int = 0
    bad: int = 0


@dataclass(frozen=True, slots=True)
class Durations:
    """How long one finished request took, from accepted to ready to send."""

    first_audio_s: float
    total_s: float

    def of(self, sli: SliKind) -> float:
        """The duration that `sli` speaks about."""
        return self.first_audio_s if sli is SliKind.FIRST_AUDIO else self.total_s


@dataclass(frozen=True, slots=True)
class StaleRevision:
    """The offered thresholds are older than the ones in use."""

    offered: int
    in_use: int


@dataclass(frozen=True, slots=True)
class SloLedger:
    """The thresholds in use and their counts."""

    revision: int = 0
    thresholds: tuple[Threshold, ...] = ()
    counts: dict[SloId, Counts] = field(default_factory=dict)

    def with_thresholds(self, revision: int, thresholds: tuple[Threshold, ...]) -> "SloLedger | StaleRevision":
        """Replace the whole set; an older revision is refused, the same one again is harmless."""
        if revision < self.revision:
            return StaleRevision(revision, self.revision)
        kept = {threshold.slo: self.counts.get(threshold.slo, Counts()) for threshold in thresholds}
        return SloLedger(revision, thresholds, kept)

    def finished(self, durations: Durations) -> "SloLedger":
        """One request was spoken to its end."""
        return self._counted(
            {
                threshold.slo: Outcome.GOOD if durations.of(threshold.sli) <= threshold.threshold_s else Outcome.BAD
                for threshold in self.thresholds
            }
        )

    def broken(self) -> "SloLedger":
        """One request was refused for overload, or failed: bad for every SLO."""
        return self._counted({threshold.slo: Outcome.BAD for threshold in self.thresholds})

    def _counted(self, outcomes: dict[SloId, Outcome]) -> "SloLedger":
        counts = dict(self.counts)
        for slo, outcome in outcomes.items():
            old = counts[slo]
            counts[slo] = replace(old, good=old.good + 1) if outcome is Outcome.GOOD else replace(old, bad=old.bad + 1)
        return replace(self, counts=counts)
