"""What a program costs, together with every process that it started."""

import contextlib
from dataclasses import dataclass
from pathlib import Path

import psutil


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
    """CPU seconds of the family, those of ended and awaited children included."""
    spent = 0.0
    for process in family(pid):
        with contextlib.suppress(psutil.NoSuchProcess):
            times = process.cpu_times()
            spent += times.user + times.system + times.children_user + times.children_system
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
