"""The watch over this host's GPUs: keeps a worker and the kernel log read, and what they say in one ledger.

Nothing here touches NVML or waits for it, so every reader gets its answer at once, whatever hangs. Counters live in the
ledger and survive workers; what the agent must not forget when it is restarted itself is kept in a small file.
"""

import asyncio
import random
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from pathlib import Path

from agent.core.gpu import Driver, Gpu
from agent.core.xid import XidTable
from agent.degradation import Degradations
from agent.probes.gpu_facts import FactError, parse_fact
from agent.probes.gpu_ledger import LIBRARY_NOT_FOUND, GpuLedger
from agent.probes.gpu_memory import GpuMemoryFile
from agent.probes.gpu_worker import ABANDONED_MAX, WorkerEnd, WorkerLife
from agent.probes.kernel_log import KernelLog
from chassis.clock import Clock
from chassis.logs import logger
from contracts.vocabulary import GpuUuid

log = logger(__name__)
LOOK_INTERVAL_S = 1.0
"""How soon a change is on disk, and a reboot noticed that only rebooted simulated GPUs."""
SAVE_S_MAX = 5.0
"""A few kilobytes take milliseconds: a disk that takes longer hangs."""
ENDED = {
    WorkerEnd.CRASHED: "worker_crashed",
    WorkerEnd.EXITED: "worker_ended",
    WorkerEnd.SILENT: "worker_silent",
    WorkerEnd.GARBLED: "worker_garbled",
    WorkerEnd.NOT_STARTED: "worker_not_started",
}
"""What the end of a worker says about the driver, until the next one speaks."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GpuSources:
    """Where the watch looks."""

    env: Mapping[str, str]
    """Of the worker: decides which NVML library it finds."""
    log_path: Path
    """Where the worker's own complaints go."""
    memory: GpuMemoryFile
    boot_id: Callable[[], str]
    """Names this boot of the host; another value means that every device started afresh."""
    kernel_log: Path | None
    """None where the GPUs are simulated: the kernel knows nothing of those."""


@dataclass(slots=True)
class GpuWatch:
    """Runs for as long as the agent; readers use `ledger`, `driver` and `newest`."""

    sources: GpuSources
    table: XidTable
    clock: Clock
    rng: random.Random
    degradations: Degradations
    ledger: GpuLedger = field(init=False)
    workers: WorkerLife = field(init=False)
    kernel_log: KernelLog | None = field(init=False)
    _boot_id: str = ""
    _saved: int = 0
    """The revision that is on disk."""
    _unsaved: str = ""
    """Why the newest one is not."""
    _saving_since_s: float | None = None

    def __post_init__(self) -> None:
        self.ledger = GpuLedger(clock=self.clock, table=self.table)
        self.workers = WorkerLife(
            clock=self.clock,
            rng=self.rng,
            env=self.sources.env,
            log_path=self.sources.log_path,
            take=self.take,
            ended=self._worker_ended,
            is_absent=lambda: self.driver.reason == LIBRARY_NOT_FOUND,
        )
        path = self.sources.kernel_log
        self.kernel_log = (
            None if path is None else KernelLog(clock=self.clock, take=self.ledger.take_kernel_record, path=path)
        )

    async def run(self) -> None:
        """Watch for ever."""
        self.notice_reboot()
        self.ledger.recall(self.sources.memory.load(self._boot_id))
        async with asyncio.TaskGroup() as group:
            group.create_task(self.workers.run())
            if self.kernel_log is not None:
                group.create_task(self.kernel_log.run())
            group.create_task(self._look())
            group.create_task(self._remember())

    @property
    def driver(self) -> Driver:
        """Whether NVML answers."""
        return self.ledger.driver

    def newest(self, now_s: float) -> tuple[Gpu, ...]:
        """Every GPU ever seen, in PCI order."""
        return self.ledger.newest(now_s)

    def released(self) -> AbstractAsyncContextManager[None]:
        """No worker holds the driver inside; a fresh one starts after it. For the reset of a GPU."""
        return self.workers.released()

    def renew(self) -> None:
        """Ask the driver through a fresh worker from now on."""
        self.workers.renew()

    def reset_done(self, gpu: GpuUuid | None) -> None:
        """A GPU, or with None every one, was reset: its errors call for nothing any more, and its worker is renewed."""
        self.ledger.reset_done(gpu)
        self.workers.renew()

    def notice_reboot(self) -> None:
        """Another boot ends whatever was wrong in the one before; a boot that cannot be read just now tells nothing."""
        boot_id, before = self.sources.boot_id(), self._boot_id
        if boot_id in {"", before}:
            return
        self._boot_id = boot_id
        if before:
            self.reset_done(None)

    def take(self, line: bytes) -> None:
        """Believe one line of the worker; one that makes no sense is logged and dropped."""
        try:
            self.ledger.take(parse_fact(line))
        except FactError as error:
            log.warning("gpu_worker_line_dropped", error=str(error))

    def _worker_ended(self, end: WorkerEnd) -> None:
        reason = ENDED.get(end)
        if self.workers.abandoned >= ABANDONED_MAX:
            reason = "workers_stuck"
        if reason is not None:
            self.ledger.driver_is(Driver(up=False, reason=reason, gpus=self.driver.gpus))

    async def _look(self) -> None:
        """Notice reboots, and say what does not work."""
        while True:
            await self.clock.sleep(LOOK_INTERVAL_S)
            self.notice_reboot()
            self._say_degraded("nvml", self._why_blind())
            self._say_degraded("gpu_memory", self._why_forgetful())

    async def _remember(self) -> None:
        """Save what changed, beside everything else: a disk that fails, or hangs, costs memory and not sight."""
        while True:
            await self.clock.sleep(LOOK_INTERVAL_S)
            if self.ledger.revision == self._saved:
                continue
            revision, memory = self.ledger.revision, self.ledger.memory(self._boot_id)
            self._saving_since_s = self.clock.monotonic_s()
            try:
                await asyncio.to_thread(self.sources.memory.save, memory)
            except OSError as error:
                self._unsaved = f"cannot be saved: {error}"
            else:
                self._saved, self._unsaved = revision, ""
            finally:
                self._saving_since_s = None

    def _why_blind(self) -> str:
        """A host without a driver is not degraded; one whose driver stopped answering is."""
        driver = self.driver
        return "" if driver.up or not self.ledger.present() else f"the driver does not answer: {driver.reason}"

    def _why_forgetful(self) -> str:
        since_s = self._saving_since_s
        hangs = since_s is not None and self.clock.monotonic_s() - since_s > SAVE_S_MAX
        return "cannot be saved: the disk does not answer" if hangs else self._unsaved

    def _say_degraded(self, part: str, reason: str) -> None:
        if reason:
            self.degradations.set(part, reason)
        else:
            self.degradations.clear(part)
