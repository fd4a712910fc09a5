"""What the rules of an SLO would have done over a stretch of the past: pages, tickets, silences, and the budget at every moment.

The same arithmetic as the compiled expressions, over the same one-minute counts, without a Prometheus: whoever writes an
SLO sees what it would have cost before it pages anybody. Sums are kept in whole millionths of an event, so that windows
slide without rounding, and a window that saw nothing holds exactly nothing.

Prometheus 2 counts the sample at the far edge of a window in, Prometheus 3 does not; `History.left_open` says which.
"""

from bisect import bisect_right
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from itertools import accumulate, groupby

from contracts.vocabulary import Region
from slo_rules.indicators import Composite
from slo_rules.model import Slo
from slo_rules.rules.alerts import NO_DATA_FOR_S
from slo_rules.rules.calendar_periods import boundaries
from slo_rules.rules.counts import COUNT_AGE_S
from slo_rules.rules.events import range_s_of
from slo_rules.rules.exclusions import is_excluded
from slo_rules.rules.raw_events import PART_DELAY_S
from slo_rules.rules.recorded import EVENTS_INTERVAL_S, SPAN_S
from slo_rules.tiers import PARENT_PATIENCE_S, Severity, Tier
from slo_rules.windows import CalendarWindow, RollingWindow

MICRO = 1_000_000
MINUTES_MAX = 100 * 1_440
"""A hundred days: longer histories are seldom kept, and seldom tell about today's traffic."""


@dataclass(frozen=True, slots=True)
class RegionCounts:
    """Events of one region, minute by minute; None where no sample was recorded."""

    region: Region
    total: tuple[float | None, ...]
    bad: tuple[float | None, ...]
    """As long as `total`."""


@dataclass(frozen=True, slots=True)
class History:
    """A stretch of the past on one grid of minutes."""

    starts_unix_s: int
    """Time of the first minute; the others follow every 60 s."""
    regions: tuple[RegionCounts, ...]
    left_open: bool = False
    """Windows without the sample at their far edge: Prometheus 3."""

    def __post_init__(self) -> None:
        lengths = {len(series) for counts in self.regions for series in (counts.total, counts.bad)}
        if len(lengths) > 1 or max(lengths, default=0) > MINUTES_MAX:
            msg = f"series of {sorted(lengths)} minutes are no grid of at most {MINUTES_MAX}"
            raise ValueError(msg)

    @property
    def minutes(self) -> int:
        """Length of the grid."""
        return len(self.regions[0].total) if self.regions else 0

    def at(self, minute: int) -> int:
        """Unix time of a minute's sample."""
        return self.starts_unix_s + minute * EVENTS_INTERVAL_S


@dataclass(frozen=True, slots=True)
class Firing:
    """One alert of one tier, from the first evaluation at which it fired to the first at which it did not."""

    region: Region
    tier: int
    severity: Severity
    starts_unix_s: int
    ends_unix_s: int


@dataclass(frozen=True, slots=True)
class Silence:
    """No data from a region for long enough to be told."""

    region: Region
    starts_unix_s: int
    ends_unix_s: int


@dataclass(frozen=True, slots=True)
class RegionBacktest:
    """What one region went through."""

    region: Region
    firings: tuple[Firing, ...]
    silences: tuple[Silence, ...]
    budget: tuple[tuple[int, float], ...]
    """Unix time and share of the budget that was left, every four minutes; below zero when it was overspent."""
    coverage: float
    """Observed minutes / minutes that the last budget speaks about, within the history and without maintenance."""
    events: float
    bad: float
    """Events of the whole history."""

    @property
    def budget_left(self) -> float:
        """At the end; 1 when nothing was ever seen."""
        return self.budget[-1][1] if self.budget else 1.0


