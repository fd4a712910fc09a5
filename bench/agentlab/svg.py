"""Curves as an SVG picture, without a plotting library."""

import math
from collections.abc import Sequence

from bench.agentlab.flatness import Curve

WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 760, 210, 62, 150, 34, 34
GRID_LINES = 4
"""About so many."""
PALE = "#c8c8c8"
COLOURS = ("#1f6feb", "#d1582a", "#2e8b57", "#8250df")
WIDE = 9
"""Of the curve that the others are held against. They get thinner in their order, so that those that lie on each other all
show."""
TEXT = 'font-family="sans-serif" font-size="12" fill="#24292f"'


def panel(title: str, curves: Sequence[Curve], top: int, *, unit: str, truth: str) -> str:
    """One diagram that includes zero, so that flat looks flat and growth looks like growth."""
    longest = max(curve.points[-1][0] for curve in curves)
    values = [value for curve in curves for _, value in curve.points if not math.isnan(value)]
    each = _round_step((max(*values, 0) - min(*values, 0)) / GRID_LINES)
    highest, lowest = (
        each * outwards(end / each) for outwards, end in ((math.ceil, max(*values, 0)), (math.floor, min(*values, 0)))
    )
    lines = round((highest - lowest) / each)
    wide, high = WIDTH - LEFT - RIGHT, HEIGHT - TOP - BOTTOM

    def place(at: float, value: float) -> str:
        return f"{LEFT + at / longest * wide:.1f},{top + TOP + high - (value - lowest) / (highest - lowest) * high:.1f}"

    parts = [f'<text x="{LEFT}" y="{top + 20}" {TEXT} font-weight="bold">{title}</text>']
    for step in range(lines + 1):
        value, y = lowest + each * step, top + TOP + high - high * step / lines
        parts.append(f'<line x1="{LEFT}" y1="{y:.1f}" x2="{LEFT + wide}" y2="{y:.1f}" stroke="#d0d7de"/>')
        parts.append(f'<text x="{LEFT - 8}" y="{y + 4:.1f}" text-anchor="end" {TEXT}>{value:g}</text>')
    for step in range(7):
        x = LEFT + wide * step / 6
        label = f"{longest * step / 6:.1f}".removesuffix(".0") + f" {unit}"
        parts.append(f'<text x="{x:.1f}" y="{top + HEIGHT - 12}" text-anchor="middle" {TEXT}>{label}</text>')
    for number, curve in enumerate(curves):
        colour = PALE if curve.name == truth else COLOURS[number % len(COLOURS)]
        points = " ".join(place(at, value) for at, value in curve.points if not math.isnan(value))
        width = WIDE if curve.name == truth else 1.5 * (len(curves) - number if truth else 1)
        parts.append(f'<polyline fill="none" stroke="{colour}" stroke-width="{width}" points="{points}"/>')
        y = top + TOP + 14 + number * 18
        parts.append(
            f'<line x1="{WIDTH - RIGHT + 12}" y1="{y - 4}" x2="{WIDTH - RIGHT + 30}" y2="{y - 4}" stroke="{colour}" stroke-width="3"/>'
        )
        parts.append(f'<text x="{WIDTH - RIGHT + 36}" y="{y}" {TEXT}>{curve.name}</text>')
    return "\n".join(parts)


def _round_step(least: float) -> float:
    """The next of 1, 2, 5, 10, 20, …"""
    power = 10.0 ** math.floor(math.log10(least))
    return next(times * power for times in (1, 2, 5, 10) if times * power >= least)


def picture(panels: Sequence[tuple[str, Sequence[Curve]]], *, unit: str = "h", truth: str = "") -> str:
    """All diagrams below each other. `unit` is that of the points' first coordinate, `truth` the curve drawn wide and pale."""
    body = "\n".join(
        panel(title, curves, number * HEIGHT, unit=unit, truth=truth) for number, (title, curves) in enumerate(panels)
    )
    high = HEIGHT * len(panels)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{high}" viewBox="0 0 {WIDTH} {high}">\n'
        f'<rect width="100%" height="100%" fill="white"/>\n{body}\n</svg>\n'
    )
