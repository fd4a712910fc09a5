"""Over which time an SLO is judged, and which time does not count."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from slo_rules.errors import SloError

DAY_S = 86_400
WINDOW_S_DEFAULT = 30 * DAY_S
WINDOW_S_MIN = 3_600
WINDOW_S_MAX = 366 * DAY_S
SLICE_S_MAX = 3_600
EXCLUSION_S_MAX = 7 * DAY_S
"""Longer than a week is not maintenance: change the objective instead."""
LATEST_UNIX_S = 253_402_214_400
"""9999-12-31: later moments have no calendar date that could be written back, in whatever time zone."""


@dataclass(frozen=True, slots=True)
class RollingWindow:
    """The last so many seconds, at every moment."""

    seconds: int = WINDOW_S_DEFAULT
    kind: Literal["rolling"] = "rolling"

    def __post_init__(self) -> None:
        if not WINDOW_S_MIN <= self.seconds <= WINDOW_S_MAX:
            raise SloError(
                "window_s", f"{self.seconds} is not an hour to a year", "write seconds, e.g. 2592000 for 30 days"
            )

    @property
    def longest_s(self) -> int:
        """For as long samples have to be kept."""
        return self.seconds


class CalendarUnit(StrEnum):
    """Units that a calendar window may have; weeks begin on Monday (ISO 8601)."""

    DAY = "day"
    WEEK = "week"
    MONTH = "month"
    QUARTER = "quarter"
    YEAR = "year"


UNIT_S_MIN = {
    CalendarUnit.DAY: 23 * 3_600,  # when the clocks go forward
    CalendarUnit.WEEK: 7 * DAY_S - 3_600,
    CalendarUnit.MONTH: 28 * DAY_S - 3_600,
    CalendarUnit.QUARTER: 90 * DAY_S - 3_600,
    CalendarUnit.YEAR: 365 * DAY_S,
}
UNIT_S_MAX = {
    CalendarUnit.DAY: 25 * 3_600,
    CalendarUnit.WEEK: 7 * DAY_S + 3_600,
    CalendarUnit.MONTH: 31 * DAY_S + 3_600,
    CalendarUnit.QUARTER: 92 * DAY_S + 3_600,
    CalendarUnit.YEAR: 366 * DAY_S,
}


@dataclass(frozen=True, slots=True)
class CalendarWindow:
    """From the start of the day, week, month, quarter or year in a time zone until now: the budget is whole again there."""

    unit: CalendarUnit = CalendarUnit.MONTH
    time_zone: str = "UTC"
    """IANA name, e.g. `Europe/Berlin`: decides when the day begins."""
    kind: Literal["calendar"] = "calendar"

    def __post_init__(self) -> None:
        try:
            ZoneInfo(self.time_zone)
        except (ZoneInfoNotFoundError, ValueError, OSError) as error:
            raise SloError(
                "time_zone", f"{self.time_zone!r} is not a time zone", "write an IANA name, e.g. UTC or Europe/Berlin"
            ) from error

    @property
    def seconds(self) -> int:
        """The shortest that it can be: what a promise about it has to hold for."""
        return UNIT_S_MIN[self.unit]

    @property
    def longest_s(self) -> int:
        """The longest that it can be: for as long samples have to be kept."""
        return UNIT_S_MAX[self.unit]


Window = RollingWindow | CalendarWindow


@dataclass(frozen=True, slots=True)
class Slices:
    """Count time instead of events: a slice is good when at least `target` of its events are; silence is no slice."""

    seconds: int = 60
    target: float = 0.95
    """Share of good events that makes a slice a good one."""

    def __post_init__(self) -> None:
        if not 60 <= self.seconds <= SLICE_S_MAX or 3_600 % self.seconds or self.seconds % 60:  # noqa: PLR2004
            raise SloError("slice_s", f"{self.seconds} does not divide an hour into minutes", "use 60, 300 or 600")
        if not 0 < self.target <= 1:
            raise SloError("slice_target", f"{self.target} is outside 0..1", "write a ratio such as 0.95")


@dataclass(frozen=True, slots=True)
class Exclusion:
    """Announced maintenance: events of this time count neither as good nor as bad, and their absence alerts nobody."""

    starts_unix_s: int
    ends_unix_s: int
    reason: str = ""

    def __post_init__(self) -> None:
        if not 0 < self.ends_unix_s - self.starts_unix_s <= EXCLUSION_S_MAX:
            raise SloError("exclusions", "the end is not within a week after the start", "write start and end in order")
        if self.starts_unix_s < 0 or self.ends_unix_s > LATEST_UNIX_S:
            raise SloError("exclusions", "the times lie before 1970 or after 9998", "correct the year")


class Weekday(StrEnum):
    """Days of a week, as PromQL's `day_of_week` counts them from Sunday = 0."""

    SUNDAY = "sunday"
    MONDAY = "monday"
    TUESDAY = "tuesday"
    WEDNESDAY = "wednesday"
    THURSDAY = "thursday"
    FRIDAY = "friday"
    SATURDAY = "saturday"


@dataclass(frozen=True, slots=True)
class WeeklyExclusion:
    """The same hours of every week, in UTC and within one day."""

    weekday: Weekday
    starts_minute: int
    """Minutes since 00:00 UTC."""
    ends_minute: int
    reason: str = ""

    def __post_init__(self) -> None:
        if not 0 <= self.starts_minute < self.ends_minute <= 24 * 60:
            raise SloError("exclusions", "the end is not after the start within one day", "write two weekly exclusions")
