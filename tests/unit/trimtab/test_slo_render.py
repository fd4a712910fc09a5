"""Objectives and reports as people read them."""

from io import StringIO

from rich.console import Console

from trimtab.cli.slo_render import report_lines, slo_table
from trimtab.slo_bodies import Report, Slo

BOTH = Slo(
    id="both", objective=0.95, indicator={"kind": "composite", "parts": [{"slo": "a", "weight": 2.0}]},
    window={"kind": "rolling", "seconds": 2_592_000}, slices=None, page_within_s=480.0, description="", owner="",
    exclusions=(), depends_on=None, promise="over all of a", revision=3,
)  # fmt: skip
UNASKED = Report(
    id="both", works=True, promise="95 % over all of a", tiers=(), findings=(), regions_seen=(), regions_expected=(),
    series=0, scrape_interval_s=None, cost=None, past=None,
)  # fmt: skip


def test_parts_are_shown_in_words_and_what_says_nothing_is_left_out() -> None:
    console = Console(width=200, record=True, file=StringIO())
    console.print(slo_table(BOTH))
    told = console.export_text()
    assert "kind: composite, parts: (slo: a, weight: 2.0)" in told
    for nothing in ("exclusions", "owner", "None"):
        assert nothing not in told


def test_a_check_without_prometheus_does_not_say_that_it_works() -> None:
    (told,) = report_lines(UNASKED)
    assert "nothing is known" in told
    assert "works" not in told
