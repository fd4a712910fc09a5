"""Finding the processes behind replicas, without asking them: by the port they listen on, below our own supervisor.

Only descendants of the supervisor are ever signalled: a wrong port number cannot hit a stranger.
"""

import os
import signal
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass

import psutil

from trimtab.stack.model import Listener


class NoSuchTargetError(Exception):
    """Nothing below the supervisor listens there, or the part does not run; the message names it."""


@dataclass(frozen=True, slots=True)
class ProcessTree:
    """The processes below one supervisor."""

    supervisor_pid: int

    def listening_on(self, listener: Listener) -> int:
        """Process id of the descendant that listens there; raises `NoSuchTargetError`."""
        for process in psutil.Process(self.supervisor_pid).children(recursive=True):
            with suppress(psutil.Error):  # it ended while we looked
                if any(_is_listener(connection, listener) for connection in process.net_connections(kind="tcp")):
                    return int(process.pid)
        msg = f"no process of this stack listens on {listener.address}:{listener.port}"
        raise NoSuchTargetError(msg)

    def with_descendants(self, pid: int) -> tuple[int, ...]:
        """That process and everything below it: a replica may run workers."""
        try:
            return (pid, *(int(child.pid) for child in psutil.Process(pid).children(recursive=True)))
        except psutil.NoSuchProcess:
            return ()


def send_signal(pids: Iterable[int], number: signal.Signals) -> None:
    """Signal each process; one that has ended meanwhile is fine."""
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, number)


def _is_listener(connection: object, listener: Listener) -> bool:
    status, address = getattr(connection, "status", None), getattr(connection, "laddr", None)
    return status == psutil.CONN_LISTEN and tuple(address or ()) == (listener.address, listener.port)
