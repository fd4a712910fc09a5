"""Dashboards as pictures: the right questions are asked, and what comes back is drawn where and as it should be."""

import xml.etree.ElementTree as ET
from dataclasses import replace

import pytest

from contracts.dashboards import DashboardUid
from grafana.catalog import dashboards
from grafana.layout import place
from grafana.model import Annotation, Colour, Dashboard, Limits, Look, Panel, Query, Row, State, Unit, Variable, Words
from grafana.pictures.choices import choose
from grafana.pictures.page import WIDTH, height_of, page
from grafana.pictures.plots import Plane, legend_lines, stacked
from grafana.pictures.scene import Named, look_at
from grafana.pictures.source import Series, Span
from grafana.pictures.svg import Box
from grafana.pictures.units import tell, ticks
from slo_rules import promql

NOW = 1_700_000_000.0
RANGE_S = 600
SVG = "{http://www.w3.org/2000/svg}"


class FakeSource:
    """Answers every expression with the same series, or those given for it, and remembers what it was asked."""

    def __init__(self, answers: dict[str, tuple[Series, ...]], values: tuple[float, ...] = (1.0, 2.0, 3.0)) -> None:
        self.answers, self.values = answers, values
        self.asked: list[str] = []

    def over(self, expr: str, span: Span) -> tuple[Series, ...]:
        self.asked.append(expr)
        times = (span.start_s + span.step_s * index for index in range(len(self.values)))
        return self.answers.get(expr, (series(*zip(times, self.values, strict=True)),))

    def at(self, expr: str, unix_s: float) -> tuple[Series, ...]:
        self.asked.append(expr)
        return self.answers.get(expr, (series((unix_s, self.values[-1])),))


def series(*points: tuple[float, float], **labels: str) -> Series:
    return Series(tuple(sorted({"region": "eu-west", **labels}.items())), tuple(points))


def of_one(panel: Panel, *more: Panel | Words, **fields: object) -> Dashboard:
    values = {"variables": (), "rows": (Row("Is it well?", (panel, *more)),), **fields}
    return Dashboard(DashboardUid.FLEET, "Page", "Is it well?", **values)


def lines(**fields: object) -> Panel:
    return Panel("Curve", "A curve to look at.", Unit.SECONDS, (Query("x", "{{region}}"),), **fields)


def parsed(svg: str) -> ET.Element:
    return ET.fromstring(svg)  # noqa: S314  # our own text


def texts(svg: str) -> list[str]:
    return [element.text or "" for element in parsed(svg).iter(f"{SVG}text")]


def drawn(dashboard: Dashboard, source: FakeSource) -> str:
    return page(look_at(dashboard, source, until_s=NOW, range_s=RANGE_S))


@pytest.mark.parametrize(
    ("unit", "value", "told"),
    [
        (Unit.RATIO, 0.953, "95.3 %"),
        (Unit.RATIO, -0.04, "-4 %"),
        (Unit.SECONDS, 0.0034, "3.4 ms"),
        (Unit.SECONDS, 0.00041, "410 µs"),
        (Unit.SECONDS, 7_200, "2 h"),
        (Unit.SECONDS, 0, "0 s"),
        (Unit.BYTES, 85_899_345_920, "80 GiB"),
        (Unit.HERTZ, 1.98e9, "1.98 GHz"),
        (Unit.CELSIUS, 61, "61 °C"),
        (Unit.REQUESTS_PER_SECOND, 1_500, "1.5 k req/s"),
        (Unit.COUNT, 12, "12"),
        (Unit.AGO, (NOW - 90) * 1000, "1.5 min ago"),
        (Unit.AGO, 0, ""),
    ],
)
def test_numbers_are_told_in_their_unit(unit, value, told):
    assert tell(unit, value, NOW) == told


