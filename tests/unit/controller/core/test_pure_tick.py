"""The whole pass as a function: repeatable, quiet when nothing changes, and complete in what it writes."""

from dataclasses import replace

import pytest

from contracts.agent_api import Order, Receipt
from contracts.vocabulary import OrderKind, ReceiptStatus, ReflexKind, ReplicaState
from controller.core.actions import Stage
from controller.core.fleet import Fleet, Reflex, home_traffic
from controller.core.helplessness import Helpless, HelplessReason
from controller.core.story import JournalState, OpenOrder, TickRecord
from controller.core.tick import Memory, Phases, TickInput, think

PHASES = Phases()


@pytest.fixture
def fleet(make):
    return make.grid()


@pytest.fixture
def journal(make, fleet):
    return JournalState(
        actions=(),
        orders=(),
        traffic=home_traffic(fleet.regions),
        slos=(make.slo,),
        slo_revision=1,
        paused=False,
        intents=(),
        reflexes_seen=frozenset(),
    )


@pytest.fixture
def tick(make, fleet, journal):
    def at(number=0, **fields):
        now = make.now + 5.0 * number
        values = {
            "now_unix_s": now,
            "tick_id": f"t{number}",
            "epoch": 7,
            "fleet": fleet,
            "sample": make.sample(
                *(make.counters(r.id, now, good=100 + 20 * number) for r in fleet.replicas()), at=now
            ),
            "gateways": (),
            "receipts": (),
            "journal": journal,
            "published": None,
        }
        return TickInput(**(values | fields))

    return at


def play(make, *ticks):
    memory, outputs = Memory(), []
    for tick in ticks:
        output = think(tick, memory, replace(make.policy, replicas_min=4), PHASES)
        memory = output.memory
        outputs.append(output)
    return outputs


def test_the_same_input_and_memory_give_the_same_output(make, tick, fleet):
    hung = make.changed(fleet, "eu-west-a-0", state=ReplicaState.HUNG)
    assert play(make, tick(0), tick(1, fleet=hung)) == play(make, tick(0), tick(1, fleet=hung))


def test_a_tick_in_which_nothing_changes_writes_nothing(make, tick):
    for output in play(make, *(tick(number) for number in range(8))):
        assert output.record.empty
        assert output.record == TickRecord()


def test_an_intent_is_written_with_the_orders_that_follow_from_it(make, tick, fleet):
    hung = make.changed(fleet, "eu-west-a-0", state=ReplicaState.HUNG)
    (output,) = play(make, tick(0, fleet=hung))
    (record,) = output.record.actions
    (issued,) = output.record.orders_issued
    assert record.order_keys == (issued.order.key,)
    assert output.orders == output.record.orders_issued
    assert [line.kind for line in output.record.decisions] == ["act"]
    assert output.actions_open == 1


def test_a_hold_is_told_once_and_not_in_every_tick(make, tick, journal):
    paused = replace(journal, paused=True)
    hung = make.changed(make.grid(), "eu-west-a-0", state=ReplicaState.HUNG)
    first, second, third = play(make, *(tick(n, fleet=hung, journal=paused) for n in range(3)))
    assert [line.kind for line in first.record.decisions] == ["hold"]
    assert second.record.empty
    assert third.record.empty


def test_what_nobody_may_heal_is_helplessness_until_it_is_healed(make, tick, journal):
    paused = replace(journal, paused=True)
    hung = make.changed(make.grid(), "eu-west-a-0", state=ReplicaState.HUNG)
    first, second, third = play(make, tick(0, fleet=hung, journal=paused), tick(1, fleet=hung), tick(2))
    assert first.helpless == (Helpless("eu-west", HelplessReason.PAUSED, None),)
    assert second.helpless == third.helpless == ()
    assert [record.stage for record in second.actions] == [Stage.ORDERED]


