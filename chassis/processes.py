"""Child processes that never outlive their parent.

Every child gets its own process group (so that Ctrl-C reaches only the supervisor) and PR_SET_PDEATHSIG, the kernel's
promise to kill it when its parent dies, even by `kill -9`. The promise is tied to the *thread* that forked: spawn from
the main thread only.
"""

import asyncio
import ctypes
import os
import signal
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path

PR_SET_PDEATHSIG = 1
"""From <linux/prctl.h>."""
_LIBC = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None


def die_with_parent(parent_pid: int, death_signal: signal.Signals = signal.SIGKILL) -> None:
    """Runs in the child between fork and exec: ask for a signal on the parent's death, and close the race before it."""
    if _LIBC is not None:
        _LIBC.prctl(PR_SET_PDEATHSIG, death_signal)
    if os.getppid() != parent_pid:
        os._exit(1)


async def spawn_child(
    argv: Sequence[str],
    *,
    env: Mapping[str, str],
    log_path: Path,
    stdin_pipe: bool = False,
    stdout_pipe: bool = False,
    death_signal: signal.Signals = signal.SIGKILL,
) -> asyncio.subprocess.Process:
    """Start `argv` with exactly `env`, appending stdout and stderr to `log_path`; `stdout_pipe` keeps stdout for the caller.

    `death_signal` comes when this process dies; a child that must leave tidily takes a polite one.

    Raises `RuntimeError` off the main thread and `OSError` when the program cannot be started.
    """
    if threading.current_thread() is not threading.main_thread():
        msg = "children are tied to the thread that starts them: spawn from the main thread"
        raise RuntimeError(msg)
    parent_pid = os.getpid()
    log_path.parent.mkdir(parents=True, exist_ok=True)
    with log_path.open("ab") as log:
        return await asyncio.create_subprocess_exec(
            *argv,
            env=dict(env),
            stdin=asyncio.subprocess.PIPE if stdin_pipe else asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE if stdout_pipe else log,
            stderr=log,
            start_new_session=True,
            preexec_fn=lambda: die_with_parent(parent_pid, death_signal),
        )


async def stop_child(child: asyncio.subprocess.Process, *, grace_s: float) -> int:
    """SIGTERM, wait `grace_s`, then SIGKILL the whole group; returns the exit code."""
    if child.returncode is not None:
        return child.returncode
    if grace_s > 0:
        child.terminate()
        try:
            return await asyncio.wait_for(child.wait(), grace_s)
        except TimeoutError:
            pass
    kill_group(child.pid)
    return await child.wait()


def kill_group(pid: int) -> None:
    """SIGKILL a child and its own children; a group already gone is fine."""
    try:
        os.killpg(pid, signal.SIGKILL)
    except ProcessLookupError:
        return
