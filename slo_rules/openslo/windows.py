"""`timeWindow` and time slices, read and written.

A calendar period begins where calendars say it does: at midnight of the first day. `startTime` is OpenSLO's anchor, so it has
to be such a moment; which one makes no difference, and an anchor in the middle of a month is refused.
"""

from datetime import datetime

from slo_rules.errors import SloError
from slo_rules.openslo.schema import Calendar, Objective, TimeWindow
from slo_rules.openslo.units import duration_text, shown, whole_seconds
from slo_rules.windows import CalendarUnit, CalendarWindow, RollingWindow, Slices, Window

CALENDAR_DURATIONS = {
    "1d": CalendarUnit.DAY,
    "1w": CalendarUnit.WEEK,
    "1M": CalendarUnit.MONTH,
    "1Q": CalendarUnit.QUARTER,
    "1Y": CalendarUnit.YEAR,
}
ANCHOR = "2024-01-01 00:00:00"
"""The beginning of a day, a week, a month, a quarter and a year at once."""
_TIME_FORMAT = "%Y-%m-%d %H:%M:%S"
_QUARTER_MONTHS = (1, 4, 7, 10)
TIMESLICES = "Timeslices"
OCCURRENCES = "Occurrences"


def window_of(windows: list[TimeWindow], path: str) -> Window:
    """The one window of a document, `RollingWindow()` when none is written. `path` is that of the list."""
    if not windows:
        return RollingWindow()
    window, here = windows[0], f"{path}[0]"
    if window.calendar is not None:
        if window.isRolling:
            raise SloError(f"{here}.isRolling", "contradicts calendar", "write isRolling: false, or drop calendar")
        return _calendar(window.duration, window.calendar, here)
    if not window.isRolling:
        raise SloError(
            f"{here}.isRolling", "is not true and there is no calendar", "write isRolling: true, or a calendar"
        )
    if window.duration[-1:] in {"M", "Q", "Y"}:
        fix = "write days such as 30d, or isRolling: false with a calendar"
        raise SloError(f"{here}.duration", f"a rolling {shown(window.duration)} has no fixed length", fix)
    return RollingWindow(whole_seconds(window.duration, path=f"{here}.duration"))


def slices_of(method: str, objective: Objective, path: str) -> Slices | None:
    """Time slices when that is the budgeting method. `path` is that of the objective."""
    given = {"timeSliceTarget": objective.timeSliceTarget, "timeSliceWindow": objective.timeSliceWindow}
    if method != TIMESLICES:
        for name, value in given.items():
            if value is not None:
                raise SloError(f"{path}.{name}", "is only for time slices", f"write budgetingMethod: {TIMESLICES}")
        return None
    if objective.timeSliceTarget is None:
        raise SloError(f"{path}.timeSliceTarget", "is missing", "add the share of good events that makes a slice good")
    if objective.timeSliceWindow is None:
        raise SloError(f"{path}.timeSliceWindow", "is missing", "add the length of a slice, e.g. 1m")
    seconds = whole_seconds(objective.timeSliceWindow, path=f"{path}.timeSliceWindow")
    return Slices(seconds, float(objective.timeSliceTarget))


def window_document(window: Window) -> dict[str, object]:
    """The entry of `timeWindow`."""
    if isinstance(window, RollingWindow):
        return {"duration": duration_text(window.seconds), "isRolling": True}
    durations = {unit: duration for duration, unit in CALENDAR_DURATIONS.items()}
    calendar = {"startTime": ANCHOR, "timeZone": window.time_zone}
    return {"duration": durations[window.unit], "isRolling": False, "calendar": calendar}


def slices_document(slices: Slices | None) -> dict[str, object]:
    """Fields of an objective."""
    if slices is None:
        return {}
    return {"timeSliceTarget": slices.target, "timeSliceWindow": duration_text(slices.seconds)}


def _calendar(duration: str, calendar: Calendar, path: str) -> CalendarWindow:
    unit = CALENDAR_DURATIONS.get(duration)
    if unit is None:
        problem = f"{shown(duration)} is not one calendar period"
        raise SloError(f"{path}.duration", problem, f"write one of {', '.join(CALENDAR_DURATIONS)}")
    try:
        anchor = datetime.strptime(calendar.startTime, _TIME_FORMAT)  # noqa: DTZ007  # OpenSLO keeps the zone beside it
    except ValueError as error:
        problem = f"{shown(calendar.startTime)} is not a time"
        raise SloError(f"{path}.calendar.startTime", problem, f"write {ANCHOR}") from error
    if not _begins(anchor, unit):
        problem = f"no {unit.value} begins at {calendar.startTime}"
        raise SloError(
            f"{path}.calendar.startTime", problem, f"write {ANCHOR}: any beginning of a {unit.value} is the same"
        )
    return CalendarWindow(unit, calendar.timeZone)


def _begins(anchor: datetime, unit: CalendarUnit) -> bool:
    midnight = (anchor.hour, anchor.minute, anchor.second) == (0, 0, 0)
    first = {
        CalendarUnit.DAY: True,
        CalendarUnit.WEEK: anchor.isoweekday() == 1,
        CalendarUnit.MONTH: anchor.day == 1,
        CalendarUnit.QUARTER: anchor.day == 1 and anchor.month in _QUARTER_MONTHS,
        CalendarUnit.YEAR: (anchor.month, anchor.day) == (1, 1),
    }
    return midnight and first[unit]
