"""Reflexes while the runtime itself is away: patience with the replica, and one verdict, not five a second."""

import asyncio

import pytest

from agent.core.budget import RestartBudget, refusal_wait_s
from agent.core.health import HealthPolicy
from agent.errors import ReplicaRuntimeError
from agent.healing.actuator import Actuator
from agent.healing.board import Board
from agent.healing.healer import Healer, HealerPace
from agent.healing.medic import HealerTools
from agent.healing.reflexes import ReflexLog
from agent.memory.journal import FileJournal
from agent.ports import ReplicaSpec
from agent.probes.simulated import SimulatedProber
from agent.runtimes.simulated import SimulatedRuntime
from chassis.clock import SystemClock
from contracts.vocabulary import HostId, ProfileId, ReflexKind, Region, ReplicaId, ReplicaState

REPLICA = ReplicaId("h-0")
SPEC = ReplicaSpec(REPLICA, Region("eu"), HostId("h"), "127.0.0.1", 1, ProfileId("full-fp32-onnx"))


class FlakyEngine(SimulatedRuntime):
    """Refuses everything while it is away."""

    def __init__(self) -> None:
        super().__init__()
        self.away = False

    async def start(self, spec):
        self._answer()
        return await super().start(spec)

    async def stop(self, replica, grace_s):
        self._answer()
        await super().stop(replica, grace_s)

    def _answer(self) -> None:
        if self.away:
            raise ReplicaRuntimeError("the engine is away")


@pytest.fixture
async def rig(tmp_path):
    class Rig:
        engine = FlakyEngine()
        reflexes = ReflexLog()

    rig, clock = Rig(), SystemClock()
    journal = FileJournal(tmp_path / "journal.jsonl", clock=clock)
    journal.open()
    prober = SimulatedProber(rig.engine)
    rig.board = Board([SPEC], policy=HealthPolicy(), clock=clock)
    rig.unit = rig.board.units[REPLICA]
    actuator = Actuator(board=rig.board, runtime=rig.engine, prober=prober, control=None, memory=journal)
    tools = HealerTools(actuator, prober, None, rig.engine, rig.engine, journal)
    budget = RestartBudget(immediate=1, delayed=0, refusal_backoff_s=0.1, refusal_cap_s=0.4)
    healer = Healer(rig.board, tools, rig.reflexes, budget, clock, HealerPace(interval_s=0.02))
    tasks = [asyncio.ensure_future(run) for run in (healer.watch_exits(), healer.keep(REPLICA))]
    await actuator.start(REPLICA)
    assert await rig.board.until(REPLICA, lambda unit: unit.health.state is ReplicaState.READY, within_s=5.0)
    yield rig
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    journal.close()


@pytest.mark.parametrize("fault", ["freeze", "crash"])
async def test_refused_restarts_are_few_and_the_replica_is_healed_when_the_engine_is_back(rig, fault):
    rig.engine.away = True
    getattr(rig.engine, fault)(REPLICA)
    await asyncio.sleep(1.0)
    assert rig.unit.health.state is ReplicaState.CRASHED
    assert 2 <= len(rig.reflexes.newest()) <= 5
    rig.engine.away = False
    assert await rig.board.until(
        REPLICA, lambda unit: unit.generation == 2 and unit.health.state is ReplicaState.READY, within_s=2.0
    )
    assert len(rig.unit.restarts_s) == 1


async def test_a_quarantine_holds_though_the_process_could_not_be_stopped(rig):
    rig.engine.crash(REPLICA)
    assert await rig.board.until(
        REPLICA, lambda unit: unit.generation == 2 and unit.health.state is ReplicaState.READY, within_s=5.0
    )
    rig.engine.away = True
    rig.engine.crash(REPLICA)
    assert await rig.board.until(REPLICA, lambda unit: unit.health.state is ReplicaState.QUARANTINED, within_s=5.0)
    await asyncio.sleep(0.3)
    assert "could not be stopped" in rig.unit.health.reason
    assert [reflex.kind for reflex in rig.reflexes.newest()].count(ReflexKind.QUARANTINE) == 1


def test_the_wait_after_refusals_doubles_up_to_its_cap():
    waits_s = [refusal_wait_s(refusals, RestartBudget()) for refusals in (1, 2, 3, 6, 5000)]
    assert waits_s == [1.0, 2.0, 4.0, 30.0, 30.0]
