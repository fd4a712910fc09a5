"""How busy a host is, from the text of /proc/stat and /proc/meminfo. Pure."""

from dataclasses import dataclass

KIB = 1024
"""/proc/meminfo says kB and means this (proc_meminfo(5))."""
_IDLE = (3, 4)
"""Fields of the `cpu` line that are not work: idle and iowait (proc_stat(5))."""
_COUNTED = 8
"""Fields from user to steal; the guest times after them are contained in user and nice."""


@dataclass(frozen=True, slots=True)
class CpuTicks:
    """Of all processors, since boot."""

    busy: int
    total: int


@dataclass(frozen=True, slots=True)
class Memory:
    """Bytes."""

    total: int
    available: int
    """What could be had without swapping, caches included."""
    swap_total: int
    swap_used: int

    @property
    def used(self) -> int:
        """What could not."""
        return self.total - self.available


def parse_cpu_ticks(stat: str) -> CpuTicks | None:
    """None when the text has no `cpu` line."""
    for line in stat.splitlines():
        name, *fields = line.split() or [""]
        if name == "cpu" and len(fields) >= _COUNTED:
            ticks = [int(field) for field in fields[:_COUNTED]]
            idle = sum(ticks[field] for field in _IDLE)
            return CpuTicks(busy=sum(ticks) - idle, total=sum(ticks))
    return None


def busy_ratio(before: CpuTicks, now: CpuTicks) -> float | None:
    """Share of the time in between that the processors worked; None when no time has passed."""
    passed = now.total - before.total
    return None if passed <= 0 else min(1.0, max(0.0, (now.busy - before.busy) / passed))


def parse_memory(meminfo: str) -> Memory | None:
    """None when a figure is missing."""
    words = [line.split() for line in meminfo.splitlines()]
    figures = {name.rstrip(":"): int(figure) * KIB for name, figure, *_ in (word for word in words if len(word) > 1)}
    try:
        total, available = figures["MemTotal"], figures["MemAvailable"]
        swap_total, swap_free = figures["SwapTotal"], figures["SwapFree"]
    except KeyError:
        return None
    return Memory(total=total, available=available, swap_total=swap_total, swap_used=swap_total - swap_free)
