"""Puts the agent together: the one module that knows which classes stand behind the ports.

Starting order: journal, runtime, replicas, then everything that watches them. Ending is the reverse: first nobody heals
or takes orders any more, then child processes finish their work within a bounded time. Containers run on.
"""

import asyncio
import json
import random
import sys
from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from functools import partial
from importlib.resources import files

import httpx
import yaml

from agent.actuator import Actuator
from agent.api import PageServer, Response
from agent.board import Board
from agent.control import HttpReplicaControl
from agent.core.budget import RestartBudget
from agent.core.health import HealthPolicy
from agent.core.xid import XidTable, parse_table
from agent.errors import ReplicaRuntimeError
from agent.exporter import CONTENT_TYPE, Exporter
from agent.healer import Healer, HealerTools
from agent.journal import FileJournal
from agent.orders import ControllerTime, OrderDesk
from agent.ports import ReplicaSpec, Runtime
from agent.probes.gpu import GpuWatch
from agent.probes.host import HostMeter
from agent.probes.process import HttpProber
from agent.reflexes import ReflexLog
from agent.report import HostIdentity, Reporter
from agent.runtimes.docker import ContainerTemplate, DockerRuntime
from agent.runtimes.process import ProcessPlan, ProcessRuntime
from agent.settings import AgentSettings, RuntimeKind
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
    journal = FileJournal(settings.state_dir / "journal.jsonl", clock=clock)
    journal.open()
    health = HealthPolicy(start_deadline_s=settings.start_deadline_s)
    board = Board(replica_specs(settings), policy=health, clock=clock)
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
    meter = HostMeter(clock)
    identity = identity_of_boot(settings, rng)
    reporter = Reporter(
        identity=identity, board=board, reflexes=reflexes, memory=journal, gpus=gpus, meter=meter, clock=clock
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
    exporter = Exporter(
        board=board, healer=healer, reflexes=reflexes, desk=desk, sync=sync, gpus=gpus, meter=meter, clock=clock
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
        pages=build_pages(settings, exporter, readiness),
        readiness=readiness,
        supervisor=Supervisor(clock=clock, rng=rng),
    )


# ── parts ─────────────────────────────────────────────────────────────────────────────────────────────────────────────
def replica_specs(settings: AgentSettings) -> tuple[ReplicaSpec, ...]:
    """One per slot."""
    return tuple(
        ReplicaSpec(
            replica=replica,
            region=settings.home_region,
            host=settings.host,
            address=str(settings.replica_address),
            port=settings.replica_port_base + slot,
            profile=settings.replica_profile,
        )
        for slot, replica in enumerate(settings.replica_ids)
    )


def build_runtime(
    settings: AgentSettings, *, clock: Clock, rng: random.Random, environment: Mapping[str, str]
) -> ProcessRuntime | DockerRuntime:
    """What the settings chose."""
    if settings.runtime is RuntimeKind.DOCKER:
        return DockerRuntime(label=settings.docker_label, template=container_template(settings), clock=clock)
    argv = settings.serving_command or (sys.executable, "-m", "serving")
    plan = ProcessPlan(
        argv=argv,
        spare_argv=(*argv, "spare"),
        environment={**environment, **settings.serving_environment},
        log_directory=settings.state_dir / "logs",
        spares=settings.spares,
        stop_grace_s=settings.stop_grace_s,
    )
    return ProcessRuntime(plan=plan, clock=clock, rng=rng)


def container_template(settings: AgentSettings) -> ContainerTemplate | None:
    """How to make a container, when an image is set; the image knows its own Python, so nothing else is passed on."""
    if not settings.docker_image:
        return None
    return ContainerTemplate(
        image=settings.docker_image,
        command=settings.serving_command or ("python", "-m", "serving"),
        environment=settings.serving_environment,
        binds=settings.docker_binds,
    )


def build_tools(
    board: Board, runtime: Runtime, journal: FileJournal, client: httpx.AsyncClient, clock: Clock
) -> HealerTools:
    """Eyes and hands over one runtime; orders use the same hands."""
    prober = HttpProber(view=runtime, clock=clock)
    control = HttpReplicaControl(client)
    return HealerTools(
        actuator=Actuator(board=board, runtime=runtime, prober=prober, control=control, memory=journal),
        prober=prober,
        control=control,
        view=runtime,
        exits=runtime,
        thresholds=journal,
    )


def build_gpus(settings: AgentSettings, clock: Clock, rng: random.Random, environment: Mapping[str, str]) -> GpuWatch:
    """The watch over this host's GPUs, or over their absence."""
    log_path = settings.state_dir / "logs" / "nvml.log"
    return GpuWatch(clock=clock, rng=rng, table=xid_table(), env=environment, log_path=log_path)


def identity_of_boot(settings: AgentSettings, rng: random.Random) -> HostIdentity:
    """Who this agent is until it ends."""
    return HostIdentity(
        host=settings.host,
        region=settings.home_region,
        boot_id=f"{rng.getrandbits(64):016x}",
        runtime=settings.runtime.value,
        address=str(settings.address),
        port=settings.port,
    )


def sync_url(settings: AgentSettings) -> str:
    """Where this host reports."""
    return f"{str(settings.controller_url).rstrip('/')}/api/v1/agents/{settings.host_id}/sync"


def build_pages(settings: AgentSettings, exporter: Exporter, readiness: Readiness) -> PageServer:
    """The three pages."""

    def readyz() -> Response:
        body = json.dumps({"ready": readiness.ready, "reason": readiness.reason}) + "\n"
        return Response(200 if readiness.ready else 503, body, "application/json")

    return PageServer(
        address=str(settings.address),
        port=settings.port,
        routes={
            "/metrics": lambda: Response(200, exporter.render(), CONTENT_TYPE),
            "/livez": lambda: Response(200, "alive\n"),
            "/readyz": readyz,
        },
    )


def xid_table() -> XidTable:
    """The table that ships with the package."""
    return parse_table(yaml.safe_load(files("agent").joinpath("data/xid_actions.yaml").read_text(encoding="utf-8")))


async def _raise_on(stop: asyncio.Event) -> None:
    await stop.wait()
    raise StopRequestedError
