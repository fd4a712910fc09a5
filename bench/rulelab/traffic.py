"""Traffic as counters: what a Prometheus would have scraped, and what truly happened.

A `Flow` holds how many requests ended before each scrape, fast and slow; from it come the series of a histogram and of
exact counters. Counts are whole numbers, so the truth about a budget is a fraction and no estimate.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bench.rulelab.engines import REGION
from contracts.metric_names import (
    JOB_REPLICAS,
    LABEL_JOB,
    LABEL_OUTCOME,
    LABEL_REGION,
    LABEL_REPLICA,
    LABEL_SLO,
    SLO_EVENTS_TOTAL,
)
from contracts.vocabulary import Outcome, SloId
from slo_rules import promql
from slo_rules.indicators import ClassicHistogram, ExactCounters
from slo_rules.model import PAGE_WITHIN_S_DEFAULT, Slo

HISTOGRAM = "tts_request_duration_seconds"
THRESHOLD_S = 0.2
SCENE = "scene"
"""The label that keeps the series of one experiment apart from those of another in the same server."""
SCRAPE_S = 30
PAGE_WITHIN_S = {0.9999: 420.0}
"""Of 99.99 % over 30 days 259 s of outage are the whole budget: the usual eight minutes would come after it is spent."""
Counts = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Flow:
    """Requests that ended before each scrape, since the one before."""

    fast: Counts
    slow: Counts
    scrape_s: int = SCRAPE_S

    def then(self, later: "Flow") -> "Flow":
        """This one, and afterwards `later`."""
        return Flow(np.concatenate((self.fast, later.fast)), np.concatenate((self.slow, later.slow)), self.scrape_s)

    def budget_left(self, objective: float) -> NDArray[np.float64]:
        """The truth at every scrape: 1 − slow requests so far / those that the objective allows of all so far."""
        slow, total = np.cumsum(self.slow), np.cumsum(self.fast + self.slow)
        return 1.0 - slow / np.maximum(total * (1.0 - objective), 1e-9)


def steady(seconds: int, per_s: float, slow_share: float, scrape_s: int = SCRAPE_S) -> Flow:
    """The same counts before every scrape."""
    scrapes, each = seconds // scrape_s, round(per_s * scrape_s)
    slow = round(each * slow_share)
    return Flow(np.full(scrapes, each - slow), np.full(scrapes, slow), scrape_s)


def poisson(seconds: int, per_s: float, slow_share: float, seed: int) -> Flow:
    """Requests that come independently of each other, each slow with the same probability."""
    random, scrapes = np.random.default_rng(seed), seconds // SCRAPE_S
    fast = random.poisson(per_s * SCRAPE_S * (1 - slow_share), scrapes)
    return Flow(fast, random.poisson(per_s * SCRAPE_S * slow_share, scrapes))


def burst(slow: int, fast: int = 0) -> Flow:
    """A single scrape with so many."""
    return Flow(np.array([fast]), np.array([slow]))


@dataclass(frozen=True, slots=True)
class Counter:
    """One series: `values[i]` is what the scrape at `i * scrape_s` sees."""

    metric: str
    labels: tuple[tuple[str, str], ...]
    values: Counts
    scrape_s: int = SCRAPE_S
    absent_scrapes: int = 0
    """Scrapes that pass before the series exists."""

    @property
    def selector(self) -> str:
        """Its name and labels as PromQL and OpenMetrics write them."""
        return promql.selector(self.metric, *(promql.equals(name, value) for name, value in self.labels))


def histogram(
    scene: str, replica: str, flow: Flow, *, bucket: bool = True, from_zero: bool = True
) -> Iterator[Counter]:
    """A histogram as the peers and we read it; without `from_zero` the first scrape already sees requests."""
    labels = (*_labels(replica), (SCENE, scene))
    total = _seen(flow.fast + flow.slow, from_zero=from_zero)
    yield Counter(f"{HISTOGRAM}_count", labels, total, flow.scrape_s)
    yield Counter(f"{HISTOGRAM}_bucket", (*labels, ("le", "+Inf")), total, flow.scrape_s)
    if bucket:
        fast = _seen(flow.fast, from_zero=from_zero)
        yield Counter(f"{HISTOGRAM}_bucket", (*labels, ("le", promql.number(THRESHOLD_S))), fast, flow.scrape_s)


def exact_counters(slo: Slo, replica: str, flow: Flow) -> Iterator[Counter]:
    """What our own replicas count. Zero is there before the first request is let in, so the first scrape sees it."""
    for outcome, counts in ((Outcome.GOOD, flow.fast), (Outcome.BAD, flow.slow)):
        labels = (*_labels(replica), (LABEL_SLO, str(slo.id)), (LABEL_OUTCOME, outcome.value))
        yield Counter(SLO_EVENTS_TOTAL, labels, _seen(counts, from_zero=True), flow.scrape_s)


def histogram_slo(scene: str, objective: float) -> Slo:
    """`objective` of the requests within 0.2 s, over 30 days, on the histogram of one scene."""
    matchers = (promql.equals(LABEL_JOB, JOB_REPLICAS), promql.equals(SCENE, scene))
    return _slo(scene, objective, ClassicHistogram(promql.selector(HISTOGRAM, *matchers), THRESHOLD_S))


def exact_slo(scene: str, objective: float) -> Slo:
    """The same promise on our replicas' own counts."""
    return _slo(f"exact-{scene}", objective, ExactCounters(THRESHOLD_S))


def _slo(name: str, objective: float, indicator: ClassicHistogram | ExactCounters) -> Slo:
    return Slo(
        id=SloId(f"{name}-{round(objective * 10_000)}"),
        objective=objective,
        indicator=indicator,
        page_within_s=PAGE_WITHIN_S.get(objective, PAGE_WITHIN_S_DEFAULT),
    )


def _labels(replica: str) -> tuple[tuple[str, str], ...]:
    return ((LABEL_JOB, JOB_REPLICAS), (LABEL_REGION, REGION), (LABEL_REPLICA, replica))


def _seen(counts: Counts, *, from_zero: bool) -> Counts:
    """What the scrapes see: one scrape before the first request, or the first one already after it."""
    sums = np.cumsum(counts)
    return np.concatenate(([0], sums)) if from_zero else sums
