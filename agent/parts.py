"""The parts of an agent, each built from the settings it needs: what `app` puts together."""

import random
from collections.abc import Mapping
from importlib.resources import files

import httpx
import yaml

from agent.actuator import Actuator
from agent.board import Board
from agent.control import HttpReplicaControl
from agent.core.xid import XidTable, parse_table
from agent.journal import FileJournal
from agent.machine_parts import machine_policy
from agent.medic import HealerTools
from agent.places import GpuPlaces
from agent.ports import ReplicaSpec, Runtime
from agent.probes.gpu import GpuWatch
from agent.probes.process import HttpProber
from agent.report import HostIdentity
from agent.settings import AgentSettings
from agent.simulated_gpus.directory import reader_environment
from chassis.clock import Clock


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


def build_tools(
    board: Board, runtime: Runtime, journal: FileJournal, client: httpx.AsyncClient, places: GpuPlaces, clock: Clock
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
        places=places,
    )


def build_gpus(settings: AgentSettings, clock: Clock, rng: random.Random, environment: Mapping[str, str]) -> GpuWatch:
    """The watch over this host's GPUs, over their absence, or over simulated ones."""
    log_path = settings.state_dir / "logs" / "nvml.log"
    if settings.simulated_gpus is not None:
        environment = reader_environment(settings.simulated_gpus, environment)
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
        machine_orders=tuple(sorted(machine_policy(settings).permitted)),
    )


def sync_url(settings: AgentSettings) -> str:
    """Where this host reports."""
    return f"{str(settings.controller_url).rstrip('/')}/api/v1/agents/{settings.host_id}/sync"


def xid_table() -> XidTable:
    """The table that ships with the package."""
    return parse_table(yaml.safe_load(files("agent").joinpath("data/xid_actions.yaml").read_text(encoding="utf-8")))
