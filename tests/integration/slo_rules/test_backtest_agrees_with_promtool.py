"""A backtest and the compiled rules, over the same minutes: the same alerts at the same minutes, and the same budget."""

import json
import random
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from contracts.metric_names import (
    ALERT_SLO_BURN,
    RULE_BUDGET_REMAINING,
    RULE_EVENTS_BAD_INC1M,
    RULE_EVENTS_TOTAL_INC1M,
)
from contracts.vocabulary import Region, SloId
from slo_rules.backtest import Backtest, Firing, History, RegionCounts, backtest
from slo_rules.compiler import compile_slos
from slo_rules.indicators import EventRatio
from slo_rules.model import Slo
from slo_rules.render import render_rules
from slo_rules.rule_file import AlertingRule, RecordingRule, RuleFile, RuleGroup
from slo_rules.rules.exclusions import excluded, is_excluded
from slo_rules.tiers import derive_tiers
from slo_rules.windows import CalendarUnit, CalendarWindow, Exclusion, RollingWindow, Slices, Weekday, WeeklyExclusion

pytestmark = pytest.mark.prometheus
MINUTES = 10 * 60
EVENING = 20 * 3_600
REGIONS = (Region("eu-west"), Region("us-east"))
SHIFT = RollingWindow(6 * 3_600)
RATIO = EventRatio("t", bad="b")
GATEWAY = Slo(SloId("gateway"), 0.99, RATIO, SHIFT, page_within_s=360.0)
SLOS = (
    GATEWAY,
    Slo(SloId("speech"), 0.95, RATIO, SHIFT, depends_on=GATEWAY.id),
    Slo(SloId("sliced"), 0.9, RATIO, SHIFT, slices=Slices(60, 0.5)),
    Slo(SloId("daily"), 0.9, RATIO, CalendarWindow(CalendarUnit.DAY)),
)
ROLLING = SLOS[:3]


@dataclass(frozen=True)
class Minute:
    total: float | None
    bad: float | None


def traffic(seed: int) -> list[Minute]:
    """Quiet and busy hours, mild and total trouble, bursts after silence, and holes."""
    rng = random.Random(seed)
    minutes: list[Minute] = []
    while len(minutes) < MINUTES:
        length = rng.choice((3, 8, 20, 60, 150))
        rate = rng.choice((0, 0.5, 4, 60, 600))
        ratio = rng.choice((0, 0, 0, 0.004, 0.03, 0.08, 0.3, 0.6, 1.0))
        hole = rng.random() < 0.08
        for _minute in range(length):
            total = round(rate * rng.uniform(0.7, 1.3), 2)
            bad = round(total * min(1.0, ratio * rng.uniform(0.8, 1.2)), 2)
            minutes.append(Minute(None, None) if hole else Minute(total, bad))
    return minutes[:MINUTES]


@pytest.fixture(scope="module")
def left_open() -> bool:
    told = subprocess.run(["promtool", "--version"], capture_output=True, text=True, check=True)
    return "version 2." not in told.stdout + told.stderr


@dataclass(frozen=True)
class World:
    histories: dict[SloId, History]
    pasts: dict[SloId, Backtest]


@pytest.fixture(scope="module")
def world(left_open: bool) -> World:
    histories, pasts = {}, {}
    for number, slo in enumerate(SLOS):
        regions = []
        for offset, region in enumerate(REGIONS):
            minutes = traffic(100 + 10 * number + offset)
            regions.append(RegionCounts(region, tuple(m.total for m in minutes), tuple(m.bad for m in minutes)))
        starts = EVENING if isinstance(slo.window, CalendarWindow) else 0
        histories[slo.id] = History(starts, tuple(regions), left_open=left_open)
        above = (pasts[slo.depends_on],) if slo.depends_on is not None else ()
        pasts[slo.id] = backtest(slo, derive_tiers(slo), histories[slo.id], above)
    return World(histories, pasts)


def firings(world: World, slo: Slo, region: Region) -> list[Firing]:
    return [f for each in world.pasts[slo.id].regions if each.region == region for f in each.firings]


def what_follows_from_counts() -> RuleFile:
    """Of the compiled file, only what the recorded counts of a minute lead to."""
    groups = []
    for group in compile_slos(ROLLING, ()).groups:
        rules = tuple(
            replace(rule, annotations=())  # they look things up at every evaluation, and nobody reads them here
            for rule in group.rules
            if isinstance(rule, AlertingRule) and rule.alert == ALERT_SLO_BURN
        )
        spans = [rule for rule in group.rules if isinstance(rule, RecordingRule) and rule.record.endswith(":inc4m")]
        rules = (*spans, *rules)
        if rules:
            groups.append(RuleGroup(group.name, group.interval_s, rules))
    return RuleFile(tuple(groups))


def series(world: World) -> Iterator[dict[str, str]]:
    for slo in ROLLING:
        for counts in world.histories[slo.id].regions:
            for record, values in ((RULE_EVENTS_TOTAL_INC1M, counts.total), (RULE_EVENTS_BAD_INC1M, counts.bad)):
                written = " ".join("stale" if value is None else f"{value:g}" for value in values)
                yield {"series": f'{record}{{slo="{slo.id}",region="{counts.region}"}}', "values": written}


