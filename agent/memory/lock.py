"""One agent per state directory: two would take turns in rewriting each other's journal, and execute each other's orders.

The kernel lets go of the lock whatever way its holder ends. A directory that cannot be written has no lock: the agent
runs degraded there, and nobody writes a journal.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

LOCK_NAME = "agent.lock"
PID_BYTES_MAX = 32


class StateInUseError(Exception):
    """Another agent has this state directory; the message names its process."""


@contextmanager
def only_agent_of(state_dir: Path) -> Iterator[None]:
    """Have `state_dir` to oneself while the block runs; raises `StateInUseError`."""
    descriptor = _opened(state_dir)
    if descriptor is None:
        yield
        return
    try:
        _lock(descriptor, state_dir)
        yield
    finally:
        os.close(descriptor)


def _opened(state_dir: Path) -> int | None:
    try:
        state_dir.mkdir(parents=True, exist_ok=True)
        return os.open(state_dir / LOCK_NAME, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    except OSError:
        return None


def _lock(descriptor: int, state_dir: Path) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        owner = os.pread(descriptor, PID_BYTES_MAX, 0).decode("ascii", errors="replace").strip() or "unknown"
        msg = f"{state_dir} is in use by another agent (process {owner}): give each agent a state directory of its own"
        raise StateInUseError(msg) from error
    try:
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode("ascii"), 0)
    except OSError:
        return  # a full disk: the lock holds all the same, only its owner cannot be named
