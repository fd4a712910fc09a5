"""Puts the agent together: the one module that knows which classes stand behind the ports.

Starting order: journal, runtime, replicas, then everything that watches them. Ending is the reverse: first nobody heals
or takes orders any more, then child processes finish their work within a bounded time. Containers run on.
"""

import asyncio
import random
from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import partial

import httpx

from agent.core.budget import RestartBudget
from agent.core.health import HealthPolicy
from agent.degradation import Degradations
from agent.exporter.compose import Observatory, PageSources, build_observatory
from agent.healing.actuator import Actuator
from agent.healing.board import Board
from agent.healing.boot import Boot
from agent.healing.healer import Healer
from agent.healing.medic import HealerTools
from agent.healing.places import GpuPlaces
from agent.healing.reflexes import ReflexLog
from agent.line.report import Reporter
from agent.line.sync import SyncLoop
from agent.memory.journal import FileJournal
from agent.memory.keeper import JournalKeeper
from agent.orders.desk import ControllerTime, OrderDesk
from agent.orders.machine import MachineOrders
from agent.orders.replicas import ReplicaOrders
from agent.outlook.outlook import Outlook, build_outlook
from agent.pages.server import PageServer
from agent.parts.host import (
    build_gpus,
    build_tools,
    gpu_sources,
    identity_of_boot,
    replica_client,
    replica_specs,
)
from agent.parts.line import build_sync
from agent.parts.machine import build_machine, driver_to_release, machine_policy
from agent.parts.pages import build_pages
from agent.parts.runtime import build_runtime
from agent.ports import HostRuntime, Machine
from agent.probes.gpu import GpuWatch
from agent.probes.host import HostMeter
from agent.settings import AgentSettings
from chassis.clock import Clock
from chassis.health import Readiness
from chassis.logs import logger
from chassis.supervisor import Supervisor

log = logger(__name__)
BOOTED = "replicas"
"""Readiness condition: every wanted replica was started or taken over."""


class StopRequestedError(Exception):
    """Raised inside the task group when the process was asked to end."""


@dataclass(slots=True)
class Agent:
    """The parts, put together; `run` is the life of the process."""

    settings: AgentSettings
    runtime: HostRuntime
    boot: Boot
    journal: FileJournal
    journal_keeper: JournalKeeper
    client: httpx.AsyncClient
    board: Board
    actuator: Actuator
    healer: Healer
    desk: OrderDesk
    sync: SyncLoop
    gpus: GpuWatch
    meter: HostMeter
    pages: PageServer
    observatory: Observatory
    outlook: Outlook
    degradations: Degradations
    readiness: Readiness
    supervisor: Supervisor

    async def run(self, stop: asyncio.Event) -> None:
        """Boot, then keep everything alive until `stop` is set."""
        async with AsyncExitStack() as stack:
            stack.push_async_callback(asyncio.to_thread, self.journal.close)
            stack.push_async_callback(self.sync.line.aclose)
            stack.push_async_callback(self.client.aclose)
            await stack.enter_async_context(self.runtime)
            try:
                async with asyncio.TaskGroup() as group:
                    group.create_task(_raise_on(stop))
                    self._keep_eyes(group)
                    await self.boot.take_over()
                    self._keep_hands(group)
                    await self.boot.finish()
                    self.readiness.hold(BOOTED)
            except* StopRequestedError:
                log.info("agent_stopping")

    def _keep_eyes(self, group: asyncio.TaskGroup) -> None:
        keep = self.supervisor.keep
        keep(group, "pages", self.pages.run)
        keep(group, "gpus", self.gpus.run)
        keep(group, "meter", self.meter.run)
        keep(group, "journal", self.journal_keeper.run)
        for name, run in {**self.runtime.watchers(), **self.observatory.watchers}.items():
            keep(group, name, run)

    def _keep_hands(self, group: asyncio.TaskGroup) -> None:
        """Whoever acts or reports, once it is known what runs here."""
        keep = self.supervisor.keep
        keep(group, "exits", self.healer.watch_exits)
        keep(group, "orders", self.desk.run)
        keep(group, "sync", self.sync.run)
        for name, run in self.outlook.watchers.items():
            keep(group, name, run)
        for replica in self.board.units:
            keep(group, f"keep {replica}", partial(self.healer.keep, replica))


@dataclass(frozen=True, slots=True)
class _World:
    """What every part is given."""

    settings: AgentSettings
    clock: Clock
    rng: random.Random
    environment: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class _Body:
    """What eyes, hands and voice share."""

    health: HealthPolicy
    board: Board
    degradations: Degradations
    machine: Machine
    journal: FileJournal
    client: httpx.AsyncClient
    gpus: GpuWatch
    places: GpuPlaces
    runtime: HostRuntime
    tools: HealerTools


