"""Panels that are not curves: large numbers, bands of states, tables and text."""

import math
import re
from collections.abc import Iterator, Sequence

from grafana.drawn import BEGUN
from grafana.model import Colour, State, Unit
from grafana.pictures.plots import AXIS_HEIGHT, clock
from grafana.pictures.scene import Seen, Told
from grafana.pictures.source import Span
from grafana.pictures.svg import (
    COLOURS,
    FAINT,
    GRID,
    LARGE,
    NORMAL,
    SMALL,
    Box,
    fitted,
    rectangle,
    tag,
    width_of,
    write,
)
from grafana.pictures.units import tell

ROW_HEIGHT = 24.0
NUMBERS_BESIDE_MAX = 3
BAND_HEIGHT_MAX = 26.0
NAME_WIDTH_MAX = 150.0


def numbers(seen: Seen, box: Box) -> Iterator[str]:
    """One large value per series, with its name below, in a grid that fits."""
    named = seen.named
    if not named:
        return
    across = min(len(named), NUMBERS_BESIDE_MAX)
    while across > 1 and max(width_of(line.name) for line in named) > box.width / across - 8:
        across -= 1
    down = math.ceil(len(named) / across)
    wide, high = box.width / across, box.height / down
    for index, line in enumerate(named):
        value = line.series.newest
        limits = seen.panel.limits
        colour = limits.colour_of(value) if limits is not None else Colour.BLUE
        x = box.x + wide * (index % across + 0.5)
        y = box.y + high * (index // across + 0.5)
        text = tell(seen.panel.unit, value)
        size = min(LARGE, high * 0.45, LARGE * (wide - 8) / max(1.0, width_of(text, LARGE)))
        yield write(text, x, y + size * 0.2, text_anchor="middle", font_size=size, fill=COLOURS[colour])
        yield write(fitted(line.name, wide - 8), x, y + size * 0.2 + 16, text_anchor="middle", fill=FAINT)


def bands(seen: Seen, box: Box, span: Span) -> Iterator[str]:
    """A band per series, coloured by the state at each moment."""
    named = seen.named
    meanings = {state.value: state for state in seen.panel.states}
    names_wide = min(NAME_WIDTH_MAX, max((width_of(line.name) for line in named), default=0) + 14)
    area = box.inside(left=names_wide + 8, top=8, right=12, bottom=AXIS_HEIGHT + 20)
    high = min(BAND_HEIGHT_MAX, area.height / max(1, len(named)) - 4)
    for row, line in enumerate(named):
        y = area.y + row * (high + 4)
        yield write(fitted(line.name, names_wide), area.x - 8, y + high / 2 + 4, text_anchor="end")
        for start_s, end_s, value in _stretches(line.series.points, span.step_s):
            x, end = (_x(area, span, at_s) for at_s in (start_s, end_s))
            state = meanings.get(round(value))
            colour = COLOURS[state.colour] if state is not None else GRID
            yield rectangle(Box(x, y, end - x, high), fill=colour, fill_opacity=0.85)
            if state is not None and width_of(state.text) < end - x - 6:
                yield write(state.text, (x + end) / 2, y + high / 2 + 4, text_anchor="middle", fill="#ffffff")
    yield from clock(span, area, box.y + box.height - 24)
    yield from _meanings(_met(seen), box)


def table(seen: Seen, box: Box, now_s: float) -> Iterator[str]:
    """One row per series: the labels asked for, newest first, and the sample where it says something. A single row is turned upright."""
    columns = list(seen.panel.columns)
    lines = sorted(seen.named, key=lambda line: line.series.newest, reverse=True)
    rows = [[dict(line.series.labels).get(column, "") for column in columns] for line in lines]
    if seen.panel.unit is Unit.AGO:
        columns.append(BEGUN)
        for row, line in zip(rows, lines, strict=True):
            row.append(tell(Unit.AGO, line.series.newest, now_s))
    if len(rows) == 1 and seen.panel.unit is not Unit.AGO:
        rows, columns = [[name, value] for name, value in zip(columns, rows[0], strict=True)], []
    left = _columns([columns, *rows] if columns else rows, box)
    y = box.y + 18
    for title, x in zip(columns, left, strict=False):
        yield write(title, x, y, fill=FAINT, font_weight="bold")
    y += ROW_HEIGHT if columns else 0
    for row in rows[: int((box.height - 20) / ROW_HEIGHT)]:
        yield tag("line", x1=box.x + 10, x2=box.x + box.width - 10, y1=y + 8, y2=y + 8, stroke=GRID)
        for cell, x, end in zip(row, left, left[1:], strict=False):
            yield write(fitted(cell, end - x - 6), x, y)
        y += ROW_HEIGHT


def _columns(rows: Sequence[Sequence[str]], box: Box) -> list[float]:
    """Left edges, and the right edge of the last: shares as wide as the longest text of each column."""
    longest = [max(map(len, column)) + 2 for column in zip(*rows, strict=True)]
    edges = [box.x + 12]
    for letters in longest:
        edges.append(edges[-1] + (box.width - 24) * letters / sum(longest))
    return edges


def text(told: Told, box: Box) -> Iterator[str]:
    """Markdown as far as we write it: paragraphs, bullets, `code`, **bold** and *stress*, without their marks."""
    y = box.y + 16
    for line in filter(None, told.words.markdown.splitlines()):
        plain = re.sub(r"[`*]", "", line)
        bullet = plain.startswith("- ")
        for number, part in enumerate(_wrapped(plain.removeprefix("- "), box.width - 40)):
            lead = "•" if bullet and number == 0 else ""
            yield write(lead, box.x + 14, y, fill=FAINT) if lead else ""
            yield write(part, box.x + (28 if bullet else 14), y, font_size=SMALL)
            y += 17
        y += 4


def nothing(box: Box) -> str:
    """What an empty panel says."""
    return write(
        "no data", box.x + box.width / 2, box.y + box.height / 2, text_anchor="middle", fill=FAINT, font_size=NORMAL
    )


def _stretches(points: tuple[tuple[float, float], ...], step_s: float) -> Iterator[tuple[float, float, float]]:
    """(from, until, value) of equal neighbours; a sample stands for the step that follows it."""
    start_s: float | None = None
    for index, (at_s, value) in enumerate(points):
        start_s = at_s if start_s is None else start_s
        following = points[index + 1] if index + 1 < len(points) else None
        if following is None or following[1] != value or following[0] - at_s > 2 * step_s:
            yield start_s, at_s + (step_s if following is not None else 0), value
            start_s = None


def _x(area: Box, span: Span, at_s: float) -> float:
    return area.x + (at_s - span.start_s) / (span.end_s - span.start_s) * area.width


def _met(seen: Seen) -> tuple[State, ...]:
    """The states that occur."""
    values = {round(value) for line in seen.named for _at_s, value in line.series.points}
    return tuple(state for state in seen.panel.states if state.value in values)


def _meanings(states: tuple[State, ...], box: Box) -> Iterator[str]:
    x, y = box.x + 12.0, box.y + box.height - 6
    for state in states:
        yield rectangle(Box(x, y - 8, 8, 8), fill=COLOURS[state.colour])
        yield write(state.text, x + 12, y)
        x += width_of(state.text) + 26


def _wrapped(line: str, width: float) -> Iterator[str]:
    letters = max(8, int(width / width_of("x")))
    part = ""
    for word in line.split():
        if part and len(part) + 1 + len(word) > letters:
            yield part
            part = word
        else:
            part = f"{part} {word}".strip()
    yield part
