"""Resetting a GPU and rebooting a host: only by policy, never under anybody's feet, once, and believed only when seen."""

from dataclasses import replace

import pytest

from agent.core.fencing import Circumstances, Execute, MachineTarget, Refuse, Target, judge
from agent.core.receipts import DAY_S, INTERRUPTED, REBOOTED
from agent.errors import JournalError
from agent.orders.machine import MachinePolicy
from agent.orders.switches import RehearsedMachine, WatchedDriver
from agent.ports import ReplicaSpec
from chassis.clock import SystemClock
from contracts.agent_api import Order
from contracts.vocabulary import (
    MACHINE_ORDERS,
    GpuUuid,
    HostId,
    OrderKey,
    OrderKind,
    ProfileId,
    ReceiptStatus,
    RefusalReason,
    Region,
    ReplicaId,
    ReplicaState,
)

A, B = GpuUuid("GPU-a"), GpuUuid("GPU-b")
REPLICA = ReplicaId("h-0")
SPEC = ReplicaSpec(REPLICA, Region("eu"), HostId("h"), "127.0.0.1", 1, ProfileId("full-fp32-onnx"), (A,))
FREE = MachineTarget(
    permitted=MACHINE_ORDERS, gpus=frozenset({A, B}), under_way="", users=(), begun_today=0, per_day_max=2
)
RESET = Order(key=OrderKey("k"), kind=OrderKind.RESET_GPU, epoch=5, generation=0, gpu=A, not_after_unix_s=1000.0)
REBOOT = RESET.model_copy(update={"kind": OrderKind.REBOOT_HOST, "gpu": None})
SEEN = Circumstances(epoch_seen=5, controller_now_unix_s=999.0, receipt=None, target=None, machine=FREE)

REFUSALS = [
    ("nothing is permitted", RESET, {"permitted": frozenset()}, RefusalReason.NOT_PERMITTED),
    ("the other kind is", REBOOT, {"permitted": frozenset({OrderKind.RESET_GPU})}, RefusalReason.NOT_PERMITTED),
    ("a GPU of another host", RESET, {"gpus": frozenset({B})}, RefusalReason.UNKNOWN_GPU),
    ("no GPU named", RESET.model_copy(update={"gpu": None}), {}, RefusalReason.UNKNOWN_GPU),
    ("another one is under way", REBOOT, {"under_way": "j"}, RefusalReason.TARGET_BUSY),
    ("somebody works there", RESET, {"users": ("h-0", "pid 7")}, RefusalReason.GPU_IN_USE),
    ("too many today", REBOOT, {"begun_today": 2}, RefusalReason.NOT_PERMITTED),
]


@pytest.mark.parametrize(("order", "machine", "reason"), [r[1:] for r in REFUSALS], ids=[r[0] for r in REFUSALS])
def test_is_refused(order, machine, reason):
    verdict = judge(order, replace(SEEN, machine=replace(FREE, **machine)))
    assert isinstance(verdict, Refuse)
    assert verdict.reason is reason
    assert verdict.detail


@pytest.mark.parametrize("order", [RESET, REBOOT])
def test_a_free_machine_that_permits_it_is_worked_on(order):
    assert judge(order, SEEN) == Execute()


def test_a_stale_leader_is_refused_before_the_policy_is_even_read():
    verdict = judge(RESET, replace(SEEN, epoch_seen=6, machine=replace(FREE, permitted=frozenset())))
    assert isinstance(verdict, Refuse)
    assert verdict.reason is RefusalReason.STALE_EPOCH


def test_a_replica_that_happens_to_be_named_does_not_make_it_an_order_about_that_replica():
    named = RESET.model_copy(update={"replica": REPLICA})
    assert judge(named, replace(SEEN, target=Target(generation=9, running=False, busy=True))) == Execute()


# ── the desk ──────────────────────────────────────────────────────────────────────────────────────────────────────────
async def test_a_reset_is_done_when_a_fresh_worker_finds_the_gpu_fit(make_rig):
    rig = await make_rig()
    receipt = await rig.final(rig.offer("a", OrderKind.RESET_GPU, A))
    assert (receipt.status, receipt.executions, receipt.generation_after) == (ReceiptStatus.DONE, 1, None)
    assert rig.machine.done == [f"reset {A}"]
    assert rig.gpus.reset == [A]
    assert rig.gpus.held
    assert rig.places.why_unfit(A) is None  # open again


