"""The runtime of an agent, built from its settings.

Docker's SDK costs 12 MB and up to 0.7 s to import, so only hosts that use it do: its adapters are imported where they are
made.
"""

import random
import sys
from collections.abc import Callable, Mapping

from agent.degradation import Degradations
from agent.places import GpuPlaces
from agent.ports import HostRuntime
from agent.runtimes.containers import ContainerTemplate
from agent.runtimes.process import ProcessPlan, ProcessRuntime
from agent.settings import AgentSettings, RuntimeKind
from chassis.clock import Clock

ENGINE_PART = "docker"
"""Name under which an engine that is away is reported as degraded."""


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
            return _processes(settings, clock, rng, environment)
        case RuntimeKind.DOCKER:
            return _docker(settings, clock, degradations, places)


def container_template(settings: AgentSettings) -> ContainerTemplate | None:
    """How to make a container, when an image is set; the image knows its own Python, so nothing else is passed on."""
    if not settings.docker_image:
        return None
    return ContainerTemplate(
        image=settings.docker_image,
        command=settings.serving_command or ("python", "-m", "serving"),
        environment=settings.serving_environment,
        binds=settings.docker_binds,
        cpus=settings.docker_cpus,
        memory_bytes=None if settings.docker_memory_mib is None else settings.docker_memory_mib << 20,
    )


def _processes(
    settings: AgentSettings, clock: Clock, rng: random.Random, environment: Mapping[str, str]
) -> ProcessRuntime:
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


def _docker(settings: AgentSettings, clock: Clock, degradations: Degradations, places: GpuPlaces) -> HostRuntime:
    from agent.runtimes.docker import DockerRuntime  # noqa: PLC0415  # see the module's docstring
    from agent.runtimes.docker_engine import DockerEngine  # noqa: PLC0415

    return DockerRuntime(
        label=settings.docker_label,
        template=container_template(settings),
        clock=clock,
        engine=DockerEngine(on_trouble=_told_to(degradations)),
        gpus_present=places.gpus_present,
    )


def _told_to(degradations: Degradations) -> Callable[[str | None], None]:
    def tell(trouble: str | None) -> None:
        if trouble is None:
            degradations.clear(ENGINE_PART)
        else:
            degradations.set(ENGINE_PART, trouble)

    return tell
