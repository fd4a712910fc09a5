"""The runtime of an agent, built from its settings.

Docker's SDK costs 12 MB and up to 0.7 s to import, so only hosts that use it do: its adapters are imported where they are
made.
"""

import random
import sys
from collections.abc import Callable, Mapping

from agent.degradation import Degradations
from agent.healing.places import GpuPlaces
from agent.ports import HostRuntime
from agent.runtimes.containers import ContainerTemplate
from agent.runtimes.process import ProcessPlan, ProcessRuntime
from agent.settings import AgentSettings, RuntimeKind
from chassis.clock import Clock

ENGINE_PART, SWARM_PART, LOGS_PART = "docker", "swarm", "logs"
"""Names under which an engine that is away, one that manages no cluster, or replicas without a log are reported."""

GPU_BINDING_ENGINES = frozenset({"torch", "tensorrt", "maya1"})
"""Engines of the serving process whose models are placed on a device as they load."""


def build_runtime(
    settings: AgentSettings,
    *,
    clock: Clock,
    rng: random.Random,
    environment: Mapping[str, str],
    degradations: Degradations,
    places: GpuPlaces,
) -> HostRuntime:
    """What the settings chose."""
    match settings.runtime:
        case RuntimeKind.PROCESS:
            return _processes(settings, clock, rng, environment, degradations)
        case RuntimeKind.DOCKER:
            return _docker(settings, clock, degradations, places)
        case RuntimeKind.SWARM:
            return _swarm(settings, clock, degradations, places)


def container_template(settings: AgentSettings) -> ContainerTemplate:
    """How to make a container; the image knows its own Python, so nothing else is passed on."""
    return ContainerTemplate(
        image=settings.docker_image,
        command=settings.serving_command or ("python", "-m", "serving"),
        environment=settings.serving_environment,
        binds=settings.docker_binds,
        cpus=settings.docker_cpus,
        memory_bytes=None if settings.docker_memory_mib is None else settings.docker_memory_mib << 20,
    )


def _processes(
    settings: AgentSettings,
    clock: Clock,
    rng: random.Random,
    environment: Mapping[str, str],
    degradations: Degradations,
) -> ProcessRuntime:
    argv = settings.serving_command or (sys.executable, "-m", "serving")
    plan = ProcessPlan(
        argv=argv,
        spare_argv=(*argv, "spare"),
        environment={**environment, **settings.serving_environment},
        log_directory=settings.state_dir / "logs",
        spares=settings.spares,
        stop_grace_s=settings.stop_grace_s,
        binds_gpu_at_load=settings.replica_engine in GPU_BINDING_ENGINES,
    )
    return ProcessRuntime(plan=plan, clock=clock, rng=rng, on_log_trouble=_told_to(degradations, LOGS_PART))


def _docker(settings: AgentSettings, clock: Clock, degradations: Degradations, places: GpuPlaces) -> HostRuntime:
    from agent.runtimes.docker import DockerRuntime  # noqa: PLC0415  # see the module's docstring
    from agent.runtimes.docker_engine import DockerEngine  # noqa: PLC0415

    return DockerRuntime(
        label=settings.docker_label,
        template=container_template(settings) if settings.docker_image else None,
        clock=clock,
        engine=DockerEngine(on_trouble=_told_to(degradations, ENGINE_PART)),
        gpus_present=places.gpus_present,
    )


def _swarm(settings: AgentSettings, clock: Clock, degradations: Degradations, places: GpuPlaces) -> HostRuntime:
    from agent.runtimes.docker_engine import DockerEngine  # noqa: PLC0415
    from agent.runtimes.swarm import SwarmRuntime  # noqa: PLC0415
    from agent.runtimes.swarm_services import SwarmTemplate  # noqa: PLC0415

    return SwarmRuntime(
        label=settings.docker_label,
        template=SwarmTemplate(
            container=container_template(settings),
            stop_grace_s=settings.swarm_stop_grace_s,
            constraints=settings.swarm_constraints,
            bind_address=str(settings.replica_address),
        ),
        clock=clock,
        engine=DockerEngine(on_trouble=_told_to(degradations, ENGINE_PART)),
        gpus_present=places.gpus_present,
        on_trouble=_told_to(degradations, SWARM_PART),
    )


def _told_to(degradations: Degradations, part: str) -> Callable[[str | None], None]:
    def tell(trouble: str | None) -> None:
        if trouble is None:
            degradations.clear(part)
        else:
            degradations.set(part, trouble)

    return tell
