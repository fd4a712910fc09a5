"""What the agent costs the host it watches, and how late its own event loop is.

An agent that leaks, or that is starved, must show it before it hurts: its memory, processor time and open files, those
of its NVML worker, and the lag with which its event loop wakes a sleeper. Probes and scrapes wait exactly that long.
"""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from agent.core.histogram import Histogram
from agent.core.usage import parse_usage
from chassis.clock import Clock

LAG_INTERVAL_S = 0.5
"""Between two measures of the lag: 0.1 ms of CPU each minute."""
USAGE_SAMPLES = 10
"""Every how many of them the processes are looked at: every five seconds."""
LAG_BOUNDS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)
"""Up to the probes' deadline of 250 ms it costs nothing; above it, healthy replicas would look hung."""


@dataclass(frozen=True, slots=True)
class ProcessUsage:
    """One process now."""

    cpu_s: float
    resident_bytes: int
    open_fds: int | None
    """None where the kernel does not let us count them."""


@dataclass(slots=True)
class SelfMeter:
    """Measures the agent's own processes; each by its name, and by who knows its process id."""

    clock: Clock
    pids: Mapping[str, Callable[[], int | None]]
    """None: no such process runs now."""
    proc: Path = Path("/proc")
    newest: Mapping[str, ProcessUsage] = field(default_factory=dict)
    lag_s: Histogram = field(default_factory=lambda: Histogram(LAG_BOUNDS_S))

    async def run(self) -> None:
        """Measure for ever."""
        samples = 0
        while True:
            if samples % USAGE_SAMPLES == 0:
                self.newest = self._look()
            samples += 1
            due_s = self.clock.monotonic_s() + LAG_INTERVAL_S
            await self.clock.sleep(LAG_INTERVAL_S)
            self.lag_s.observe(max(0.0, self.clock.monotonic_s() - due_s))

    def _look(self) -> dict[str, ProcessUsage]:
        known = {name: pid for name, pid_of in self.pids.items() if (pid := pid_of()) is not None}
        used = {name: self._usage(pid) for name, pid in known.items()}
        return {name: usage for name, usage in used.items() if usage is not None}

    def _usage(self, pid: int) -> ProcessUsage | None:
        folder = self.proc / str(pid)
        try:
            stat = (folder / "stat").read_text(encoding="utf-8", errors="replace")
        except OSError:
            return None
        usage = parse_usage(stat, ticks_per_s=os.sysconf("SC_CLK_TCK"), page_bytes=os.sysconf("SC_PAGE_SIZE"))
        if usage is None:
            return None
        try:
            open_fds = sum(1 for _ in (folder / "fd").iterdir())
        except OSError:
            open_fds = None
        return ProcessUsage(usage.cpu_s, usage.resident_bytes, open_fds)
