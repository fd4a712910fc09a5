"""The controller is gone for an hour: the host heals itself within its budgets, and is taken back without a storm.

A whole agent over replicas in memory, and the real hub and order book as its controller, in made-up time.
"""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from agent.core.budget import RestartBudget
from agent.line.call import ControllerLine, Failed, Reply
from agent.line.record import SyncFailure
from agent.line.sync import CONTROLLER, SyncPace
from bench.killing.host import NUMBERS_PER_SECOND, Host, HostPlan, build_host, executed, replica_ids
from contracts.agent_api import Order, Receipt, SyncRequest, SyncResponse
from contracts.vocabulary import HostId, OrderKey, OrderKind, ReceiptStatus, ReflexKind, ReplicaState
from controller.drivers.agent import AgentOrders
from controller.sources.agents import AgentHub
from tests.virtual_time import InlineExecutor, VirtualClock, run_virtually

HOUR_S = 3_600.0
HOST = HostId("h")
CRASHES, LOOPS, CALM, ORDERED = replica_ids(HOST, 4)
"""Now and then one crashes, one crashes whenever it runs, one is well all the time, and one is worked on by orders."""


class Controller(ControllerLine):
    """A controller that can go away, and come back knowing nothing: only its journal, which the test keeps."""

    def __init__(self, clock: VirtualClock) -> None:
        super().__init__("http://controller")
        self.clock = clock
        self.requests: list[tuple[float, SyncRequest]] = []
        self.away = True
        self.epoch = 0

    def come(self, *offered: Order) -> None:
        """A new process, under a new epoch."""
        self.away, self.epoch = False, self.epoch + 1
        self.orders = AgentOrders()
        self.hub = AgentHub(orders=self.orders, clock=self.clock)
        self.hub.lead(self.epoch)
        self.orders.offer(tuple((HOST, order.model_copy(update={"epoch": self.epoch})) for order in offered))

    def go(self) -> None:
        self.away = True
        self.hub.close()

    async def post(self, path, content, *, token, timeout_s):
        if self.away:
            return Failed(SyncFailure.CONNECTION, "connection refused")
        request = SyncRequest.model_validate_json(content)
        self.requests.append((self.clock.monotonic_s(), request))
        answer = await self.hub.sync(request)
        if self.away:
            return Failed(SyncFailure.CONNECTION, "reset")
        assert isinstance(answer, SyncResponse)
        return Reply(answer.model_dump_json().encode())

    def final(self, key: str) -> Receipt | None:
        receipts = [receipt for _host, receipt in self.orders.receipts() if receipt.key == key]
        return receipts[-1] if receipts and receipts[-1].status is not ReceiptStatus.RUNNING else None


def restart(number: int, host: Host, clock: VirtualClock) -> Order:
    return Order(
        key=OrderKey(f"order-{number}"),
        kind=OrderKind.RESTART,
        epoch=1,
        replica=ORDERED,
        generation=host.board.units[ORDERED].generation,
        not_after_unix_s=clock.now_unix_s() + 15.0,
        grace_s=number / NUMBERS_PER_SECOND,
    )


@asynccontextmanager
async def living(directory: Path, controller: Controller, clock: VirtualClock) -> AsyncIterator[Host]:
    plan = HostPlan(HOST, directory, directory / "executed", controller, SyncPace())
    host = build_host(plan, clock=clock, rng=random.Random(5))
    host.journal._disk = InlineExecutor(max_workers=1)
    running = asyncio.ensure_future(host.run())
    try:
        yield host
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        host.journal.close()


async def until(is_so, clock: VirtualClock, *, within_s: float) -> None:
    for _ in range(round(within_s / 0.05)):
        if is_so():
            return
        await clock.sleep(0.05)
    pytest.fail(f"not within {within_s} virtual seconds")


