"""What every journal promises, run over every implementation.

An implementation joins by adding a factory to `IMPLEMENTATIONS`; the SQL one is found by its module when it is there.
Each factory gets a directory of its own and returns two handles on the same memory, as two controllers would have.
"""

import importlib.util
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from contracts.agent_api import Order, Receipt
from contracts.vocabulary import HostId, OrderKey, OrderKind, ReceiptStatus, Region, ReplicaId
from controller.core.actions import ActionId, ActionRecord, Expectation, Measure, Restart, Shift, Stage, Verdict
from controller.core.fleet import RegionShare, TrafficIntent, home_traffic
from controller.journal.memory import MemoryJournal
from controller.ports import DecisionRecord, FencedError, Journal, Lease, LeaseHeld, OpenOrder, TickRecord

NOW = 1_700_000_000.0
TTL_S = 15.0
HISTORY_S = 86_400.0
EU, US = Region("eu-west"), Region("us-east")


@contextmanager
def memory(directory: Path) -> Iterator[tuple[Journal, Journal]]:
    journal = MemoryJournal()
    yield journal, journal


@contextmanager
def sql(directory: Path) -> Iterator[tuple[Journal, Journal]]:
    from controller.journal.database import open_database  # noqa: PLC0415  # SQL is one implementation, not a must
    from controller.journal.sql import SqlJournal  # noqa: PLC0415

    url = f"sqlite:///{directory / 'journal.sqlite'}"
    with closing(open_database(url)) as first, closing(open_database(url)) as second:
        yield SqlJournal(first), SqlJournal(second)


IMPLEMENTATIONS: dict[str, Callable[[Path], AbstractContextManager[tuple[Journal, Journal]]]] = {"memory": memory}
if importlib.util.find_spec("controller.journal.sql") is not None:
    IMPLEMENTATIONS["sql"] = sql


@pytest.fixture(params=sorted(IMPLEMENTATIONS))
def journals(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[Journal, Journal]]:
    with IMPLEMENTATIONS[request.param](tmp_path) as handles:
        yield handles


@pytest.fixture
def journal(journals: tuple[Journal, Journal]) -> Journal:
    return journals[0]


def lead(journal: Journal, holder: str = "a", at: float = NOW) -> int:
    lease = journal.acquire(holder, at, TTL_S)
    assert isinstance(lease, Lease)
    return lease.epoch


def restart(action_id: str = "r1", stage: Stage = Stage.ORDERED, at: float = NOW) -> ActionRecord:
    return ActionRecord(
        id=ActionId(action_id),
        action=Restart(
            host=HostId("eu-west-a"), region=EU, replica=ReplicaId("eu-west-a-0"), generation=3, graceful=True
        ),
        cause="it is slow",
        evidence=(("rtf", "0.9"), ("peers", "0.3")),
        expectation=Expectation(scope="replica=eu-west-a-0", window_s=60.0, before=Measure(5.0, 50.0, 1.0, 100.0)),
        stage=stage,
        epoch=1,
        intended_unix_s=at,
        stage_unix_s=at,
        stage_deadline_unix_s=at + 30,
        order_keys=(OrderKey(f"{action_id}:eu-west-a-0"),),
    )


def order(key: str = "r1:eu-west-a-0", epoch: int = 1) -> OpenOrder:
    return OpenOrder(
        host=HostId("eu-west-a"),
        order=Order(
            key=OrderKey(key),
            kind=OrderKind.RESTART,
            epoch=epoch,
            replica=ReplicaId("eu-west-a-0"),
            generation=3,
            not_after_unix_s=NOW + 15,
            grace_s=5.0,
        ),
    )


def test_a_fresh_journal_is_empty(journal):
    state = journal.load(NOW, HISTORY_S)
    assert (state.actions, state.orders, state.traffic, state.intents) == ((), (), None, ())
    assert not state.paused
    assert state.reflexes_seen == frozenset()


def test_one_holder_at_a_time(journals):
    first, second = journals
    lead(first, "a")
    answer = second.acquire("b", NOW + TTL_S - 1, TTL_S)
    assert isinstance(answer, LeaseHeld)
    assert answer.holder == "a"
    assert answer.expires_unix_s == pytest.approx(NOW + TTL_S)


def test_renewing_keeps_the_epoch_and_extends_the_lease(journals):
    first, second = journals
    epoch = lead(first, "a")
    assert lead(first, "a", NOW + 10) == epoch
    assert isinstance(second.acquire("b", NOW + TTL_S + 5, TTL_S), LeaseHeld)


def test_a_new_holder_gets_a_larger_epoch(journals):
    first, second = journals
    epoch = lead(first, "a")
    assert lead(second, "b", NOW + TTL_S + 1) > epoch


def test_a_holder_that_slept_past_its_lease_goes_on_if_nobody_led_meanwhile(journal):
    epoch = lead(journal, "a")
    assert lead(journal, "a", NOW + TTL_S + 1) == epoch


def test_an_older_epoch_cannot_write(journals):
    first, second = journals
    old = lead(first, "a")
    new = lead(second, "b", NOW + TTL_S + 1)
    with pytest.raises(FencedError):
        first.write(old, TickRecord(paused=True))
    assert not second.load(NOW, HISTORY_S).paused
    second.write(new, TickRecord(paused=True))
    assert first.load(NOW, HISTORY_S).paused


