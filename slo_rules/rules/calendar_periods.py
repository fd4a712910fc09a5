"""Calendar windows: when days, weeks, months, quarters and years begin in a time zone, and that table as PromQL.

PromQL knows UTC only. So the boundaries of the coming two years are computed here, where time zones and their clock changes are
known, and inlined. Boundaries at equal distance become one term: a day takes a handful of terms a year, one per clock change.
The table depends on the year alone, so a compiled file changes once a year; when nobody compiles for two years the window
ends, and its budget is absent instead of wrong.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import assert_never
from zoneinfo import ZoneInfo

from slo_rules.errors import SloError
from slo_rules.windows import CalendarUnit, CalendarWindow

YEARS = 2
_YEAR_MAX = 9_990
_MONTHS = {CalendarUnit.MONTH: 1, CalendarUnit.QUARTER: 3, CalendarUnit.YEAR: 12}


@dataclass(frozen=True, slots=True)
class Run:
    """Boundaries at equal distance; Unix seconds."""

    first_unix_s: int
    step_s: int
    """Positive also for a single boundary, where it does not matter."""
    last_unix_s: int


def boundaries(window: CalendarWindow, today: date) -> tuple[int, ...]:
    """Unix seconds at which periods begin, ascending, from before this year until two years later; the last one ends the table."""
    if not 1970 <= today.year < _YEAR_MAX:  # noqa: PLR2004  # said by the message
        raise SloError("today", f"{today} is no date to compile at", "give today's date")
    zone = ZoneInfo(window.time_zone)
    first, last = date(today.year, 1, 1), date(today.year + YEARS, 1, 1)
    # One period more at the start: at the first of January it is still December somewhere.
    starts = [_start_of(window.unit, _start_of(window.unit, first) - timedelta(days=1))]
    for day in _starts_after(window.unit, starts[0]):
        starts.append(day)
        if day >= last:
            break
    return tuple(_midnight_unix_s(day, zone) for day in starts)


def runs_of(starts: tuple[int, ...]) -> tuple[Run, ...]:
    """`starts` with equal distances drawn together."""
    runs: list[Run] = []
    for start in starts:
        last = runs[-1] if runs else None
        if last is not None and last.first_unix_s == last.last_unix_s:
            runs[-1] = Run(last.first_unix_s, start - last.first_unix_s, start)
        elif last is not None and start - last.last_unix_s == last.step_s:
            runs[-1] = Run(last.first_unix_s, last.step_s, start)
        else:
            runs.append(Run(start, 1, start))
    return tuple(runs)


def period_start(window: CalendarWindow, today: date, *, delay_s: int) -> str:
    """A vector with the Unix time at which the period of `delay_s` seconds ago began; empty once the table has ended."""
    starts = boundaries(window, today)
    now = f"vector(time() - {delay_s})"
    terms = [_latest_in(run, now) for run in reversed(runs_of(starts[:-1]))]
    return f"({' or '.join(terms)}) and {now} < {starts[-1]}"


def _latest_in(run: Run, now: str) -> str:
    """The newest boundary of `run` that is not in the future, if there is one. Later runs take precedence."""
    since = f"({now} >= {run.first_unix_s}) - {run.first_unix_s}"
    if run.first_unix_s == run.last_unix_s:
        return f"0 * ({since}) + {run.first_unix_s}"
    newest = f"{run.first_unix_s} + {run.step_s} * floor(({since}) / {run.step_s})"
    return f"clamp_max({newest}, {run.last_unix_s})"


def _start_of(unit: CalendarUnit, day: date) -> date:
    match unit:
        case CalendarUnit.DAY:
            return day
        case CalendarUnit.WEEK:
            return day - timedelta(days=day.weekday())
        case CalendarUnit.MONTH | CalendarUnit.QUARTER | CalendarUnit.YEAR:
            months = _MONTHS[unit]
            return date(day.year, (day.month - 1) // months * months + 1, 1)
    assert_never(unit)


def _starts_after(unit: CalendarUnit, start: date) -> Iterator[date]:
    """The following period starts, without end."""
    while True:
        if unit in _MONTHS:
            months = start.year * 12 + start.month - 1 + _MONTHS[unit]
            start = date(months // 12, months % 12 + 1, 1)
        else:
            start += timedelta(days=1 if unit is CalendarUnit.DAY else 7)
        yield start


def _midnight_unix_s(day: date, zone: ZoneInfo) -> int:
    """Where the clocks skip midnight, the instant at which they do: the day begins there."""
    return int(datetime(day.year, day.month, day.day, tzinfo=zone).astimezone(UTC).timestamp())
