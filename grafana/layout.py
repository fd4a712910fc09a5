"""Where every panel goes on Grafana's grid of 24 columns: left to right, and down when a line is full.

Used by the renderer and by our own pictures, so that both show the same page.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from grafana.model import COLUMNS, Dashboard, Panel, Row, Words

HEADING_HEIGHT = 1


@dataclass(frozen=True, slots=True)
class Area:
    """A rectangle of grid cells."""

    x: int
    y: int
    width: int
    height: int


@dataclass(frozen=True, slots=True)
class Placed:
    """A panel and its place."""

    panel: Panel | Words
    area: Area


@dataclass(frozen=True, slots=True)
class PlacedRow:
    """A row: its heading, and below it its panels."""

    row: Row
    heading: Area
    panels: tuple[Placed, ...]


def place(dashboard: Dashboard) -> tuple[PlacedRow, ...]:
    """Every row in order, each below the one before."""
    rows: list[PlacedRow] = []
    y = 0
    for row in dashboard.rows:
        placed = tuple(_flow(row.panels, y + HEADING_HEIGHT))
        rows.append(PlacedRow(row, Area(0, y, COLUMNS, HEADING_HEIGHT), placed))
        y = max(each.area.y + each.area.height for each in placed)
    return tuple(rows)


def _flow(panels: Sequence[Panel | Words], top: int) -> Iterator[Placed]:
    """Like words in a text; a line is as high as its highest panel."""
    x, y, line_height = 0, top, 0
    for panel in panels:
        if x + panel.width > COLUMNS:
            x, y, line_height = 0, y + line_height, 0
        yield Placed(panel, Area(x, y, panel.width, panel.height))
        x, line_height = x + panel.width, max(line_height, panel.height)
