"""What a running stack says about itself, in one file: how other commands find it.

The file is a statement, the lock (`home_lock.py`) is the truth: a state without a held lock is a leftover.
"""

from enum import StrEnum
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError


class Phase(StrEnum):
    """Where the stack as a whole stands."""

    STARTING = "starting"
    READY = "ready"
    STOPPING = "stopping"
    FAILED = "failed"


class PartState(StrEnum):
    """Where one process stands."""

    WAITING = "waiting"
    """For its dependencies."""
    STARTING = "starting"
    READY = "ready"
    RESTARTING = "restarting"
    """It ended by itself and comes back after a pause."""
    GIVEN_UP = "given_up"
    STOPPED = "stopped"


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class Part(_Frozen):
    """One supervised process."""

    name: str
    state: PartState
    pid: int | None
    """None while it does not run."""
    restarts: int
    log: Path


class EndpointRow(_Frozen):
    """A row of the table of ports and URLs."""

    name: str
    url: str
    purpose: str


class GatewayRow(_Frozen):
    """A gateway that clients may use."""

    region: str
    address: str
    port: int


class SimulatedGpusRow(_Frozen):
    """Simulated GPUs of one host: what `trimtab chaos xid 79` changes."""

    host: str
    directory: Path
    gpus: int


class StackState(_Frozen):
    """The whole stack."""

    supervisor_pid: int
    supervisor_started_unix_s: float
    """With the pid it names one process for ever: pids are reused, the pair is not."""
    phase: Phase
    detail: str
    controller_url: str
    endpoints: tuple[EndpointRow, ...]
    gateways: tuple[GatewayRow, ...]
    simulated_gpus: tuple[SimulatedGpusRow, ...] = ()
    parts: tuple[Part, ...]


def state_path(home: Path) -> Path:
    """Where a home keeps its state."""
    return home / "state.json"


def read_state(home: Path) -> StackState | None:
    """The last state that was written; None when there is none that can be read."""
    try:
        return StackState.model_validate_json(state_path(home).read_bytes())
    except (OSError, ValidationError):
        return None


def write_state(home: Path, state: StackState) -> None:
    """Replace the state atomically: readers see the old one or the new one."""
    path = state_path(home)
    beside = path.with_suffix(".tmp")
    beside.write_text(state.model_dump_json(indent=1), encoding="utf-8")
    beside.replace(path)