@pytest.mark.parametrize(
    ("least", "most", "unit", "expected"),
    [
        (0, 4, Unit.COUNT, (0, 1, 2, 3, 4)),
        (0, 0.93, Unit.RATIO, (0, 0.5, 1.0)),
        (-0.2, 1, Unit.RATIO, (-0.5, 0, 0.5, 1.0)),
        (0, 80 << 30, Unit.BYTES, (0, 32 << 30, 64 << 30, 96 << 30)),
    ],
)
def test_an_axis_has_round_numbers_that_span_the_values(least, most, unit, expected):
    assert ticks(least, most, unit) == pytest.approx(expected)


def test_a_choice_cascades_and_takes_the_place_of_its_variable():
    both = (
        Variable("region", "up"),
        Variable("replica", "up", (promql.matches("region", "$region"),), several=False),
    )
    answers = {
        "group by (region) (up)": (series(), series(region="us-east")),
        'group by (replica) (up{region=~".*"})': (series(replica="r-10"), series(replica="r-2")),
    }
    source = FakeSource(answers)
    choices = choose(of_one(lines(), variables=both), source, at_s=NOW, range_s=RANGE_S, step_s=5)
    assert choices.values == {"region": ("eu-west", "us-east"), "replica": ("r-2", "r-10")}
    assert choices.put_into('x{replica=~"$replica",region=~"$region"}') == 'x{replica=~"r-2",region=~".*"}'
    assert choices.put_into("x[$__rate_interval] y[$__range] $nobody") == "x[1m] y[10m] $nobody"


def test_windows_are_in_order_of_their_length():
    source = FakeSource({"group by (window) (w)": tuple(series(window=text) for text in ("3d", "6h", "10m", "1h"))})
    choices = choose(of_one(lines(), variables=(Variable("window", "w"),)), source, at_s=NOW, range_s=600, step_s=5)
    assert choices.values["window"] == ("10m", "1h", "6h", "3d")


def test_a_repeated_panel_is_asked_for_and_drawn_once_per_value():
    panel = replace(lines(repeat="window", width=6), title="Over $window", queries=(Query("x[$window]", "x"),))
    source = FakeSource({"group by (window) (w)": (series(window="10m"), series(window="1h"))})
    svg = drawn(of_one(panel, variables=(Variable("window", "w"),)), source)
    assert {"x[10m]", "x[1h]"} <= set(source.asked)
    assert {"Over 10m", "Over 1h"} <= set(texts(svg))


def test_every_dashboard_is_a_picture_with_every_title_and_nothing_outside_it():
    for dashboard in dashboards():
        scene = look_at(dashboard, FakeSource({}), until_s=NOW, range_s=RANGE_S)
        svg = page(scene)
        assert "no data" not in texts(svg)
        assert {row.title for row in dashboard.rows} <= set(texts(svg))
        for line in parsed(svg).iter(f"{SVG}polyline"):
            for point in line.attrib["points"].split():
                x, y = map(float, point.split(","))
                assert 0 <= x <= WIDTH
                assert 0 <= y <= height_of(scene)


def test_a_panel_without_data_says_so():
    assert "no data" in texts(drawn(of_one(lines()), FakeSource({"x": ()})))


def test_a_gap_interrupts_a_line():
    start = NOW - RANGE_S
    gappy = series((start, 1), (start + 5, 1), (start + 300, 2), (start + 305, 2))
    svg = drawn(of_one(lines()), FakeSource({"x": (gappy,)}))
    assert len(list(parsed(svg).iter(f"{SVG}polyline"))) == 2


def test_stacked_lines_lie_on_top_of_each_other():
    below = Named("a", Series((), ((0.0, 1.0), (5.0, 2.0))))
    above = Named("b", Series((), ((0.0, 10.0), (5.0, 20.0))))
    assert stacked([below, above]) == [((0.0, 1.0), (5.0, 2.0)), ((0.0, 11.0), (5.0, 22.0))]


def test_a_plane_turns_time_and_value_into_pixels():
    plane = Plane(Box(100, 50, 200, 80), Span(0, 10, 1), 0, 4)
    assert (plane.x(0), plane.x(10)) == (100, 300)
    assert (plane.y(0), plane.y(4)) == (130, 50)


