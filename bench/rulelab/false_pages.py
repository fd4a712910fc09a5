"""How often alerts fire while an SLO runs at exactly its objective, minute by minute, over simulated months.

The margin of one evaluation says little about a month: 43,200 evaluations share most of their samples, so a fluctuation that
crosses once stays across for a while, and crossings come in episodes. Their rate is measured here instead of argued: Poisson
requests, each bad with the probability that the budget allows, recorded as Prometheus records them, judged by the tiers as
compiled.
"""

import math
from dataclasses import dataclass

import numpy as np

from slo_rules.compiler import MIN_BAD, MIN_BAD_SLACK
from slo_rules.model import Slo
from slo_rules.tiers import Tier, derive_tiers, exact_budget

MINUTES_PER_MONTH = 30 * 24 * 60
Counts = np.ndarray[tuple[int], np.dtype[np.float64]]


@dataclass(frozen=True, slots=True)
class FalseAlerts:
    """What one tier did in `months` months without any trouble."""

    tier: Tier
    months: int
    firings: int
    """Times it went from quiet to firing: what a receiver would hear without grouping."""
    episodes: int
    """Firings with more than the long window of quiet before them: independent false alarms."""


def false_alerts(slo: Slo, *, requests_per_s: float, months: int, seed: int) -> tuple[FalseAlerts, ...]:
    """Per tier of `slo`, fastest first. About 50 ms and 10 MB per month; the same seed gives the same counts."""
    rng = np.random.default_rng(seed)
    tiers = derive_tiers(slo)
    minutes = months * MINUTES_PER_MONTH + max(tier.long_s for tier in tiers) // 60
    halves = rng.poisson(requests_per_s * 30, (2, minutes + 1))
    bad_halves = rng.binomial(halves, float(exact_budget(slo)))
    total, bad = _recorded(halves), _recorded(bad_halves)
    return tuple(_judge(tier, total, bad, months) for tier in tiers)


def firing(tier: Tier, total: Counts, bad: Counts) -> "np.ndarray[tuple[int], np.dtype[np.bool_]]":
    """The burn alert's verdict for every minute that has a whole long window behind it; arguments are events per minute."""
    long, short = tier.long_s // 60, tier.short_s // 60
    theta = float(tier.theta)
    margin = float(tier.z) * math.sqrt(theta * (1 - theta))
    bad_long, total_long = _sums(bad, long), _sums(total, long)
    bad_short, total_short = (_sums(series, short)[long - short :] for series in (bad, total))
    significant = bad_long > theta * total_long + margin * np.sqrt(total_long)
    return significant & (bad_short > theta * total_short) & (bad_long >= float(MIN_BAD - MIN_BAD_SLACK))


def _judge(tier: Tier, total: Counts, bad: Counts, months: int) -> FalseAlerts:
    fires = firing(tier, total, bad)
    starts = np.flatnonzero(fires & ~np.concatenate(([False], fires[:-1])))
    last_fired = np.maximum.accumulate(np.where(fires, np.arange(fires.size), -(2**31)))
    quiet_before = starts - np.where(starts > 0, last_fired[starts - 1], -(2**31))
    return FalseAlerts(tier, months, starts.size, int(np.count_nonzero(quiet_before > tier.long_s // 60)))


def _recorded(halves: "np.ndarray[tuple[int, int], np.dtype[np.int64]]") -> Counts:
    """Events per minute as `60 * rate(…[2m])` reads them with a scrape every 30 s, the slowest and so the noisiest.

    Four samples span three half minutes, which are stretched to two minutes: one half of each minute counts 2/3, the other,
    seen by two evaluations, 4/3.
    """
    first, second = halves
    return (first[1:] + second[1:] + second[:-1]) * (2 / 3)


def _sums(series: Counts, width: int) -> Counts:
    sums = np.concatenate(([0.0], np.cumsum(series)))
    return sums[width:] - sums[:-width]
