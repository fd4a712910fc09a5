"""Stages move on facts, end by deadlines, and no answer is decided by asking the fleet."""

from dataclasses import replace

import pytest

from contracts.agent_api import Receipt
from contracts.vocabulary import FULL_FP32, LIGHT_INT8, OrderKind, ReceiptStatus, RefusalReason, ReplicaState
from controller.core.actions import Shift, Stage, Verdict
from controller.core.actuation import advance, cordons, traffic_after
from controller.core.facts import Facts, Published
from controller.core.fleet import Fleet, TrafficIntent, home_traffic
from controller.core.gateways import GatewayObservation
from controller.core.plans import scale_in, scale_out, switch_profile
from controller.core.telemetry import SourceDown
from controller.core.traffic import with_row

KEY = "a1:eu-west-a-0"


@pytest.fixture
def fleet(make):
    return make.grid()


@pytest.fixture
def go(make, fleet):
    """Advance a record under given facts."""

    def step(record, fleet=fleet, receipts=(), published=None, gateways=(), later_s=0.0):
        facts = Facts(
            make.now + later_s, 7, fleet, {r.key: r for r in receipts}, tuple(gateways), published, make.policy
        )
        return advance(record, facts)

    return step


def receipt(status, refusal=None):
    return Receipt(key=KEY, epoch=1, status=status, refusal=refusal)


def ordered(make, action=None, **fields):
    fields = {"order_keys": (KEY,), "stage_deadline_unix_s": make.now + make.policy.ready_within_s} | fields
    return make.record(action or make.restart(graceful=False), Stage.ORDERED, **fields)


def cordoned_and_confirmed(fleet):
    return Published(
        "v1", TrafficIntent(home_traffic(fleet.regions).shares, frozenset({"eu-west-a-0"})), confirmed=True
    )


def test_an_order_is_complete_and_named_by_its_action(make, go):
    progress = go(make.record(make.restart(graceful=False), Stage.INTENDED))
    (issued,) = progress.orders
    assert issued.host == "eu-west-a"
    order = issued.order
    assert (order.key, order.kind, order.epoch, order.generation) == (KEY, OrderKind.RESTART, 7, 1)
    assert order.not_after_unix_s == make.now + make.policy.order_ttl_s
    assert order.grace_s == 0
    assert progress.record.stage is Stage.ORDERED
    assert progress.record.order_keys == (KEY,)


def test_a_graceful_restart_drains_first(make, go):
    progress = go(make.record(make.restart(), Stage.INTENDED))
    assert progress.record.stage is Stage.DRAINING
    assert progress.orders == ()
    assert cordons((progress.record,)) == {"eu-west-a-0"}


def test_a_drain_is_over_when_the_cordon_is_confirmed_and_nobody_sees_work(make, fleet, go):
    draining = make.record(make.restart(), Stage.DRAINING)
    busy = GatewayObservation("eu-west", "v1", (), (), (("eu-west-a-0", 2),))
    idle = replace(busy, in_flight=(("eu-west-a-0", 0),))
    published = cordoned_and_confirmed(fleet)
    assert go(draining).record.stage is Stage.DRAINING
    unconfirmed, former = replace(published, confirmed=False), replace(idle, version="v0")
    assert go(draining, published=unconfirmed, gateways=[former]).record.stage is Stage.DRAINING
    assert go(draining, published=published, gateways=[idle, busy]).record.stage is Stage.DRAINING
    working = make.changed(fleet, "eu-west-a-0", in_flight=1)
    assert go(draining, fleet=working, published=published, gateways=[idle]).record.stage is Stage.DRAINING
    progress = go(draining, published=published, gateways=[idle])
    assert progress.record.stage is Stage.ORDERED
    assert progress.orders[0].order.grace_s == make.policy.grace_s


def test_a_drain_that_does_not_end_is_ended(make, go):
    progress = go(make.record(make.restart(), Stage.DRAINING), later_s=31)
    assert progress.record.stage is Stage.ORDERED
    assert "deadline" in progress.record.detail


def test_a_replica_that_another_hand_restarted_is_left_alone(make, fleet, go):
    progress = go(make.record(make.restart(), Stage.DRAINING), fleet=make.changed(fleet, "eu-west-a-0", generation=2))
    assert (progress.record.stage, progress.record.verdict) == (Stage.CLOSED, Verdict.FAILED)
    assert progress.orders == ()


def test_a_restart_is_done_when_the_next_incarnation_is_ready(make, fleet, go):
    starting = make.changed(fleet, "eu-west-a-0", generation=2, state=ReplicaState.STARTING)
    ready = make.changed(fleet, "eu-west-a-0", generation=2)
    done = (receipt(ReceiptStatus.DONE),)
    assert go(ordered(make), receipts=done).record.stage is Stage.ORDERED, "a receipt alone is no replica"
    assert go(ordered(make), fleet=starting, receipts=done).record.stage is Stage.ORDERED
    assert go(ordered(make), fleet=ready, receipts=done).record.stage is Stage.VERIFYING
    assert go(ordered(make), fleet=ready).record.stage is Stage.VERIFYING, "the receipt was lost, the fleet shows it"


