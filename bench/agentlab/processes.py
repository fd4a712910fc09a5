"""What a program costs, together with every process that it started."""

import contextlib
import time
from dataclasses import dataclass
from pathlib import Path

import psutil

CPUCLOCK_SCHED = 2
"""With a process id it is the clock of that process, ended threads included (linux/posix-timers.h)."""


@dataclass(frozen=True, slots=True)
class Memory:
    rss_bytes: int
    pss_bytes: int
    """Each shared page divided by those who share it: what the program costs beside others."""
    processes: int
    fds: int


def family(pid: int) -> list[psutil.Process]:
    """A program and all its descendants."""
    leader = psutil.Process(pid)
    return [leader, *leader.children(recursive=True)]


def cpu_s(pid: int) -> float:
    """CPU seconds of the family so far, by its processes' own clocks: exact where the ticks of /proc are 10 ms."""
    spent = 0.0
    for process in family(pid):
        with contextlib.suppress(OSError):
            spent += time.clock_gettime((~process.pid << 3) | CPUCLOCK_SCHED)
    return spent


def memory(pid: int) -> Memory:
    """Of the family now."""
    rss = pss = count = fds = 0
    for process in family(pid):
        with contextlib.suppress(psutil.NoSuchProcess, FileNotFoundError, ProcessLookupError):
            fields = Path(f"/proc/{process.pid}/smaps_rollup").read_text().split()
            rss += int(fields[fields.index("Rss:") + 1]) << 10
            pss += int(fields[fields.index("Pss:") + 1]) << 10
            fds += process.num_fds()
            count += 1
    return Memory(rss, pss, count, fds)
