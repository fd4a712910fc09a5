"""CPU time and run state of a process, from `/proc`."""

import os
from pathlib import Path

from agent.core.health import Vitals

_STATE, _USER_TICKS, _SYSTEM_TICKS = 0, 11, 12
"""Fields of /proc/PID/stat after the command's closing parenthesis (proc_pid_stat(5): state, utime, stime)."""


def read_vitals(pid: int) -> Vitals | None:
    """None when the process is gone, is a zombie, or the host has no /proc."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    fields = stat.rpartition(")")[2].split()
    if fields[_STATE] == "Z":
        return None
    ticks = int(fields[_USER_TICKS]) + int(fields[_SYSTEM_TICKS])
    return Vitals(cpu_s=ticks / os.sysconf("SC_CLK_TCK"), runnable=fields[_STATE] == "R")


def first_child(pid: int) -> int | None:
    """The oldest child of a process: behind a container's init, the program itself. None when it has none, or is gone."""
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()
    except OSError:
        return None
    return int(children[0]) if children else None
