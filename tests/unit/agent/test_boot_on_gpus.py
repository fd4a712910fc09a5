"""The first minutes on a host with GPUs: each replica where it was, none on a bad device, and nobody waits for ever."""

import asyncio
import random

import pytest

from agent.core.health import HealthPolicy
from agent.healing.actuator import Actuator
from agent.healing.board import Board
from agent.healing.boot import Boot
from agent.healing.places import NOT_YET_KNOWN, GpuPlaces
from agent.line.report import replica_report
from agent.memory.journal import FileJournal
from agent.ports import ReplicaMemory, ReplicaSpec
from agent.probes.simulated import SimulatedProber
from agent.runtimes.simulated import SimulatedRuntime
from chassis.clock import SystemClock
from contracts.vocabulary import GpuUuid, HostId, ProfileId, Region, ReplicaId, ReplicaState

FIRST, SECOND = ReplicaId("h-0"), ReplicaId("h-1")
A, B = GpuUuid("GPU-a"), GpuUuid("GPU-b")
PROFILE = ProfileId("full-fp32-onnx")


class Gpus:
    """`GpuFitness` of a host whose driver speaks when a test lets it."""

    def __init__(self) -> None:
        self.known = self.has_driver = True
        self.gpus: tuple[GpuUuid, ...] = (A, B)
        self.unfit: dict[GpuUuid, str] = {}

    def present(self):
        return self.gpus if self.known else ()

    def why_unfit(self, gpu):
        return self.unfit.get(gpu)


class Rig:
    def __init__(self, path) -> None:
        self.clock, self.gpus, self.runtime = SystemClock(), Gpus(), SimulatedRuntime()
        self.journal = FileJournal(path, clock=self.clock)
        self.journal.open()
        specs = [
            ReplicaSpec(replica, Region("eu"), HostId("h"), "127.0.0.1", port, PROFILE)
            for port, replica in enumerate((FIRST, SECOND), start=1)
        ]
        self.board = Board(specs, policy=HealthPolicy(), clock=self.clock)
        self.places = GpuPlaces(fitness=self.gpus, per_replica=1)
        self.actuator = Actuator(
            board=self.board,
            runtime=self.runtime,
            prober=SimulatedProber(self.runtime),
            control=None,
            memory=self.journal,
        )

    async def boot(self) -> None:
        boot = Boot(
            board=self.board,
            actuator=self.actuator,
            places=self.places,
            runtime=self.runtime,
            memory=self.journal,
            replicas=2,
            clock=self.clock,
            rng=random.Random(1),
        )
        await boot.take_over()
        await boot.finish()

    def remembers(self, replica: ReplicaId, *gpus: GpuUuid) -> None:
        self.journal.remember(ReplicaMemory(replica, 4, True, PROFILE, "former", gpus))

    def gpus_of(self, replica: ReplicaId) -> tuple[GpuUuid, ...]:
        return self.board.units[replica].spec.gpus


@pytest.fixture
async def rig(tmp_path):
    rig = Rig(tmp_path / "journal.jsonl")
    yield rig
    rig.journal.close()


async def test_a_first_boot_spreads_its_replicas_over_the_gpus(rig):
    await rig.boot()
    assert (rig.gpus_of(FIRST), rig.gpus_of(SECOND)) == ((A,), (B,))
    assert {memory.replica: memory.gpus for memory in rig.journal.replicas()} == {FIRST: (A,), SECOND: (B,)}


async def test_a_later_boot_puts_each_where_it_was(rig):
    rig.remembers(FIRST, B)
    rig.remembers(SECOND, A)
    await rig.boot()
    assert (rig.gpus_of(FIRST), rig.gpus_of(SECOND)) == ((B,), (A,))


async def test_what_runs_keeps_the_gpus_it_was_made_with_whatever_was_remembered(rig):
    rig.remembers(FIRST, A)
    made = ReplicaSpec(FIRST, Region("eu"), HostId("h"), "127.0.0.1", 1, PROFILE, (B,))
    await rig.runtime.start(made)
    await rig.boot()
    assert rig.gpus_of(FIRST) == (B,)
    assert rig.gpus_of(SECOND) == (A,)


async def test_a_host_without_gpus_starts_at_once_and_without_any(rig):
    rig.gpus.gpus, rig.gpus.has_driver = (), False
    rig.remembers(FIRST, A)
    await asyncio.wait_for(rig.boot(), 2)
    assert (rig.gpus_of(FIRST), rig.gpus_of(SECOND)) == ((), ())
    assert len(await rig.runtime.running()) == 2


async def test_starts_wait_for_the_drivers_first_word(rig):
    rig.gpus.known = False
    booting = asyncio.ensure_future(rig.boot())
    await asyncio.sleep(0.2)
    assert await rig.runtime.running() == ()
    assert rig.board.units[FIRST].health.state is ReplicaState.STARTING  # no slot that anybody may take
    rig.gpus.known = True
    await asyncio.wait_for(booting, 2)
    assert (rig.gpus_of(FIRST), rig.gpus_of(SECOND)) == ((A,), (B,))


async def test_a_driver_that_stays_silent_holds_back_the_starts_but_not_the_boot(rig):
    rig.gpus.known = False
    await asyncio.wait_for(rig.boot(), 10)
    assert await rig.runtime.running() == ()
    report = replica_report(rig.board.units[FIRST], (), 0.0)
    assert (report.state, report.reason) == (ReplicaState.CRASHED, f"not started: {NOT_YET_KNOWN}")
    assert rig.board.units[FIRST].claimed_by is None  # the reflexes go on from here


async def test_nothing_is_started_on_a_bad_gpu(rig):
    rig.gpus.unfit[A] = "reset_gpu is recommended by xid 48"
    rig.remembers(FIRST, A)
    await rig.boot()
    unit = rig.board.units[FIRST]
    assert unit.health.state is ReplicaState.CRASHED
    assert "xid 48" in unit.health.reason
    assert [instance.replica for instance in await rig.runtime.running()] == [SECOND]
    assert rig.gpus_of(SECOND) == (B,)
