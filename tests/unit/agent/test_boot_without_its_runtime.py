"""A runtime that is away at boot: nothing is started blindly, nothing is taken for free, and its return is noticed."""

import asyncio
import random

import pytest

from agent.core.health import HealthPolicy
from agent.errors import ReplicaRuntimeError
from agent.healing.actuator import Actuator
from agent.healing.board import Board
from agent.healing.boot import Boot
from agent.healing.places import GpuPlaces
from agent.memory.journal import FileJournal
from agent.ports import ReplicaMemory, ReplicaSpec
from agent.probes.simulated import SimulatedProber
from agent.runtimes.simulated import SimulatedRuntime
from chassis.clock import SystemClock
from chassis.retry import Backoff
from contracts.vocabulary import HostId, ProfileId, Region, ReplicaId, ReplicaState

FIRST, SECOND = ReplicaId("h-0"), ReplicaId("h-1")
PROFILE = ProfileId("full-fp32-onnx")


class AwayRuntime(SimulatedRuntime):
    """Nobody can see what runs until it is back."""

    def __init__(self) -> None:
        super().__init__()
        self.away, self.silent, self.starts = True, False, 0

    async def running(self):
        if self.silent:
            await asyncio.Event().wait()
        if self.away:
            raise ReplicaRuntimeError("could not list containers: Docker cannot be reached")
        return await super().running()

    async def start(self, spec):
        self.starts += 1
        return await super().start(spec)


class Rig:
    def __init__(self, path):
        clock = SystemClock()
        self.journal = FileJournal(path, clock=clock)
        self.journal.open()
        self.runtime = AwayRuntime()
        self.specs = {
            replica: ReplicaSpec(replica, Region("eu"), HostId("h"), "127.0.0.1", port, PROFILE)
            for port, replica in enumerate((FIRST, SECOND), start=1)
        }
        self.board = Board(self.specs.values(), policy=HealthPolicy(), clock=clock)
        actuator = Actuator(
            board=self.board,
            runtime=self.runtime,
            prober=SimulatedProber(self.runtime),
            control=None,
            memory=self.journal,
        )
        self.boot = Boot(
            board=self.board,
            actuator=actuator,
            places=GpuPlaces(),
            runtime=self.runtime,
            memory=self.journal,
            replicas=1,
            clock=clock,
            rng=random.Random(1),
            backoff=Backoff(base_s=0.01, cap_s=0.02),
        )

    def remembers(self, instance, generation):
        self.journal.remember(ReplicaMemory(instance.replica, generation, True, PROFILE, instance.token))


@pytest.fixture
async def rig(tmp_path):
    rig = Rig(tmp_path / "journal.jsonl")
    yield rig
    rig.journal.close()


async def test_until_the_runtime_is_back_every_slot_is_claimed_and_nothing_is_started(rig):
    await rig.boot.take_over()
    assert {unit.claimed_by for unit in rig.board.units.values()} == {"boot"}
    assert rig.runtime.starts == 0


async def test_what_runs_is_adopted_as_it_was_once_the_runtime_is_back(rig):
    instance = await rig.runtime.start(rig.specs[FIRST])
    rig.remembers(instance, 7)
    await rig.boot.take_over()
    finishing = asyncio.ensure_future(rig.boot.finish())
    await asyncio.sleep(0.1)
    assert not finishing.done()
    rig.runtime.away = False
    await asyncio.wait_for(finishing, 5.0)
    first, second = rig.board.units[FIRST], rig.board.units[SECOND]
    assert (first.instance, first.generation, first.claimed_by) == (instance, 7, None)
    assert rig.runtime.starts == 1, "only the start before the boot"
    assert (second.health.state, second.claimed_by) == (ReplicaState.STOPPED, None)


async def test_a_runtime_that_answers_nothing_holds_the_first_report_for_a_bounded_time(rig, monkeypatch):
    monkeypatch.setattr("agent.healing.boot.TAKE_OVER_S_MAX", 0.05)
    rig.runtime.silent = True
    await asyncio.wait_for(rig.boot.take_over(), 5.0)
    assert {unit.claimed_by for unit in rig.board.units.values()} == {"boot"}
    rig.runtime.silent = rig.runtime.away = False
    await asyncio.wait_for(rig.boot.finish(), 5.0)
    assert rig.board.units[FIRST].generation == 1
