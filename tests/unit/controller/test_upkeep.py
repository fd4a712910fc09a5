from collections.abc import Iterator
from pathlib import Path

import pytest

from contracts.serving_api import SloThresholds
from controller.core.fleet import Fleet, home_traffic
from controller.journal.database import Database, open_database
from controller.journal.sql import SqlJournal
from controller.journal.stores import SqlSlos, SqlStory
from controller.ports import TickRecord
from controller.stores import Change, RulesPublished, RulesRefused, RulesUnknown
from controller.upkeep import Upkeep
from slo_rules.indicators import ExactCounters
from slo_rules.model import Slo

CHANGE = Change(operator="anna", at_unix_s=1_700_000_000.0)


class Agents:
    """Hears thresholds; knows no hosts."""

    def __init__(self) -> None:
        self.heard: list[SloThresholds] = []

    def publish_thresholds(self, thresholds: SloThresholds) -> None:
        self.heard.append(thresholds)

    def fleet(self) -> Fleet:
        return Fleet(hosts=())


class Prometheus:
    """Answers a publication with what the test has put there."""

    def __init__(self) -> None:
        self.files: list[str] = []
        self.outcome: RulesPublished | RulesRefused | RulesUnknown = RulesPublished(groups=1)

    async def publish(self, rules: str) -> RulesPublished | RulesRefused | RulesUnknown:
        self.files.append(rules)
        return self.outcome


class Rig:
    def __init__(self, database: Database) -> None:
        self.agents, self.prometheus, self.slos = Agents(), Prometheus(), SqlSlos(database)
        self.journal = SqlJournal(database)
        self.upkeep = Upkeep(
            slos=self.slos,
            story=SqlStory(database),
            thresholds=self.agents,
            rules=self.prometheus,
            fleet=self.agents,
            gateways=("eu-west",),
        )


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    database = open_database(f"sqlite:///{tmp_path}/journal.db")
    yield Rig(database)
    database.close()


async def test_thresholds_and_rules_follow_the_objectives(rig: Rig) -> None:
    rig.slos.create_slo(Slo(id="fast", objective=0.95, indicator=ExactCounters(0.2)), CHANGE)
    await rig.upkeep.follow_objectives(leading=True)
    assert rig.agents.heard[-1].revision == 1
    assert [(t.slo, t.threshold_s) for t in rig.agents.heard[-1].thresholds] == [("fast", 0.2)]
    assert "slo-fast" in rig.prometheus.files[-1]


async def test_a_standby_writes_no_rules(rig: Rig) -> None:
    await rig.upkeep.follow_objectives(leading=False)
    assert rig.agents.heard
    assert not rig.prometheus.files


@pytest.mark.parametrize(
    ("outcome", "times"),
    [(RulesPublished(groups=1), 1), (RulesRefused(reason="no"), 1), (RulesUnknown(reason="silence"), 2)],
)
async def test_only_an_unknown_outcome_is_tried_again(
    rig: Rig, outcome: RulesPublished | RulesRefused | RulesUnknown, times: int
) -> None:
    rig.prometheus.outcome = outcome
    await rig.upkeep.follow_objectives(leading=True)
    await rig.upkeep.follow_objectives(leading=True)
    assert len(rig.prometheus.files) == times


async def test_a_region_that_is_silent_now_is_still_expected_to_report(rig: Rig) -> None:
    rig.slos.create_slo(Slo(id="fast", objective=0.95, indicator=ExactCounters(0.2)), CHANGE)
    rig.journal.acquire("me", 0.0, 10.0)
    rig.journal.write(1, TickRecord(traffic=home_traffic(("eu-west", "us-east"))))
    await rig.upkeep.follow_objectives(leading=True)
    for region in ("eu-west", "us-east"):
        assert f'region="{region}"' in rig.prometheus.files[-1]
