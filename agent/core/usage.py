"""What a process costs, from the text of its /proc/PID/stat."""

from dataclasses import dataclass

_USER_TICKS, _SYSTEM_TICKS, _RESIDENT_PAGES = 11, 12, 21
"""Fields after the command's closing parenthesis (proc_pid_stat(5): utime, stime, rss)."""


@dataclass(frozen=True, slots=True)
class Usage:
    """Since the process began, and now."""

    cpu_s: float
    resident_bytes: int


def parse_usage(stat: str, *, ticks_per_s: int, page_bytes: int) -> Usage | None:
    """None when the text is no stat line, as of a process that is gone."""
    fields = stat.rpartition(")")[2].split()
    try:
        ticks, pages = int(fields[_USER_TICKS]) + int(fields[_SYSTEM_TICKS]), int(fields[_RESIDENT_PAGES])
    except (IndexError, ValueError):
        return None
    return Usage(cpu_s=ticks / ticks_per_s, resident_bytes=pages * page_bytes)
