"""At exactly its objective an SLO pages nobody: measured over simulated months, at every rate and objective that matters."""

from decimal import Decimal

import numpy as np
import pytest

from bench.rulelab.false_pages import MINUTES_PER_MONTH, FalseAlerts, false_alerts, firing
from contracts.vocabulary import SloId
from slo_rules.indicators import ExactCounters
from slo_rules.model import Slo
from slo_rules.tiers import Severity, Tier, derive_tiers

RATES_PER_S = (0.01, 0.1, 1.0, 10.0, 100.0)
MONTHS = 2
EPISODES_PER_MONTH_MAX = 0.1
"""The stated bound, for pages and for tickets alike: one false alarm per SLO and region in ten months at the very most."""


def slo(objective: float) -> Slo:
    return Slo(SloId("speech"), objective, ExactCounters(0.2), page_within_s=420.0)


def months_of(objective: float) -> list[FalseAlerts]:
    return [
        alerts
        for index, rate in enumerate(RATES_PER_S)
        for alerts in false_alerts(slo(objective), requests_per_s=rate, months=MONTHS, seed=1_000 + index)
    ]


@pytest.mark.parametrize("objective", [0.5, 0.75, 0.9, 0.95, 0.99, 0.999, 0.9999])
def test_at_exactly_the_objective_false_alarms_stay_below_the_stated_bound(objective):
    measured = months_of(objective)
    assert sum(alerts.episodes for alerts in measured) <= EPISODES_PER_MONTH_MAX * MONTHS * len(RATES_PER_S)
    assert sum(alerts.firings for alerts in measured if alerts.tier.severity is Severity.PAGE) == 0


def test_twice_the_bad_requests_open_a_ticket():
    """The other half of the truth: the same judge is not deaf."""
    tier = derive_tiers(slo(0.95))[-1]
    minutes = MINUTES_PER_MONTH // 3
    assert firing(tier, np.full(minutes, 6.0), np.full(minutes, 0.6)).all()


def test_a_margin_of_one_percent_per_evaluation_is_not_one_percent_of_months():
    """Why θ = budget needs more than z = 2.33: a month is thousands of evaluations."""
    tier = derive_tiers(slo(0.5))[0]
    assert tier.z == Decimal(5)
    careless = Tier(tier.number, tier.severity, tier.theta, tier.long_s, tier.short_s, Decimal("2.33"))
    rng = np.random.default_rng(1)
    total = rng.poisson(60.0, MINUTES_PER_MONTH).astype(np.float64)
    bad = rng.binomial(total.astype(np.int64), 0.5).astype(np.float64)
    assert np.count_nonzero(firing(careless, total, bad)) > 100
    assert np.count_nonzero(firing(tier, total, bad)) == 0
