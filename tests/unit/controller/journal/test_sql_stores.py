from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import create_engine, insert, inspect
from sqlalchemy.dialects import postgresql
from sqlalchemy.schema import CreateTable

from controller.journal import codec, tables
from controller.journal.database import Database, open_database
from controller.journal.sql import SqlJournal
from controller.journal.stores import EXACT_SLOS_MAX, INTENTS_WAITING_MAX, SqlIntents, SqlSlos, SqlStory
from controller.ports import DecisionRecord, OperatorIntent, TickRecord
from controller.slo_store import SloExists, SloLimit, SloMissing, SloNeeded, SloStale, SloUnfit, StoredSlo
from controller.stores import Change, DecisionQuery, IntentAccepted, IntentKeyReused, IntentLimit, UnknownCursor
from slo_rules.indicators import ClassicHistogram, Composite, EventRatio, ExactCounters, GaugeBound, Part
from slo_rules.model import Slo
from slo_rules.together import SLOS_MAX
from slo_rules.windows import Slices

NOW = 1_700_000_000.0
BY_ANNA = Change(operator="anna", at_unix_s=NOW)


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    opened = open_database(f"sqlite:///{tmp_path}/journal.db")
    yield opened
    opened.close()


def slo(name: str = "fast", objective: float = 0.95) -> Slo:
    return Slo(id=name, objective=objective, indicator=ExactCounters(0.2))


def intent(name: str, verb: str = "restart", **arguments: str) -> OperatorIntent:
    return OperatorIntent(
        id=name, at_unix_s=NOW, operator="anna", verb=verb, arguments=tuple(sorted(arguments.items()))
    )


def line(number: int, kind: str = "act", subject: str = "eu", at_unix_s: float = NOW) -> DecisionRecord:
    return DecisionRecord(
        id=f"d{number}", at_unix_s=at_unix_s, epoch=1, kind=kind, subject=subject, summary="s", evidence=(("a", "b"),)
    )


def test_the_migrated_schema_is_the_one_the_code_speaks_of(database: Database, tmp_path: Path) -> None:
    fresh = create_engine(f"sqlite:///{tmp_path}/fresh.db")
    tables.metadata.create_all(fresh)
    with database.reading() as connection:
        migrated, wanted = inspect(connection), inspect(fresh)
        for table in tables.metadata.tables:
            columns = {(c["name"], str(c["type"]), c["nullable"]) for c in wanted.get_columns(table)}
            assert {(c["name"], str(c["type"]), c["nullable"]) for c in migrated.get_columns(table)} == columns
            assert {i["name"] for i in migrated.get_indexes(table)} == {i["name"] for i in wanted.get_indexes(table)}
    fresh.dispose()


def test_every_table_can_be_made_on_postgresql() -> None:
    made = [str(CreateTable(table).compile(dialect=postgresql.dialect())) for table in tables.metadata.sorted_tables]
    assert any("BIGSERIAL" in statement for statement in made)


def test_every_change_of_an_objective_gets_the_next_revision(database: Database) -> None:
    slos = SqlSlos(database)
    assert slos.create_slo(slo(), BY_ANNA) == StoredSlo(slo=slo(), revision=1)
    assert slos.replace_slo(slo(objective=0.99), 1, BY_ANNA) == StoredSlo(slo=slo(objective=0.99), revision=2)
    assert slos.delete_slo("fast", 2, BY_ANNA) == StoredSlo(slo=slo(objective=0.99), revision=2)
    assert (slos.slos().slos, slos.slos().revision) == ((), 3)


def test_a_change_based_on_an_old_reading_is_refused_and_changes_nothing(database: Database) -> None:
    slos = SqlSlos(database)
    slos.create_slo(slo(), BY_ANNA)
    slos.replace_slo(slo(objective=0.99), 1, BY_ANNA)
    assert slos.replace_slo(slo(objective=0.9), 1, BY_ANNA) == SloStale(revision=2)
    assert slos.delete_slo("fast", 1, BY_ANNA) == SloStale(revision=2)
    assert slos.slos().slos == (StoredSlo(slo=slo(objective=0.99), revision=2),)


