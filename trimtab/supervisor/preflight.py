"""What is checked and prepared before the first process starts, so that a start either fails early or can succeed."""

import os
import socket
from contextlib import closing
from pathlib import Path

import psutil

from agent.simulated_gpus.directory import create_directory
from agent.simulated_gpus.errors import SimulatedGpusError
from trimtab.stack.model import Listener, ProcessPlan, RenderedFile, StackPlan
from trimtab.supervisor.errors import PortBusyError, StackError

LOG_BYTES_MAX = 16 * 1024 * 1024
"""A log that grew beyond this is set aside at the next restart of its process."""


def refuse_busy_listeners(plan: StackPlan) -> None:
    """Raise `PortBusyError` that names every taken address, who wants it and who has it."""
    taken = [
        f"{listener.address}:{listener.port} (for {process.name}) is used by {owner_of(listener)}"
        for process in plan.processes
        for listener in process.listeners
        if not is_free(listener)
    ]
    if taken:
        raise PortBusyError("\n".join([*taken, "Stop the owner, or choose another --port-offset."]))


def is_free(listener: Listener) -> bool:
    """True when a server could listen there now. Connections in TIME_WAIT do not count, as for any server."""
    with closing(socket.socket(socket.AF_INET, socket.SOCK_STREAM)) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((listener.address, listener.port))
            probe.listen(1)
        except OSError:
            return False
    return True


def owner_of(listener: Listener) -> str:
    """The process that listens there, as far as we may know it."""
    for connection in psutil.net_connections(kind="tcp"):
        if connection.status != psutil.CONN_LISTEN or not connection.laddr or connection.pid is None:
            continue
        if connection.laddr.port == listener.port and connection.laddr.ip in {listener.address, "0.0.0.0", "::"}:  # noqa: S104  # compared, never bound
            return _describe(connection.pid)
    return "a process of another user"


def prepare(process: ProcessPlan) -> None:
    """Directories, rendered files and a log file with room. Raises `StackError` for a directory of somebody else."""
    for directory in (*process.directories, process.log.parent):
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        if directory.stat().st_uid != os.geteuid():  # in shared memory others could have made it, to write our routes
            msg = f"{directory} belongs to another user: remove it, or choose another --home"
            raise StackError(msg)
    for file in process.files:
        _write(file)
    if process.log.exists() and process.log.stat().st_size > LOG_BYTES_MAX:
        set_aside(process.log)


def make_simulated_gpus(plan: StackPlan) -> None:
    """Fresh, healthy hosts for the agents that read them; raises `StackError`."""
    try:
        for simulated in plan.simulated_gpus:
            create_directory(simulated.directory, simulated.gpus)
    except (SimulatedGpusError, OSError) as error:
        msg = f"no simulated GPUs: {error}"
        raise StackError(msg) from error


def set_aside(log: Path) -> None:
    """Begin a new log; one former generation is kept."""
    if log.exists():
        log.replace(log.with_suffix(".log.1"))


def last_lines(log: Path, *, lines_max: int = 12, bytes_max: int = 8192) -> tuple[str, ...]:
    """The end of a log, for a message; empty when there is nothing to show."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - bytes_max))
            text = file.read(bytes_max).decode(errors="replace")
    except OSError:
        return ()
    return tuple(text.splitlines()[-lines_max:])


def _write(file: RenderedFile) -> None:
    file.path.parent.mkdir(parents=True, exist_ok=True)
    beside = file.path.with_name(f".{file.path.name}.new")
    beside.touch(mode=file.mode)
    beside.chmod(file.mode)  # touch honours the umask, and leaves a file that was there as it is
    beside.write_text(file.content, encoding="utf-8")
    beside.replace(file.path)


def _describe(pid: int) -> str:
    try:
        command = " ".join(psutil.Process(pid).cmdline())[:120]
    except psutil.Error:
        return f"process {pid}"
    return f"process {pid} ({command})"
