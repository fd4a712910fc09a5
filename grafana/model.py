"""What a dashboard is made of, as plain values: no type of Grafana's, so that tests and our own pictures read the same.

A dashboard answers one question. Its rows go from "is it well?" down to "why not?", and every panel says in its
description how to read it.
"""

from dataclasses import dataclass
from enum import StrEnum

from contracts.dashboards import DashboardUid
from slo_rules.promql import Matcher

COLUMNS = 24
"""Width of Grafana's grid."""


class Look(StrEnum):
    """How a panel draws its series."""

    LINES = "lines"
    STACKED = "stacked"
    NUMBER = "number"
    """The newest value of each series, large."""
    STATES = "states"
    """A band per series, coloured by what its value means; needs `Panel.states`."""
    TABLE = "table"
    """The labels of each series as a row; for series that are always 1."""


class Unit(StrEnum):
    """Grafana's ids of the units used here."""

    RATIO = "percentunit"
    SECONDS = "s"
    AGO = "dateTimeFromNow"
    """A Unix time in milliseconds, told as an age."""
    REQUESTS_PER_SECOND = "reqps"
    PER_SECOND = "ops"
    COUNT = "short"
    BYTES = "bytes"
    CELSIUS = "celsius"
    WATTS = "watt"
    HERTZ = "hertz"


class Colour(StrEnum):
    """What a colour means, everywhere: well, look soon, act now, nobody knows."""

    GREEN = "green"
    YELLOW = "yellow"
    RED = "red"
    BLUE = "blue"
    GREY = "grey"


@dataclass(frozen=True, slots=True)
class Query:
    """One expression, and what its series are called (Grafana's template: `{{label}}`)."""

    expr: str
    legend: str


@dataclass(frozen=True, slots=True)
class Limits:
    """Where a value turns yellow and red; below them when `red` is the smaller, above them otherwise."""

    yellow: float
    red: float

    @property
    def steps(self) -> tuple[tuple[float | None, Colour], ...]:
        """(from this value on, colour), ascending; None is minus infinity."""
        if self.red < self.yellow:
            return ((None, Colour.RED), (self.red, Colour.YELLOW), (self.yellow, Colour.GREEN))
        return ((None, Colour.GREEN), (self.yellow, Colour.YELLOW), (self.red, Colour.RED))

    def colour_of(self, value: float) -> Colour:
        """Colour of `value`."""
        return [colour for start, colour in self.steps if start is None or value >= start][-1]


@dataclass(frozen=True, slots=True)
class State:
    """What one value of a series means."""

    value: int
    text: str
    colour: Colour


@dataclass(frozen=True, slots=True)
class Link:
    """From a series to the dashboard that explains it, with these labels of the series as its variables."""

    title: str
    dashboard: DashboardUid
    labels: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Panel:
    """One panel; `description` is what its information corner says."""

    title: str
    description: str
    unit: Unit
    queries: tuple[Query, ...]
    look: Look = Look.LINES
    limits: Limits | None = None
    states: tuple[State, ...] = ()
    links: tuple[Link, ...] = ()
    columns: tuple[str, ...] = ()
    """Labels that a table shows, in order."""
    repeat: str | None = None
    """Label of a variable: the panel is shown once per chosen value, from left to right."""
    width: int = 8
    height: int = 8


@dataclass(frozen=True, slots=True)
class Words:
    """A panel of text, in Markdown; Grafana puts the values of variables into it."""

    title: str
    description: str
    markdown: str
    width: int = 8
    height: int = 8


@dataclass(frozen=True, slots=True)
class Row:
    """Panels under one heading, which is a question."""

    title: str
    panels: tuple[Panel | Words, ...]
    collapsed: bool = False


@dataclass(frozen=True, slots=True)
class Variable:
    """A choice at the top: the values of `label` among the series of `metric` that `matchers` let through.

    Matchers that name other variables make a cascade: a host can only be chosen among those of the chosen regions.
    """

    label: str
    metric: str
    matchers: tuple[Matcher, ...] = ()
    several: bool = True
    """Several values, or all of them, may be chosen; otherwise exactly one."""


@dataclass(frozen=True, slots=True)
class Annotation:
    """Marks on every panel at the times at which `expr` has a series."""

    name: str
    expr: str
    title: str
    """Grafana's template over the labels of the series."""
    colour: Colour
    at_value: bool = False
    """The time is the value of the series, in milliseconds since 1970."""


@dataclass(frozen=True, slots=True)
class Dashboard:
    """One page."""

    uid: DashboardUid
    title: str
    question: str
    """What it answers, in one sentence; shown as its description."""
    variables: tuple[Variable, ...]
    rows: tuple[Row, ...]
    annotations: tuple[Annotation, ...] = ()

    @property
    def panels(self) -> tuple[Panel, ...]:
        """Those that query, in order."""
        return tuple(panel for row in self.rows for panel in row.panels if isinstance(panel, Panel))
