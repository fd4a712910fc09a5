"""The host's own load, read from the kernel once a second: what the loop works on where there is no GPU.

Everything but the disk is a read of /proc or /sys, which answers from memory. A disk can hang, so it is asked in a
thread, seldom, and never again before the former question was answered. What a kernel does not have (no PSI before
4.20, no cgroup v2) is absent from the sample.
"""

import asyncio
import os
import shutil
from dataclasses import dataclass, field
from pathlib import Path

from agent.core.load import CpuTicks, Memory, busy_ratio, parse_cpu_ticks, parse_memory
from agent.core.pressure import (
    Stall,
    lineage,
    parse_cpu_max,
    parse_memory_max,
    parse_pressure,
    tightest,
    unified_path,
)
from chassis.clock import Clock

SAMPLE_INTERVAL_S = 1.0
"""As often as the GPUs are read; one sample costs 0.3 ms."""
SLOW_SAMPLES = 15
"""Every how many samples the limits and the disk are read: they change by hand, or slowly."""
RESOURCES = ("cpu", "memory", "io")
"""Files below /proc/pressure."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Of the control group that the agent and its child processes share; None: unlimited."""

    memory_bytes: int | None = None
    cpus: float | None = None


@dataclass(frozen=True, slots=True)
class Disk:
    """The file system of the state directory, in bytes."""

    free: int
    """For an unprivileged process."""
    total: int


@dataclass(frozen=True, slots=True)
class HostLoad:
    """One sample."""

    cpu_utilization_ratio: float
    """Mean over all processors since the sample before."""
    cpus: int
    load_per_cpu: float
    """Mean number of running or waiting tasks over a minute, per processor."""
    memory: Memory
    pressure: tuple[tuple[str, Stall], ...] = ()
    """(resource, stall); empty on kernels without PSI."""
    limits: Limits = field(default_factory=Limits)
    disk: Disk | None = None
    """None until it answered."""


@dataclass(frozen=True, slots=True)
class KernelFiles:
    """Where the kernel's files are."""

    proc: Path = Path("/proc")
    cgroup: Path = Path("/sys/fs/cgroup")

    def cpu_ticks(self) -> CpuTicks | None:
        """Since boot; None where the kernel does not tell."""
        return parse_cpu_ticks(_text(self.proc / "stat"))

    def memory(self) -> Memory | None:
        """Now; None where the kernel does not tell."""
        return parse_memory(_text(self.proc / "meminfo"))

    def pressure(self) -> tuple[tuple[str, Stall], ...]:
        """Every stall of every resource; empty without PSI."""
        texts = [(resource, _text(self.proc / "pressure" / resource)) for resource in RESOURCES]
        return tuple((resource, stall) for resource, text in texts for stall in parse_pressure(text))

    def limits(self) -> Limits:
        """The tightest of this process's control group and those above it."""
        path = unified_path(_text(self.proc / "self" / "cgroup"))
        if path is None:
            return Limits()
        groups = [self.cgroup / group.lstrip("/") for group in lineage(path)]
        memory = tightest(parse_memory_max(_text(group / "memory.max")) for group in groups)
        return Limits(
            memory_bytes=None if memory is None else int(memory),
            cpus=tightest(parse_cpu_max(_text(group / "cpu.max")) for group in groups),
        )


@dataclass(slots=True)
class HostMeter:
    """Keeps the newest sample; None until the first interval is over."""

    clock: Clock
    state_dir: Path
    files: KernelFiles = field(default_factory=KernelFiles)
    newest: HostLoad | None = None
    _limits: Limits = field(default_factory=Limits)
    _disk: Disk | None = None

    async def run(self) -> None:
        """Sample for ever."""
        ticks = self.files.cpu_ticks()
        async with asyncio.TaskGroup() as group:
            asking: asyncio.Task[None] | None = None
            samples = 0
            while True:
                await self.clock.sleep(SAMPLE_INTERVAL_S)
                if samples % SLOW_SAMPLES == 0:
                    self._limits = self.files.limits()
                    if asking is None or asking.done():
                        asking = group.create_task(self._ask_disk())
                before, ticks = ticks, self.files.cpu_ticks()
                if before is not None and ticks is not None:
                    self.newest = self._sample(busy_ratio(before, ticks)) or self.newest
                samples += 1

    def _sample(self, busy: float | None) -> HostLoad | None:
        """None while the kernel tells too little, as on one that has no /proc."""
        memory = self.files.memory()
        if busy is None or memory is None:
            return None
        cpus = os.cpu_count() or 1
        return HostLoad(
            cpu_utilization_ratio=busy,
            cpus=cpus,
            load_per_cpu=os.getloadavg()[0] / cpus,
            memory=memory,
            pressure=self.files.pressure(),
            limits=self._limits,
            disk=self._disk,
        )

    async def _ask_disk(self) -> None:
        try:
            usage = await asyncio.to_thread(shutil.disk_usage, self.state_dir)
        except OSError:
            self._disk = None
        else:
            self._disk = Disk(free=usage.free, total=usage.total)


def _text(path: Path) -> str:
    """A kernel file's content; empty where the kernel does not have it or does not let us read it."""
    try:
        return path.read_text(encoding="ascii", errors="replace")
    except OSError:
        return ""
