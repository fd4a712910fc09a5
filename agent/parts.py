"""The parts of an agent, each built from the settings it needs: what `app` puts together."""

import json
import random
import sys
from collections.abc import Mapping
from importlib.resources import files

import httpx
import yaml

from agent.actuator import Actuator
from agent.api import PageServer, Response
from agent.board import Board
from agent.control import HttpReplicaControl
from agent.core.xid import XidTable, parse_table
from agent.degradation import Degradations
from agent.exporter import CONTENT_TYPE, Exporter
from agent.healer import HealerTools
from agent.journal import FileJournal
from agent.ports import ReplicaSpec, Runtime
from agent.probes.gpu import GpuWatch
from agent.probes.process import HttpProber
from agent.report import HostIdentity
from agent.runtimes.docker import ContainerTemplate, DockerRuntime
from agent.runtimes.process import ProcessPlan, ProcessRuntime
from agent.settings import AgentSettings, RuntimeKind
from chassis.clock import Clock
from chassis.health import Readiness


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


def build_pages(
    settings: AgentSettings, exporter: Exporter, readiness: Readiness, degradations: Degradations
) -> PageServer:
    """The three pages. A degraded agent is ready, and says what it cannot do."""

    def readyz() -> Response:
        body = {
            "ready": readiness.ready,
            "reason": readiness.reason,
            "degraded": {degradation.part: degradation.reason for degradation in degradations.current()},
        }
        return Response(200 if readiness.ready else 503, json.dumps(body) + "\n", "application/json")

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