@pytest.mark.parametrize("status", [ReceiptStatus.FAILED, ReceiptStatus.REFUSED])
def test_an_order_that_the_agent_would_not_do_fails_at_once(make, go, status):
    record = go(ordered(make), receipts=(receipt(status, RefusalReason.STALE_EPOCH),)).record
    assert record.verdict is Verdict.FAILED
    assert "stale_epoch" in record.detail


def test_an_order_without_an_answer_is_given_up_when_nothing_can_come_of_it(make, fleet, go):
    age_s = 2 * make.policy.order_ttl_s
    assert go(ordered(make, age_s=age_s - 2)).record.stage is Stage.ORDERED
    gave_up = go(ordered(make, age_s=age_s + 2)).record
    assert gave_up.verdict is Verdict.FAILED
    assert "no answer" in gave_up.detail
    stale = make.fleet(*fleet.replicas(), age_s=20.0)
    assert go(ordered(make, age_s=age_s + 2), fleet=stale).record.stage is Stage.ORDERED, "the last report is older"


def test_nothing_waits_beyond_its_deadline(make, fleet, go):
    starting = make.changed(fleet, "eu-west-a-0", generation=2, state=ReplicaState.STARTING)
    record = go(ordered(make), fleet=starting, later_s=make.policy.ready_within_s + 1).record
    assert (record.stage, record.verdict) == (Stage.CLOSED, Verdict.FAILED)


def test_a_profile_switch_is_over_when_everybody_runs_it_or_will_not(make, fleet, go):
    action = switch_profile(fleet, "eu-west", LIGHT_INT8.id, make.policy)
    started = go(make.record(action, Stage.INTENDED))
    assert [issued.order.profile for issued in started.orders] == [LIGHT_INT8.id] * 4
    three = fleet
    for name in ("eu-west-a-1", "eu-west-b-0", "eu-west-b-1"):
        three = make.changed(three, name, profile=LIGHT_INT8.id)
    assert go(started.record, fleet=three).record.stage is Stage.ORDERED
    refused = (receipt(ReceiptStatus.FAILED),)
    over = go(started.record, fleet=three, receipts=refused).record
    assert over.stage is Stage.VERIFYING
    assert over.detail == f"3 of 4 replicas run {LIGHT_INT8.id}"
    late = go(started.record, later_s=make.policy.ready_within_s + 1).record
    assert late.verdict is Verdict.FAILED
    assert action.before == FULL_FP32.id


def test_a_started_replica_must_become_ready(make, fleet, go):
    record = go(make.record(scale_out(fleet, "eu-west", make.policy), Stage.INTENDED)).record
    new = make.replica("eu-west-b-2", ReplicaState.STARTING)
    grown = make.fleet(*fleet.replicas(), new)
    assert record.action.replica == "eu-west-b-2"
    assert go(record, fleet=grown, later_s=60).record.stage is Stage.ORDERED
    assert go(record, fleet=grown, later_s=91).record.verdict is Verdict.FAILED
    assert go(record, fleet=make.changed(grown, new.id, state=ReplicaState.READY)).record.stage is Stage.VERIFYING


def test_a_stopped_replica_is_gone(make, fleet, go):
    record = ordered(make, scale_in(fleet.replica("eu-west-a-0")))
    assert cordons((record,)) == {"eu-west-a-0"}
    rest = make.fleet(*(replica for replica in fleet.replicas() if replica.id != "eu-west-a-0"))
    assert go(record).record.stage is Stage.ORDERED
    assert go(record, fleet=rest).record.stage is Stage.VERIFYING


# ── a new leader, who has not heard every agent yet ──────────────────────────────────────────────────────────────────────
@pytest.fixture(params=["missing", "stale"])
def unheard(request, make, fleet):
    """The fleet without the target, whose host has never reported, or not for a while."""
    others = tuple(host for host in fleet.hosts if host.id != "eu-west-a")
    if request.param == "missing":
        return Fleet(hosts=others)
    rest = make.fleet(fleet.replica("eu-west-a-1"), age_s=make.policy.report_age_s_max + 1)
    return Fleet(hosts=(*rest.hosts, *others))


def test_a_replica_is_gone_only_by_the_word_of_its_host(make, fleet, go, unheard):
    record = ordered(make, scale_in(fleet.replica("eu-west-a-0")))
    assert go(record, fleet=unheard).record.stage is Stage.ORDERED
    late = go(record, fleet=unheard, later_s=make.policy.ready_within_s + 1).record
    assert late.verdict is Verdict.FAILED


