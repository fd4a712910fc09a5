"""The life of NVML workers: one at a time, started again whenever one ends, given up when the driver will not let it go.

A worker is asked to end before it is killed, because killing a program that holds the driver can wedge the GPU. One that
is stuck in the driver survives even SIGKILL; it is abandoned and counted, and while `ABANDONED_MAX` of them exist no
more are started. When the driver comes to its senses they end, and work goes on.
"""

import asyncio
import os
import random
import signal
import sys
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from agent.core.worker_words import EXIT_WITHOUT_DRIVER
from chassis.clock import Clock
from chassis.logs import logger
from chassis.processes import kill_group, spawn_child
from chassis.retry import Backoff

log = logger(__name__)
WORKER_ARGV = (sys.executable, "-m", "agent.probes.nvml")
ABANDONED_MAX = 3
"""Each costs 15 MB that only the driver, or a reboot, gives back."""
LOG_BYTES_MAX = 1_000_000
"""A crash is 2 kB of it, and a worker that crashes at once does so every minute."""
RELEASE_S_MAX = 6.0
"""Longest wait for a worker to let go of the driver: grace, kill, and a little."""


class WorkerEnd(StrEnum):
    """Why a worker ended."""

    NO_DRIVER = "no_driver"
    """It found none, or the driver was unloaded or replaced, and it said so."""
    CRASHED = "crashed"
    """A signal or a defect ended it."""
    EXITED = "exited"
    """It ended as if it had been asked to."""
    SILENT = "silent"
    """It said nothing for too long and was ended."""
    GARBLED = "garbled"
    """It sent a line without end and was ended."""
    RENEWED = "renewed"
    """It was asked to end: around the reset of a GPU."""
    NOT_STARTED = "not_started"
    """The system would not start it."""


@dataclass(frozen=True, slots=True)
class Patience:
    """How long to wait for what."""

    first_line_s: float = 30.0
    """Opening NVML takes seconds per GPU where no persistence daemon runs."""
    silence_s: float = 10.0
    """Every GPU speaks once a second: no line at all means that the worker, or every GPU, is stuck."""
    grace_s: float = 2.0
    """From SIGTERM to SIGKILL. A worker that can end needs 1.3 s at most."""
    kill_s: float = 1.0
    """A killed process is gone in milliseconds, or sits in the driver."""
    absent_s: float = 300.0
    """Between two looks for a driver on a host that has none: a look costs 0.1 s of one processor."""
    stuck_s: float = 2.0
    """Between two looks whether abandoned workers have ended."""


