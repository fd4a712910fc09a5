"""What stands between an order about the machine and the work of others, and what is left when the desk is cut off."""

import asyncio
from dataclasses import replace

import pytest

from agent.errors import JournalError
from contracts.agent_api import Order
from contracts.vocabulary import GpuUuid, OrderKey, OrderKind, ReceiptStatus, RefusalReason, ReplicaId, ReplicaState

A, B, SLICE, SIBLING = GpuUuid("GPU-a"), GpuUuid("GPU-b"), GpuUuid("MIG-a1"), GpuUuid("MIG-a2")
REPLICA = ReplicaId("h-0")


# ── nobody's work is ended ────────────────────────────────────────────────────────────────────────────────────────────
async def test_a_host_on_whose_gpus_a_stranger_computes_is_not_rebooted(make_rig):
    rig = await make_rig()
    rig.gpus.pids = (4242,)
    receipt = await rig.final(rig.offer("a", OrderKind.REBOOT_HOST))
    assert (receipt.refusal, receipt.detail) == (RefusalReason.GPU_IN_USE, "in use by pid 4242")
    assert rig.machine.done == []


@pytest.mark.parametrize("claimed", [True, False], ids=["its runtime cannot be seen yet", "it was found running"])
async def test_a_replica_whose_gpus_nobody_knows_may_use_any(make_rig, claimed):
    rig = await make_rig()
    rig.board.assign(replace(rig.board.units[REPLICA].spec, gpus=()))
    if claimed:
        rig.board.claim(REPLICA, "boot")
    else:
        await rig.actuator.start(REPLICA)
    assert (await rig.final(rig.offer("a", OrderKind.RESET_GPU, B))).refusal is RefusalReason.GPU_IN_USE
    assert rig.machine.done == []


async def test_where_replicas_see_every_gpu_none_is_started_while_one_is_reset(make_rig):
    rig = await make_rig(per_replica=0)
    rig.machine.hold.clear()
    key = rig.offer("a", OrderKind.RESET_GPU, A)
    await rig.until_begun(f"reset {A}")
    assert "under way" in (rig.places.why_not(rig.board, REPLICA) or "")
    rig.machine.hold.set()
    assert (await rig.final(key)).status is ReceiptStatus.DONE
    assert rig.places.why_not(rig.board, REPLICA) is None


async def test_a_gpu_in_slices_is_reset_as_a_whole_and_only_when_no_slice_is_in_use(make_rig):
    rig = await make_rig()
    rig.gpus.gpus, rig.gpus.slices = (SLICE, SIBLING, B), {SLICE: A, SIBLING: A}
    rig.board.assign(replace(rig.board.units[REPLICA].spec, gpus=(SIBLING,)))
    assert (await rig.final(rig.offer("a", OrderKind.RESET_GPU, SLICE))).refusal is RefusalReason.UNKNOWN_GPU
    await rig.actuator.start(REPLICA)
    assert (await rig.final(rig.offer("b", OrderKind.RESET_GPU, A))).detail == f"in use by {REPLICA}"
    await rig.actuator.stop(REPLICA, 0.0, state=ReplicaState.STOPPED)
    rig.machine.hold.clear()
    key = rig.offer("c", OrderKind.RESET_GPU, A)
    await rig.until_begun(f"reset {A}")
    assert "under way" in rig.places.why_not(rig.board, REPLICA)
    rig.machine.hold.set()
    assert (await rig.final(key)).status is ReceiptStatus.DONE


async def test_a_reset_of_no_gpu_never_becomes_a_reboot(make_rig):
    rig = await make_rig()
    order = Order(key=OrderKey("a"), kind=OrderKind.RESET_GPU, epoch=1, generation=0, not_after_unix_s=0.0)
    assert (await rig.orders.carry_out(order)).status is ReceiptStatus.FAILED
    assert rig.machine.done == []


# ── what counts as done ───────────────────────────────────────────────────────────────────────────────────────────────
async def test_a_boot_id_that_cannot_be_read_is_no_reboot(make_rig):
    rig = await make_rig()
    key = rig.offer("a", OrderKind.REBOOT_HOST)
    await rig.until_begun("reboot")
    rig.machine.boot = ""
    assert (await rig.final(key)).status is ReceiptStatus.FAILED


async def test_an_order_that_names_a_replica_of_another_host_is_carried_out_and_told(make_rig):
    rig = await make_rig()
    receipt = await rig.final(rig.offer("a", OrderKind.RESET_GPU, A, replica=ReplicaId("elsewhere-0")))
    assert (receipt.status, receipt.generation_after) == (ReceiptStatus.DONE, None)
    assert not rig.task.done()


# ── a desk that is cut off ────────────────────────────────────────────────────────────────────────────────────────────
@pytest.fixture
def slow_disk():
    """Lets the writing down of an order hang."""

    def make(rig):
        asked = asyncio.Event()

        async def hang(receipt):
            asked.set()
            await asyncio.Event().wait()

        rig.journal.record = hang
        return asked

    return make


async def test_an_order_that_is_cut_off_while_it_is_written_down_leaves_the_machine_free(make_rig, slow_disk):
    rig = await make_rig()
    asked = slow_disk(rig)
    rig.offer("a", OrderKind.RESET_GPU, A)
    await asyncio.wait_for(asked.wait(), 2)
    await rig.end_desk()
    assert rig.orders.target(rig.order("b", OrderKind.RESET_GPU, A)).under_way == ""
    assert rig.places.why_unfit(A) == "needs a reset"


async def test_an_order_that_is_cut_off_before_its_first_step_leaves_its_replica_free(make_rig):
    rig = await make_rig()
    rig.gpus.unfit.clear()
    async with asyncio.TaskGroup() as executions:
        await rig.desk._begin(rig.order("a", OrderKind.START_REPLICA, replica=REPLICA), executions)
        (begun,) = (task for task in asyncio.all_tasks() if task.get_name() == "order a")
        begun.cancel()
    assert rig.board.units[REPLICA].claimed_by is None
    assert await rig.runtime.running() == ()


async def test_an_order_that_cannot_be_written_down_leaves_the_machine_free(make_rig):
    rig = await make_rig()
    record = rig.journal.record

    async def full_disk(receipt):
        if receipt.status is ReceiptStatus.RUNNING:
            raise JournalError("no space")
        await record(receipt)

    rig.journal.record = full_disk
    assert (await rig.final(rig.offer("a", OrderKind.RESET_GPU, A))).refusal is RefusalReason.NOT_DURABLE
    assert rig.places.why_unfit(A) == "needs a reset"
    rig.journal.record = record
    assert (await rig.final(rig.offer("b", OrderKind.RESET_GPU, A))).status is ReceiptStatus.DONE
