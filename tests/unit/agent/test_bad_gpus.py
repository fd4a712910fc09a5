"""Replicas on GPUs that go bad: nothing is restarted there, and everything comes back by itself when they are fit again."""

import asyncio
from dataclasses import replace

import pytest

from agent.core.budget import RestartBudget
from agent.core.health import HealthPolicy
from agent.degradation import Degradations
from agent.healing.actuator import Actuator
from agent.healing.board import Board
from agent.healing.healer import Healer, HealerPace
from agent.healing.medic import XID_LAG_S, HealerTools
from agent.healing.places import NOT_YET_KNOWN, GpuPlaces
from agent.healing.reflexes import ReflexLog
from agent.line.report import replica_report
from agent.memory.journal import FileJournal
from agent.orders.desk import ControllerTime, OrderDesk
from agent.orders.replicas import ReplicaOrders
from agent.ports import ReplicaSpec
from agent.probes.simulated import SimulatedProber
from agent.runtimes.simulated import SimulatedRuntime
from chassis.clock import SystemClock
from contracts.agent_api import Order
from contracts.vocabulary import (
    GpuUuid,
    HostId,
    OrderKey,
    OrderKind,
    ProfileId,
    ReceiptStatus,
    ReflexKind,
    RefusalReason,
    Region,
    ReplicaId,
    ReplicaState,
)

FIRST, SECOND = ReplicaId("h-0"), ReplicaId("h-1")
A, B = GpuUuid("GPU-a"), GpuUuid("GPU-b")


def spec(replica: ReplicaId, port: int) -> ReplicaSpec:
    return ReplicaSpec(replica, Region("eu"), HostId("h"), "127.0.0.1", port, ProfileId("full-fp32-onnx"))


class Gpus:
    """`GpuFitness` and `GpuUse` as a test says."""

    def __init__(self, *gpus: GpuUuid) -> None:
        self.known = self.has_driver = True
        self.gpus = gpus
        self.unfit: dict[GpuUuid, str] = {}
        self.faults: dict[GpuUuid, int] = {}

    def present(self):
        return self.gpus

    def why_unfit(self, gpu):
        return self.unfit.get(gpu)

    def device_of(self, gpu):
        return gpu

    def processes(self, gpu):
        return ()

    def program_faults(self, gpu):
        return self.faults.get(gpu, 0)


class SkippingClock(SystemClock):
    """Real time, of which a test can skip some."""

    def __init__(self) -> None:
        self.skipped_s = 0.0

    def monotonic_s(self) -> float:
        return super().monotonic_s() + self.skipped_s


class Rig:
    """One host with two slots, on GPUs A and B."""

    def __init__(self, journal_path, budget: RestartBudget) -> None:
        self.clock = SkippingClock()
        self.runtime, self.gpus, self.reflexes = SimulatedRuntime(), Gpus(A, B), ReflexLog()
        self.journal = FileJournal(journal_path, clock=self.clock)
        self.journal.open()
        self.board = Board([spec(FIRST, 1), spec(SECOND, 2)], policy=HealthPolicy(), clock=self.clock)
        self.degradations = Degradations(self.board.changed.ring)
        self.places = GpuPlaces(fitness=self.gpus, use=self.gpus, per_replica=1)
        prober = SimulatedProber(self.runtime)
        self.actuator = Actuator(
            board=self.board, runtime=self.runtime, prober=prober, control=None, memory=self.journal
        )
        tools = HealerTools(self.actuator, prober, None, self.runtime, self.runtime, self.journal, places=self.places)
        self.healer = Healer(self.board, tools, self.reflexes, budget, self.clock, HealerPace(0.02), self.degradations)
        self.time = ControllerTime(self.clock)
        replicas = ReplicaOrders(self.board, self.actuator, self.places, HealthPolicy())
        self.desk = OrderDesk(replicas, None, self.board, self.journal, self.time, self.clock)
        self.unit = self.board.units[FIRST]

    async def started(self) -> None:
        assert self.places.assign(self.board, FIRST) is None
        await self.actuator.start(FIRST)
        await self.until(lambda unit: unit.health.state is ReplicaState.READY)

    async def until(self, is_so, *, within_s: float = 5.0) -> None:
        for _ in range(int(within_s / 0.02)):
            if is_so(self.unit):
                return
            await asyncio.sleep(0.02)
        pytest.fail(f"not within {within_s} s; state {self.unit.health}", pytrace=False)

    def kinds(self) -> list[ReflexKind]:
        return [reflex.kind for reflex in self.reflexes.newest()]

    def order(self, key: str, kind: OrderKind, replica: ReplicaId = FIRST, generation: int = 1) -> Order:
        return Order(
            key=OrderKey(key),
            kind=kind,
            epoch=1,
            replica=replica,
            generation=generation,
            not_after_unix_s=self.time.now_unix_s() + 10.0,
        )

    async def final(self, order: Order):
        self.desk.deliver(order)

        def is_final(_) -> bool:
            receipt = self.journal.receipt(order.key)
            return receipt is not None and receipt.status is not ReceiptStatus.RUNNING

        await self.until(is_final)
        return self.journal.receipt(order.key)


