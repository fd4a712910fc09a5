"""The host's own load, read from the kernel once a second."""

from dataclasses import dataclass, field

import psutil

from chassis.clock import Clock

SAMPLE_INTERVAL_S = 1.0
"""As often as the GPUs are read; one sample costs 0.1 ms."""


@dataclass(frozen=True, slots=True)
class HostLoad:
    """One sample."""

    cpu_utilization_ratio: float
    """Mean over all processors since the sample before."""
    memory_used_bytes: int
    memory_total_bytes: int


@dataclass(slots=True)
class HostMeter:
    """Keeps the newest sample; None until the first interval is over."""

    clock: Clock
    newest: HostLoad | None = field(default=None)

    async def run(self) -> None:
        """Sample for ever."""
        psutil.cpu_percent(interval=None)  # the first call only sets the mark that the next one measures from
        while True:
            await self.clock.sleep(SAMPLE_INTERVAL_S)
            memory = psutil.virtual_memory()
            self.newest = HostLoad(
                cpu_utilization_ratio=psutil.cpu_percent(interval=None) / 100.0,
                memory_used_bytes=memory.total - memory.available,
                memory_total_bytes=memory.total,
            )
