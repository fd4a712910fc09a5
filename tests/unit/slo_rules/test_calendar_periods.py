"""Calendar windows: where days, weeks, months, quarters and years begin, clock changes included."""

from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slo_rules.errors import SloError
from slo_rules.rules.calendar_periods import boundaries, period_start, runs_of
from slo_rules.windows import UNIT_S_MAX, UNIT_S_MIN, CalendarUnit, CalendarWindow

TODAY = date(2026, 7, 9)
BERLIN = "Europe/Berlin"


def local(unix_s: int, zone: str = "UTC") -> datetime:
    return datetime.fromtimestamp(unix_s, ZoneInfo(zone))


@pytest.mark.parametrize("zone", ["UTC", BERLIN, "America/New_York", "Asia/Kathmandu", "Australia/Lord_Howe"])
@pytest.mark.parametrize("unit", CalendarUnit)
def test_periods_begin_at_local_midnight_and_are_as_long_as_promised(unit, zone):
    starts = boundaries(CalendarWindow(unit, zone), TODAY)
    assert {(at.hour, at.minute) for at in (local(start, zone) for start in starts)} == {(0, 0)}
    lengths = {later - earlier for earlier, later in pairwise(starts)}
    assert UNIT_S_MIN[unit] <= min(lengths)
    assert max(lengths) <= UNIT_S_MAX[unit]


def test_every_unit_begins_where_people_say_it_does():
    begins = {
        unit: [local(start).date() for start in boundaries(CalendarWindow(unit), TODAY)[:3]] for unit in CalendarUnit
    }
    assert begins == {
        CalendarUnit.DAY: [date(2025, 12, 31), date(2026, 1, 1), date(2026, 1, 2)],
        CalendarUnit.WEEK: [date(2025, 12, 22), date(2025, 12, 29), date(2026, 1, 5)],
        CalendarUnit.MONTH: [date(2025, 12, 1), date(2026, 1, 1), date(2026, 2, 1)],
        CalendarUnit.QUARTER: [date(2025, 10, 1), date(2026, 1, 1), date(2026, 4, 1)],
        CalendarUnit.YEAR: [date(2025, 1, 1), date(2026, 1, 1), date(2027, 1, 1)],
    }


def test_the_clock_change_makes_a_day_of_23_and_one_of_25_hours():
    starts = boundaries(CalendarWindow(CalendarUnit.DAY, BERLIN), TODAY)
    odd = {
        local(earlier, BERLIN).date(): (later - earlier) // 3_600
        for earlier, later in pairwise(starts)
        if later - earlier != 86_400
    }
    assert odd == {
        date(2026, 3, 29): 23,
        date(2026, 10, 25): 25,
        date(2027, 3, 28): 23,
        date(2027, 10, 31): 25,
    }


def test_where_the_clocks_skip_midnight_the_day_begins_as_they_do():
    starts = boundaries(CalendarWindow(CalendarUnit.DAY, "Africa/Cairo"), TODAY)
    skipped = next(local(start, "Africa/Cairo") for start in starts if local(start, "Africa/Cairo").hour)
    assert skipped.replace(tzinfo=None) == datetime(2026, 4, 24, 1)  # noqa: DTZ001  # local time, to be read


@pytest.mark.parametrize("unit", CalendarUnit)
def test_the_text_changes_with_the_year_and_not_before(unit):
    window = CalendarWindow(unit, BERLIN)
    first, later, next_year = (
        period_start(window, day, delay_s=60) for day in (date(2026, 1, 1), date(2026, 12, 31), date(2027, 1, 1))
    )
    assert first == later != next_year


def test_days_of_two_years_are_a_handful_of_terms():
    assert len(runs_of(boundaries(CalendarWindow(CalendarUnit.DAY, BERLIN), TODAY))) <= 10
    assert len(period_start(CalendarWindow(CalendarUnit.DAY, BERLIN), TODAY, delay_s=60)) < 2_000


@given(st.lists(st.integers(1, 5), min_size=1, max_size=40))
def test_runs_say_the_same_as_the_list(steps):
    starts = [1_000]
    for step in steps:
        starts.append(starts[-1] + step)
    written = [at for run in runs_of(tuple(starts)) for at in range(run.first_unix_s, run.last_unix_s + 1, run.step_s)]
    assert written == starts


def test_the_table_reaches_two_years_ahead_and_then_ends():
    starts = boundaries(CalendarWindow(CalendarUnit.MONTH), TODAY)
    assert local(starts[-1]) == datetime(2028, 1, 1, tzinfo=UTC)
    assert period_start(CalendarWindow(CalendarUnit.MONTH), TODAY, delay_s=60).endswith(f" < {starts[-1]}")
    assert local(starts[0]) < datetime(2026, 1, 1, tzinfo=UTC) - timedelta(days=1)


@pytest.mark.parametrize("year", [1969, 9_999])
def test_a_day_without_a_table_is_refused(year):
    with pytest.raises(SloError) as caught:
        boundaries(CalendarWindow(), date(year, 1, 1))
    assert caught.value.field == "today"
