"""A scene as one SVG page: title, choices, headings and panels on Grafana's grid."""

from collections.abc import Iterator
from datetime import UTC, datetime

from grafana.layout import Area
from grafana.model import COLUMNS, Look
from grafana.pictures import cards
from grafana.pictures.plots import plot
from grafana.pictures.scene import Scene, Seen, Told
from grafana.pictures.svg import CARD, COLOURS, FAINT, GRID, INK, NORMAL, PAPER, Box, fitted, rectangle, tag, write

CELL_WIDTH, CELL_HEIGHT = 60, 32
MARGIN, GUTTER = 14, 8
HEADER = 78
TITLE_HEIGHT = 30
FONT = "DejaVu Sans, Helvetica, Arial, sans-serif"
WIDTH = COLUMNS * CELL_WIDTH + 2 * MARGIN


def height_of(scene: Scene) -> int:
    """In pixels."""
    areas = [area for _title, area in scene.headings] + [panel.area for panel in scene.panels]
    return HEADER + CELL_HEIGHT * max(area.y + area.height for area in areas) + MARGIN


def page(scene: Scene) -> str:
    """The whole picture."""
    height = height_of(scene)
    parts = [rectangle(Box(0, 0, WIDTH, height), fill=PAPER), *_header(scene)]
    for title, area in scene.headings:
        parts.append(write(title, _box(area).x + 2, _box(area).y + 20, font_size=15, font_weight="bold"))
    for panel in scene.panels:
        parts += _panel(panel, scene)
    body = "\n".join(part for part in parts if part)
    size = f'width="{WIDTH}" height="{height}" viewBox="0 0 {WIDTH} {height}"'
    return f'<svg xmlns="http://www.w3.org/2000/svg" {size} font-family="{FONT}">\n{body}\n</svg>\n'


def _header(scene: Scene) -> Iterator[str]:
    span, chosen = scene.span, scene.choices
    yield write(scene.dashboard.title, MARGIN + 2, 30, font_size=20, font_weight="bold")
    yield write(scene.dashboard.question, MARGIN + 2, 50, font_size=NORMAL, fill=FAINT)
    values = ", ".join(
        f"{label}: {'all' if value == '.*' else value}" for label, value in chosen.chosen.items() if value
    )
    start, end = (datetime.fromtimestamp(at_s, UTC) for at_s in (span.start_s, span.end_s))
    when = f"{start:%Y-%m-%d %H:%M} to {end:%H:%M} UTC"
    yield write(f"{values}   ·   {when}", MARGIN + 2, 69, fill=INK)
    x = float(WIDTH - MARGIN)
    for annotation in scene.dashboard.annotations:
        count = sum(mark.annotation == annotation for mark in scene.marks)
        yield write(
            f"┆ {annotation.name}: {count}",
            x,
            69,
            text_anchor="end",
            fill=COLOURS[annotation.colour],
            font_weight="bold",
        )
        x -= 210


def _panel(panel: Seen | Told, scene: Scene) -> Iterator[str]:
    box = _box(panel.area)
    titled = panel.panel if isinstance(panel, Seen) else panel.words
    yield f"<g>{tag('title', titled.description)}{rectangle(box, fill=CARD, stroke=GRID, rx=4)}</g>"
    yield write(
        fitted(titled.title, box.width - 20, NORMAL), box.x + 12, box.y + 20, font_size=NORMAL, font_weight="bold"
    )
    inner = box.inside(top=TITLE_HEIGHT, bottom=6)
    if isinstance(panel, Told):
        yield from cards.text(panel, inner)
    elif not panel.named:
        yield cards.nothing(inner)
    else:
        yield from _data(panel, inner, scene)


def _data(panel: Seen, inner: Box, scene: Scene) -> Iterator[str]:
    match panel.panel.look:
        case Look.NUMBER:
            return cards.numbers(panel, inner)
        case Look.STATES:
            return cards.bands(panel, inner, scene.span)
        case Look.TABLE:
            return cards.table(panel, inner, scene.span.end_s)
        case Look.LINES | Look.STACKED:
            return plot(panel, inner, scene.span, scene.marks)


def _box(area: Area) -> Box:
    return Box(
        MARGIN + area.x * CELL_WIDTH + GUTTER / 2,
        HEADER + area.y * CELL_HEIGHT + GUTTER / 2,
        area.width * CELL_WIDTH - GUTTER,
        area.height * CELL_HEIGHT - GUTTER,
    )
