"""One supervisor per home: a lock that the kernel releases whatever way its holder dies."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

from trimtab.supervisor.errors import HomeInUseError
from trimtab.supervisor.state import StackState, read_state


def lock_path(home: Path) -> Path:
    """The file whose lock means ownership; its content does not matter."""
    return home / "lock"


@contextmanager
def owned_home(home: Path) -> Iterator[None]:
    """Own `home` while the block runs; raises `HomeInUseError` that names the present owner."""
    home.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(lock_path(home), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        if not _try_lock(descriptor):
            raise HomeInUseError(_already_running(home))
        yield
    finally:
        os.close(descriptor)


def is_owned(home: Path) -> bool:
    """True while some supervisor owns `home`."""
    try:
        descriptor = os.open(lock_path(home), os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        return not _try_lock(descriptor)
    finally:
        os.close(descriptor)


def running_state(home: Path) -> StackState | None:
    """State of the stack that runs in `home` now; None when none does, or when it has not yet said anything."""
    if not is_owned(home):
        return None
    state = read_state(home)
    return state if state is not None and is_alive(state.supervisor_pid, state.supervisor_started_unix_s) else None


def is_alive(pid: int, started_unix_s: float) -> bool:
    """True when that very process runs, not merely one that got its number later."""
    try:
        process = psutil.Process(pid)
        return abs(process.create_time() - started_unix_s) < 1.0 and process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False


def _try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _already_running(home: Path) -> str:
    state = read_state(home)
    owner = f"by process {state.supervisor_pid} ({state.phase})" if state else "by another supervisor that is starting"
    return (
        f"{home} is in use {owner}. See it with `trimtab status`, stop it with `trimtab down`, "
        "or choose another --home and --port-offset."
    )
