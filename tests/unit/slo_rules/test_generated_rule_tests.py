"""The tests every SLO ships with: real promtool passes them on what we compile, whatever the events come from."""

import re
import subprocess
from pathlib import Path

import pytest

from contracts.vocabulary import Region, SloId
from slo_rules.errors import SloError
from slo_rules.indicators import (
    ClassicHistogram,
    Composite,
    EventRatio,
    ExactCounters,
    GaugeBound,
    NativeHistogram,
    Part,
)
from slo_rules.model import Slo
from slo_rules.rule_tests.labels import labels_of, labels_outside, selected
from slo_rules.rule_tests.suite import SUFFIX, rehearse, rule_test_files
from slo_rules.selectors import parse_selector
from slo_rules.windows import CalendarUnit, CalendarWindow, Exclusion, Slices, Weekday, WeeklyExclusion

REGIONS = (Region("eu-west"), Region("us-east"))
EXACT = ExactCounters(0.2)


def slo(name: str, objective: float = 0.95, indicator=EXACT, **fields) -> Slo:
    return Slo(SloId(name), objective, indicator, owner="speech", **fields)


VLLM = ClassicHistogram('vllm:time_to_first_token_seconds{model_name="maya1"}', 1.0)
HTTP = EventRatio('http_requests_total{job="web"}', bad='http_requests_total{job="web",code=~"5.."}')
SERVED = EventRatio("asked_total", good="served_total")
TEMPERATURE = GaugeBound('temperature_celsius{room=~"a|b"}', 30.0, "lt")
DAY = CalendarWindow(CalendarUnit.DAY, "Europe/Berlin")
SLOS = (
    slo("exact"),
    slo("half", 0.5),
    slo("histogram", 0.8, VLLM),
    slo("berlin-days", 0.8, HTTP, window=DAY, exclusions=(WeeklyExclusion(Weekday.THURSDAY, 0, 600, "backup"),)),
    slo("native", 0.8, NativeHistogram("latency_seconds", 0.2)),
    slo("gauge", 0.8, TEMPERATURE, slices=Slices(60)),
    slo("long-slices", 0.95, SERVED, slices=Slices(300, 0.9), page_within_s=900.0),
    slo("composite", 0.5, Composite((Part(SloId("exact")), Part(SloId("half"), 3.0)))),
    slo("consequence", 0.5, page_within_s=600.0, depends_on=SloId("half")),
)
ALL_SUITES = {"exact", "long-slices"}
"""For the others the file that begins with scrapes is enough: slow tiers differ by numbers alone."""


def verdicts(folder: Path, names: list[str]) -> dict[str, str]:
    """What promtool says about each file, asked once for all: empty when it passed."""
    argv = ["promtool", "test", "rules", *names]
    result = subprocess.run(argv, cwd=folder, capture_output=True, text=True, timeout=110, check=False)
    # Failures go to the other stream, so a file's report is what the two say in a call of its own.
    if result.returncode == 0:
        return dict.fromkeys(names, "")
    return {name: promtool(folder, "test", "rules", name) for name in names}


def promtool(folder: Path, *argv: str) -> str:
    result = subprocess.run(["promtool", *argv], cwd=folder, capture_output=True, text=True, timeout=110, check=False)
    return "" if result.returncode == 0 else result.stdout + result.stderr


@pytest.mark.prometheus
def test_every_kind_of_slo_keeps_its_promises(tmp_path):
    files = rule_test_files(SLOS, REGIONS)
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    chosen = [
        name
        for name in files
        if name.endswith(SUFFIX) and (name.split(".")[0] in ALL_SUITES or name.endswith(f".scrapes{SUFFIX}"))
    ]
    assert {report for report in verdicts(tmp_path, chosen).values() if report} == set()


@pytest.mark.prometheus
def test_a_single_region_and_a_demanding_objective_are_tested_too(tmp_path):
    files = rule_test_files((slo("demanding", 0.99),), REGIONS[:1])
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    names = [name for name in files if name.endswith(SUFFIX)]
    assert names == [f"demanding.{suite}{SUFFIX}" for suite in ("scrapes", "budget", "tier-2", "tier-3", "tier-4")]
    assert {report for report in verdicts(tmp_path, names).values() if report} == set()