@dataclass(frozen=True, slots=True)
class Backtest:
    """All regions over one history."""

    starts_unix_s: int
    ends_unix_s: int
    regions: tuple[RegionBacktest, ...]

    @property
    def pages(self) -> int:
        """Times that somebody would have been called: overlapping pages of one region are one, as Alertmanager groups them."""
        return sum(len(_merged(region.firings, Severity.PAGE)) for region in self.regions)

    def muting(self, region: Region, severity: Severity) -> tuple[tuple[int, int], ...]:
        """When alerts of this SLO in `region` explain one of that severity: pages everything, tickets only tickets."""
        as_grave = {Severity.PAGE} if severity is Severity.PAGE else set(Severity)
        found = [firing for each in self.regions if each.region == region for firing in each.firings]
        return tuple((firing.starts_unix_s, firing.ends_unix_s) for firing in found if firing.severity in as_grave)

    @property
    def tickets(self) -> int:
        """The same for tickets, without those that a page of their region muted from beginning to end."""
        return sum(
            not any(page[0] <= starts and ends <= page[1] for page in _merged(region.firings, Severity.PAGE))
            for region in self.regions
            for starts, ends in _merged(region.firings, Severity.TICKET)
        )


def backtest(slo: Slo, tiers: Collection[Tier], history: History, ancestors: Sequence[Backtest] = ()) -> Backtest:
    """What `slo` would have done with its `tiers`. `ancestors` are the backtests, over the same history, of everything that
    it depends on: while one of those alerts in a region, this one is silent there."""
    judged = _Judged(slo, history)
    return Backtest(
        starts_unix_s=history.starts_unix_s,
        ends_unix_s=history.at(max(history.minutes - 1, 0)),
        regions=tuple(_region(judged, tiers, counts, ancestors) for counts in history.regions),
    )


class _Sums:
    """Sums over any stretch of a minute series, exact to a millionth of an event."""

    def __init__(self, series: Sequence[float | None]) -> None:
        self._upto = list(accumulate((round((value or 0.0) * MICRO) for value in series), initial=0))

    def over(self, minute: int, minutes: int) -> int:
        """Millionths of an event in the last `minutes` samples, the one of `minute` included."""
        return self._upto[minute + 1] - self._upto[max(0, minute + 1 - minutes)]