def checked_minutes(found: list[Firing]) -> list[int]:
    """Both sides of every edge, and some in between."""
    edges = {f.starts_unix_s // 60 for f in found} | {f.ends_unix_s // 60 for f in found}
    near = {minute + shift for minute in edges for shift in (-1, 0)}
    return sorted(minute for minute in near | set(range(7, MINUTES, 241)) if 0 < minute < MINUTES - 1)


def alert_checks(world: World) -> Iterator[dict[str, object]]:
    for slo in ROLLING:
        for region in REGIONS:
            for tier in derive_tiers(slo):
                mine = [f for f in firings(world, slo, region) if f.tier == tier.number]
                labels = f'alertname="{ALERT_SLO_BURN}",alertstate="firing",slo="{slo.id}",region="{region}"'
                for minute in checked_minutes(mine):
                    fires = any(f.starts_unix_s <= minute * 60 < f.ends_unix_s for f in mine)
                    expr = f'count(ALERTS{{{labels},tier="{tier.number}"}}) or vector(0)'
                    yield check(expr, minute, float(fires))


def budget_checks(world: World) -> Iterator[dict[str, object]]:
    rules = [rule for group in compile_slos(ROLLING, ()).groups for rule in group.rules]
    for slo in ROLLING:
        named = [r for r in rules if getattr(r, "record", "") == RULE_BUDGET_REMAINING and ("slo", slo.id) in r.labels]
        (expr,) = (rule.expr for rule in named)
        for counts, past in zip(world.histories[slo.id].regions, world.pasts[slo.id].regions, strict=True):
            only = f'label_replace(vector(1), "region", "{past.region}", "", "")'
            for at, left in past.budget[:: len(past.budget) // 8]:
                if any(value is not None for value in counts.total[: at // 60 + 1]):
                    close = f"abs(({expr}) - ({left})) < 1e-6"
                    yield check(f"count(({close}) * on (region) group_left () {only})", at // 60, 1.0)


EXCLUSIONS = (
    Exclusion(7_200, 10_000),
    WeeklyExclusion(Weekday.THURSDAY, 300, 345),
    WeeklyExclusion(Weekday.FRIDAY, 60, 61),
)


def exclusion_checks() -> Iterator[dict[str, object]]:
    expr = f"count({excluded(EXCLUSIONS, range_s=120)}) or vector(0)"
    for minute in (*range(1, MINUTES, 67), *range(117, 125), *range(165, 172), *range(298, 304), *range(343, 350)):
        yield check(expr, minute, float(is_excluded(EXCLUSIONS, minute * 60, range_s=120)))


def check(expr: str, minute: int, value: float) -> dict[str, object]:
    return {"expr": expr, "eval_time": f"{minute}m", "exp_samples": [{"labels": "{}", "value": value}]}


def test_alerts_budgets_and_maintenance_are_those_of_the_rules(world: World, tmp_path: Path) -> None:
    (tmp_path / "rules.yml").write_text(render_rules(what_follows_from_counts()))
    checks = [*alert_checks(world), *budget_checks(world), *exclusion_checks()]
    assert sum(item["exp_samples"][0]["value"] for item in checks) > 100, "most of what is checked is about something"
    test = {
        "rule_files": ["rules.yml"],
        "evaluation_interval": "1m",
        "group_eval_order": [f"slo-{slo.id}" for slo in ROLLING],
        "tests": [{"interval": "1m", "input_series": list(series(world)), "promql_expr_test": checks}],
    }
    (tmp_path / "test.yml").write_text(json.dumps(test))
    told = subprocess.run(
        ["promtool", "test", "rules", tmp_path / "test.yml"], capture_output=True, text=True, check=False
    )
    assert told.returncode == 0, (told.stdout + told.stderr)[-6_000:]


def test_the_traffic_makes_every_tier_fire_somewhere(world: World) -> None:
    for slo in SLOS:
        fired = {f.tier for region in world.pasts[slo.id].regions for f in region.firings}
        assert fired == {tier.number for tier in derive_tiers(slo)}, slo.id


def test_a_calendar_budget_is_whole_again_with_every_period(world: World) -> None:
    """By adding up, minute by minute, what a period holds."""
    slo = SLOS[3]
    for counts, past in zip(world.histories[slo.id].regions, world.pasts[slo.id].regions, strict=True):
        for at, left in past.budget[:: len(past.budget) // 40]:
            begins = (at - 60) // 86_400 * 86_400
            minutes = [m for m in range((at - EVENING) // 60 + 1) if EVENING + m * 60 - 60 >= begins]
            bad = sum(counts.bad[m] or 0 for m in minutes)
            total = max(1.0, sum(counts.total[m] or 0 for m in minutes))
            assert left == pytest.approx(1 - bad / total / 0.1, abs=1e-6)
