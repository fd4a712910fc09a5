from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from chassis.clock import ManualClock
from contracts.serving_api import SloThresholds
from controller import upkeep
from controller.core.fleet import Fleet, home_traffic
from controller.journal.database import Database, open_database
from controller.journal.sql import SqlJournal
from controller.journal.stores import SqlSlos, SqlStory
from controller.ports import TickRecord
from controller.rules_keeper import LOOK_EVERY_S, RulesKeeper
from controller.rules_ports import RulesPublished, RulesRefused, RulesSeen, RulesStanding, RulesUnknown, UnhealthyRule
from controller.rules_series import RulesSeries
from controller.stores import Change
from controller.upkeep import Upkeep, expected_regions
from slo_rules.indicators import ClassicHistogram, ExactCounters
from slo_rules.model import Slo
from slo_rules.rule_file import RuleFile
from slo_rules.windows import CalendarWindow

CHANGE = Change(operator="anna", at_unix_s=1_700_000_000.0)
NEW_YEARS_EVE = datetime(2023, 12, 31, 23, 59, tzinfo=UTC).timestamp()
FAST = Slo(id="fast", objective=0.95, indicator=ExactCounters(0.2))


class Agents:
    """Hears thresholds; knows no hosts."""

    def __init__(self) -> None:
        self.heard: list[SloThresholds] = []

    def publish_thresholds(self, thresholds: SloThresholds) -> None:
        self.heard.append(thresholds)

    def fleet(self) -> Fleet:
        return Fleet(hosts=())


class Prometheus:
    """Runs what it took last; answers with trouble that the test has put there."""

    def __init__(self) -> None:
        self.files: list[str] = []
        self.runs = RulesSeen(digest="", revision=None, unhealthy=())
        self.trouble: RulesRefused | RulesUnknown | None = None
        self.looks = 0

    async def publish(self, rules: str, revision: int) -> RulesPublished | RulesRefused | RulesUnknown:
        self.files.append(rules)
        if self.trouble is not None:
            return self.trouble
        self.runs = RulesSeen(digest=f"digest-{len(self.files)}", revision=revision, unhealthy=())
        return RulesPublished(digest=self.runs.digest)

    async def look(self) -> RulesSeen | RulesUnknown:
        self.looks += 1
        return self.trouble if isinstance(self.trouble, RulesUnknown) else self.runs


class Rig:
    def __init__(self, database: Database) -> None:
        self.agents, self.prometheus, self.slos = Agents(), Prometheus(), SqlSlos(database)
        self.journal = SqlJournal(database)
        self.clock = ManualClock(now_unix_s=NEW_YEARS_EVE)
        self.registry = CollectorRegistry()
        self.keeper = RulesKeeper(self.prometheus, self.clock, RulesSeries(self.registry))
        story = SqlStory(database)
        self.upkeep = Upkeep(
            slos=self.slos,
            thresholds=self.agents,
            rules=self.keeper,
            regions=lambda: expected_regions(story, self.agents, ("eu-west",)),
            clock=self.clock,
        )

    async def pass_by(self, seconds: float = LOOK_EVERY_S) -> None:
        self.clock.advance(seconds)
        await self.upkeep.follow_objectives(leading=True)

    def series(self) -> str:
        return generate_latest(self.registry).decode()


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    database = open_database(f"sqlite:///{tmp_path}/journal.db")
    yield Rig(database)
    database.close()


async def test_thresholds_and_rules_follow_the_objectives(rig: Rig) -> None:
    rig.slos.create_slo(FAST, CHANGE)
    rig.slos.create_slo(Slo(id="foreign", objective=0.95, indicator=ClassicHistogram("h", 0.2)), CHANGE)
    await rig.upkeep.follow_objectives(leading=True)
    assert rig.agents.heard[-1].revision == 2
    assert [(t.slo, t.threshold_s) for t in rig.agents.heard[-1].thresholds] == [("fast", 0.2)]
    assert "slo-fast" in rig.prometheus.files[-1]
    assert "slo-foreign" in rig.prometheus.files[-1]
    assert (rig.keeper.state.state, rig.keeper.state.revision_loaded) == (RulesStanding.IN_STEP, 2)


async def test_a_standby_writes_no_rules(rig: Rig) -> None:
    await rig.upkeep.follow_objectives(leading=False)
    assert rig.agents.heard
    assert not rig.prometheus.files
    assert rig.keeper.state.state is RulesStanding.STANDBY


@pytest.mark.parametrize(
    ("trouble", "times", "state"),
    [
        (None, 1, RulesStanding.IN_STEP),
        (RulesRefused(reason="no"), 1, RulesStanding.REFUSED),
        (RulesUnknown(reason="silence"), 2, RulesStanding.UNKNOWN),
    ],
)
async def test_only_an_unknown_outcome_is_tried_again(
    rig: Rig, trouble: RulesRefused | RulesUnknown | None, times: int, state: RulesStanding
) -> None:
    rig.prometheus.trouble = trouble
    await rig.upkeep.follow_objectives(leading=True)
    await rig.upkeep.follow_objectives(leading=True)
    assert len(rig.prometheus.files) == times
    assert rig.keeper.state.state is state
    assert f'controller_rules_state{{state="{state}"}} 1.0' in rig.series()


