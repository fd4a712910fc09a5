"""The words of a stack: listeners, readiness checks, files, processes and the plan that orders them.

A plan is complete before anything starts: the supervisor has nothing left to choose. It is also checked before anything
starts: unknown dependencies, cycles and two processes on one port are errors of the plan, not surprises at run time.
"""

from dataclasses import dataclass
from pathlib import Path

from contracts.vocabulary import HostId, Region

READY_WITHIN_S = 30.0
"""Longest start of an ordinary program; replicas that load a voice get more from their own plan."""
STOP_GRACE_S = 5.0
"""SIGTERM to SIGKILL for programs that have nothing to finish."""


class PlanError(ValueError):
    """The plan contradicts itself; the message names the processes."""


@dataclass(frozen=True, slots=True, order=True)
class Listener:
    """An address that a process will listen on."""

    address: str
    port: int

    @property
    def url(self) -> str:
        """As people and HTTP clients write it."""
        return f"http://{self.address}:{self.port}"


@dataclass(frozen=True, slots=True)
class ReadyHttp:
    """Ready when a GET is answered with 2xx."""

    url: str


@dataclass(frozen=True, slots=True)
class ReadyTcp:
    """Ready when a connection is accepted: for programs that do not speak HTTP."""

    listener: Listener


ReadyCheck = ReadyHttp | ReadyTcp


@dataclass(frozen=True, slots=True)
class RestartPolicy:
    """The first restart comes at once; a part that keeps dying gets longer and longer pauses, and then is given up."""

    base_s: float = 0.5
    cap_s: float = 10.0
    attempts_max: int = 8
    """Failures in a row before giving up: with the default pauses that is about a minute of trying."""


@dataclass(frozen=True, slots=True)
class RenderedFile:
    """A file that must exist, with this content, before its process starts."""

    path: Path
    content: str
    mode: int = 0o644


@dataclass(frozen=True, slots=True)
class ProcessPlan:
    """One supervised program."""

    name: str
    argv: tuple[str, ...]
    log: Path
    listeners: tuple[Listener, ...]
    """Checked to be free before anything starts. Ports of grandchildren (replicas) are listed with their agent."""
    ready: tuple[ReadyCheck, ...]
    env: tuple[tuple[str, str], ...] = ()
    files: tuple[RenderedFile, ...] = ()
    directories: tuple[Path, ...] = ()
    depends_on: tuple[str, ...] = ()
    """Names that must be ready first."""
    critical: bool = True
    """Without it the rest is pointless: when it is given up, the whole stack stops."""
    restart: RestartPolicy = RestartPolicy()
    ready_within_s: float = READY_WITHIN_S
    stop_grace_s: float = STOP_GRACE_S


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A row of the table that people see when everything is up."""

    name: str
    url: str
    purpose: str


@dataclass(frozen=True, slots=True)
class Gateway:
    """Where clients of one region send their requests."""

    region: Region
    listener: Listener


@dataclass(frozen=True, slots=True)
class SimulatedGpus:
    """GPUs of one host that exist in a file only."""

    host: HostId
    directory: Path
    gpus: int


@dataclass(frozen=True, slots=True)
class StackPlan:
    """Every process, in an order in which they can start."""

    processes: tuple[ProcessPlan, ...]
    endpoints: tuple[Endpoint, ...]
    gateways: tuple[Gateway, ...]
    controller: Listener
    scratch: tuple[Path, ...] = ()
    """Directories outside the home (shared memory) that are removed when the stack stops."""
    simulated_gpus: tuple[SimulatedGpus, ...] = ()
    """Made afresh at every start of the stack, before its agents."""

    def __post_init__(self) -> None:
        _refuse_shared_listeners(self.processes)
        self.waves()

    def waves(self) -> tuple[tuple[ProcessPlan, ...], ...]:
        """Groups that can start together, each after the one before; stopping goes backwards."""
        waves: list[tuple[ProcessPlan, ...]] = []
        started: set[str] = set()
        waiting = list(self.processes)
        while waiting:
            wave = tuple(process for process in waiting if started.issuperset(process.depends_on))
            if not wave:
                names = ", ".join(process.name for process in waiting)
                msg = f"these wait for each other or for something unknown: {names}"
                raise PlanError(msg)
            waves.append(wave)
            started.update(process.name for process in wave)
            waiting = [process for process in waiting if process.name not in started]
        return tuple(waves)


def _refuse_shared_listeners(processes: tuple[ProcessPlan, ...]) -> None:
    owners: dict[Listener, str] = {}
    for process in processes:
        for listener in process.listeners:
            if listener in owners:
                msg = f"{process.name} and {owners[listener]} both want {listener.address}:{listener.port}"
                raise PlanError(msg)
            owners[listener] = process.name