def test_nobody_writes_without_ever_having_led(journal):
    with pytest.raises(FencedError):
        journal.write(1, TickRecord(paused=True))


def test_actions_are_upserted_by_id(journal):
    epoch = lead(journal)
    journal.write(epoch, TickRecord(actions=(restart(),)))
    closed = replace(restart(), stage=Stage.CLOSED, verdict=Verdict.IMPROVED, detail="ready again in 2.1 s")
    journal.write(epoch, TickRecord(actions=(closed,)))
    assert journal.load(NOW, HISTORY_S).actions == (closed,)


def test_every_kind_of_action_survives_the_round_trip(journal):
    epoch = lead(journal)
    home = home_traffic((EU, US))
    away = TrafficIntent(
        shares=(
            RegionShare(EU, EU, 0.25),
            RegionShare(EU, US, 0.75),
            RegionShare(US, EU, 0.0),
            RegionShare(US, US, 1.0),
        ),
        cordoned=frozenset({ReplicaId("eu-west-a-0")}),
    )
    shift = replace(restart("s1"), action=Shift(region=EU, before=home, after=away), order_keys=())
    journal.write(epoch, TickRecord(actions=(restart(), shift), traffic=away))
    state = journal.load(NOW, HISTORY_S)
    assert set(state.actions) == {restart(), shift}
    assert state.traffic == away


def test_closed_actions_are_forgotten_after_the_history_and_open_ones_never(journal):
    epoch = lead(journal)
    closed = replace(restart("old"), stage=Stage.CLOSED, verdict=Verdict.FAILED)
    journal.write(epoch, TickRecord(actions=(closed, restart("open"))))
    later = NOW + HISTORY_S + 1
    assert {action.id for action in journal.load(later, HISTORY_S).actions} == {"open"}


def test_an_order_stays_open_until_its_receipt(journal):
    epoch = lead(journal)
    journal.write(epoch, TickRecord(orders_issued=(order(),)))
    assert journal.load(NOW, HISTORY_S).orders == (order(),)
    receipt = Receipt(key=order().order.key, epoch=epoch, status=ReceiptStatus.DONE, executions=1)
    journal.write(epoch, TickRecord(receipts=((HostId("eu-west-a"), receipt),)))
    assert journal.load(NOW, HISTORY_S).orders == ()


def test_a_dropped_order_is_closed_without_a_receipt(journal):
    epoch = lead(journal)
    journal.write(epoch, TickRecord(orders_issued=(order("k1"), order("k2"))))
    journal.write(epoch, TickRecord(orders_dropped=(OrderKey("k1"),)))
    assert [issued.order.key for issued in journal.load(NOW, HISTORY_S).orders] == ["k2"]


def test_a_key_means_one_order_for_ever(journal):
    epoch = lead(journal)
    journal.write(epoch, TickRecord(orders_issued=(order(epoch=1),)))
    journal.write(epoch, TickRecord(orders_issued=(order(epoch=2),)))
    assert [issued.order.epoch for issued in journal.load(NOW, HISTORY_S).orders] == [1]
    receipt = Receipt(key=order().order.key, epoch=epoch, status=ReceiptStatus.DONE, executions=1)
    journal.write(epoch, TickRecord(receipts=((HostId("eu-west-a"), receipt),)))
    journal.write(epoch, TickRecord(orders_issued=(order(),)))
    assert journal.load(NOW, HISTORY_S).orders == ()


def test_an_order_that_is_still_running_stays_open(journal):
    epoch = lead(journal)
    journal.write(epoch, TickRecord(orders_issued=(order(),)))
    running = Receipt(key=order().order.key, epoch=epoch, status=ReceiptStatus.RUNNING, executions=1)
    journal.write(epoch, TickRecord(receipts=((HostId("eu-west-a"), running),)))
    assert journal.load(NOW, HISTORY_S).orders == (order(),)


def test_traffic_and_pause_stay_until_replaced(journal):
    epoch = lead(journal)
    home = home_traffic((EU, US))
    journal.write(epoch, TickRecord(traffic=home, paused=True))
    journal.write(epoch, TickRecord(reflexes_seen=((HostId("eu-west-a"), "boot-1", 7),)))
    state = journal.load(NOW, HISTORY_S)
    assert state.traffic == home
    assert state.paused
    assert state.reflexes_seen == {("eu-west-a", "boot-1", 7)}


def test_seeing_a_reflex_twice_is_harmless(journal):
    epoch = lead(journal)
    seen = ((HostId("eu-west-a"), "boot-1", 7),)
    journal.write(epoch, TickRecord(reflexes_seen=seen))
    journal.write(epoch, TickRecord(reflexes_seen=seen))
    assert journal.load(NOW, HISTORY_S).reflexes_seen == frozenset(seen)


def test_a_whole_tick_is_written_and_read_back_by_the_other_controller(journals):
    first, second = journals
    epoch = lead(first)
    decision = DecisionRecord(
        id="d1",
        at_unix_s=NOW,
        epoch=epoch,
        kind="act",
        subject="eu-west-a-0",
        summary="Restart eu-west-a-0.",
        evidence=(("rtf", "0.9"),),
        action_id="r1",
    )
    first.write(epoch, TickRecord(decisions=(decision,), actions=(restart(),), orders_issued=(order(),)))
    state = second.load(NOW, HISTORY_S)
    assert state.actions == (restart(),)
    assert state.orders == (order(),)