@pytest.mark.prometheus
def test_hostile_text_compiles_to_rules_and_tests_that_promtool_reads(tmp_path):
    hostile = slo('a "b" {{c/d', 0.99, description="{{ query `up` }}")
    files = rule_test_files((hostile,), (Region('eu "west"'),))
    for name, text in files.items():
        assert "/" not in name
        (tmp_path / name).write_text(text)
    assert promtool(tmp_path, "check", "rules", next(name for name in files if not name.endswith(SUFFIX))) == ""
    shortest = min((name for name in files if name.endswith(SUFFIX)), key=lambda name: len(files[name]))
    assert promtool(tmp_path, "test", "rules", shortest) == ""


def test_without_a_region_there_is_nothing_to_test():
    with pytest.raises(ValueError, match="at least one region"):
        rehearse(slo("exact"), ())


def names_of(tested: Slo, *others: Slo) -> list[str]:
    rehearsal = rehearse(tested, REGIONS, {each.id: each for each in (tested, *others)})
    return [case.name for suite in rehearsal.suites for case in suite.cases]


def test_the_cases_follow_from_what_the_slo_is_made_of():
    everyday = " ".join(names_of(slo("exact")))
    for word in (
        "outage pages within 8m",
        "silence",
        "chance",
        "stops reporting",
        "restarts",
        "owner changes",
        "half the",
    ):
        assert word in everyday
    assert not re.search("bucket|maintenance|depends", everyday)
    assert sum("bucket" in name for name in names_of(slo("histogram", 0.99, VLLM))) == 2
    assert "silence" not in " ".join(names_of(slo("gauge", 0.99, TEMPERATURE, slices=Slices(60))))
    excluded = slo("exact", exclusions=(Exclusion(1_800_000_000, 1_800_003_600),))
    assert any("maintenance" in name for name in names_of(excluded))
    child = slo("child", depends_on=SloId("exact"), page_within_s=600.0)
    assert any("depends" in name for name in names_of(child, slo("exact")))


def test_every_tier_has_a_case_of_its_own():
    names = names_of(slo("exact"))
    assert [name[:6] for name in names if name.startswith("tier")] == ["tier 2", "tier 3", "tier 4"]


def test_maintenance_is_moved_to_the_beginning_of_promtools_time():
    rehearsal = rehearse(slo("exact", exclusions=(WeeklyExclusion(Weekday.THURSDAY, 0, 600),)), REGIONS)
    (moved,) = rehearsal.slos[0].exclusions
    assert isinstance(moved, Exclusion)
    others = [case for case in rehearsal.suites[0].cases if "maintenance" not in case.name]
    assert moved.starts_unix_s > max(expected.at_s for case in others for expected in case.expected)


@pytest.mark.parametrize(
    "text",
    [
        'a{b="c"}',
        'a{b=~"5.."}',
        'a{b=~"[45]..|other",c!="1",d!~"z.*"}',
        'a{b=~"(?:get|head)_.+",e!=""}',
        r'a{b=~"\\d+\\.\\d{2}"}',
        'a{b=~"5..",b!="500"}',
    ],
)
def test_labels_are_made_up_for_every_usual_selector(text):
    selector = parse_selector(text)
    assert selected(selector, "a", labels_of(*selector.matchers))


def test_labels_beyond_making_up_are_refused_and_never_guessed():
    with pytest.raises(SloError, match="simpler"):
        labels_of(*parse_selector('a{b="x",b!~"x|y"}').matchers)


@pytest.mark.parametrize(
    ("total", "marked"),
    [
        ('r{job="x"}', 'r{job="x",code=~"5.."}'),
        ('r{job="x"}', 'r{job="x",code!~"5.."}'),
        ("r", 'r{code!="200"}'),
        ('{__name__=~"served|failed"}', "failed"),
        ("asked", "served"),
    ],
)
def test_an_event_that_is_not_marked_can_be_made_up(total, marked):
    inside, outside = parse_selector(total), parse_selector(marked)
    metric, labels = labels_outside(outside, inside)
    assert selected(inside, metric, labels)
    assert not selected(outside, metric, labels)


def test_a_total_without_another_event_is_refused():
    with pytest.raises(SloError, match="every event"):
        labels_outside(parse_selector("r"), parse_selector("r"))
