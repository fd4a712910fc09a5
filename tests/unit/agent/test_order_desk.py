"""The order desk over the simulated runtime: journaled before executed, one hand per replica."""

import asyncio
import math

import pytest

from agent.core.budget import RestartBudget
from agent.core.health import HealthPolicy
from agent.errors import JournalError
from agent.healing.actuator import Actuator
from agent.healing.board import Board
from agent.healing.healer import Healer
from agent.healing.medic import HealerTools
from agent.healing.reflexes import ReflexLog
from agent.memory.journal import FileJournal
from agent.orders.desk import ControllerTime, OrderDesk
from agent.orders.replicas import GRACE_S_MAX, ReplicaOrders
from agent.ports import ReplicaSpec
from agent.probes.simulated import SimulatedProber
from agent.runtimes.simulated import SimulatedRuntime
from chassis.clock import ManualClock, SystemClock
from contracts.agent_api import ORDER_LIFE_S_MAX, Order
from contracts.vocabulary import HostId, OrderKey, OrderKind, ProfileId, ReceiptStatus, RefusalReason, Region, ReplicaId

REPLICA = ReplicaId("h-0")
SPEC = ReplicaSpec(REPLICA, Region("eu"), HostId("h"), "127.0.0.1", 1, ProfileId("full-fp32-onnx"))


class SilentControl:
    """Takes a call and never answers it, like a replica that froze during it."""

    def __init__(self) -> None:
        self.asked = asyncio.Event()
        self.given_up = False

    async def switch_profile(self, spec, profile):
        self.asked.set()
        try:
            await asyncio.Event().wait()
        finally:
            self.given_up = True


@pytest.fixture
async def rig(tmp_path):
    class Rig:
        clock = SystemClock()
        runtime = SimulatedRuntime()
        control = SilentControl()
        journal = FileJournal(tmp_path / "journal.jsonl", clock=clock)

    rig = Rig()
    rig.journal.open()
    prober = SimulatedProber(rig.runtime)
    rig.board = Board([SPEC], policy=HealthPolicy(start_deadline_s=1.0), clock=rig.clock)
    actuator = Actuator(board=rig.board, runtime=rig.runtime, prober=prober, control=rig.control, memory=rig.journal)
    tools = HealerTools(actuator, prober, None, rig.runtime, rig.runtime, rig.journal)
    healer = Healer(rig.board, tools, ReflexLog(), RestartBudget(), rig.clock)
    rig.time = ControllerTime(rig.clock)
    replicas = ReplicaOrders(rig.board, actuator, tools.places, HealthPolicy(start_deadline_s=1.0))
    rig.desk = OrderDesk(replicas, None, rig.board, rig.journal, rig.time, rig.clock)
    tasks = [asyncio.ensure_future(run) for run in (rig.desk.run(), healer.watch_exits(), healer.keep(REPLICA))]
    yield rig
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    rig.journal.close()


def order(rig, key: str, kind: OrderKind, **changes) -> Order:
    fields = {"epoch": 1, "generation": 0, "not_after_unix_s": rig.time.now_unix_s() + 10.0, **changes}
    return Order(key=OrderKey(key), kind=kind, replica=REPLICA, **fields)


async def final(rig, wait_until_async, key: str):
    def is_final() -> bool:
        receipt = rig.journal.receipt(OrderKey(key))
        return receipt is not None and receipt.status is not ReceiptStatus.RUNNING

    await wait_until_async(is_final, within_s=5, what=f"final receipt of {key}")
    return rig.journal.receipt(OrderKey(key))


async def test_a_start_is_done_when_the_replica_serves(rig, wait_until_async):
    rig.desk.deliver(order(rig, "a", OrderKind.START_REPLICA, profile=ProfileId("light-int8-onnx")))
    receipt = await final(rig, wait_until_async, "a")
    assert (receipt.status, receipt.executions, receipt.generation_after) == (ReceiptStatus.DONE, 1, 1)
    assert rig.runtime.pulse(REPLICA).profile == "light-int8-onnx"


async def test_a_start_that_cannot_be_done_is_failed_and_frees_the_replica(rig, wait_until_async):
    rig.runtime.fail_next_starts(1)
    rig.desk.deliver(order(rig, "a", OrderKind.START_REPLICA))
    receipt = await final(rig, wait_until_async, "a")
    assert receipt.status is ReceiptStatus.FAILED
    assert "told to fail" in receipt.detail
    await wait_until_async(
        lambda: rig.board.units[REPLICA].claimed_by is None, within_s=2, what="the claim is released"
    )


