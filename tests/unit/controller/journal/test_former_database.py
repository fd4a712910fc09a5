"""An upgraded controller goes on with the database of the first version: what was open stays open, and nothing is forgotten."""

import sqlite3
from contextlib import closing
from pathlib import Path

from contracts.vocabulary import HostId
from controller.core.actions import Restart, ScaleIn
from controller.journal.credentials import SqlCredentials
from controller.journal.database import open_database
from controller.journal.sql import SqlJournal
from controller.journal.stores import SqlStory
from controller.stores import Change, DecisionQuery

FORMER = Path(__file__).with_name("first_version.sql")
"""A dump of a database that the first version wrote, in the middle of a restart and of a scale-in."""


def test_the_database_of_the_first_version_is_brought_up_to_date(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "journal.db")) as former:
        former.executescript(FORMER.read_text(encoding="utf-8"))
    database = open_database(f"sqlite:///{tmp_path}/journal.db")
    journal, credentials = SqlJournal(database), SqlCredentials(database)
    state = journal.load(1_010.0, 60.0)
    restart, scale_in = (record.action for record in state.actions)
    assert isinstance(restart, Restart)
    assert isinstance(scale_in, ScaleIn)
    assert scale_in.graceful
    assert [issued.order.key for issued in state.orders] == ["a1:eu-west-a-0", "a2:eu-west-a-1"]
    assert state.traffic is not None
    assert state.reflexes_seen == {("eu-west-a", "b1", 7)}
    story = SqlStory(database).decisions(DecisionQuery(limit=10))
    assert isinstance(story, tuple)
    assert [line.id for line in story] == ["d1"]
    assert credentials.revoke_host(HostId("eu-west-a"), Change("anna", 1_010.0)) == 0
    assert credentials.revoked_hosts() == {"eu-west-a"}
    database.close()