@pytest.fixture
def budget() -> RestartBudget:
    return RestartBudget(immediate=3, delayed=1, backoff_s=60.0)


@pytest.fixture
async def rig(tmp_path, budget):
    rig = Rig(tmp_path / "journal.jsonl", budget)
    runs = (rig.healer.watch_exits(), rig.healer.keep(FIRST), rig.healer.keep(SECOND), rig.desk.run())
    tasks = [asyncio.ensure_future(run) for run in runs]
    await rig.started()
    yield rig
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    rig.journal.close()


async def test_a_started_replica_is_told_its_gpu_and_the_journal_remembers_it(rig):
    assert rig.unit.spec.gpus == (A,)
    assert replica_report(rig.unit, rig.places.devices_of(rig.unit), rig.clock.monotonic_s()).gpus == (A,)
    assert [memory.gpus for memory in rig.journal.replicas()] == [(A,)]


async def test_two_replicas_that_start_side_by_side_get_a_gpu_each(rig):
    await rig.final(rig.order("a", OrderKind.STOP_REPLICA))
    for replica in (FIRST, SECOND):
        rig.board.claim(replica, "boot")
        rig.places.assign(rig.board, replica)
    assert [rig.board.units[replica].spec.gpus for replica in (FIRST, SECOND)] == [(A,), (B,)]


@pytest.mark.parametrize("fault", ["crash", "freeze"])
async def test_a_replica_that_breaks_on_a_bad_gpu_stays_down_until_the_gpu_is_fit(rig, fault):
    rig.gpus.unfit[A] = "xid 79: fell off the bus"
    getattr(rig.runtime, fault)(FIRST)
    await rig.until(lambda unit: unit.withheld != "" and unit.health.state is ReplicaState.CRASHED)
    await asyncio.sleep(0.3)
    assert await rig.runtime.running() == ()  # the hung one was ended: a reset needs an idle device
    assert rig.kinds() == [ReflexKind.WITHHOLD]  # written down once, not at every look
    assert "fell off the bus" in rig.reflexes.newest()[0].evidence["unfit"]
    assert "fell off the bus" in replica_report(rig.unit, (), 0.0).withheld
    assert rig.unit.restarts_s == ()
    del rig.gpus.unfit[A]
    await rig.until(lambda unit: unit.health.state is ReplicaState.READY and unit.generation == 2)
    assert rig.unit.withheld == ""
    assert len(rig.unit.restarts_s) == 1


async def test_the_withheld_restart_does_not_wait_for_the_backoff_that_the_bad_gpu_caused(rig):
    for generation in (2, 3, 4):  # the GPU is bad already, but nobody knows yet
        rig.runtime.crash(FIRST)
        await rig.until(lambda unit, now=generation: unit.generation == now)
    rig.gpus.unfit[A] = "needs a reset"
    rig.runtime.crash(FIRST)
    await rig.until(lambda unit: unit.withheld != "")
    assert len(rig.unit.restarts_s) == 3  # by now, a restart would have to wait a minute
    del rig.gpus.unfit[A]
    await rig.until(lambda unit: unit.generation == 5)


