"""What the agent needs from its host, as protocols of one to four methods.

A runtime (child processes, Docker, the simulation) implements the first four. All of them speak of *incarnations*: every
start of a process yields a new token, so that a late notice about a former process is never taken for its successor's.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from types import TracebackType
from typing import Protocol, Self

from agent.core.canary import Verdict
from agent.core.health import Probe, Vitals
from agent.core.owners import Footprint, Owner
from agent.core.receipts import MachineNote
from contracts.agent_api import Receipt
from contracts.serving_api import SloThresholds, SwitchProfileResponse
from contracts.vocabulary import GpuUuid, HostId, OrderKey, ProfileId, Region, ReplicaId

LOG_TAIL_LINES_MAX = 20
"""Enough for a traceback; every line travels with every report."""
LOG_LINE_CHARS_MAX = 400
"""A line longer than this is data, not a message."""


@dataclass(frozen=True, slots=True)
class ReplicaSpec:
    """Everything a process must be told to become a replica."""

    replica: ReplicaId
    region: Region
    host: HostId
    address: str
    port: int
    profile: ProfileId
    gpus: tuple[GpuUuid, ...] = ()
    """Devices it may use; empty on a host without GPUs."""


@dataclass(frozen=True, slots=True)
class Instance:
    """One running process of a replica."""

    replica: ReplicaId
    token: str
    """Unlike that of any other incarnation on this host."""
    address: str | None = None
    """Where it can be reached, when the runtime chose its machine; None: at its spec's address."""


@dataclass(frozen=True, slots=True)
class Exit:
    """An incarnation ended."""

    instance: Instance
    reason: str
    """For people: `exit code 1`, `signal SIGKILL`, `out of memory`."""


# ── the runtime ───────────────────────────────────────────────────────────────────────────────────────────────────────
class ReplicaRuntime(Protocol):
    """Starts and ends replica processes. Every method raises `ReplicaRuntimeError` when it could not."""

    async def start(self, spec: ReplicaSpec) -> Instance:
        """Make it run; an incarnation that already runs is returned as it is."""
        ...

    async def restart(self, spec: ReplicaSpec, grace_s: float) -> Instance:
        """End what runs and start anew; `grace_s` lets work finish first, 0 kills at once."""
        ...

    async def stop(self, replica: ReplicaId, grace_s: float) -> None:
        """End it; one that does not run is fine."""
        ...

    async def running(self) -> tuple[Instance, ...]:
        """Every replica process that runs here now, found afresh."""
        ...


class ExitFeed(Protocol):
    """Tells at once when a process ended, whoever ended it."""

    async def next_exit(self) -> Exit:
        """Wait for the next end of a process."""
        ...


class ProcessView(Protocol):
    """Looks at a process from outside, when it does not answer."""

    def vitals(self, replica: ReplicaId) -> Vitals | None:
        """CPU time and run state; None where they cannot be read."""
        ...

    async def log_tail(self, replica: ReplicaId) -> tuple[str, ...]:
        """Last `LOG_TAIL_LINES_MAX` lines that it wrote; empty where there are none."""
        ...


class FootprintView(Protocol):
    """Knows its replicas among the host's processes."""

    def footprints(self) -> tuple[Footprint, ...]:
        """By what the processes of each running replica are recognised; called from threads, so from memory only."""
        ...


class ProcessOwner(Protocol):
    """Tells whose a process is."""

    def owner_of(self, pid: int) -> Owner | None:
        """Replica and container of one process; None when it is gone or cannot be seen."""
        ...


class Runtime(ReplicaRuntime, ExitFeed, ProcessView, FootprintView, Protocol):
    """What `app` hands around: one object, seen by each part through the protocol it needs."""


class HostRuntime(Runtime, Protocol):
    """A runtime as the agent's own life needs it. Entering never fails: one that is away says so at each call."""

    async def __aenter__(self) -> Self: ...

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def watchers(self) -> Mapping[str, Callable[[], Awaitable[None]]]:
        """What must run beside it for ever, by name; a supervisor keeps each alive."""
        ...

    def gpus_of(self, replica: ReplicaId) -> tuple[GpuUuid, ...]:
        """Devices that its newest incarnation was given, as far as the runtime knows; empty where it does not."""
        ...


# ── the replicas ──────────────────────────────────────────────────────────────────────────────────────────────────────
class Prober(Protocol):
    """Asks a replica how it is."""

    async def probe(self, spec: ReplicaSpec) -> Probe:
        """One liveness probe, bounded by the prober's deadline; a missed one is a value."""
        ...

    def forget(self, replica: ReplicaId) -> None:
        """The process was replaced: drop its connection and any answer still on its way."""
        ...


class Speaker(Protocol):
    """Has a replica speak."""

    async def speak(self, spec: ReplicaSpec) -> Verdict:
        """One canary utterance, bounded in time and size; a failure is a verdict."""
        ...


