"""Tiers: windows follow from the objective and the wanted time to page, and every one of them can fire."""

from decimal import Decimal

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from contracts.vocabulary import SloId
from slo_rules.errors import SloError
from slo_rules.indicators import ExactCounters
from slo_rules.model import Slo
from slo_rules.tiers import LAG_S, PAGE_WITHIN_S_MIN, Severity, Tier, derive_tiers, exact_budget
from slo_rules.windows import RollingWindow

MINUTE, HOUR, DAY = 60, 3_600, 86_400


def slo(objective: float = 0.95, **fields) -> Slo:
    return Slo(SloId("speech"), objective, ExactCounters(0.2), **fields)


def test_the_default_slo_looks_at_ten_minutes_an_hour_six_hours_and_three_days():
    tiers = derive_tiers(slo())
    assert [(tier.number, tier.theta, tier.long_s, tier.short_s) for tier in tiers] == [
        (1, Decimal("0.5"), 10 * MINUTE, 2 * MINUTE),
        (2, Decimal("0.25"), HOUR, 5 * MINUTE),
        (3, Decimal("0.1"), 6 * HOUR, 30 * MINUTE),
        (4, Decimal("0.05"), 3 * DAY, 6 * HOUR),
    ]
    assert [tier.severity for tier in tiers] == [Severity.PAGE, Severity.PAGE, Severity.TICKET, Severity.TICKET]


def test_a_budget_has_no_binary_noise():
    assert exact_budget(slo(0.95)) == Decimal("0.05")
    assert slo(0.95).error_budget != 0.05  # what would have ended up in the rules


def test_googles_factor_on_a_p90_objective_is_refused_because_it_never_fires():
    with pytest.raises(SloError) as caught:
        Tier(1, Severity.PAGE, Decimal("14.4") * Decimal("0.1"), long_s=HOUR, short_s=5 * MINUTE)
    assert caught.value.field == "theta"
    assert "could not fire" in caught.value.problem


@pytest.mark.parametrize("short_s", [60, HOUR, 2 * HOUR])
def test_a_short_window_has_two_samples_and_is_shorter_than_the_long_one(short_s):
    with pytest.raises(SloError) as caught:
        Tier(1, Severity.PAGE, Decimal("0.5"), long_s=HOUR, short_s=short_s)
    assert caught.value.field == "short_s"


def test_a_tier_with_the_threshold_of_a_faster_one_is_left_out():
    assert [tier.number for tier in derive_tiers(slo(0.9))] == [1, 3, 4]
    assert [tier.number for tier in derive_tiers(slo(0.5))] == [1]


@pytest.mark.parametrize(
    ("fields", "culprit", "fix"),
    [
        ({"page_within_s": 299.0}, "page_within_s", "use 300 or more"),
        ({"window": RollingWindow(HOUR)}, "page_within_s", "use 360 or less"),
        ({"objective": 0.9999}, "page_within_s", "use 439 or less"),
        ({"objective": 0.9999, "window": RollingWindow(DAY)}, "window_s", "use 1200000 or more"),
    ],
)
def test_a_page_that_could_not_come_in_time_is_refused_with_the_field_to_change(fields, culprit, fix):
    with pytest.raises(SloError) as caught:
        derive_tiers(slo(**fields))
    assert caught.value.field == culprit
    assert caught.value.fix.startswith(fix)


@given(
    objective=st.decimals("0.5", "0.9999", places=4),
    page_within_s=st.integers(PAGE_WITHIN_S_MIN, 4 * HOUR),
    window_s=st.integers(1, 90).map(lambda days: days * DAY),
)
def test_every_compilable_slo_pages_in_time_and_grows_more_patient(objective, page_within_s, window_s):
    candidate = slo(float(objective), page_within_s=float(page_within_s), window=RollingWindow(window_s))
    try:
        tiers = derive_tiers(candidate)
    except SloError:
        assume(False)
    assert tiers[0].number == 1
    assert tiers[0].theta * tiers[0].long_s + LAG_S <= page_within_s
    assert [tier.theta for tier in tiers] == sorted({tier.theta for tier in tiers}, reverse=True)
    assert [tier.long_s for tier in tiers] == sorted(tier.long_s for tier in tiers)
    assert all(tier.theta >= exact_budget(candidate) for tier in tiers)
    assert all(tier.long_s <= window_s / 2 for tier in tiers)


def test_the_fixes_offered_are_themselves_accepted():
    assert derive_tiers(slo(page_within_s=300.0))
    assert derive_tiers(slo(window=RollingWindow(HOUR), page_within_s=360.0))
    assert derive_tiers(slo(0.9999, page_within_s=439.0))
    assert derive_tiers(slo(0.9999, window=RollingWindow(1_200_000), page_within_s=300.0))
