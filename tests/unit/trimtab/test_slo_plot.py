"""The picture of a budget: where lines and bands lie, and that no name breaks it."""

import re
from xml.etree import ElementTree as ET

import pytest

from trimtab.slo_bodies import Backtest, BudgetPoint, Firing, RegionBacktest, Report
from trimtab.slo_plot import HEIGHT, LEFT, RIGHT, TOP, WIDTH, budget_picture

DAY_S = 86_400


def region(name: str, lefts: list[float], firings: tuple[Firing, ...] = ()) -> RegionBacktest:
    points = tuple(BudgetPoint(at_unix_s=day * DAY_S, left=left) for day, left in enumerate(lefts))
    return RegionBacktest(
        region=name, events=1, bad=0, budget_left=lefts[-1], coverage=1, firings=firings, silences=(), budget=points
    )


def report(*regions: RegionBacktest) -> Report:
    past = Backtest(starts_at="1970-01-01", ends_at="1970-01-05", source="", pages=1, tickets=0, regions=regions)
    return Report(
        id="a<b", works=True, promise="x & y", tiers=(), findings=(), regions_seen=(), regions_expected=(), series=1,
        scrape_interval_s=None, cost=None, past=past if regions else None,
    )  # fmt: skip


def elements(picture: str, tag: str) -> list[ET.Element]:
    return ET.fromstring(picture).findall(f"{{http://www.w3.org/2000/svg}}{tag}")  # noqa: S314  # our own


def test_a_line_runs_from_edge_to_edge_and_falls_with_the_budget() -> None:
    (line,) = elements(budget_picture(report(region("eu", [1.0, 0.75, 0.5]))), "polyline")
    points = [tuple(map(float, point.split(","))) for point in line.get("points", "").split()]
    assert (points[0][0], points[-1][0]) == (LEFT, WIDTH - RIGHT)
    assert points[0][1] == TOP
    assert points[0][1] < points[1][1] < points[2][1]


def test_a_page_is_a_band_where_it_happened() -> None:
    page = Firing(tier=1, severity="page", starts_unix_s=DAY_S, ends_unix_s=2 * DAY_S)
    picture = budget_picture(report(region("eu", [1.0, 0.9, 0.8, 0.7, 0.6], (page,))))
    (band,) = (
        each for each in elements(picture, "rect") if float(each.get("y") or 0) == TOP and each.get("width") != "14"
    )
    wide = (WIDTH - LEFT - RIGHT) / 4
    assert float(band.get("x", "0")) == pytest.approx(LEFT + wide, abs=0.1)
    assert float(band.get("width", "0")) == pytest.approx(wide, abs=0.1)


def test_an_overspent_budget_stays_in_the_picture_and_shows_where_it_ended() -> None:
    picture = budget_picture(report(region("eu", [1.0, -50.0])))
    highest = max(float(y) for y in re.findall(r"[\d.]+,([\d.]+)", elements(picture, "polyline")[0].get("points", "")))
    assert highest <= HEIGHT
    assert ">0%<" in picture
    assert "eu: -5000% left" in picture


def test_without_a_past_there_is_nothing_to_draw() -> None:
    with pytest.raises(ValueError, match="no past"):
        budget_picture(report())