async def test_an_order_that_cannot_be_journaled_is_refused_and_the_next_one_executed_when_it_can_be(
    rig, wait_until_async, monkeypatch
):
    record = rig.journal.record

    async def full_disk(receipt):
        if receipt.status is ReceiptStatus.RUNNING:
            raise JournalError("no space")
        await record(receipt)

    monkeypatch.setattr(rig.journal, "record", full_disk)
    rig.desk.deliver(order(rig, "a", OrderKind.START_REPLICA))
    receipt = await final(rig, wait_until_async, "a")
    assert (receipt.refusal, receipt.executions) == (RefusalReason.NOT_DURABLE, 0)
    assert await rig.runtime.running() == ()
    monkeypatch.undo()
    rig.desk.deliver(order(rig, "b", OrderKind.START_REPLICA))
    assert (await final(rig, wait_until_async, "b")).executions == 1


async def test_after_a_loss_of_memory_only_orders_that_must_be_new_are_executed(rig, wait_until_async):
    rig.journal._memory.fence_unix_s = rig.time.now_unix_s() + ORDER_LIFE_S_MAX
    rig.desk.deliver(order(rig, "a", OrderKind.START_REPLICA))
    receipt = await final(rig, wait_until_async, "a")
    assert (receipt.refusal, receipt.executions) == (RefusalReason.MEMORY_LOST, 0)
    later = rig.journal.fence_unix_s + 1.0
    rig.desk.deliver(order(rig, "b", OrderKind.START_REPLICA, not_after_unix_s=later))
    assert (await final(rig, wait_until_async, "b")).status is ReceiptStatus.DONE


async def test_a_hundred_deliveries_are_one_execution(rig, wait_until_async):
    start = order(rig, "a", OrderKind.START_REPLICA)
    for _ in range(100):
        rig.desk.deliver(start)
        await asyncio.sleep(0)
    assert (await final(rig, wait_until_async, "a")).executions == 1
    assert rig.board.units[REPLICA].generation == 1


async def test_a_replica_held_by_a_reflex_refuses_orders(rig, wait_until_async):
    rig.desk.deliver(order(rig, "a", OrderKind.START_REPLICA))
    await final(rig, wait_until_async, "a")
    assert rig.board.claim(REPLICA, "reflex")
    rig.desk.deliver(order(rig, "b", OrderKind.RESTART, generation=1))
    assert (await final(rig, wait_until_async, "b")).refusal is RefusalReason.TARGET_BUSY


@pytest.mark.parametrize("fault", ["freeze", "crash"])
async def test_a_replica_that_breaks_during_a_switch_is_healed_without_waiting_for_its_answer(
    rig, wait_until_async, fault
):
    rig.desk.deliver(order(rig, "a", OrderKind.START_REPLICA))
    await final(rig, wait_until_async, "a")
    rig.desk.deliver(order(rig, "b", OrderKind.SWITCH_PROFILE, generation=1, profile=ProfileId("light-int8-onnx")))
    await asyncio.wait_for(rig.control.asked.wait(), 2)
    getattr(rig.runtime, fault)(REPLICA)
    receipt = await final(rig, wait_until_async, "b")
    assert receipt.status is ReceiptStatus.FAILED
    assert "during the switch" in receipt.detail
    assert rig.control.given_up
    await wait_until_async(lambda: rig.board.units[REPLICA].generation == 2, within_s=5, what="healed by the reflex")


async def test_a_replayed_order_is_told_again_though_it_was_acknowledged(rig, wait_until_async):
    start = order(rig, "a", OrderKind.START_REPLICA)
    rig.desk.deliver(start)
    receipt = await final(rig, wait_until_async, "a")
    rig.journal.acknowledge([receipt.key])
    assert rig.journal.unacknowledged() == ()
    rig.desk.deliver(start)
    await wait_until_async(lambda: rig.journal.unacknowledged() == (receipt,), within_s=2, what="told again")


def test_controller_time_goes_on_from_its_last_word():
    clock = ManualClock(now_unix_s=50.0)
    time = ControllerTime(clock)
    time.heard(1000.0)
    clock.advance(2.5)
    assert time.now_unix_s() == 1002.5


@pytest.mark.parametrize(("ordered_s", "granted_s"), [(1e9, GRACE_S_MAX), (-1.0, 0.0), (math.nan, 0.0), (2.5, 2.5)])
async def test_a_controller_that_is_wrong_cannot_keep_a_hung_replica_down(
    rig, wait_until_async, monkeypatch, ordered_s, granted_s
):
    asked = []
    restart = rig.runtime.restart

    async def restart_and_tell(spec, grace_s):
        asked.append(grace_s)
        return await restart(spec, grace_s)

    monkeypatch.setattr(rig.runtime, "restart", restart_and_tell)
    rig.desk.deliver(order(rig, "a", OrderKind.START_REPLICA))
    await final(rig, wait_until_async, "a")
    rig.desk.deliver(order(rig, "b", OrderKind.RESTART, generation=1, grace_s=ordered_s))
    assert (await final(rig, wait_until_async, "b")).status is ReceiptStatus.DONE
    assert asked == [granted_s]