async def test_a_reset_that_did_not_help_is_failed_with_what_was_seen(make_rig):
    rig = await make_rig()
    rig.machine.helps = False
    receipt = await rig.final(rig.offer("a", OrderKind.RESET_GPU, A))
    assert receipt.status is ReceiptStatus.FAILED
    assert "needs a reset" in receipt.detail


async def test_a_gpu_that_is_gone_after_its_reset_is_told_as_gone(make_rig):
    rig = await make_rig()
    rig.machine.hold.clear()
    key = rig.offer("a", OrderKind.RESET_GPU, A)
    await rig.until_begun(f"reset {A}")
    rig.gpus.gpus = (B,)
    rig.machine.hold.set()
    assert "does not show it" in (await rig.final(key)).detail


async def test_nothing_starts_on_a_gpu_while_it_is_reset_however_fit_it_looks(make_rig):
    rig = await make_rig()
    rig.gpus.unfit.clear()
    rig.machine.hold.clear()
    key = rig.offer("a", OrderKind.RESET_GPU, A)
    await rig.until_begun(f"reset {A}")
    assert "under way" in rig.places.why_not(rig.board, REPLICA)
    assert (await rig.final(rig.offer("b", OrderKind.REBOOT_HOST))).refusal is RefusalReason.TARGET_BUSY
    rig.machine.hold.set()
    assert (await rig.final(key)).status is ReceiptStatus.DONE
    assert rig.places.why_not(rig.board, REPLICA) is None


async def test_a_gpu_under_a_replica_or_a_stranger_is_not_reset_and_its_neighbour_is(make_rig):
    rig = await make_rig()
    await rig.actuator.start(REPLICA)
    in_use = await rig.final(rig.offer("a", OrderKind.RESET_GPU, A))
    assert (in_use.refusal, in_use.detail) == (RefusalReason.GPU_IN_USE, f"in use by {REPLICA}")
    assert (await rig.final(rig.offer("b", OrderKind.RESET_GPU, B))).status is ReceiptStatus.DONE
    await rig.actuator.stop(REPLICA, 0.0, state=ReplicaState.STOPPED)
    rig.gpus.pids = (4242,)
    assert (await rig.final(rig.offer("c", OrderKind.RESET_GPU, A))).detail == "in use by pid 4242"
    assert rig.machine.done == [f"reset {B}"]


async def test_a_host_with_a_replica_is_not_rebooted(make_rig):
    rig = await make_rig()
    await rig.actuator.start(REPLICA)
    assert (await rig.final(rig.offer("a", OrderKind.REBOOT_HOST))).refusal is RefusalReason.GPU_IN_USE
    assert rig.machine.done == []


async def test_a_host_permits_nothing_by_default(make_rig):
    rig = await make_rig(permitted=frozenset())
    for key, kind in (("a", OrderKind.RESET_GPU), ("b", OrderKind.REBOOT_HOST)):
        assert (await rig.final(rig.offer(key, kind, A))).refusal is RefusalReason.NOT_PERMITTED
    assert rig.machine.done == []


async def test_the_daily_limit_holds_across_restarts_of_the_agent(make_rig):
    former = await make_rig(per_day_max=2)
    assert (await former.final(former.offer("a", OrderKind.RESET_GPU, A))).status is ReceiptStatus.DONE
    await former.close()
    rig = await make_rig(per_day_max=2)
    assert (await rig.final(rig.offer("b", OrderKind.RESET_GPU, A))).status is ReceiptStatus.DONE
    refused = await rig.final(rig.offer("c", OrderKind.RESET_GPU, A))
    assert refused.refusal is RefusalReason.NOT_PERMITTED
    assert "at most 2" in refused.detail


async def test_the_limit_counts_a_day_and_not_for_ever(make_rig):
    rig = await make_rig(per_day_max=1)
    await rig.final(rig.offer("a", OrderKind.RESET_GPU, A))
    notes = rig.journal.machine_notes()
    now_unix_s = notes[0].at_unix_s
    assert rig.orders.target(RESET).begun_today == 1
    rig.orders.clock = type("Later", (SystemClock,), {"now_unix_s": lambda _: now_unix_s + DAY_S + 1.0})()
    assert rig.orders.target(RESET).begun_today == 0