def test_missing_and_existing_objectives_are_told_apart(database: Database) -> None:
    slos = SqlSlos(database)
    assert slos.replace_slo(slo(), None, BY_ANNA) == SloMissing()
    slos.create_slo(slo(), BY_ANNA)
    assert slos.create_slo(slo(objective=0.9), BY_ANNA) == SloExists(revision=1)


def fill(database: Database, slos: list[Slo]) -> None:
    """Many at once, as no operator could."""
    rows = [{"id": each.id, "revision": 1, "body": codec.slo_to_json(each)} for each in slos]
    with database.writing() as connection:
        connection.execute(insert(tables.slos), rows)


def foreign(name: str) -> Slo:
    return Slo(id=name, objective=0.95, indicator=ClassicHistogram("h", 0.2))


def test_the_set_of_objectives_is_bounded(database: Database) -> None:
    slos = SqlSlos(database)
    fill(database, [foreign(f"s{number}") for number in range(SLOS_MAX - 1)])
    assert isinstance(slos.create_slo(foreign("last"), BY_ANNA), StoredSlo)
    assert slos.create_slo(foreign("one-more"), BY_ANNA) == SloLimit(slos_max=SLOS_MAX)


def test_those_that_every_replica_counts_are_bounded_more_tightly(database: Database) -> None:
    slos = SqlSlos(database)
    fill(database, [slo(f"s{number}") for number in range(EXACT_SLOS_MAX)])
    full = SloLimit(slos_max=EXACT_SLOS_MAX, of_kind="exact_counters")
    assert slos.create_slo(slo("one-more"), BY_ANNA) == full
    assert isinstance(slos.create_slo(foreign("other"), BY_ANNA), StoredSlo)
    assert slos.replace_slo(slo("other"), None, BY_ANNA) == full
    assert isinstance(slos.replace_slo(slo("s1", 0.9), None, BY_ANNA), StoredSlo)


BOTH = Slo(id="both", objective=0.9, indicator=Composite((Part("fast"), Part("slow"))))


def test_what_an_objective_names_has_to_be_there_and_cannot_go(database: Database) -> None:
    slos = SqlSlos(database)
    slos.create_slo(foreign("fast"), BY_ANNA)
    unfit = slos.create_slo(BOTH, BY_ANNA)
    assert isinstance(unfit, SloUnfit)
    assert "slow" in unfit.problem
    slos.create_slo(foreign("slow"), BY_ANNA)
    assert isinstance(slos.create_slo(BOTH, BY_ANNA), StoredSlo)
    before = slos.slos()
    assert slos.delete_slo("slow", None, BY_ANNA) == SloNeeded(by=("both",))
    sliced = replace(foreign("slow"), slices=Slices())
    broken = slos.replace_slo(sliced, None, BY_ANNA)
    assert isinstance(broken, SloUnfit)
    assert "both" in broken.problem
    assert slos.slos() == before
    slos.delete_slo("both", None, BY_ANNA)
    assert isinstance(slos.delete_slo("slow", None, BY_ANNA), StoredSlo)


def test_a_chain_of_parents_never_closes(database: Database) -> None:
    slos = SqlSlos(database)
    slos.create_slo(foreign("gateway"), BY_ANNA)
    slos.create_slo(replace(foreign("speech"), depends_on="gateway"), BY_ANNA)
    circle = slos.replace_slo(replace(foreign("gateway"), depends_on="speech"), None, BY_ANNA)
    assert isinstance(circle, SloUnfit)
    assert circle.field == "depends_on"


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        (foreign("x"), "anna created objective x: 0.95 up to 0.2 in h"),
        (replace(foreign("x"), slices=Slices(60, 0.9)), "of 1m slices with 90 %"),
        (Slo(id="x", objective=0.9, indicator=GaugeBound("g", 3.0), slices=Slices()), "g ≤ 3"),
        (Slo(id="x", objective=0.9, indicator=EventRatio("t", bad="b")), "good events among t"),
    ],
)
def test_the_story_says_what_every_kind_of_objective_promises(database: Database, changed: Slo, told: str) -> None:
    SqlSlos(database).create_slo(changed, BY_ANNA)
    story = SqlStory(database).decisions(DecisionQuery(limit=10))
    assert not isinstance(story, UnknownCursor)
    assert told in story[-1].summary


