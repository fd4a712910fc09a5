"""Objectives as JSON: one model per indicator and window, told apart by `kind`, and their way to `Slo` and back.

Numbers are checked where they are values (`slo_rules`); here is only what JSON adds: shapes, names, lengths, times as text.
The former flat form (`threshold_s` with `sli`, `window_s`) stays as a shorthand for what most objectives are.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Annotated, Literal, assert_never

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from contracts.vocabulary import SliKind, SloId
from slo_rules import indicators, windows
from slo_rules.errors import SloError
from slo_rules.openslo.documents import NAME_PATTERN, TEXT_CHARS_MAX
from slo_rules.selectors import SELECTOR_CHARS_MAX, parse_selector

MINUTES_PER_HOUR = 60
Name = Annotated[str, Field(pattern=NAME_PATTERN)]
Selector = Annotated[str, Field(min_length=1, max_length=SELECTOR_CHARS_MAX)]
Text = Annotated[str, Field(max_length=TEXT_CHARS_MAX)]
TimeOfDay = Annotated[str, Field(pattern=r"^(([01]\d|2[0-3]):[0-5]\d|24:00)$", examples=["22:00"])]


class Body(BaseModel):
    """A shape that refuses what it does not know."""

    model_config = ConfigDict(extra="forbid", frozen=True)


@contextmanager
def under(path: str) -> Iterator[None]:
    """A fault found while making a value is told with the place of that value in the body."""
    try:
        yield
    except SloError as error:
        raise SloError(f"{path}.{_NAMES.get(error.field, error.field)}", error.problem, error.fix) from error


_NAMES = {"window_s": "seconds", "slice_s": "seconds", "slice_target": "target"}
"""Fields that are named differently inside their body."""


# ── indicators ────────────────────────────────────────────────────────────────────────────────────────────────────────
class ExactCounters(Body):
    """Our own replicas count against the threshold, exactly."""

    kind: Literal["exact_counters"] = "exact_counters"
    threshold_s: float = Field(description="A request is good when its duration is at most this many seconds")
    sli: SliKind = SliKind.TOTAL


class ClassicHistogram(Body):
    """A histogram with buckets; the threshold has to be the edge of one."""

    kind: Literal["classic_histogram"]
    selector: Selector = Field(description="Of the histogram without suffix", examples=['vllm:ttft_seconds{pool="a"}'])
    threshold: float = Field(description="In the histogram's own unit")


class NativeHistogram(Body):
    """A native histogram; the share up to the threshold is interpolated."""

    kind: Literal["native_histogram"]
    selector: Selector
    threshold: float = Field(description="In the histogram's own unit")


class EventRatio(Body):
    """Counters of all events, and of either the good or the bad ones."""

    kind: Literal["event_ratio"]
    total: Selector
    bad: Selector | None = None
    good: Selector | None = None


class GaugeBound(Body):
    """A gauge that must stay on one side of a bound; needs `slices`."""

    kind: Literal["gauge_bound"]
    selector: Selector
    bound: float
    operator: Literal["lt", "lte", "gt", "gte"] = "lte"


class Part(Body):
    """One objective within a composite."""

    slo: Name
    weight: float = 1.0


class Composite(Body):
    """The weighted events of other objectives."""

    kind: Literal["composite"]
    parts: list[Part] = Field(max_length=indicators.PARTS_MAX)


Indicator = Annotated[
    ExactCounters | ClassicHistogram | NativeHistogram | EventRatio | GaugeBound | Composite,
    Field(discriminator="kind"),
]


def indicator_of(body: Indicator) -> indicators.Indicator:
    """The value; `SloError` with a field below `indicator`."""
    with under("indicator"):
        match body:
            case ExactCounters():
                return indicators.ExactCounters(body.threshold_s, body.sli)
            case ClassicHistogram():
                return indicators.ClassicHistogram(_selected(body.selector), body.threshold)
            case NativeHistogram():
                return indicators.NativeHistogram(_selected(body.selector), body.threshold)
            case EventRatio():
                return _ratio(body)
            case GaugeBound():
                return indicators.GaugeBound(_selected(body.selector), body.bound, body.operator)
            case Composite():
                return indicators.Composite(tuple(_part(part, at) for at, part in enumerate(body.parts)))
    assert_never(body)


def _ratio(body: EventRatio) -> indicators.EventRatio:
    bad = _selected(body.bad, "bad") if body.bad is not None else None
    good = _selected(body.good, "good") if body.good is not None else None
    return indicators.EventRatio(_selected(body.total, "total"), bad, good)


def _selected(selector: str, field: str = "selector") -> str:
    """In the one spelling in which it is stored, so that equal selectors are equal texts."""
    try:
        return str(parse_selector(selector))
    except SloError as error:
        raise SloError(field, error.problem, error.fix) from error


def _part(body: Part, at: int) -> indicators.Part:
    try:
        return indicators.Part(SloId(body.slo), body.weight)
    except SloError as error:
        raise SloError(f"parts[{at}].{error.field}", error.problem, error.fix) from error


def indicator_body(value: indicators.Indicator) -> Indicator:
    """The reverse of `indicator_of`."""
    match value:
        case indicators.ExactCounters():
            return ExactCounters(threshold_s=value.threshold_s, sli=value.sli)
        case indicators.ClassicHistogram():
            return ClassicHistogram(kind=value.kind, selector=value.selector, threshold=value.threshold)
        case indicators.NativeHistogram():
            return NativeHistogram(kind=value.kind, selector=value.selector, threshold=value.threshold)
        case indicators.EventRatio():
            return EventRatio(kind=value.kind, total=value.total, bad=value.bad, good=value.good)
        case indicators.GaugeBound():
            return GaugeBound(kind=value.kind, selector=value.selector, bound=value.bound, operator=value.operator)
        case indicators.Composite():
            parts = [Part(slo=part.slo, weight=part.weight) for part in value.parts]
            return Composite(kind=value.kind, parts=parts)
    assert_never(value)


# ── windows, slices and exclusions ────────────────────────────────────────────────────────────────────────────────────
class RollingWindow(Body):
    """The last so many seconds, at every moment."""

    kind: Literal["rolling"] = "rolling"
    seconds: int = windows.WINDOW_S_DEFAULT


class CalendarWindow(Body):
    """Since the day, week, month, quarter or year began in a time zone."""

    kind: Literal["calendar"]
    unit: windows.CalendarUnit = windows.CalendarUnit.MONTH
    time_zone: Annotated[str, Field(max_length=64)] = "UTC"


Window = Annotated[RollingWindow | CalendarWindow, Field(discriminator="kind")]


class Slices(Body):
    """Budget good and bad slices of time instead of events."""

    seconds: int = 60
    target: float = Field(0.95, description="Share of good events that makes a slice a good one")


class Exclusion(Body):
    """Announced maintenance, once."""

    kind: Literal["once"] = "once"
    starts_at: AwareDatetime
    ends_at: AwareDatetime
    reason: Text = ""


class WeeklyExclusion(Body):
    """The same hours of every week, in UTC."""

    kind: Literal["weekly"]
    weekday: windows.Weekday
    starts_at: TimeOfDay
    ends_at: TimeOfDay
    reason: Text = ""


AnyExclusion = Annotated[Exclusion | WeeklyExclusion, Field(discriminator="kind")]


def window_of(body: Window) -> windows.Window:
    """The value; `SloError` with a field below `window`."""
    with under("window"):
        if isinstance(body, RollingWindow):
            return windows.RollingWindow(body.seconds)
        return windows.CalendarWindow(body.unit, body.time_zone)


def window_body(value: windows.Window) -> Window:
    """The reverse of `window_of`."""
    if isinstance(value, windows.RollingWindow):
        return RollingWindow(seconds=value.seconds)
    return CalendarWindow(kind=value.kind, unit=value.unit, time_zone=value.time_zone)


def slices_of(body: Slices) -> windows.Slices:
    """The value; `SloError` with a field below `slices`."""
    with under("slices"):
        return windows.Slices(body.seconds, body.target)


def exclusion_of(body: AnyExclusion, at: int) -> windows.Exclusion | windows.WeeklyExclusion:
    """The value; `at` is its place in the list, for the error."""
    try:
        if isinstance(body, Exclusion):
            return windows.Exclusion(int(body.starts_at.timestamp()), int(body.ends_at.timestamp()), body.reason)
        return windows.WeeklyExclusion(body.weekday, _minute(body.starts_at), _minute(body.ends_at), body.reason)
    except SloError as error:
        raise SloError(f"exclusions[{at}]", error.problem, error.fix) from error


def exclusion_body(value: windows.Exclusion | windows.WeeklyExclusion) -> AnyExclusion:
    """The reverse of `exclusion_of`."""
    if isinstance(value, windows.Exclusion):
        starts, ends = (datetime.fromtimestamp(at, UTC) for at in (value.starts_unix_s, value.ends_unix_s))
        return Exclusion(starts_at=starts, ends_at=ends, reason=value.reason)
    starts_at, ends_at = (
        "{:02}:{:02}".format(*divmod(minute, MINUTES_PER_HOUR)) for minute in (value.starts_minute, value.ends_minute)
    )
    return WeeklyExclusion(
        kind="weekly", weekday=value.weekday, starts_at=starts_at, ends_at=ends_at, reason=value.reason
    )


def _minute(text: str) -> int:
    hours, _, minutes = text.partition(":")
    return int(hours) * MINUTES_PER_HOUR + int(minutes)
