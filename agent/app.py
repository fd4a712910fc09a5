"""Puts the agent together: the one module that knows which classes stand behind the ports.

Starting order: journal, runtime, replicas, then everything that watches them. Ending is the reverse: first nobody heals
or takes orders any more, then child processes finish their work within a bounded time. Containers run on.
"""

import asyncio
import random
from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from functools import partial

import httpx

from agent.actuator import Actuator
from agent.api import PageServer
from agent.board import Board
from agent.core.budget import RestartBudget
from agent.core.health import HealthPolicy
from agent.degradation import Degradations
from agent.errors import ReplicaRuntimeError
from agent.exporter.compose import PageSources, build_exporter
from agent.healer import Healer
from agent.journal import FileJournal
from agent.orders import ControllerTime, OrderDesk
from agent.parts import (
    build_gpus,
    build_pages,
    build_runtime,
    build_tools,
    identity_of_boot,
    replica_specs,
    sync_url,
)
from agent.ports import ReplicaSpec
from agent.probes.gpu import GpuWatch
from agent.probes.host import HostMeter
from agent.reflexes import ReflexLog
from agent.report import Reporter
from agent.runtimes.docker import DockerRuntime
from agent.runtimes.process import ProcessRuntime
from agent.settings import AgentSettings
from agent.sync import SyncLoop
from chassis.clock import Clock
from chassis.health import Readiness
from chassis.logs import logger
from chassis.supervisor import Supervisor

log = logger(__name__)
CONNECTIONS_MAX = 80
"""Of the HTTP client: one per replica of the largest host, one to the controller, and some on their way out."""
BOOTED = "replicas"
"""Readiness condition: every wanted replica was started or taken over."""


class StopRequestedError(Exception):
    """Raised inside the task group when the process was asked to end."""


@dataclass(slots=True)
class Agent:
    """The parts, put together; `run` is the life of the process."""

    settings: AgentSettings
    runtime: ProcessRuntime | DockerRuntime
    journal: FileJournal
    board: Board
    actuator: Actuator
    healer: Healer
    desk: OrderDesk
    sync: SyncLoop
    gpus: GpuWatch
    meter: HostMeter
    pages: PageServer
    degradations: Degradations
    readiness: Readiness
    supervisor: Supervisor

    async def run(self, stop: asyncio.Event) -> None:
        """Boot, then keep everything alive until `stop` is set."""
        async with AsyncExitStack() as stack:
            stack.push_async_callback(asyncio.to_thread, self.journal.close)
            stack.push_async_callback(self.sync.client.aclose)
            await stack.enter_async_context(self.runtime)
            try:
                async with asyncio.TaskGroup() as group:
                    group.create_task(_raise_on(stop))
                    self._keep_all(group)
                    await self._boot()
            except* StopRequestedError:
                log.info("agent_stopping")

    def _keep_all(self, group: asyncio.TaskGroup) -> None:
        keep = self.supervisor.keep
        keep(group, "pages", self.pages.run)
        keep(group, "exits", self.healer.watch_exits)
        keep(group, "orders", self.desk.run)
        keep(group, "sync", self.sync.run)
        keep(group, "gpus", self.gpus.run)
        keep(group, "meter", self.meter.run)
        if isinstance(self.runtime, DockerRuntime):
            keep(group, "docker_events", self.runtime.follow)
        for replica in self.board.units:
            keep(group, f"keep {replica}", partial(self.healer.keep, replica))

    async def _boot(self) -> None:
        """Take over what runs and start what is wanted; what cannot be started is CRASHED and healed like any other."""
        remembered = {memory.replica: memory for memory in self.journal.replicas()}
        running = {instance.replica: instance for instance in await self.runtime.running()}
        async with asyncio.TaskGroup() as starts:
            for slot, (replica, unit) in enumerate(self.board.units.items()):
                memory = remembered.get(replica)
                if memory is not None:
                    unit.generation = memory.generation
                    self.board.assign(replace(unit.spec, profile=memory.profile))
                if replica in running:
                    self.actuator.adopt(running[replica], memory)
                elif memory.wanted if memory is not None else slot < self.settings.replicas:
                    starts.create_task(self._start_at_boot(unit.spec))
        self.readiness.hold(BOOTED)

    async def _start_at_boot(self, spec: ReplicaSpec) -> None:
        if not self.board.claim(spec.replica, "boot"):
            return
        try:
            await self.actuator.start(spec.replica)
        except ReplicaRuntimeError as error:
            log.warning("replica_not_started", replica=spec.replica, error=str(error), cause=repr(error.__cause__))
        finally:
            self.board.release(spec.replica)


def build_agent(settings: AgentSettings, *, clock: Clock, rng: random.Random, environment: Mapping[str, str]) -> Agent:
    """Every part of one host's agent; raises `JournalError` when its memory cannot be read."""
    health = HealthPolicy(start_deadline_s=settings.start_deadline_s)
    board = Board(replica_specs(settings), policy=health, clock=clock)
    degradations = Degradations(board.changed.ring)
    journal = FileJournal(settings.state_dir / "journal.jsonl", clock=clock)
    journal.open()
    runtime = build_runtime(settings, clock=clock, rng=rng, environment=environment)
    client = httpx.AsyncClient(limits=httpx.Limits(max_connections=CONNECTIONS_MAX), trust_env=False)
    tools = build_tools(board, runtime, journal, client, clock)
    reflexes = ReflexLog()
    budget = RestartBudget(backoff_s=settings.restart_backoff_s)
    healer = Healer(board=board, tools=tools, reflexes=reflexes, budget=budget, clock=clock)
    time = ControllerTime(clock)
    desk = OrderDesk(
        board=board, actuator=tools.actuator, journal=journal, controller_time=time, health=health, clock=clock
    )
    gpus = build_gpus(settings, clock, rng, environment)
    meter = HostMeter(clock=clock, state_dir=settings.state_dir)
    identity = identity_of_boot(settings, rng)
    reporter = Reporter(
        identity=identity,
        board=board,
        reflexes=reflexes,
        memory=journal,
        gpus=gpus,
        meter=meter,
        degradations=degradations,
        clock=clock,
    )
    sync = SyncLoop(
        url=sync_url(settings),
        client=client,
        token=settings.token.get_secret_value(),
        board=board,
        reporter=reporter,
        journal=journal,
        desk=desk,
        clock=clock,
        rng=rng,
    )
    sources = PageSources(
        board=board, healer=healer, reflexes=reflexes, desk=desk, gpus=gpus, meter=meter, sync=sync, clock=clock
    )
    readiness = Readiness(required=(BOOTED,))
    return Agent(
        settings=settings,
        runtime=runtime,
        journal=journal,
        board=board,
        actuator=tools.actuator,
        healer=healer,
        desk=desk,
        sync=sync,
        gpus=gpus,
        meter=meter,
        pages=build_pages(settings, build_exporter(sources), readiness, degradations),
        degradations=degradations,
        readiness=readiness,
        supervisor=Supervisor(clock=clock, rng=rng),
    )


async def _raise_on(stop: asyncio.Event) -> None:
    await stop.wait()
    raise StopRequestedError
