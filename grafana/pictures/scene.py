"""A dashboard with its data: every panel's series with their names, in the places where they are drawn."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace

from grafana.drawn import LOOKED_AT_ONCE
from grafana.layout import Area, place
from grafana.model import COLUMNS, Annotation, Dashboard, Panel, Words
from grafana.pictures.choices import Choices, choose
from grafana.pictures.source import Series, Source, Span

POINTS = 120
"""Per line: about one for every three pixels of a panel."""


@dataclass(frozen=True, slots=True)
class Named:
    """One series, and what the legend calls it."""

    name: str
    series: Series


@dataclass(frozen=True, slots=True)
class Seen:
    """A panel with what its queries found, query by query."""

    panel: Panel
    area: Area
    lines: tuple[tuple[Named, ...], ...]

    @property
    def named(self) -> tuple[Named, ...]:
        """Of all queries."""
        return tuple(line for lines in self.lines for line in lines)


@dataclass(frozen=True, slots=True)
class Told:
    """A panel of text, with the choices in it."""

    words: Words
    area: Area


@dataclass(frozen=True, slots=True)
class Mark:
    """An annotation at a moment."""

    annotation: Annotation
    at_s: float
    text: str


@dataclass(frozen=True, slots=True)
class Scene:
    """One dashboard at one moment."""

    dashboard: Dashboard
    choices: Choices
    span: Span
    headings: tuple[tuple[str, Area], ...]
    panels: tuple[Seen | Told, ...]
    marks: tuple[Mark, ...]

    @property
    def seen(self) -> tuple[Seen, ...]:
        """Panels with data."""
        return tuple(panel for panel in self.panels if isinstance(panel, Seen))


def look_at(dashboard: Dashboard, source: Source, *, until_s: float, range_s: int) -> Scene:
    """Ask `source` everything that Grafana would."""
    step_s = max(1, range_s // POINTS)
    span = Span(until_s - range_s, until_s, step_s)
    choices = choose(dashboard, source, at_s=until_s, range_s=range_s, step_s=step_s)
    rows = place(dashboard)
    panels: list[Seen | Told] = []
    for placed in (each for row in rows for each in row.panels):
        panel = placed.panel
        if isinstance(panel, Words):
            panels.append(Told(replace(panel, markdown=choices.put_into(panel.markdown)), placed.area))
            continue
        panels += [_see(copy, area, source, its, span) for copy, area, its in _copies(panel, placed.area, choices)]
    return Scene(
        dashboard,
        choices,
        span,
        tuple((row.row.title, row.heading) for row in rows),
        tuple(panels),
        tuple(_marks(dashboard, source, choices, span)),
    )


def _copies(panel: Panel, area: Area, choices: Choices) -> Iterator[tuple[Panel, Area, Choices]]:
    """One per value of the variable that the panel repeats by, side by side; else the panel itself."""
    if panel.repeat is None:
        yield panel, area, choices
        return
    for index, value in enumerate(choices.values[panel.repeat]):
        x = area.x + index * area.width
        if x + area.width <= COLUMNS:
            yield panel, replace(area, x=x), choices.with_one(panel.repeat, value)


def _see(panel: Panel, area: Area, source: Source, choices: Choices, span: Span) -> Seen:
    lines: list[tuple[Named, ...]] = []
    for query in panel.queries:
        expr = choices.put_into(query.expr)
        found = source.at(expr, span.end_s) if panel.look in LOOKED_AT_ONCE else source.over(expr, span)
        named = [Named(worded(query.legend, series), series) for series in found]
        lines.append(tuple(sorted(named, key=lambda line: line.name)))
    return Seen(replace(panel, title=choices.put_into(panel.title)), area, tuple(lines))


def _marks(dashboard: Dashboard, source: Source, choices: Choices, span: Span) -> Iterator[Mark]:
    """One per series where its value is the time, else one for every time it began."""
    for annotation in dashboard.annotations:
        for series in source.over(choices.put_into(annotation.expr), span):
            text = worded(annotation.title, series)
            if annotation.at_value:
                begun_s = series.newest / 1000
                if span.start_s <= begun_s <= span.end_s:
                    yield Mark(annotation, begun_s, text)
                continue
            former_s = span.start_s - 2 * span.step_s
            for at_s, _value in series.points:
                if at_s - former_s > 1.5 * span.step_s:
                    yield Mark(annotation, at_s, text)
                former_s = at_s


def worded(template: str, series: Series) -> str:
    """Grafana's legend template, filled with the labels of `series`."""
    labels = dict(series.labels)
    return " ".join(re.sub(r"\{\{(\w+)\}\}", lambda label: labels.get(label[1], ""), template).split())