def test_a_legend_that_is_too_long_is_counted():
    shown = legend_lines([f"replica-{index}" for index in range(30)], 400)
    assert len(shown) == 2
    told = sum(index >= 0 for line in shown for index, _text in line)
    assert shown[-1][-1] == (-1, f"+{30 - told}")


def test_a_number_below_its_limit_is_red():
    number = replace(lines(look=Look.NUMBER, limits=Limits(yellow=0.25, red=0.0)), unit=Unit.RATIO)
    source = FakeSource({"x": (series((NOW, -0.1)),)})
    value = next(e for e in parsed(drawn(of_one(number), source)).iter(f"{SVG}text") if e.text == "-10 %")
    assert value.attrib["fill"] == "#d0362f"


def test_a_band_is_drawn_from_change_to_change_in_the_colour_of_its_state():
    states = (State(1, "fine", Colour.GREEN), State(2, "broken", Colour.RED))
    start = NOW - RANGE_S
    changing = series(*((start + 5 * index, 1 if index < 60 else 2) for index in range(121)))
    svg = drawn(of_one(lines(look=Look.STATES, states=states)), FakeSource({"x": (changing,)}))
    bands = [e for e in parsed(svg).iter(f"{SVG}rect") if e.attrib.get("fill-opacity") == "0.85"]
    assert [band.attrib["fill"] for band in bands] == ["#2e9e5b", "#d0362f"]
    assert float(bands[0].attrib["width"]) == pytest.approx(float(bands[1].attrib["width"]), rel=0.02)
    assert {"fine", "broken"} <= set(texts(svg))


def test_a_table_shows_the_labels_asked_for_and_when_it_began_newest_first():
    table = replace(lines(look=Look.TABLE, columns=("kind", "verdict")), unit=Unit.AGO)
    first = series((NOW, (NOW - 120) * 1000), kind="restart", verdict="improved")
    second = series((NOW, (NOW - 60) * 1000), kind="shift", verdict="")
    shown = texts(drawn(of_one(table), FakeSource({"x": (first, second)})))
    assert {"kind", "verdict", "begun", "improved", "2 min ago"} <= set(shown)
    assert shown.index("shift") < shown.index("restart")


def test_text_shows_the_choice_without_its_markdown():
    words = Words("Next", "Where to go.", "- the story: `trimtab why $region`")
    variable = Variable("region", "up", several=False)
    source = FakeSource({"group by (region) (up)": (series(),)})
    assert "the story: trimtab why eu-west" in texts(drawn(of_one(lines(), words, variables=(variable,)), source))


@pytest.mark.parametrize(("at_value", "points", "marks"), [(True, 1, 1), (False, 1, 1), (False, 3, 1)])
def test_an_annotation_is_marked_at_its_value_or_when_it_began(at_value, points, marks):
    start = NOW - RANGE_S
    value = (NOW - 60) * 1000
    told = series(*((start + 100 + 5 * index, value) for index in range(points)), kind="restart")
    annotation = Annotation("Actions", "a", "{{kind}}", Colour.BLUE, at_value=at_value)
    scene = look_at(
        of_one(lines(), annotations=(annotation,)), FakeSource({"a": (told,)}), until_s=NOW, range_s=RANGE_S
    )
    assert [mark.text for mark in scene.marks] == ["restart"] * marks
    assert scene.marks[0].at_s == (NOW - 60 if at_value else start + 100)


def test_names_from_outside_cannot_break_the_picture():
    odd = series((NOW - 10, 1.0), (NOW - 5, 2.0), region='<script>"&')
    svg = drawn(of_one(lines()), FakeSource({"x": (odd,)}))
    assert '<script>"&' in texts(svg)


def test_a_panel_that_does_not_fit_any_more_begins_a_new_line_below_the_highest():
    panels = (lines(width=16, height=4), lines(width=8, height=6), lines(width=1, height=2))
    (row,) = place(of_one(*panels))
    assert [(each.area.x, each.area.y) for each in row.panels] == [(0, 1), (16, 1), (0, 7)]