async def test_an_order_that_cannot_be_noted_is_not_carried_out(make_rig):
    rig = await make_rig()

    async def full_disk(note):
        raise JournalError("no space")

    rig.orders.memory = type("Full", (), {"note_machine": staticmethod(full_disk), "machine_notes": lambda _: ()})()
    receipt = await rig.final(rig.offer("a", OrderKind.RESET_GPU, A))
    assert (receipt.status, receipt.detail) == (ReceiptStatus.FAILED, "no space")
    assert rig.machine.done == []


# ── a reboot, across boots ────────────────────────────────────────────────────────────────────────────────────────────
async def test_a_reboot_is_running_until_the_next_boot_and_done_after_it(make_rig):
    rig = await make_rig()
    key = rig.offer("a", OrderKind.REBOOT_HOST)
    await rig.until_begun("reboot")
    assert rig.status(key) is ReceiptStatus.RUNNING
    await rig.close()  # the host goes down
    after = await make_rig(boot_id="boot-2")
    receipt = after.journal.receipt(key)
    assert (receipt.status, receipt.detail, receipt.executions) == (ReceiptStatus.DONE, REBOOTED, 1)
    assert after.journal.unacknowledged() == (receipt,)


async def test_an_agent_that_only_restarted_does_not_take_that_for_a_reboot(make_rig):
    rig = await make_rig()
    key = rig.offer("a", OrderKind.REBOOT_HOST)
    await rig.until_begun("reboot")
    await rig.close()
    receipt = (await make_rig(boot_id="boot-1")).journal.receipt(key)
    assert (receipt.status, receipt.detail) == (ReceiptStatus.FAILED, INTERRUPTED)


async def test_a_reset_that_a_reboot_interrupted_is_unknown_and_so_failed(make_rig):
    rig = await make_rig()
    rig.machine.hold.clear()
    key = rig.offer("a", OrderKind.RESET_GPU, A)
    await rig.until_begun(f"reset {A}")
    await rig.close()
    assert (await make_rig(boot_id="boot-2")).journal.receipt(key).status is ReceiptStatus.FAILED


async def test_a_host_that_does_not_go_down_says_so(make_rig):
    rig = await make_rig()
    receipt = await rig.final(rig.offer("a", OrderKind.REBOOT_HOST))
    assert (receipt.status, receipt.detail) == (ReceiptStatus.FAILED, "the host did not go down within 0.3 s")
    assert rig.places.why_not(rig.board, REPLICA) == f"{A}: needs a reset"  # the host is open again


async def test_a_simulated_host_comes_back_while_the_agent_lives(make_rig):
    rig = await make_rig()
    key = rig.offer("a", OrderKind.REBOOT_HOST)
    await rig.until_begun("reboot")
    rig.machine.boot = "boot-2"
    assert (await rig.final(key)).detail == REBOOTED


# ── a rehearsal ───────────────────────────────────────────────────────────────────────────────────────────────────────
async def test_a_rehearsal_goes_through_every_guard_and_touches_nothing(make_rig):
    rig = await make_rig()
    rig.orders.machine, rig.orders.driver = RehearsedMachine(), WatchedDriver()
    reset = await rig.final(rig.offer("a", OrderKind.RESET_GPU, A))
    assert (reset.status, reset.executions) == (ReceiptStatus.FAILED, 1)
    assert rig.gpus.releases == 0  # every GPU stays in sight
    assert reset.detail == f"rehearsal only: would run nvidia-smi --gpu-reset -i {A}"
    reboot = await rig.final(rig.offer("b", OrderKind.REBOOT_HOST))
    assert reboot.detail == "rehearsal only: would run systemctl reboot"
    assert (await rig.final(rig.offer("c", OrderKind.RESET_GPU, GpuUuid("GPU-x")))).refusal is RefusalReason.UNKNOWN_GPU


def test_a_policy_cannot_name_orders_about_replicas():
    with pytest.raises(ValueError, match="reset_gpu"):
        MachinePolicy(frozenset({OrderKind.RESTART}), 1)