class ReplicaControl(Protocol):
    """The control calls of a replica. Both raise `ReplicaControlError`."""

    async def put_slos(self, spec: ReplicaSpec, thresholds: SloThresholds) -> None:
        """Hand it the SLO thresholds to count by."""
        ...

    async def switch_profile(self, spec: ReplicaSpec, profile: ProfileId) -> SwitchProfileResponse:
        """Switch without a drop; a roll-back is an answer, not an error."""
        ...


# ── the GPUs ──────────────────────────────────────────────────────────────────────────────────────────────────────────
class GpuFitness(Protocol):
    """Knows which GPUs can carry work now."""

    @property
    def known(self) -> bool:
        """False until this host's GPUs were counted for the first time, or found to be none."""
        ...

    @property
    def has_driver(self) -> bool:
        """Whether a driver is installed, working or not: without one, this host is not meant to have GPUs."""
        ...

    def present(self) -> tuple[GpuUuid, ...]:
        """Every GPU of this host, fit or not, in PCI order; empty without a driver."""
        ...

    def why_unfit(self, gpu: GpuUuid) -> str | None:
        """Why nothing should be started there (down, lost, needs a reset); None when it is fit."""
        ...


class GpuUse(Protocol):
    """Knows what happens on a GPU besides its health."""

    def device_of(self, gpu: GpuUuid) -> GpuUuid | None:
        """The device that this is, or is a MIG instance of; None when it is not here."""
        ...

    def processes(self, gpu: GpuUuid) -> tuple[int, ...]:
        """Pids of the programs that the driver sees there, ours or not; empty where it cannot be asked."""
        ...

    def program_faults(self, gpu: GpuUuid) -> int:
        """Xids so far that call for a restart of the program that used the GPU. Only grows while the agent lives.

        One event of the driver counts once, however often it is heard of.
        """
        ...


class GpuDriver(Protocol):
    """Lets go of the driver, and takes it up again."""

    def released(self) -> AbstractAsyncContextManager[None]:
        """Inside, this agent has no device open: one that any program holds cannot be reset."""
        ...

    def reset_done(self, gpu: GpuUuid | None) -> None:
        """This GPU, or with None each of them, started afresh: its errors from before call for nothing any more."""
        ...


# ── the machine ───────────────────────────────────────────────────────────────────────────────────────────────────────
class Machine(Protocol):
    """Does what cannot be undone to this host. Its callers have made sure that nothing runs there any more."""

    def boot_id(self) -> str:
        """Names this boot of the kernel: another value means that the host was rebooted in between."""
        ...

    async def reset_gpu(self, gpu: GpuUuid) -> None:
        """Reset one device; raises `MachineError`. Returns when the reset was done, within the adapter's time limit."""
        ...

    async def reboot(self) -> None:
        """Begin to reboot; raises `MachineError`. Returns as soon as it was begun: the process is about to be ended."""
        ...


# ── memory ────────────────────────────────────────────────────────────────────────────────────────────────────────────
@dataclass(frozen=True, slots=True)
class ReplicaMemory:
    """What must outlive the agent process about one replica."""

    replica: ReplicaId
    generation: int
    wanted: bool
    """False once it was ordered to stop."""
    profile: ProfileId
    token: str
    """Incarnation that was running; with Docker it may still be."""
    gpus: tuple[GpuUuid, ...] = ()
    """Devices that it was given."""


class OrderJournal(Protocol):
    """Receipts that survive a crash: why a key is executed at most once."""

    def receipt(self, key: OrderKey) -> Receipt | None:
        """What became of this key; None when it was never seen."""
        ...

    async def record(self, receipt: Receipt) -> None:
        """Keep it. RUNNING is durable when this returns, or raises `JournalError`; a final one is kept in any case."""
        ...

    def unacknowledged(self) -> tuple[Receipt, ...]:
        """Receipts the controller has not confirmed, oldest first."""
        ...

    def acknowledge(self, keys: Sequence[OrderKey], *, known: bool = True) -> None:
        """The controller has (or, with `known=False`, asks again for) the final receipts of these keys."""
        ...


class HostMemory(Protocol):
    """The few facts that a restarted agent must not have forgotten. Written in the background, so it never blocks healing."""

    @property
    def epoch_seen(self) -> int:
        """Highest leader epoch ever heard of."""
        ...

    def raise_epoch(self, epoch: int) -> None:
        """Remember a higher epoch; a lower one changes nothing."""
        ...

    def replicas(self) -> tuple[ReplicaMemory, ...]:
        """What was remembered."""
        ...

    def remember(self, memory: ReplicaMemory) -> None:
        """Replace what is remembered of one replica."""
        ...


class MachineMemory(Protocol):
    """Machine orders of the last days, which must survive the reboots that they cause."""

    def machine_notes(self) -> tuple[MachineNote, ...]:
        """What was begun, oldest first."""
        ...

    async def note_machine(self, note: MachineNote) -> None:
        """Make it durable before returning; raises `JournalError`."""
        ...


class ThresholdStore(Protocol):
    """The newest SLO thresholds, kept so that replicas get them while the controller is away."""

    @property
    def thresholds(self) -> SloThresholds:
        """Revision 0 without thresholds until the controller sent some."""
        ...

    def keep_thresholds(self, thresholds: SloThresholds) -> None:
        """Replace them."""
        ...
