"""Lines and areas over time: axes, limits, marks and a legend."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from grafana.model import Limits, Look, Unit
from grafana.pictures.scene import Mark, Named, Seen
from grafana.pictures.source import Span
from grafana.pictures.svg import COLOURS, FAINT, GRID, PALETTE, SMALL, Box, fitted, rectangle, tag, width_of, write
from grafana.pictures.units import tell, ticks
from grafana.states import colour_of_name

LEGEND_HEIGHT = 18
LEGEND_LINES_MAX = 2
AXIS_WIDTH, AXIS_HEIGHT = 64, 20
GAP_STEPS = 2.5
"""Missing points are a gap, one late one is not."""
TIMES = 4
Points = tuple[tuple[float, float], ...]


@dataclass(frozen=True, slots=True)
class Plane:
    """From time and value to pixels."""

    box: Box
    span: Span
    least: float
    most: float

    def x(self, at_s: float) -> float:
        """Pixel of a moment."""
        return self.box.x + (at_s - self.span.start_s) / (self.span.end_s - self.span.start_s) * self.box.width

    def y(self, value: float) -> float:
        """Pixel of a value."""
        return self.box.y + self.box.height * (1 - (value - self.least) / (self.most - self.least))


def plot(seen: Seen, box: Box, span: Span, marks: Sequence[Mark]) -> Iterator[str]:
    """The whole panel below its title."""
    named, panel = seen.named, seen.panel
    lines = stacked(named) if panel.look is Look.STACKED else [line.series.points for line in named]
    names = [line.name for line in named]
    colours = colours_of(names)
    legend = legend_lines(names, box.width)
    area = box.inside(left=AXIS_WIDTH, top=6, right=10, bottom=AXIS_HEIGHT + LEGEND_HEIGHT * len(legend))
    scale = ticks(*_extent(lines, panel.limits, panel.look), panel.unit)
    plane = Plane(area, span, scale[0], scale[-1])
    yield from _grid(plane, scale, panel.unit)
    if panel.limits is not None:
        yield from _limits(plane, panel.limits)
    for mark in marks:
        x = plane.x(mark.at_s)
        colour = COLOURS[mark.annotation.colour]
        yield tag("line", x1=x, x2=x, y1=area.y, y2=area.y + area.height, stroke=colour, stroke_dasharray="4 3")
    order = range(len(lines) - 1, -1, -1) if panel.look is Look.STACKED else range(len(lines))
    for index in order:
        below = lines[index - 1] if index else ()
        yield from _line(plane, lines[index], colours[index], below, filled=panel.look is Look.STACKED)
    yield from _legend(legend, colours, box)


def stacked(named: Sequence[Named]) -> list[Points]:
    """Each line on top of those before it, moment by moment; where one has no value it adds nothing."""
    sums: dict[float, float] = {}
    lines: list[Points] = []
    for line in named:
        for at_s, value in line.series.points:
            sums[at_s] = sums.get(at_s, 0.0) + value
        lines.append(tuple((at_s, sums[at_s]) for at_s, _value in line.series.points))
    return lines


def colours_of(names: Sequence[str]) -> list[str]:
    """What a word means decides; the others take the palette's in turn."""
    meant = [colour_of_name(name) for name in names]
    return [
        COLOURS[colour] if colour is not None else PALETTE[index % len(PALETTE)] for index, colour in enumerate(meant)
    ]


def legend_lines(texts: Sequence[str], width: float) -> list[list[tuple[int, str]]]:
    """(colour, text) per line; what does not fit into two lines is counted."""
    lines: list[list[tuple[int, str]]] = [[]]
    used = 0.0
    for index, text in enumerate(texts):
        shown = fitted(text, width - 40)
        need = width_of(shown) + 26
        if used + need > width - 60 and lines[-1]:
            if len(lines) == LEGEND_LINES_MAX:
                lines[-1].append((-1, f"+{len(texts) - index}"))
                return lines
            lines.append([])
            used = 0.0
        lines[-1].append((index, shown))
        used += need
    return lines


def _extent(lines: Sequence[Points], limits: Limits | None, look: Look) -> tuple[float, float]:
    """Zero belongs to every picture, so that flat looks flat; a limit does when the values come near it."""
    values = [value for line in lines for _at_s, value in line]
    least, most = min([0.0, *values]), max([0.0, *values])
    if limits is not None and look is Look.LINES:
        near = [limit for limit in (limits.yellow, limits.red) if least <= limit <= 2 * most]
        most = max([most, *near])
    return (least, most) if most > least else (0.0, 1.0)


def _grid(plane: Plane, scale: Sequence[float], unit: Unit) -> Iterator[str]:
    box = plane.box
    for value in scale:
        y = plane.y(value)
        yield tag("line", x1=box.x, x2=box.x + box.width, y1=y, y2=y, stroke=GRID)
        yield write(tell(unit, value), box.x - 6, y + 4, text_anchor="end", fill=FAINT)
    yield from clock(plane.span, box, box.y + box.height + 15)


def clock(span: Span, area: Box, y: float) -> Iterator[str]:
    """Times of day along the lower edge of `area`."""
    for index in range(TIMES + 1):
        at_s = span.start_s + (span.end_s - span.start_s) * index / TIMES
        anchor = "end" if index == TIMES else "start" if index == 0 else "middle"
        text = datetime.fromtimestamp(at_s, UTC).strftime("%H:%M")
        yield write(text, area.x + area.width * index / TIMES, y, text_anchor=anchor, fill=FAINT)


def _limits(plane: Plane, limits: Limits) -> Iterator[str]:
    for start, colour in limits.steps:
        if start is not None and plane.least <= start <= plane.most:
            y = plane.y(start)
            yield tag(
                "line",
                x1=plane.box.x,
                x2=plane.box.x + plane.box.width,
                y1=y,
                y2=y,
                stroke=COLOURS[colour],
                stroke_dasharray="2 4",
            )


def _line(plane: Plane, points: Points, colour: str, below: Points, *, filled: bool) -> Iterator[str]:
    """Pieces between gaps; a piece of one point is a dot."""
    floor = dict(below)
    for piece in _pieces(points, plane.span.step_s * GAP_STEPS):
        path = [f"{plane.x(at_s):.1f},{plane.y(value):.1f}" for at_s, value in piece]
        if len(piece) == 1:
            x, y = path[0].split(",")
            yield tag("circle", cx=x, cy=y, r=2, fill=colour)
            continue
        if filled:
            back = [f"{plane.x(at_s):.1f},{plane.y(floor.get(at_s, 0.0)):.1f}" for at_s, _value in reversed(piece)]
            yield tag("polygon", points=" ".join([*path, *back]), fill=colour, fill_opacity=0.35)
        yield tag("polyline", points=" ".join(path), fill="none", stroke=colour, stroke_width=1.6)


def _pieces(points: Points, gap_s: float) -> Iterator[Points]:
    start = 0
    for index in range(1, len(points)):
        if points[index][0] - points[index - 1][0] > gap_s:
            yield points[start:index]
            start = index
    if points:
        yield points[start:]


def _legend(lines: Sequence[Sequence[tuple[int, str]]], colours: Sequence[str], box: Box) -> Iterator[str]:
    for row, line in enumerate(lines):
        x, y = box.x + 12.0, box.y + box.height - LEGEND_HEIGHT * (len(lines) - row) + 12
        for index, text in line:
            if index >= 0:
                yield rectangle(Box(x, y - 7, 12, 4), fill=colours[index])
            yield write(text, x + 16, y, font_size=SMALL)
            x += width_of(text) + 26
