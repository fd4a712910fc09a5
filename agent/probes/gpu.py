"""The parent's side of the NVML worker: newest sample per GPU, counts of Xids, and the worker's life.

A sample older than three intervals is *stale*: its values are dropped rather than served old, and the GPU is down with
that reason. Counters live here, so that a new worker does not reset them. A worker stuck in the driver cannot be
killed; it is abandoned and counted, and after `ABANDONED_MAX` of them no more are started.
"""

import asyncio
import json
import random
import sys
from collections import Counter, deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from agent.core.xid import XidTable, recommend
from chassis.clock import Clock
from chassis.logs import logger
from chassis.processes import kill_group, spawn_child
from chassis.retry import Backoff
from contracts.vocabulary import GpuAction

log = logger(__name__)
WORKER_ARGV = (sys.executable, "-m", "agent.probes.nvml")
SAMPLE_AGE_S_MAX = 3.0
"""Three intervals of a second: one late sample is no fault."""
SILENCE_S_MAX = 10.0
"""No line from any GPU for this long: the worker itself is stuck, or every GPU is."""
KILL_WAIT_S = 1.0
"""A killed process is gone in milliseconds, or sits in the driver."""
ABANDONED_MAX = 3
"""Each costs 20 MB that only a reboot gives back."""
LINE_BYTES_MAX = 65_536
XIDS_KEPT = 64
"""Newest Xids of the host that the recommendation considers; a storm of one kind does not need more."""
XID_RECENT_S = 600.0
"""Ten minutes: an older event was acted on, or was harmless."""


@dataclass(frozen=True, slots=True)
class Driver:
    """Whether NVML answers."""

    up: bool
    reason: str


@dataclass(frozen=True, slots=True)
class Gpu:
    """One GPU now; no values when it is not up."""

    gpu: int
    uuid: str
    up: bool
    reason: str
    sample_age_s: float
    values: Mapping[str, float]
    recommended_action: GpuAction


@dataclass(frozen=True, slots=True)
class _Sample:
    at_s: float
    uuid: str
    up: bool
    reason: str
    values: Mapping[str, float]


@dataclass(slots=True)
class GpuWatch:
    """Runs workers and keeps what they say."""

    clock: Clock
    rng: random.Random
    table: XidTable
    env: Mapping[str, str]
    log_path: Path
    argv: tuple[str, ...] = WORKER_ARGV
    backoff: Backoff = field(default_factory=lambda: Backoff(base_s=2.0, cap_s=300.0))
    """Up to five minutes: a host without a GPU starts a worker that seldom, and a returning driver is found that late."""
    driver: Driver = field(default_factory=lambda: Driver(up=False, reason="not_yet_known"))
    xids_total: Counter[tuple[int, int]] = field(default_factory=Counter)
    """Events per (gpu, xid)."""
    abandoned: int = 0
    _samples: dict[int, _Sample] = field(default_factory=dict)
    _recent_xids: deque[tuple[float, int, int]] = field(default_factory=lambda: deque(maxlen=XIDS_KEPT))
    """(monotonic time, gpu, xid)."""

    async def run(self) -> None:
        """Keep a worker running until too many are stuck in the driver."""
        failures = 0
        while self.abandoned < ABANDONED_MAX:
            started_s = self.clock.monotonic_s()
            await self._run_worker()
            failures = 1 if self.clock.monotonic_s() - started_s > self.backoff.cap_s else failures + 1
            await self.clock.sleep(self.backoff.delay_s(failures, self.rng))
        self.driver = Driver(up=False, reason="workers_stuck")
        log.error("gpu_watch_gave_up", abandoned=self.abandoned)

    def newest(self, now_s: float) -> tuple[Gpu, ...]:
        """Every GPU ever seen, by index."""
        return tuple(self._gpu(index, sample, now_s) for index, sample in sorted(self._samples.items()))

    def xid_counts(self, index: int) -> dict[int, int]:
        """Events of one GPU per Xid, with a zero for every Xid of the table: a first event has to have a zero before it."""
        seen = {xid: count for (gpu, xid), count in self.xids_total.items() if gpu == index}
        return dict.fromkeys(sorted(self.table.rules), 0) | seen

    def _gpu(self, index: int, sample: _Sample, now_s: float) -> Gpu:
        stale = now_s - sample.at_s > SAMPLE_AGE_S_MAX
        up = sample.up and not stale
        recovery = sample.values.get("recovery_action")
        xids = [xid for at_s, gpu, xid in self._recent_xids if gpu == index and now_s - at_s < XID_RECENT_S]
        return Gpu(
            gpu=index,
            uuid=sample.uuid,
            up=up,
            reason="stale" if stale else sample.reason,
            sample_age_s=now_s - sample.at_s,
            values=sample.values if up else {},
            recommended_action=recommend(xids, None if recovery is None else int(recovery), self.table),
        )

    async def _run_worker(self) -> None:
        worker = await spawn_child(self.argv, env=self.env, log_path=self.log_path, stdin_pipe=True, stdout_pipe=True)
        try:
            await self._listen(worker)
        finally:
            await self._end(worker)
        if self.driver.up:
            self.driver = Driver(up=False, reason="worker_ended")

    async def _listen(self, worker: asyncio.subprocess.Process) -> None:
        if worker.stdout is None:
            return
        while True:
            try:
                async with asyncio.timeout(SILENCE_S_MAX):
                    line = await worker.stdout.readline()
            except TimeoutError:
                log.warning("gpu_worker_silent", seconds=SILENCE_S_MAX)
                return
            except ValueError:
                log.warning("gpu_worker_line_too_long")
                return
            if not line:
                return
            self.take(line)

    async def _end(self, worker: asyncio.subprocess.Process) -> None:
        if worker.returncode is None:
            kill_group(worker.pid)
        try:
            async with asyncio.timeout(KILL_WAIT_S):
                await worker.wait()
        except TimeoutError:
            self.abandoned += 1
            log.warning("gpu_worker_abandoned", pid=worker.pid, abandoned=self.abandoned)

    def take(self, line: bytes) -> None:
        """Believe one line of the worker; one that makes no sense is logged and dropped."""
        try:
            fact = json.loads(line)
            match fact["kind"]:
                case "driver":
                    self.driver = Driver(up=bool(fact["up"]), reason=str(fact["reason"]))
                case "gpu":
                    self._samples[int(fact["gpu"])] = _Sample(
                        at_s=self.clock.monotonic_s(),
                        uuid=str(fact["uuid"]),
                        up=bool(fact["up"]),
                        reason=str(fact["reason"]),
                        values={str(name): float(value) for name, value in fact["values"].items()},
                    )
                case "xid":
                    self.xids_total[int(fact["gpu"]), int(fact["xid"])] += 1
                    self._recent_xids.append((self.clock.monotonic_s(), int(fact["gpu"]), int(fact["xid"])))
                    log.warning("xid_seen", gpu=fact["gpu"], xid=fact["xid"])
                case other:
                    log.info("gpu_worker_said", kind=str(other), reason=str(fact.get("reason", "")))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            log.warning("gpu_worker_line_dropped", error=repr(error))