async def test_a_gpu_that_flaps_cannot_keep_a_replica_in_a_restart_loop(rig):
    for _ in range(10):
        rig.gpus.unfit[A] = "lost"
        rig.runtime.crash(FIRST) if await rig.runtime.running() else None
        await rig.until(lambda unit: unit.withheld != "" or unit.health.state is ReplicaState.QUARANTINED)
        del rig.gpus.unfit[A]
        await rig.until(lambda unit: unit.health.state in {ReplicaState.READY, ReplicaState.QUARANTINED})
    assert rig.unit.health.state is ReplicaState.QUARANTINED
    assert rig.unit.generation == 1 + 4  # the budget


async def test_a_replica_that_lives_on_a_bad_gpu_is_left_to_the_controller(rig):
    rig.gpus.unfit[A] = "drain it"
    await asyncio.sleep(0.3)
    assert rig.unit.health.state is ReplicaState.READY
    assert rig.kinds() == []


async def test_a_replica_that_needs_more_gpus_than_it_had_gets_them_at_its_next_start(rig):
    rig.places.per_replica = 2
    rig.runtime.crash(FIRST)
    await rig.until(lambda unit: unit.generation == 2)
    assert rig.unit.spec.gpus == (A, B)


async def test_a_silent_driver_withholds_the_restart_of_what_had_a_gpu(rig):
    rig.gpus.known = False
    rig.runtime.crash(FIRST)
    await rig.until(lambda unit: unit.withheld == NOT_YET_KNOWN)
    rig.gpus.known = True
    await rig.until(lambda unit: unit.generation == 2)


async def test_gpus_that_vanished_with_their_driver_are_not_replaced_by_none(rig):
    rig.gpus.gpus = ()
    assert rig.places.why_not(rig.board, FIRST) == f"{A}: it is not on this host"
    rig.gpus.has_driver = False  # this host is not meant to have GPUs any more
    assert rig.places.assign(rig.board, FIRST) is None
    assert rig.unit.spec.gpus == ()


# ── orders ────────────────────────────────────────────────────────────────────────────────────────────────────────────
async def test_a_restart_onto_a_bad_gpu_is_refused(rig):
    rig.gpus.unfit[A] = "needs a reset"
    receipt = await rig.final(rig.order("r", OrderKind.RESTART))
    assert (receipt.status, receipt.refusal) == (ReceiptStatus.REFUSED, RefusalReason.GPU_UNFIT)
    assert "needs a reset" in receipt.detail
    assert rig.unit.generation == 1


async def test_a_start_goes_to_a_gpu_that_is_fit_or_nowhere(rig):
    rig.gpus.unfit[B] = "lost"
    receipt = await rig.final(rig.order("s", OrderKind.START_REPLICA, SECOND, 0))
    assert receipt.status is ReceiptStatus.DONE
    assert rig.board.units[SECOND].spec.gpus == (A,)  # beside the first, because B is lost
    await rig.final(rig.order("t", OrderKind.STOP_REPLICA, SECOND, 1))
    rig.gpus.unfit[A] = "lost, too"
    refused = await rig.final(rig.order("u", OrderKind.START_REPLICA, SECOND, 1))
    assert refused.refusal is RefusalReason.GPU_UNFIT
    assert "lost, too" in refused.detail


async def test_a_stopped_replica_moves_to_a_fit_gpu_when_it_is_started_again(rig):
    await rig.final(rig.order("a", OrderKind.STOP_REPLICA))
    rig.gpus.unfit[A] = "lost"
    receipt = await rig.final(rig.order("b", OrderKind.START_REPLICA))
    assert receipt.status is ReceiptStatus.DONE
    assert rig.unit.spec.gpus == (B,)


async def test_a_withheld_replica_that_is_stopped_by_order_is_free_of_it(rig):
    rig.gpus.unfit[A] = "lost"
    rig.runtime.crash(FIRST)
    await rig.until(lambda unit: unit.withheld != "")
    await rig.final(rig.order("a", OrderKind.STOP_REPLICA))
    assert (rig.unit.health.state, rig.unit.withheld) == (ReplicaState.STOPPED, "")
    del rig.gpus.unfit[A]
    await asyncio.sleep(0.2)
    assert rig.unit.health.state is ReplicaState.STOPPED


