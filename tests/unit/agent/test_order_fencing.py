"""Every delivery of an order is executed, replayed or refused, in one fixed order of checks."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.core.fencing import Circumstances, Execute, Refuse, Replay, Target, judge
from contracts.agent_api import Order, Receipt
from contracts.vocabulary import OrderKey, OrderKind, ReceiptStatus, RefusalReason, ReplicaId

ORDER = Order(
    key=OrderKey("k"),
    kind=OrderKind.RESTART,
    epoch=5,
    replica=ReplicaId("eu-west-a-0"),
    generation=3,
    not_after_unix_s=1000.0,
)
FREE = Circumstances(
    epoch_seen=5,
    controller_now_unix_s=999.0,
    receipt=None,
    target=Target(generation=3, running=True, busy=False),
)
DONE = Receipt(key=OrderKey("k"), epoch=5, status=ReceiptStatus.DONE, executions=1)


def target(**changes) -> Circumstances:
    return replace(FREE, target=replace(FREE.target, **changes))


REFUSALS = [
    ("an older epoch", ORDER, replace(FREE, epoch_seen=6), RefusalReason.STALE_EPOCH),
    ("past not_after", ORDER, replace(FREE, controller_now_unix_s=1000.1), RefusalReason.TOO_LATE),
    ("no such replica", ORDER, replace(FREE, target=None), RefusalReason.UNKNOWN_REPLICA),
    ("restart of what does not run", ORDER, target(running=False), RefusalReason.UNKNOWN_REPLICA),
    ("another incarnation", ORDER, target(generation=4), RefusalReason.GENERATION_MISMATCH),
    ("a busy target", ORDER, target(busy=True), RefusalReason.TARGET_BUSY),
    (
        "start of what runs",
        ORDER.model_copy(update={"kind": OrderKind.START_REPLICA}),
        FREE,
        RefusalReason.NO_FREE_SLOT,
    ),
    (
        "stop of another incarnation",
        ORDER.model_copy(update={"kind": OrderKind.STOP_REPLICA}),
        target(generation=2),
        RefusalReason.GENERATION_MISMATCH,
    ),
    ("stale before late", ORDER, replace(FREE, epoch_seen=6, controller_now_unix_s=2000.0), RefusalReason.STALE_EPOCH),
]


@pytest.mark.parametrize(("order", "seen", "reason"), [r[1:] for r in REFUSALS], ids=[r[0] for r in REFUSALS])
def test_is_refused(order, seen, reason):
    verdict = judge(order, seen)
    assert isinstance(verdict, Refuse)
    assert verdict.reason is reason
    assert verdict.detail


def test_a_current_order_for_a_free_target_is_executed():
    assert judge(ORDER, FREE) == Execute()


def test_exactly_at_not_after_is_in_time():
    assert judge(ORDER, replace(FREE, controller_now_unix_s=1000.0)) == Execute()


def test_a_newer_epoch_is_obeyed():
    assert judge(ORDER.model_copy(update={"epoch": 9}), FREE) == Execute()


def test_a_switch_does_not_depend_on_the_incarnation():
    switch = ORDER.model_copy(update={"kind": OrderKind.SWITCH_PROFILE})
    assert judge(switch, target(generation=9)) == Execute()


def test_a_free_slot_can_be_started():
    start = ORDER.model_copy(update={"kind": OrderKind.START_REPLICA})
    assert judge(start, target(running=False, generation=0)) == Execute()


@given(
    epoch_seen=st.integers(0, 10),
    now=st.floats(0, 2000),
    kind=st.sampled_from(OrderKind),
    there=st.one_of(st.none(), st.builds(Target, st.integers(0, 5), st.booleans(), st.booleans())),
)
def test_a_seen_key_is_never_executed_whatever_the_circumstances(epoch_seen, now, kind, there):
    seen = Circumstances(epoch_seen=epoch_seen, controller_now_unix_s=now, receipt=DONE, target=there)
    assert judge(ORDER.model_copy(update={"kind": kind}), seen) == Replay(DONE)


@given(
    epoch_seen=st.integers(0, 10),
    now=st.floats(0, 2000),
    kind=st.sampled_from(OrderKind),
    there=st.one_of(st.none(), st.builds(Target, st.integers(0, 5), st.booleans(), st.booleans())),
)
def test_what_is_executed_is_never_stale_late_or_aimed_at_a_busy_target(epoch_seen, now, kind, there):
    seen = Circumstances(epoch_seen=epoch_seen, controller_now_unix_s=now, receipt=None, target=there)
    if judge(ORDER.model_copy(update={"kind": kind}), seen) == Execute():
        assert epoch_seen <= ORDER.epoch
        assert now <= ORDER.not_after_unix_s
        assert there is not None
        assert not there.busy
        assert there.running is not (kind is OrderKind.START_REPLICA)
