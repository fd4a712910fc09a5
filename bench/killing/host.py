"""An agent with everything but replicas: real desk, journal, reflexes and line to the controller over replicas in memory.

Each execution of an order is written down outside of the agent, durably and *before* it is done, by whoever does it: the
witness that a killed agent cannot take along. A runtime is not told keys of orders, so an order carries its own number in
what the runtime is told: the grace of a restart, the name of the profile of a switch.
"""

import asyncio
import os
import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from agent.core.budget import RestartBudget
from agent.core.health import HealthPolicy
from agent.degradation import Degradations
from agent.healing.actuator import Actuator
from agent.healing.board import Board
from agent.healing.boot import Boot
from agent.healing.healer import Healer
from agent.healing.medic import HealerTools
from agent.healing.reflexes import ReflexLog
from agent.line.call import ControllerLine
from agent.line.credentials import Credentials
from agent.line.report import HostIdentity, Reporter
from agent.line.sync import SyncLoop, SyncPace
from agent.line.tokens import JoinToken
from agent.memory.journal import FileJournal
from agent.memory.keeper import JournalKeeper
from agent.orders.desk import ControllerTime, OrderDesk
from agent.orders.replicas import ReplicaOrders
from agent.ports import Instance, ReplicaSpec
from agent.probes.gpu import GpuSources, GpuWatch
from agent.probes.gpu_memory import GpuMemoryFile
from agent.probes.host import HostMeter
from agent.probes.simulated import SimulatedProber
from agent.runtimes.simulated import SimulatedRuntime
from agent.xid_table import shipped_table
from chassis.clock import Clock
from chassis.supervisor import Supervisor
from contracts.serving_api import SloThresholds, SwitchProfileResponse
from contracts.vocabulary import FULL_FP32, HostId, ProfileId, Region, ReplicaId

REGION = Region("eu")
NUMBERS_PER_SECOND = 100_000_000_000
"""A restart's grace carries the order's number, and is never waited for. Numbers of 40 bits stay below 11 s, which is less than the
longest grace that a host grants, and a double holds them exactly."""
WORK_S_MAX = 0.01
"""Executions take a moment, so that kills hit them in the middle."""


class Witness:
    """One line per execution, on disk before it is done."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def saw(self, what: str) -> None:
        """Durable when it returns; lines of several processes do not mix, because each is one small append."""
        handle = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        try:
            os.write(handle, f"{what}\n".encode())
            os.fsync(handle)
        finally:
            os.close(handle)


class WitnessedRuntime(SimulatedRuntime):
    """Replicas in memory, whose ordered restarts are witnessed; reflexes restart without grace, and are not."""

    def __init__(self, witness: Witness, rng: random.Random) -> None:
        super().__init__()
        self._witness, self._rng = witness, rng

    async def restart(self, spec: ReplicaSpec, grace_s: float) -> Instance:
        if grace_s > 0:
            self._witness.saw(str(round(grace_s * NUMBERS_PER_SECOND)))
            await asyncio.sleep(self._rng.random() * WORK_S_MAX)
        return await super().restart(spec, grace_s)


class WitnessedControl:
    """Switches of profiles, witnessed. The name of the profile is the order's number."""

    def __init__(self, witness: Witness, rng: random.Random) -> None:
        self._witness, self._rng = witness, rng

    async def put_slos(self, _spec: ReplicaSpec, _thresholds: SloThresholds) -> None:
        return

    async def switch_profile(self, _spec: ReplicaSpec, profile: ProfileId) -> SwitchProfileResponse:
        self._witness.saw(profile)
        await asyncio.sleep(self._rng.random() * WORK_S_MAX)
        return SwitchProfileResponse(outcome="switched", profile=profile, generation=1, detail="")


@dataclass(slots=True)
class Host:
    """The parts of one agent, wired as `agent.app` wires them."""

    board: Board
    runtime: WitnessedRuntime
    journal: FileJournal
    keeper: JournalKeeper
    boot: Boot
    healer: Healer
    reflexes: ReflexLog
    desk: OrderDesk
    sync: SyncLoop
    supervisor: Supervisor
    tasks: list[asyncio.Task[None]] = field(default_factory=list)

    async def run(self) -> None:
        """Live until cancelled."""
        async with asyncio.TaskGroup() as group:
            keep = self.supervisor.keep
            keep(group, "journal", self.keeper.run)
            await self.boot.take_over()
            keep(group, "exits", self.healer.watch_exits)
            keep(group, "orders", self.desk.run)
            keep(group, "sync", self.sync.run)
            for replica in self.board.units:
                keep(group, f"keep {replica}", lambda replica=replica: self.healer.keep(replica))
            await self.boot.finish()