async def break_things(host: Host, clock: VirtualClock) -> None:
    """For ever: the looping one crashes as soon as it runs, the crashing one every ten minutes."""
    next_crash_s = clock.monotonic_s() + 600.0
    while True:
        await clock.sleep(0.5)
        if host.board.units[LOOPS].health.state is ReplicaState.READY:
            host.runtime.crash(LOOPS)
        if clock.monotonic_s() >= next_crash_s and host.board.units[CRASHES].health.state is ReplicaState.READY:
            host.runtime.crash(CRASHES)
            next_crash_s += 600.0


async def until_well(host: Host, clock: VirtualClock) -> None:
    units = host.board.units.values()
    await until(lambda: all(unit.health.state is ReplicaState.READY for unit in units), clock, within_s=30)


async def obey_two_orders(
    host: Host, controller: Controller, clock: VirtualClock, witness: Path
) -> tuple[Order, Order]:
    """One is done and confirmed; the other is done, and the controller dies before it hears of it."""
    first = restart(1, host, clock)
    controller.orders.offer(((HOST, first),))
    await until(lambda: controller.final("order-1") is not None, clock, within_s=20)
    controller.orders.settle((first.key,))
    await until(lambda: host.journal.unacknowledged() == (), clock, within_s=20)
    second = restart(2, host, clock)
    controller.orders.offer(((HOST, second),))
    await until(lambda: executed(witness) == ["1", "2"], clock, within_s=20)
    controller.go()
    return first, second


async def be_alone(host: Host, clock: VirtualClock) -> None:
    units = host.board.units
    generations = {replica: unit.generation for replica, unit in units.items()}
    breaking = asyncio.ensure_future(break_things(host, clock))
    await clock.sleep(HOUR_S)
    breaking.cancel()
    assert units[CALM].generation == generations[CALM]
    assert units[CRASHES].generation - generations[CRASHES] in {5, 6}  # each crash was healed
    assert units[CRASHES].health.state is ReplicaState.READY
    assert 0 < units[LOOPS].generation - generations[LOOPS] <= RestartBudget().restarts_max
    assert units[LOOPS].health.state is ReplicaState.QUARANTINED
    kinds = {reflex.kind for reflex in host.reflexes.newest()}
    assert kinds == {ReflexKind.RESTART_CRASHED, ReflexKind.QUARANTINE}
    assert [part.part for part in host.sync.degradations.current()] == [CONTROLLER]
    assert 100 < host.sync.record.failures_total[SyncFailure.CONNECTION] < HOUR_S  # tried every few seconds, no more


async def be_taken_back(host: Host, controller: Controller, clock: VirtualClock, orders: tuple[Order, Order]) -> None:
    """The new leader knows only its journal, and offers what has no receipt there under its own epoch."""
    back_s = clock.monotonic_s()
    before = {replica: unit.generation for replica, unit in host.board.units.items()}
    controller.requests.clear()
    controller.come(*orders)
    await until(lambda: controller.final("order-2") is not None, clock, within_s=6)
    asked_s, request = controller.requests[0]
    assert asked_s - back_s <= 5.0
    assert [receipt.key for receipt in request.receipts] == ["order-2"]  # what is unconfirmed, in one batch
    await until(lambda: controller.final("order-1") is not None, clock, within_s=20)  # told again, since it asks
    assert [controller.final(key).executions for key in ("order-1", "order-2")] == [1, 1]
    controller.orders.settle(tuple(order.key for order in orders))
    await clock.sleep(30.0)
    assert {replica: unit.generation for replica, unit in host.board.units.items()} == before  # nothing was restarted
    assert len(controller.requests) < 30.0 + 20  # a poll of two seconds each, and a few for the news
    assert (host.journal.unacknowledged(), host.journal.epoch_seen) == ((), 2)
    assert host.sync.degradations.current() == ()


async def story(directory: Path) -> None:
    clock = VirtualClock()
    controller = Controller(clock)
    controller.come()
    async with living(directory, controller, clock) as host:
        await until_well(host, clock)
        orders = await obey_two_orders(host, controller, clock, directory / "executed")
        await be_alone(host, clock)
        await be_taken_back(host, controller, clock, orders)
    assert executed(directory / "executed") == ["1", "2"]


def test_an_hour_alone(tmp_path):
    run_virtually(story(tmp_path))