def build_agent(settings: AgentSettings, *, clock: Clock, rng: random.Random, environment: Mapping[str, str]) -> Agent:
    """Every part of one host's agent."""
    world = _World(settings, clock, rng, environment)
    body = _build_body(world)
    healer, desk = _build_healer(world, body), _build_desk(world, body)
    meter = HostMeter(clock=clock, state_dir=settings.state_dir)
    outlook = build_outlook(settings, body.board, body.client, clock=clock, rng=rng)
    sync = build_sync(settings, desk, _build_reporter(world, body, healer, meter, outlook), clock=clock, rng=rng)
    supervisor = Supervisor(clock=clock, rng=rng)
    observatory = build_observatory(
        PageSources(
            healer=healer,
            desk=desk,
            sync=sync,
            reporter=sync.reporter,
            runtime=body.runtime,
            supervisor=supervisor,
            outlook=outlook,
            clock=clock,
        )
    )
    readiness = Readiness(required=(BOOTED,))
    return Agent(
        settings=settings,
        runtime=body.runtime,
        boot=_build_boot(world, body),
        journal=body.journal,
        client=body.client,
        journal_keeper=JournalKeeper(journal=body.journal, degradations=body.degradations, clock=clock, rng=rng),
        board=body.board,
        actuator=body.tools.actuator,
        healer=healer,
        desk=desk,
        sync=sync,
        gpus=body.gpus,
        meter=meter,
        pages=build_pages(settings, observatory, readiness, body.degradations, clock),
        observatory=observatory,
        outlook=outlook,
        degradations=body.degradations,
        readiness=readiness,
        supervisor=supervisor,
    )


def _build_body(world: _World) -> _Body:
    settings, clock, rng, environment = world.settings, world.clock, world.rng, world.environment
    health = HealthPolicy(start_deadline_s=settings.start_deadline_s)
    board = Board(replica_specs(settings), policy=health, clock=clock)
    degradations = Degradations(board.changed.ring)
    machine = build_machine(settings, environment, clock)
    journal = FileJournal(settings.state_dir / "journal.jsonl", clock=clock, boot_id=machine.boot_id())
    journal.open()
    client = replica_client()
    gpus = build_gpus(gpu_sources(settings, environment, machine), clock, rng, degradations)
    places = GpuPlaces(fitness=gpus.ledger, use=gpus.ledger, per_replica=settings.gpus_per_replica)
    runtime = build_runtime(
        settings, clock=clock, rng=rng, environment=environment, degradations=degradations, places=places
    )
    tools = build_tools(board, runtime, journal, client, places, clock)
    return _Body(health, board, degradations, machine, journal, client, gpus, places, runtime, tools)


def _build_boot(world: _World, body: _Body) -> Boot:
    return Boot(
        board=body.board,
        actuator=body.tools.actuator,
        places=body.places,
        runtime=body.runtime,
        memory=body.journal,
        replicas=world.settings.replicas,
        clock=world.clock,
        rng=world.rng,
    )


def _build_healer(world: _World, body: _Body) -> Healer:
    return Healer(
        board=body.board,
        tools=body.tools,
        reflexes=ReflexLog(),
        budget=RestartBudget(backoff_s=world.settings.restart_backoff_s),
        clock=world.clock,
        degradations=body.degradations,
    )


def _build_desk(world: _World, body: _Body) -> OrderDesk:
    return OrderDesk(
        replicas=ReplicaOrders(board=body.board, actuator=body.tools.actuator, places=body.places, health=body.health),
        machine=MachineOrders(
            policy=machine_policy(world.settings),
            machine=body.machine,
            board=body.board,
            places=body.places,
            memory=body.journal,
            driver=driver_to_release(world.settings, body.gpus),
            clock=world.clock,
        ),
        board=body.board,
        journal=body.journal,
        controller_time=ControllerTime(world.clock),
        clock=world.clock,
    )


def _build_reporter(world: _World, body: _Body, healer: Healer, meter: HostMeter, outlook: Outlook) -> Reporter:
    return Reporter(
        identity=identity_of_boot(world.settings, world.rng),
        board=body.board,
        reflexes=healer.reflexes,
        memory=body.journal,
        gpus=body.gpus,
        meter=meter,
        degradations=body.degradations,
        clock=world.clock,
        places=body.places,
        rtts_s=outlook.rtts.newest_s,
    )


async def _raise_on(stop: asyncio.Event) -> None:
    await stop.wait()
    raise StopRequestedError