# ── errors of the program ─────────────────────────────────────────────────────────────────────────────────────────────
async def test_a_program_error_restarts_the_replica_that_outlived_it_once(rig):
    rig.clock.skipped_s += XID_LAG_S
    rig.gpus.faults[A] = 1
    await rig.until(lambda unit: unit.generation == 2 and unit.health.state is ReplicaState.READY)
    rig.clock.skipped_s += XID_LAG_S
    await asyncio.sleep(0.2)  # the same count, seen again and again: a replayed event
    assert rig.unit.generation == 2
    assert rig.kinds() == [ReflexKind.RESTART_XID]
    assert rig.reflexes.newest()[0].evidence["driver_errors"] == "1"
    assert rig.reflexes.newest()[0].healed_unix_s is not None
    rig.gpus.faults[A] = 2
    await rig.until(lambda unit: unit.generation == 3)


async def test_an_error_that_is_told_after_the_crash_it_caused_does_not_restart_the_successor(rig):
    rig.clock.skipped_s += XID_LAG_S
    rig.runtime.crash(FIRST)
    await rig.until(lambda unit: unit.generation == 2)
    rig.gpus.faults[A] = 1
    await asyncio.sleep(0.2)
    rig.clock.skipped_s += XID_LAG_S
    await asyncio.sleep(0.2)
    assert rig.kinds() == [ReflexKind.RESTART_CRASHED]


async def test_errors_on_another_gpu_do_not_concern_it(rig):
    rig.clock.skipped_s += XID_LAG_S
    rig.gpus.faults[B] = 3
    await asyncio.sleep(0.2)
    assert rig.kinds() == []


@pytest.mark.parametrize("budget", [RestartBudget(immediate=1, delayed=0)])
async def test_a_replica_without_budget_that_lives_is_not_ended_for_an_error(rig):
    rig.clock.skipped_s += XID_LAG_S
    rig.gpus.faults[A] = 1
    await rig.until(lambda unit: unit.generation == 2 and unit.health.state is ReplicaState.READY)
    rig.clock.skipped_s += XID_LAG_S
    rig.gpus.faults[A] = 2
    await asyncio.sleep(0.2)
    assert (rig.unit.generation, rig.unit.health.state) == (2, ReplicaState.READY)


# ── a runtime that refuses for ever ───────────────────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize("budget", [replace(RestartBudget(), refusal_backoff_s=0.02, refusal_cap_s=0.05)])
async def test_a_runtime_that_refuses_again_and_again_is_a_degraded_part_until_it_starts_something(rig):
    rig.runtime.fail_next_starts(6)
    rig.runtime.crash(FIRST)
    await rig.until(lambda unit: unit.refusals >= 4)
    (degraded,) = rig.degradations.current()
    assert degraded.part == "runtime"
    assert "told to fail" in degraded.reason
    await rig.until(lambda unit: unit.generation == 2)
    assert rig.degradations.current() == ()


async def test_one_refusal_is_no_degradation(rig):
    rig.runtime.fail_next_starts(1)
    rig.runtime.crash(FIRST)
    await rig.until(lambda unit: unit.refusals == 1)
    assert rig.degradations.current() == ()


@pytest.mark.parametrize("kind", [OrderKind.RESTART, OrderKind.STOP_REPLICA])
@pytest.mark.parametrize("budget", [replace(RestartBudget(), refusal_backoff_s=0.1, refusal_cap_s=30.0)])
async def test_what_an_order_put_right_is_no_degradation_any_more(rig, kind):
    rig.runtime.fail_next_starts(4)
    rig.runtime.crash(FIRST)
    await rig.until(lambda unit: unit.refusals >= 4)  # the next try is most of a second away
    assert rig.degradations.current() != ()
    assert (await rig.final(rig.order("a", kind))).status is ReceiptStatus.DONE
    await rig.until(lambda _: rig.degradations.current() == (), within_s=2.0)
