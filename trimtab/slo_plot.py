"""The budget of an objective over time as an SVG picture, with its pages and tickets marked.

Made for the question before an objective is set: would I have been called at the right moments? One line per region, pages as
red bands and tickets as yellow ones behind it; the line where the budget is spent is always in the picture.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from html import escape

from trimtab.slo_bodies import RegionBacktest, Report

WIDTH, HEIGHT = 900, 340
LEFT, RIGHT, TOP, BOTTOM = 64, 170, 56, 40
LEFT_MIN = -2.0
"""Lower, the picture would show nothing else; the line is cut there, and the figure beside it says how far it went."""
COLOURS = ("#1f6feb", "#8250df", "#2e8b57", "#d1582a", "#0f7b8a", "#7a5c00")
PAGE, TICKET = "#f5b5ad", "#f7e3a1"
BAND_PX_MIN = 1.5
"""A page of two minutes is still seen in a picture of a month."""
GRID = 4
TEXT = 'font-family="sans-serif" font-size="12" fill="#24292f"'


@dataclass(frozen=True, slots=True)
class _Frame:
    """Where a moment and a budget lie in the picture."""

    starts_s: float
    ends_s: float
    lowest: float

    def x(self, at_s: float) -> float:
        share = (at_s - self.starts_s) / max(self.ends_s - self.starts_s, 1.0)
        return LEFT + min(max(share, 0.0), 1.0) * (WIDTH - LEFT - RIGHT)

    def y(self, left: float) -> float:
        share = (1.0 - max(left, self.lowest)) / (1.0 - self.lowest)
        return TOP + share * (HEIGHT - TOP - BOTTOM)


def budget_picture(report: Report) -> str:
    """An SVG document; `ValueError` when the report has no past."""
    if report.past is None or not any(region.budget for region in report.past.regions):
        msg = f"{report.id} has no past to draw"
        raise ValueError(msg)
    regions = report.past.regions
    frame = _frame(regions)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{HEIGHT}" viewBox="0 0 {WIDTH} {HEIGHT}">',
        '<rect width="100%" height="100%" fill="white"/>',
        *_titles(report),
        *_bands(frame, regions, "ticket", TICKET),
        *_bands(frame, regions, "page", PAGE),
        *_grid(frame),
        *_lines(frame, regions),
        *_legend(regions),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def _frame(regions: Iterable[RegionBacktest]) -> _Frame:
    points = [point for region in regions for point in region.budget]
    lowest = min(point.left for point in points)
    return _Frame(
        starts_s=min(point.at_unix_s for point in points),
        ends_s=max(point.at_unix_s for point in points),
        lowest=max(LEFT_MIN, min(0.0, lowest - 0.05)),
    )


def _titles(report: Report) -> Iterable[str]:
    past = report.past
    assert past is not None  # noqa: S101  # looked at by the caller
    span = f"{past.starts_at[:10]} to {past.ends_at[:10]}"
    told = f"pages: {past.pages}, tickets: {past.tickets}, {span}"
    yield f'<text x="{LEFT}" y="22" {TEXT} font-weight="bold">{escape(report.id)}: {escape(report.promise)}</text>'
    yield f'<text x="{LEFT}" y="40" {TEXT}>error budget left · {told}</text>'


def _bands(frame: _Frame, regions: Iterable[RegionBacktest], severity: str, colour: str) -> Iterable[str]:
    for region in regions:
        for firing in region.firings:
            if firing.severity == severity:
                start, end = frame.x(firing.starts_unix_s), frame.x(firing.ends_unix_s)
                wide = max(end - start, BAND_PX_MIN)
                high = HEIGHT - TOP - BOTTOM
                yield f'<rect x="{start:.1f}" y="{TOP}" width="{wide:.1f}" height="{high}" fill="{colour}"/>'


def _grid(frame: _Frame) -> Iterable[str]:
    for step in range(GRID + 1):
        left = 1.0 - (1.0 - frame.lowest) * step / GRID
        yield from _level(frame, left, "#d0d7de")
    if frame.lowest < 0:
        yield from _level(frame, 0.0, "#cf222e")
    high = HEIGHT - BOTTOM
    write = _moment(frame.ends_s - frame.starts_s)
    for step in range(GRID + 1):
        at_s = frame.starts_s + (frame.ends_s - frame.starts_s) * step / GRID
        x = frame.x(at_s)
        yield f'<line x1="{x:.1f}" y1="{high}" x2="{x:.1f}" y2="{high + 5}" stroke="#57606a"/>'
        yield f'<text x="{x:.1f}" y="{high + 20}" text-anchor="middle" {TEXT}>{write(at_s)}</text>'


def _level(frame: _Frame, left: float, colour: str) -> Iterable[str]:
    y = frame.y(left)
    yield f'<line x1="{LEFT}" y1="{y:.1f}" x2="{WIDTH - RIGHT}" y2="{y:.1f}" stroke="{colour}"/>'
    yield f'<text x="{LEFT - 8}" y="{y + 4:.1f}" text-anchor="end" {TEXT}>{left:.0%}</text>'


def _moment(span_s: float) -> Callable[[float], str]:
    """Days for weeks, the time of day, too, for less."""
    pattern = "%d %b" if span_s > 4 * 86_400 else "%d %b %H:%M"  # four days, as many as there are marks

    def write(at_s: float) -> str:
        return datetime.fromtimestamp(at_s, UTC).strftime(pattern)

    return write


def _lines(frame: _Frame, regions: Iterable[RegionBacktest]) -> Iterable[str]:
    for number, region in enumerate(regions):
        points = " ".join(f"{frame.x(point.at_unix_s):.1f},{frame.y(point.left):.1f}" for point in region.budget)
        colour = COLOURS[number % len(COLOURS)]
        yield f'<polyline fill="none" stroke="{colour}" stroke-width="1.8" points="{points}"/>'


def _legend(regions: Iterable[RegionBacktest]) -> Iterable[str]:
    x = WIDTH - RIGHT + 14
    rows = [
        (COLOURS[number % len(COLOURS)], f"{region.region or 'all'}: {region.budget_left:.0%} left")
        for number, region in enumerate(regions)
    ]
    for number, (colour, words) in enumerate((*rows, (PAGE, "a page"), (TICKET, "a ticket"))):
        y = TOP + 12 + number * 20
        yield f'<rect x="{x}" y="{y - 9}" width="14" height="10" fill="{colour}"/>'
        yield f'<text x="{x + 20}" y="{y}" {TEXT}>{escape(words)}</text>'
