"""A process that cannot be ended stays under watch: no replica counts as ready with no process behind it."""

import asyncio

import pytest

from agent.core.health import Answered, HealthPolicy
from agent.errors import ReplicaRuntimeError
from agent.healing.actuator import Actuator
from agent.healing.board import Board
from agent.memory.journal import FileJournal
from agent.ports import Exit, ReplicaSpec
from agent.probes.simulated import SimulatedProber
from agent.runtimes.simulated import SimulatedRuntime
from chassis.clock import ManualClock
from contracts.vocabulary import HostId, ProfileId, Region, ReplicaId, ReplicaState

REPLICA = ReplicaId("h-0")
SPEC = ReplicaSpec(REPLICA, Region("eu"), HostId("h"), "127.0.0.1", 1, ProfileId("full-fp32-onnx"))


class Unstoppable(SimulatedRuntime):
    """Refuses to stop; `meanwhile` happens before it says so."""

    def __init__(self) -> None:
        super().__init__()
        self.meanwhile = lambda: None
        self.hangs = False

    async def stop(self, replica, grace_s):
        self.meanwhile()
        if self.hangs:
            await asyncio.Event().wait()
        raise ReplicaRuntimeError("the process does not end")


@pytest.fixture
async def rig(tmp_path):
    class Rig:
        runtime = Unstoppable()
        board = Board([SPEC], policy=HealthPolicy(), clock=ManualClock())

    journal = FileJournal(tmp_path / "journal.jsonl", clock=ManualClock())
    journal.open()
    rig = Rig()
    prober = SimulatedProber(rig.runtime)
    rig.actuator = Actuator(board=rig.board, runtime=rig.runtime, prober=prober, control=None, memory=journal)
    await rig.actuator.start(REPLICA)
    rig.unit = rig.board.units[REPLICA]
    rig.first = rig.unit.instance
    probe = Answered(pulse=rig.runtime.pulse(REPLICA), took_s=0.001)
    rig.board.observed(REPLICA, rig.first, probe)
    assert rig.unit.health.state is ReplicaState.READY
    yield rig
    journal.close()


async def test_a_process_that_could_not_be_stopped_still_counts(rig):
    with pytest.raises(ReplicaRuntimeError):
        await rig.actuator.stop(REPLICA, 0.0, state=ReplicaState.STOPPED)
    assert rig.unit.instance == rig.first
    assert rig.board.exited(Exit(rig.first, "signal SIGKILL")) is rig.unit
    assert rig.unit.health.state is ReplicaState.CRASHED


async def test_a_process_that_ended_while_its_stop_failed_is_a_crash(rig):
    rig.runtime.meanwhile = lambda: rig.board.exited(Exit(rig.first, "exit code 3"))
    with pytest.raises(ReplicaRuntimeError):
        await rig.actuator.stop(REPLICA, 0.0, state=ReplicaState.STOPPED)
    assert (rig.unit.health.state, rig.unit.health.reason) == (ReplicaState.CRASHED, "exit code 3")


async def test_a_restart_that_is_cut_off_leaves_a_crash_that_the_reflexes_heal(rig):
    rig.runtime.hangs = True
    restart = asyncio.ensure_future(rig.actuator.restart(REPLICA, 0.0))
    await asyncio.sleep(0)
    restart.cancel()
    await asyncio.gather(restart, return_exceptions=True)
    assert (rig.unit.instance, rig.unit.health.state) == (None, ReplicaState.CRASHED)
    await rig.actuator.start(REPLICA)
    assert rig.unit.instance == rig.first  # its process had not been ended


async def test_a_stop_that_is_cut_off_leaves_the_process_under_watch(rig):
    rig.runtime.hangs = True
    stop = asyncio.ensure_future(rig.actuator.stop(REPLICA, 0.0, state=ReplicaState.STOPPED))
    await asyncio.sleep(0)
    stop.cancel()
    await asyncio.gather(stop, return_exceptions=True)
    assert (rig.unit.instance, rig.unit.health.state) == (rig.first, ReplicaState.READY)