def test_a_drain_goes_on_while_the_host_is_not_heard_and_ends_by_its_deadline(make, go, unheard):
    draining = make.record(make.restart(), Stage.DRAINING)
    assert go(draining, fleet=unheard).record == draining
    late = go(draining, fleet=unheard, later_s=31)
    assert late.record.verdict is Verdict.FAILED
    assert "did not report" in late.record.detail
    assert late.orders == ()


def test_a_replica_that_leaves_a_heard_host_while_draining_was_taken_by_another_hand(make, fleet, go):
    rest = make.fleet(*(replica for replica in fleet.replicas() if replica.id != "eu-west-a-0"))
    record = go(make.record(make.restart(), Stage.DRAINING), fleet=rest).record
    assert "another hand" in record.detail


def test_a_profile_switch_waits_for_hosts_that_are_not_heard(make, fleet, go, unheard):
    started = go(make.record(switch_profile(fleet, "eu-west", LIGHT_INT8.id, make.policy), Stage.INTENDED)).record
    others = unheard
    for name in ("eu-west-a-1", "eu-west-b-0", "eu-west-b-1"):
        others = make.changed(others, name, profile=LIGHT_INT8.id)
    assert go(started, fleet=others).record.stage is Stage.ORDERED
    late = go(started, fleet=others, later_s=make.policy.ready_within_s + 1).record
    assert late.stage is Stage.VERIFYING


# ── traffic ───────────────────────────────────────────────────────────────────────────────────────────────────────────
@pytest.fixture
def shift(make, fleet):
    home = home_traffic(fleet.regions)
    return make.record(Shift("eu-west", home, with_row(home, "eu-west", {"us-east": 1.0})), Stage.INTENDED)


def test_a_shift_is_executed_when_every_gateway_confirms_it(go, shift):
    began = go(shift).record
    assert began.stage is Stage.ORDERED
    told = Published("v2", shift.action.after, confirmed=False)
    assert go(began, published=told).record.stage is Stage.ORDERED
    assert go(began, published=replace(told, confirmed=True)).record.stage is Stage.VERIFYING
    assert go(began, published=Published("v1", shift.action.before, confirmed=True)).record.stage is Stage.ORDERED


def running(gateway, version):
    return GatewayObservation(gateway, version, (), (), ())


def test_a_gateway_that_cannot_be_reached_holds_up_only_the_shifts_that_concern_it(go, shift):
    began = go(shift).record
    told = Published("v2", shift.action.after, confirmed=False)
    down = SourceDown("no answer")
    assert go(began, published=told, gateways=[running("eu-west", "v2"), down]).record.stage is Stage.VERIFYING
    assert go(began, published=told, gateways=[down, running("us-east", "v2")]).record.stage is Stage.ORDERED
    assert go(began, published=told, gateways=[running("eu-west", "v1"), down]).record.stage is Stage.ORDERED
    former = Published("v1", shift.action.before, confirmed=False)
    assert go(began, published=former, gateways=[running("eu-west", "v1"), down]).record.stage is Stage.ORDERED


def test_a_gateway_that_cannot_be_reached_does_not_hold_up_a_drain(make, fleet, go):
    draining = make.record(make.restart(), Stage.DRAINING)
    published = replace(cordoned_and_confirmed(fleet), confirmed=False)
    down = SourceDown("no answer")
    assert go(draining, published=published, gateways=[running("eu-west", "v1"), down]).record.stage is Stage.ORDERED
    for gateways in ([down, down], [running("eu-west", "v1"), running("us-east", "v0")]):
        assert go(draining, published=published, gateways=gateways).record.stage is Stage.DRAINING


def test_a_shift_that_a_gateway_rejects_or_nobody_confirms_fails(make, go, shift):
    began = go(shift).record
    rejected = Published("v2", shift.action.after, confirmed=False, rejection="bad address")
    assert go(began, published=rejected).record.verdict is Verdict.FAILED
    assert go(began, later_s=make.policy.publish_within_s + 1).record.verdict is Verdict.FAILED


def test_the_intent_follows_the_shift_and_is_taken_back_when_it_failed(make, go, shift):
    home, away = shift.action.before, shift.action.after
    began = go(shift).record
    assert traffic_after(home, ((Stage.INTENDED, began),)) == away
    failed = go(began, later_s=make.policy.publish_within_s + 1).record
    assert traffic_after(away, ((Stage.ORDERED, failed),)) == home
    assert traffic_after(away, ((Stage.ORDERED, began),)) == away


def test_a_cordon_that_no_open_action_calls_for_is_lifted(make):
    closed = make.record(make.restart(), Stage.CLOSED)
    verifying = make.record(make.restart("eu-west-b-0"), Stage.VERIFYING)
    assert cordons((closed, verifying)) == frozenset()
