"""The parts of an agent, each built from the settings it needs: what `app` puts together."""

import random
import ssl
from collections.abc import Mapping

import httpx

from agent.degradation import Degradations
from agent.healing.actuator import Actuator
from agent.healing.board import Board
from agent.healing.control import HttpReplicaControl
from agent.healing.medic import HealerTools
from agent.healing.places import GpuPlaces
from agent.line.report import HostIdentity
from agent.memory.journal import FileJournal
from agent.parts.machine import machine_policy
from agent.ports import Machine, ReplicaSpec, Runtime
from agent.probes.gpu import GpuSources, GpuWatch
from agent.probes.gpu_memory import GpuMemoryFile
from agent.probes.kernel_log import KERNEL_LOG
from agent.probes.process import HttpProber
from agent.settings import AgentSettings
from agent.simulated_gpus.directory import reader_environment
from agent.xid_table import shipped_table
from chassis.clock import Clock

CONNECTIONS_MAX = 80
"""Of the client to the replicas: one per replica of the largest host, and some on their way out."""


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


def replica_client() -> httpx.AsyncClient:
    """To the replicas, over plain HTTP: a TLS context that trusts nobody leaves the 3 MB of the usual roots unread."""
    nobody = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    return httpx.AsyncClient(limits=httpx.Limits(max_connections=CONNECTIONS_MAX), verify=nobody, trust_env=False)


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


def gpu_sources(settings: AgentSettings, environment: Mapping[str, str], machine: Machine) -> GpuSources:
    """Where this host's GPUs are looked for, or simulated ones: of those the kernel knows nothing."""
    simulated = settings.simulated_gpus
    return GpuSources(
        env=environment if simulated is None else reader_environment(simulated, environment),
        log_path=settings.state_dir / "logs" / "nvml.log",
        memory=GpuMemoryFile(settings.state_dir / "gpus.json"),
        boot_id=machine.boot_id,
        kernel_log=KERNEL_LOG if simulated is None else None,
    )


def build_gpus(sources: GpuSources, clock: Clock, rng: random.Random, degradations: Degradations) -> GpuWatch:
    """The watch over this host's GPUs, or over their absence."""
    return GpuWatch(sources=sources, table=shipped_table(), clock=clock, rng=rng, degradations=degradations)


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
