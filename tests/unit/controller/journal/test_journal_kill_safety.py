"""A controller that is killed in the middle of a transaction must leave the former state, whole."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from controller.journal.database import open_database
from controller.journal.sql import SqlJournal
from controller.journal.stores import SqlStory
from controller.ports import DecisionRecord, TickRecord
from controller.stores import DecisionQuery

NOW = 1_700_000_000.0
WRITER = """
import sys, threading
from sqlalchemy import event
from sqlalchemy.engine import Engine
from controller.journal.database import open_database
from controller.journal.sql import SqlJournal
from controller.ports import DecisionRecord, TickRecord

database = open_database(sys.argv[1])

@event.listens_for(Engine, "after_cursor_execute")
def stall(connection, cursor, statement, *rest):
    if statement.startswith(sys.argv[2]):
        print("stalled", flush=True)
        threading.Event().wait()

line = DecisionRecord(id="new", at_unix_s=1.0, epoch=1, kind="act", subject="eu", summary="s")
SqlJournal(database).write(1, TickRecord(decisions=(line,), paused=True))
"""


@pytest.mark.parametrize("statement", ["UPDATE control", "INSERT INTO decisions"])
def test_a_killed_writer_leaves_the_former_state(tmp_path: Path, statement: str) -> None:
    url = f"sqlite:///{tmp_path}/journal.db"
    database = open_database(url)
    journal = SqlJournal(database)
    journal.acquire("me", NOW, 10.0)
    old = DecisionRecord(id="old", at_unix_s=NOW, epoch=1, kind="act", subject="eu", summary="s")
    journal.write(1, TickRecord(decisions=(old,)))
    with subprocess.Popen([sys.executable, "-c", WRITER, url, statement], stdout=subprocess.PIPE) as writer:
        assert writer.stdout is not None
        assert writer.stdout.readline() == b"stalled\n"
        writer.send_signal(signal.SIGKILL)
        writer.wait(timeout=10)
    assert not journal.load(NOW, 1.0).paused
    assert SqlStory(database).decisions(DecisionQuery(limit=9)) == (old,)
    journal.write(1, TickRecord(paused=True))  # and the lock died with its holder
    assert journal.load(NOW, 1.0).paused
    database.close()