@dataclass(frozen=True, slots=True)
class HostPlan:
    """Where a host lives, and whom it talks to."""

    host: HostId
    directory: Path
    """State of the agent."""
    witness: Path
    line: ControllerLine
    pace: SyncPace
    join_token: str = ""
    replicas: int = 4


def replica_ids(host: HostId, count: int) -> tuple[ReplicaId, ...]:
    """As the agent names them."""
    return tuple(ReplicaId(f"{host}-{slot}") for slot in range(count))


def build_host(plan: HostPlan, *, clock: Clock, rng: random.Random) -> Host:
    """Read the journal, and be ready to run."""
    health = HealthPolicy()
    specs = [
        ReplicaSpec(replica, REGION, plan.host, "127.0.0.1", 9_000 + slot, FULL_FP32.id)
        for slot, replica in enumerate(replica_ids(plan.host, plan.replicas))
    ]
    board = Board(specs, policy=health, clock=clock)
    degradations = Degradations(board.changed.ring)
    journal = FileJournal(plan.directory / "journal.jsonl", clock=clock)
    journal.open()
    witness = Witness(plan.witness)
    runtime = WitnessedRuntime(witness, rng)
    prober = SimulatedProber(runtime)
    control = WitnessedControl(witness, rng)
    actuator = Actuator(board=board, runtime=runtime, prober=prober, control=control, memory=journal)
    tools = HealerTools(actuator, prober, control, runtime, runtime, journal)
    reflexes, time = ReflexLog(), ControllerTime(clock)
    hands = ReplicaOrders(board, actuator, tools.places, health)
    desk = OrderDesk(hands, None, board, journal, time, clock)
    reporter = Reporter(
        identity=_identity(plan.host, rng),
        board=board,
        reflexes=reflexes,
        memory=journal,
        gpus=_no_gpus(plan.directory, clock, rng, degradations),
        meter=HostMeter(clock=clock, state_dir=plan.directory),
        degradations=degradations,
        clock=clock,
    )
    return Host(
        board=board,
        runtime=runtime,
        journal=journal,
        keeper=JournalKeeper(journal, degradations, clock, rng),
        boot=Boot(board, actuator, tools.places, runtime, journal, plan.replicas, clock, rng),
        healer=Healer(board, tools, reflexes, RestartBudget(), clock),
        reflexes=reflexes,
        desk=desk,
        sync=SyncLoop(
            path=f"/api/v1/agents/{plan.host}/sync",
            line=plan.line,
            credentials=Credentials(
                host=plan.host,
                line=plan.line,
                join=JoinToken(plan.join_token),
                path=plan.directory / "credential.json",
                controller_time=time,
                degradations=degradations,
                rng=rng,
            ),
            board=board,
            reporter=reporter,
            journal=journal,
            desk=desk,
            degradations=degradations,
            clock=clock,
            rng=rng,
            pace=plan.pace,
        ),
        supervisor=Supervisor(clock=clock, rng=rng),
    )


def _identity(host: HostId, rng: random.Random) -> HostIdentity:
    return HostIdentity(
        host=host,
        region=REGION,
        boot_id=f"{rng.getrandbits(64):016x}",
        runtime="simulated",
        address="127.0.0.1",
        port=9_300,
        machine_orders=(),
    )


def _no_gpus(directory: Path, clock: Clock, rng: random.Random, degradations: Degradations) -> GpuWatch:
    """A watch that nobody runs: it has seen no driver."""
    sources = GpuSources(
        env={},
        log_path=directory / "nvml.log",
        memory=GpuMemoryFile(directory / "gpus.json"),
        boot_id=lambda: "boot",
        kernel_log=None,
    )
    return GpuWatch(sources=sources, table=shipped_table(), clock=clock, rng=rng, degradations=degradations)


def executed(witness: Path) -> Sequence[str]:
    """Numbers of the orders that were executed, in order, each as often as that happened."""
    return witness.read_text(encoding="utf-8").split() if witness.exists() else []
