"""The reflexes over every runtime: a real frozen child, a real frozen container, and a simulated one are all healed."""

import asyncio
import time
from contextlib import asynccontextmanager

import pytest

from agent.core.budget import RestartBudget
from agent.core.health import HealthPolicy
from agent.healing.actuator import Actuator
from agent.healing.board import Board
from agent.healing.healer import Healer, HealerPace, HealerTools
from agent.healing.reflexes import ReflexLog
from agent.memory.journal import FileJournal
from chassis.clock import SystemClock
from contracts.vocabulary import ReflexKind, ReplicaState

BUDGET = RestartBudget()


class NoControl:
    async def put_slos(self, spec, thresholds):
        raise AssertionError("there are no thresholds to push")

    async def switch_profile(self, spec, profile):
        raise AssertionError("nobody asked for a switch")


@asynccontextmanager
async def healed(bench, journal_path, *, budget=BUDGET):
    """A keeper over the bench's replica; yields the healer with the replica ready."""
    clock = SystemClock()
    journal = FileJournal(journal_path, clock=clock)
    journal.open()
    board = Board([bench.spec], policy=HealthPolicy(), clock=clock)
    actuator = Actuator(board=board, runtime=bench.runtime, prober=bench.prober, control=NoControl(), memory=journal)
    tools = HealerTools(
        actuator=actuator,
        prober=bench.prober,
        control=NoControl(),
        view=bench.runtime,
        exits=bench.runtime,
        thresholds=journal,
    )
    healer = Healer(board=board, tools=tools, reflexes=ReflexLog(), budget=budget, clock=clock, pace=HealerPace())
    replica = bench.spec.replica
    tasks = [asyncio.ensure_future(healer.watch_exits()), asyncio.ensure_future(healer.keep(replica))]
    try:
        await actuator.start(replica)
        assert await board.until(replica, ready, within_s=10.0)
        yield healer
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        journal.close()


def ready(unit):
    return unit.health.state is ReplicaState.READY


def ready_again(unit):
    return ready(unit) and unit.generation == 2


@pytest.mark.parametrize("fault", ["frozen", "crashed"])
async def test_a_broken_replica_is_found_and_healed_in_time(bench, fault, tmp_path):
    async with healed(bench, tmp_path / "journal.jsonl") as healer:
        unit = healer.board.units[bench.spec.replica]
        broken_s = time.monotonic()
        (bench.freeze if fault == "frozen" else bench.crash)(unit.instance)
        assert await healer.board.until(unit.spec.replica, ready_again, within_s=10.0)
        assert time.monotonic() - broken_s < 6.0  # generous: `make bench-mttr` measures
        reflex = healer.reflexes.newest()[0]
        assert reflex.kind is (ReflexKind.RESTART_HUNG if fault == "frozen" else ReflexKind.RESTART_CRASHED)
        assert reflex.healed_unix_s is not None
        assert reflex.generation == 1
        print(f"{fault}: ready again after {time.monotonic() - broken_s:.3f} s")


async def test_a_reflex_is_refused_while_an_order_holds_the_replica(bench, tmp_path):
    async with healed(bench, tmp_path / "journal.jsonl") as healer:
        unit = healer.board.units[bench.spec.replica]
        assert healer.board.claim(unit.spec.replica, "order k")
        bench.crash(unit.instance)
        assert await healer.board.until(
            unit.spec.replica, lambda unit: unit.health.state is ReplicaState.CRASHED, within_s=5.0
        )
        await asyncio.sleep(0.5)
        assert healer.reflexes.newest() == ()
        healer.board.release(unit.spec.replica)
        assert await healer.board.until(unit.spec.replica, ready_again, within_s=10.0)


async def test_a_spent_budget_quarantines(bench, tmp_path):
    budget = RestartBudget(immediate=1, delayed=0)
    async with healed(bench, tmp_path / "journal.jsonl", budget=budget) as healer:
        unit = healer.board.units[bench.spec.replica]
        bench.crash(unit.instance)
        assert await healer.board.until(unit.spec.replica, ready_again, within_s=10.0)
        bench.crash(unit.instance)
        assert await healer.board.until(
            unit.spec.replica, lambda unit: unit.health.state is ReplicaState.QUARANTINED, within_s=10.0
        )
        assert [reflex.kind for reflex in healer.reflexes.newest()][-1] is ReflexKind.QUARANTINE
        running = {instance.replica for instance in await bench.runtime.running()}
        assert unit.spec.replica not in running
