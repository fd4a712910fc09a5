"""Tiers: windows follow from the objective and the wanted time to page, and every one of them can fire."""

from decimal import Decimal

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from contracts.vocabulary import SloId
from slo_rules.errors import SloError
from slo_rules.indicators import Composite, ExactCounters, GaugeBound, Part
from slo_rules.model import Slo
from slo_rules.tiers import LAG_S, PAGE_WITHIN_S_MIN, Severity, Tier, derive_tiers, exact_budget
from slo_rules.windows import CalendarUnit, CalendarWindow, RollingWindow, Slices

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


GRID = (0.9, 0.93, 0.95, 0.975, 0.99, 0.995, 0.999, 0.9995, 0.9999)


@pytest.mark.parametrize("objective", GRID)
@pytest.mark.parametrize("slices", [None, Slices(60), Slices(300, 0.9), Slices(3_600, 0.99)])
def test_every_tier_of_the_grid_can_fire_and_the_first_in_time(objective, slices):
    """Simulated minute by minute: every event of every minute is bad from minute zero on."""
    tested = slo(objective, page_within_s=432.0, slices=slices)
    minute_counts = 600 if slices is None else 60 / slices.seconds
    for tier in derive_tiers(tested):
        fires_s = next(
            minute * MINUTE
            for minute in range(1, tier.long_s // MINUTE + 1)
            if minute * minute_counts >= float(tier.bad_min)
            and minute * minute_counts
            > float(tier.theta) * tier.long_s / MINUTE * minute_counts
            + float(tier.z)
            * float(tier.theta * (1 - tier.theta) * tier.long_s) ** 0.5
            * (minute_counts / MINUTE) ** 0.5
        )
        if tier.number == 1:
            assert fires_s <= tested.page_within_s - LAG_S + MINUTE


def test_slices_need_no_margin_far_from_the_budget_and_few_bad_minutes():
    first, *_, last = derive_tiers(slo(slices=Slices(300)))
    assert (first.z, last.z) == (0, 5)
    assert first.bad_min == Decimal("0.5")  # two and a half bad minutes, in slices of five


def test_a_slice_that_turns_bad_late_takes_its_time_from_the_window():
    prompt, late = (derive_tiers(slo(slices=Slices(3_600, target)))[0] for target in (0.99, 0.96))
    assert prompt.long_s == 10 * MINUTE
    assert late.long_s == 7 * MINUTE  # 144 s until four percent of an hour are bad, of which 60 s count as smear


def test_slices_so_few_that_chance_explains_all_of_them_are_refused():
    with pytest.raises(SloError) as caught:
        derive_tiers(slo(0.6, slices=Slices(60)))
    assert caught.value.field == "objective"
    assert derive_tiers(slo(0.75, slices=Slices(60)))


def test_a_composite_pages_a_minute_later_and_counts_in_its_heaviest_events():
    parts = (Part(SloId("a")), Part(SloId("b"), 2.5))
    tested = Slo(SloId("x"), 0.95, Composite(parts))
    first = derive_tiers(tested)[0]
    assert first.theta * first.long_s + LAG_S + MINUTE <= tested.page_within_s
    assert first.event_max == Decimal("2.5")
    assert first.bad_min == Decimal("23.75")
    sliced = {name: Slo(SloId(name), 0.95, GaugeBound(name, 1), slices=Slices()) for name in ("a", "b")}
    assert derive_tiers(tested, sliced)[0].z == 0


def test_a_child_leaves_its_parent_a_minute_to_speak_first():
    alone, child = (derive_tiers(slo(depends_on=parent))[0] for parent in (None, SloId("network")))
    assert (alone.long_s, child.long_s) == (10 * MINUTE, 8 * MINUTE)
    with pytest.raises(SloError, match="use 360 or more"):
        derive_tiers(slo(depends_on=SloId("network"), page_within_s=300.0))


def test_a_calendar_window_is_as_short_as_its_shortest_period():
    tiers = derive_tiers(slo(window=CalendarWindow(CalendarUnit.DAY), objective=0.9))
    assert max(tier.long_s for tier in tiers) <= 23 * HOUR / 2