def open_restart(make, journal, epoch=3):
    key = "a1:eu-west-a-0"
    order = Order(
        key=key,
        kind=OrderKind.RESTART,
        epoch=epoch,
        replica="eu-west-a-0",
        generation=1,
        not_after_unix_s=make.now + 15,
    )
    record = make.record(
        make.restart(graceful=False), Stage.ORDERED, order_keys=(key,), stage_deadline_unix_s=make.now + 90
    )
    return replace(journal, actions=(record,), orders=(OpenOrder("eu-west-a", order),)), key


def test_a_new_leader_offers_journaled_orders_under_the_same_key_and_its_own_epoch(make, tick, journal):
    state, key = open_restart(make, journal, epoch=3)
    (output,) = play(make, tick(journal=state))
    ((_host, order),) = [(issued.host, issued.order) for issued in output.orders]
    assert (order.key, order.epoch) == (key, 7)
    assert output.record.orders_issued == ()


def test_a_receipt_is_journaled_and_settled_when_its_action_has_moved_on(make, tick, journal, fleet):
    state, key = open_restart(make, journal)
    receipt = ("eu-west-a", Receipt(key=key, epoch=3, status=ReceiptStatus.DONE, executions=1))
    (waiting,) = play(make, tick(journal=state, receipts=(receipt,)))
    assert waiting.settled == ()
    assert waiting.orders
    ready = make.changed(fleet, "eu-west-a-0", generation=2)
    (moved,) = play(make, tick(journal=state, receipts=(receipt,), fleet=ready))
    assert moved.record.receipts == (receipt,)
    assert moved.settled == (key,)
    assert moved.orders == ()


def test_an_order_whose_action_moved_on_without_an_answer_is_dropped(make, tick, journal, fleet):
    state, key = open_restart(make, journal)
    (output,) = play(make, tick(journal=state, fleet=make.changed(fleet, "eu-west-a-0", generation=2)))
    assert output.record.orders_dropped == (key,)
    assert output.record.receipts == ()


def test_a_receipt_nobody_waits_for_is_settled(make, tick):
    stray = ("eu-west-a", Receipt(key="old:eu-west-a-0", epoch=1, status=ReceiptStatus.DONE, executions=1))
    (output,) = play(make, tick(receipts=(stray,)))
    assert output.settled == ("old:eu-west-a-0",)
    assert output.record.empty


def with_reflex(fleet, healed):
    reflex = Reflex(
        "eu-west-a", "boot-1", 4, ReflexKind.RESTART_HUNG, "eu-west-a-0", 1, 100.0, healed, (("misses", "3"),)
    )
    return Fleet(hosts=tuple(replace(h, reflexes=(reflex,) if h.id == "eu-west-a" else ()) for h in fleet.hosts))


def test_a_reflex_is_told_when_seen_and_when_healed_and_never_again(make, tick, journal, fleet):
    (seen,) = play(make, tick(fleet=with_reflex(fleet, None)))
    assert [line.summary for line in seen.record.decisions] == [
        "The agent on eu-west-a restarted hung replica eu-west-a-0."
    ]
    journal = replace(journal, reflexes_seen=frozenset(seen.record.reflexes_seen))
    (healed,) = play(make, tick(fleet=with_reflex(fleet, 102.5), journal=journal))
    assert [line.summary for line in healed.record.decisions] == [
        "eu-west-a-0 serves again, 2.5 s after its agent saw the fault."
    ]
    journal = replace(journal, reflexes_seen=journal.reflexes_seen | set(healed.record.reflexes_seen))
    (after,) = play(make, tick(fleet=with_reflex(fleet, 102.5), journal=journal))
    assert after.record.empty


def test_a_cordon_left_behind_is_lifted_by_the_next_tick(make, tick, journal):
    left = replace(journal, traffic=replace(journal.traffic, cordoned=frozenset({"eu-west-a-0"})))
    (output,) = play(make, tick(journal=left))
    assert output.record.traffic == journal.traffic