class _Judged:
    """An SLO on a grid of minutes: which of them count for its budget, and which are maintenance."""

    def __init__(self, slo: Slo, history: History) -> None:
        self.slo = slo
        self.history = history
        self._periods = _periods(slo.window, history) if isinstance(slo.window, CalendarWindow) else ()
        self.excluded = [_excluded(slo, history.at(minute)) for minute in range(history.minutes)]
        weights = [part.weight for part in slo.indicator.parts] if isinstance(slo.indicator, Composite) else [1.0]
        self.smallest_event = min(weights)

    def samples(self, minute: int) -> int:
        """How many samples, that of `minute` included, the budget of then is made of."""
        if isinstance(self.slo.window, RollingWindow):
            spans = -(-self.slo.window.seconds // SPAN_S)
            return spans * SPAN_S // EVENTS_INTERVAL_S
        counted = self.history.at(minute) - COUNT_AGE_S
        return (counted - self._periods[bisect_right(self._periods, counted) - 1]) // EVENTS_INTERVAL_S + 1


def _region(
    judged: _Judged, tiers: Collection[Tier], counts: RegionCounts, ancestors: Sequence[Backtest]
) -> RegionBacktest:
    history, bad, total = judged.history, _Sums(counts.bad), _Sums(counts.total)
    observed = [value is not None for value in counts.total]
    return RegionBacktest(
        region=counts.region,
        firings=tuple(
            firing
            for tier in tiers
            for firing in _firings(judged, tier, counts.region, list(_burning(tier, history, bad, total)), ancestors)
        ),
        silences=tuple(_silences(judged, counts.region, observed)),
        budget=tuple(_budget(judged, bad, total)),
        coverage=_coverage(judged, observed),
        events=sum(value or 0.0 for value in counts.total),
        bad=sum(value or 0.0 for value in counts.bad),
    )


def _burning(tier: Tier, history: History, bad: _Sums, total: _Sums) -> Iterator[bool]:
    """The tier's expression, minute by minute."""
    theta, z, least = float(tier.theta), float(tier.z), float(tier.bad_min)
    variance = float(tier.theta * (1 - tier.theta) * tier.event_max)
    long, short = (_samples(seconds, history) for seconds in (tier.long_s, tier.short_s))
    for minute in range(history.minutes):
        bad_long = bad.over(minute, long) / MICRO
        if bad_long < least:  # most minutes of most histories end here
            yield False
            continue
        total_long = total.over(minute, long) / MICRO
        yield (
            bad_long > theta * total_long + z * (variance * total_long) ** 0.5
            and bad.over(minute, short) > theta * total.over(minute, short)
        )


def _firings(
    judged: _Judged, tier: Tier, region: Region, burning: list[bool], ancestors: Sequence[Backtest]
) -> Iterator[Firing]:
    history = judged.history
    muted = [interval for above in ancestors for interval in above.muting(region, tier.severity)]
    if muted:
        burning = [
            burns and not any(starts <= history.at(minute) < ends for starts, ends in muted)
            for minute, burns in enumerate(burning)
        ]
    patience = PARENT_PATIENCE_S // EVENTS_INTERVAL_S if judged.slo.depends_on is not None else 0
    for starts, ends in _runs(burning):
        if starts + patience < ends:
            yield Firing(region, tier.number, tier.severity, history.at(starts + patience), history.at(ends))


def _silences(judged: _Judged, region: Region, observed: list[bool]) -> Iterator[Silence]:
    """From the minute on which it is told; what came before the first sample is no silence but a beginning."""
    first = observed.index(True) if True in observed else len(observed)
    missing = [
        not seen and not excluded and minute > first
        for minute, (seen, excluded) in enumerate(zip(observed, judged.excluded, strict=True))
    ]
    for starts, ends in _runs(missing):
        told = starts + NO_DATA_FOR_S // EVENTS_INTERVAL_S
        if told < ends:
            yield Silence(region, judged.history.at(told), judged.history.at(ends))


def _budget(judged: _Judged, bad: _Sums, total: _Sums) -> Iterator[tuple[int, float]]:
    """Whenever the counts of another span are full."""
    history = judged.history
    every = SPAN_S // EVENTS_INTERVAL_S
    for minute in range(-(history.starts_unix_s // EVENTS_INTERVAL_S) % every, history.minutes, every):
        samples = judged.samples(minute)
        events = max(total.over(minute, samples) / MICRO, judged.smallest_event)
        yield history.at(minute), 1.0 - bad.over(minute, samples) / MICRO / events / judged.slo.error_budget


def _coverage(judged: _Judged, observed: list[bool]) -> float:
    """Observed minutes over those that could have been, of the last budget's window as far as the history goes."""
    if not observed:
        return 0.0
    samples = judged.samples(len(observed) - 1)
    expected = sum(not excluded for excluded in judged.excluded[-samples:])
    return min(1.0, sum(observed[-samples:]) / max(expected, 1))


def _excluded(slo: Slo, at_unix_s: int) -> bool:
    delay_s = PART_DELAY_S if isinstance(slo.indicator, Composite) else 0
    return is_excluded(slo.exclusions, at_unix_s, range_s=range_s_of(slo), delay_s=delay_s)


def _periods(window: CalendarWindow, history: History) -> tuple[int, ...]:
    """Unix times at which periods begin, from before the history until after it."""
    days = {_day(history.starts_unix_s), _day(history.at(history.minutes))}
    return tuple(sorted({start for day in days for start in boundaries(window, day)}))


def _day(unix_s: int) -> date:
    return datetime.fromtimestamp(unix_s, UTC).date()


def _samples(seconds: int, history: History) -> int:
    return seconds // EVENTS_INTERVAL_S + (0 if history.left_open else 1)


def _runs(states: list[bool]) -> Iterator[tuple[int, int]]:
    """First minute of every run of True, and the first minute after it, or the last there is."""
    for state, run in groupby(range(len(states)), key=states.__getitem__):
        if state:
            minutes = list(run)
            yield minutes[0], min(minutes[-1] + 1, len(states) - 1)


def _merged(firings: tuple[Firing, ...], severity: Severity) -> tuple[tuple[int, int], ...]:
    """When any alert of that severity fired, as intervals that neither overlap nor touch."""
    merged: list[tuple[int, int]] = []
    for starts, ends in sorted((f.starts_unix_s, f.ends_unix_s) for f in firings if f.severity is severity):
        if merged and starts <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(merged[-1][1], ends))
        else:
            merged.append((starts, ends))
    return tuple(merged)