def test_changes_of_objectives_are_in_the_story(database: Database) -> None:
    SqlSlos(database).create_slo(slo(), BY_ANNA)
    story = SqlStory(database).decisions(DecisionQuery(limit=10))
    assert not isinstance(story, UnknownCursor)
    assert [(d.kind, d.subject, d.summary) for d in story] == [
        ("operator", "fast", "anna created objective fast: 0.95 within 0.2 s (total)")
    ]


def test_the_same_idempotency_key_brings_back_the_same_intent(database: Database) -> None:
    intents = SqlIntents(database)
    assert intents.add_intent(intent("i1", replica="a-0"), "k") == IntentAccepted(id="i1", repeated=False)
    assert intents.add_intent(intent("i2", replica="a-0"), "k") == IntentAccepted(id="i1", repeated=True)
    assert intents.add_intent(intent("i3", replica="a-1"), "k") == IntentKeyReused(id="i1")
    assert [i.id for i in SqlJournal(database).load(NOW, 1.0).intents] == ["i1"]


def test_intents_do_not_pile_up_while_nobody_leads(database: Database) -> None:
    intents = SqlIntents(database)
    for number in range(INTENTS_WAITING_MAX):
        assert isinstance(intents.add_intent(intent(f"i{number}"), None), IntentAccepted)
    assert intents.add_intent(intent("one-more"), None) == IntentLimit(waiting_max=INTENTS_WAITING_MAX)


def ids(found: tuple[DecisionRecord, ...] | UnknownCursor) -> list[str]:
    assert not isinstance(found, UnknownCursor)
    return [record.id for record in found]


def test_the_story_is_paged_by_its_own_lines(database: Database) -> None:
    journal, story = SqlJournal(database), SqlStory(database)
    journal.acquire("me", NOW, 10.0)
    journal.write(1, TickRecord(decisions=tuple(line(n) for n in range(6))))
    assert ids(story.decisions(DecisionQuery(limit=2))) == ["d4", "d5"]
    assert ids(story.decisions(DecisionQuery(limit=2, after="d1"))) == ["d2", "d3"]
    assert ids(story.decisions(DecisionQuery(limit=2, after="d5"))) == []
    assert story.decisions(DecisionQuery(limit=2, after="never-was")) == UnknownCursor()


def test_the_story_is_filtered_by_kind_subject_and_action(database: Database) -> None:
    journal, story = SqlJournal(database), SqlStory(database)
    journal.acquire("me", NOW, 10.0)
    journal.write(1, TickRecord(decisions=(line(0), line(1, kind="hold"), line(2, subject="us"))))
    assert ids(story.decisions(DecisionQuery(limit=9, kind="hold"))) == ["d1"]
    assert ids(story.decisions(DecisionQuery(limit=9, subject="us"))) == ["d2"]
    assert ids(story.decisions(DecisionQuery(limit=9, action_id="a"))) == []


def test_a_signal_enters_the_story_once(database: Database) -> None:
    story = SqlStory(database)
    assert story.record_signals((line(0), line(0), line(1))) == 2
    assert story.record_signals((line(1), line(2))) == 1


def test_pruning_forgets_the_old_and_keeps_the_new(database: Database) -> None:
    journal, story = SqlJournal(database), SqlStory(database)
    journal.acquire("me", NOW, 10.0)
    journal.write(1, TickRecord(decisions=(line(0, at_unix_s=NOW - 100), line(1))))
    assert journal.prune(NOW - 50) == 1
    assert ids(story.decisions(DecisionQuery(limit=9))) == ["d1"]


def test_what_was_written_is_there_after_opening_the_file_again(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/deep/er/journal.db"
    first = open_database(url)
    SqlSlos(first).create_slo(slo(), BY_ANNA)
    first.close()
    second = open_database(url)
    assert SqlSlos(second).slos().revision == 1
    second.close()