@dataclass(slots=True)
class WorkerLife:
    """Keeps a worker running and hands on what it says."""

    clock: Clock
    rng: random.Random
    env: Mapping[str, str]
    log_path: Path
    take: Callable[[bytes], None]
    """Called with every line."""
    ended: Callable[[WorkerEnd], None]
    """Called after the end of every worker."""
    is_absent: Callable[[], bool]
    """Whether the worker that just ended found that this host has no driver at all."""
    argv: tuple[str, ...] = WORKER_ARGV
    patience: Patience = field(default_factory=Patience)
    backoff: Backoff = field(default_factory=lambda: Backoff(base_s=1.0, cap_s=60.0))
    ends_total: Counter[WorkerEnd] = field(default_factory=lambda: Counter(dict.fromkeys(WorkerEnd, 0)))
    """Each end is followed by another start."""
    _stuck: list[asyncio.subprocess.Process] = field(default_factory=list)
    _pid: int | None = None
    _deadline: asyncio.Timeout | None = None
    _renewing: bool = False
    _holds: int = 0
    _changed: asyncio.Event = field(default_factory=asyncio.Event)
    """Set, and replaced, when a worker went or a hold ended."""

    @property
    def abandoned(self) -> int:
        """Workers that are stuck in the driver now."""
        self._stuck = [worker for worker in self._stuck if worker.returncode is None]
        return len(self._stuck)

    @property
    def pid(self) -> int | None:
        """Of the worker that runs; None between two."""
        return self._pid

    async def run(self) -> None:
        """Keep a worker running for ever."""
        failures = 0
        while True:
            await self._may_start()
            began_s = self.clock.monotonic_s()
            end = await self._one_worker()
            self.ends_total[end] += 1
            self.ended(end)
            lasted_s = self.clock.monotonic_s() - began_s
            failures = 0 if end is WorkerEnd.RENEWED else 1 if lasted_s > self.backoff.cap_s else failures + 1
            absent = end is WorkerEnd.NO_DRIVER and self.is_absent()
            if failures and not self._renewing:
                await self._pause(self.patience.absent_s if absent else self.backoff.delay_s(failures, self.rng))

    def renew(self) -> None:
        """End the worker and start another at once: handles from before a reset can crash the old one."""
        self._renewing = True
        if self._deadline is not None and not self._deadline.expired():
            self._deadline.reschedule(asyncio.get_running_loop().time())
        self._change()

    @asynccontextmanager
    async def released(self) -> AsyncIterator[None]:
        """No worker holds the driver inside: a GPU that any program has open cannot be reset."""
        self._holds += 1
        self.renew()
        try:
            await self._worker_gone()
            yield
        finally:
            self._holds -= 1
            self._change()

    async def _worker_gone(self) -> None:
        try:
            async with asyncio.timeout(RELEASE_S_MAX):
                while self._pid is not None:
                    await self._changed.wait()
        except TimeoutError:
            log.warning("gpu_worker_not_released", pid=self._pid)

    async def _may_start(self) -> None:
        """Wait while too many are stuck, or while somebody needs the driver without us."""
        told = False
        while self.abandoned >= ABANDONED_MAX or self._holds:
            if self.abandoned >= ABANDONED_MAX and not told:
                log.error("gpu_workers_stuck", abandoned=self.abandoned)
                told = True
            await self._pause(self.patience.stuck_s)
        self._renewing = False

    async def _pause(self, seconds: float) -> None:
        """Wait, unless something changes before."""
        changed = self._changed
        try:
            async with asyncio.timeout(seconds):
                await changed.wait()
        except TimeoutError:
            return

    def _change(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()

    async def _one_worker(self) -> WorkerEnd:
        try:
            worker = await spawn_child(
                self.argv,
                env=self.env,
                log_path=self._log_now(),
                stdin_pipe=True,
                stdout_pipe=True,
                death_signal=signal.SIGTERM,
            )
        except OSError as error:
            log.warning("gpu_worker_not_started", error=repr(error))
            return WorkerEnd.NOT_STARTED
        self._pid = worker.pid
        try:
            end = await self._listen(worker)
        finally:
            code = await self._end(worker)
            self._pid = None
            self._change()
        if end is not WorkerEnd.EXITED or code == 0:
            return end
        if code == EXIT_WITHOUT_DRIVER:
            return WorkerEnd.NO_DRIVER
        log.warning("gpu_worker_crashed", exit_code=code)
        return WorkerEnd.CRASHED

    def _log_now(self) -> Path:
        """Where the next worker complains: the log, emptied when it is large; nowhere on a disk that takes nothing."""
        try:
            self.log_path.parent.mkdir(parents=True, exist_ok=True)
            with self.log_path.open("ab") as file:
                if file.tell() > LOG_BYTES_MAX:
                    file.truncate(0)
        except OSError as error:
            log.warning("gpu_worker_log_lost", error=repr(error))
            return Path(os.devnull)
        return self.log_path

    async def _listen(self, worker: asyncio.subprocess.Process) -> WorkerEnd:
        """Hand on its lines until it ends, or should be ended."""
        if worker.stdout is None:
            return WorkerEnd.NOT_STARTED
        patience_s = self.patience.first_line_s
        while not self._renewing:
            try:
                async with asyncio.timeout(patience_s) as self._deadline:
                    line = await worker.stdout.readline()
            except TimeoutError:
                return WorkerEnd.RENEWED if self._renewing else WorkerEnd.SILENT
            except ValueError:
                return WorkerEnd.GARBLED
            finally:
                self._deadline = None
            if not line:
                return WorkerEnd.EXITED
            self.take(line)
            patience_s = self.patience.silence_s
        return WorkerEnd.RENEWED

    async def _end(self, worker: asyncio.subprocess.Process) -> int | None:
        """Ask it to go, then kill it, then give it up; its exit code, or None when it is stuck."""
        if worker.stdin is not None:
            worker.stdin.close()
        if worker.returncode is None:
            with suppress(ProcessLookupError):
                os.kill(
                    worker.pid, signal.SIGTERM
                )  # `worker.terminate` polls, and would take the exit code from asyncio
        for wait_s in (self.patience.grace_s, self.patience.kill_s):
            try:
                async with asyncio.timeout(wait_s):
                    return await worker.wait()
            except TimeoutError:
                kill_group(worker.pid)
        self._stuck.append(worker)
        log.warning("gpu_worker_abandoned", pid=worker.pid, abandoned=self.abandoned)
        return None