async def test_a_refusal_is_told_with_the_revision_that_still_runs(rig: Rig) -> None:
    await rig.upkeep.follow_objectives(leading=True)
    rig.slos.create_slo(FAST, CHANGE)
    rig.prometheus.trouble = RulesRefused(reason="bad rule")
    await rig.upkeep.follow_objectives(leading=True)
    await rig.pass_by()
    state = rig.keeper.state
    assert (state.state, state.revision_loaded, state.why_not) == (RulesStanding.REFUSED, 0, "bad rule")
    assert 'controller_rules_revision{kind="wanted"} 1.0' in rig.series()
    assert 'controller_rules_revision{kind="loaded"} 0.0' in rig.series()
    assert 'controller_rules_published_total{outcome="refused"} 1.0' in rig.series()


async def test_rules_that_prometheus_lost_are_brought_back(rig: Rig) -> None:
    await rig.upkeep.follow_objectives(leading=True)
    rig.prometheus.runs = RulesSeen(digest="somebody else's", revision=None, unhealthy=())
    await rig.pass_by()
    assert len(rig.prometheus.files) == 2
    assert rig.keeper.state.state is RulesStanding.IN_STEP


async def test_prometheus_is_not_looked_at_all_the_time(rig: Rig) -> None:
    for _pass in range(8):
        await rig.pass_by(LOOK_EVERY_S / 4)
    assert 1 <= rig.prometheus.looks <= 3


async def test_rules_that_fail_when_they_are_evaluated_are_noticed_and_forgotten_when_mended(rig: Rig) -> None:
    await rig.upkeep.follow_objectives(leading=True)
    sick = UnhealthyRule(group="slo-fast", rule="SLOBurn", error="many-to-many")
    rig.prometheus.runs = RulesSeen(rig.prometheus.runs.digest, 0, (sick,))
    await rig.pass_by()
    assert rig.keeper.state.unhealthy == (sick,)
    assert "controller_rules_unhealthy 1.0" in rig.series()
    rig.prometheus.runs = RulesSeen(rig.prometheus.runs.digest, 0, ())
    await rig.pass_by()
    assert (rig.keeper.state.unhealthy, rig.keeper.state.state) == ((), RulesStanding.IN_STEP)


async def test_a_prometheus_that_is_away_and_comes_back_is_in_step_again_without_a_reload(rig: Rig) -> None:
    await rig.upkeep.follow_objectives(leading=True)
    rig.prometheus.trouble = RulesUnknown(reason="away")
    await rig.pass_by()
    assert (rig.keeper.state.state, rig.keeper.state.why_not) == (RulesStanding.UNKNOWN, "away")
    rig.prometheus.trouble = None
    await rig.pass_by()
    assert rig.keeper.state.state is RulesStanding.IN_STEP
    assert len(rig.prometheus.files) == 1


async def test_without_a_rules_file_nothing_is_written_and_that_is_said(rig: Rig) -> None:
    keeper = RulesKeeper(None, rig.clock, RulesSeries(CollectorRegistry()))
    await keeper.follow("groups: []", 1)
    assert keeper.state.state is RulesStanding.NOT_OURS


async def test_calendar_windows_are_compiled_by_the_clock_and_anew_only_with_a_new_year(rig: Rig) -> None:
    rig.slos.create_slo(Slo(id="fast", objective=0.95, indicator=ExactCounters(0.2), window=CalendarWindow()), CHANGE)
    await rig.upkeep.follow_objectives(leading=True)
    assert rig.keeper.state.why_not == ""
    await rig.pass_by(50.0)
    assert len(rig.prometheus.files) == 1
    await rig.pass_by(100.0)
    await rig.pass_by(86_400.0)
    assert len(rig.prometheus.files) == 2
    assert rig.prometheus.files[0] != rig.prometheus.files[1]


async def test_objectives_that_make_no_rules_any_more_are_told_and_the_former_rules_stay(rig: Rig) -> None:
    rig.keeper.cannot_compile("window_s: too short", 4)
    assert rig.keeper.state.state is RulesStanding.REFUSED
    assert "too short" in rig.keeper.state.why_not
    assert not rig.prometheus.files


async def test_without_a_rules_file_a_fault_in_the_objectives_is_forgotten_once_it_is_mended(rig: Rig) -> None:
    registry = CollectorRegistry()
    keeper = RulesKeeper(None, rig.clock, RulesSeries(registry))
    keeper.cannot_compile("window_s: too short", 4)
    await keeper.follow("groups: []", 5)
    assert keeper.state.state is RulesStanding.NOT_OURS
    assert 'controller_rules_state{state="not_ours"} 1.0' in generate_latest(registry).decode()


async def test_what_has_not_changed_is_not_compiled_again(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    compiled: list[int] = []

    def count(slos: tuple[Slo, ...], *others: object, **more: object) -> RuleFile:
        compiled.append(len(slos))
        return RuleFile(())

    monkeypatch.setattr(upkeep, "compile_slos", count)
    for _pass in range(3):
        await rig.upkeep.follow_objectives(leading=True)
    rig.slos.create_slo(FAST, CHANGE)
    await rig.upkeep.follow_objectives(leading=True)
    await rig.pass_by(86_400.0)
    assert compiled == [0, 1, 1]


async def test_a_region_that_is_silent_now_is_still_expected_to_report(rig: Rig) -> None:
    rig.slos.create_slo(FAST, CHANGE)
    rig.journal.acquire("me", 0.0, 10.0)
    rig.journal.write(1, TickRecord(traffic=home_traffic(("eu-west", "us-east"))))
    await rig.upkeep.follow_objectives(leading=True)
    for region in ("eu-west", "us-east"):
        assert f'region="{region}"' in rig.prometheus.files[-1]
