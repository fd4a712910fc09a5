"""Who owns the processes that NVML saw on the GPUs: looked up in /proc once a second, never during a scrape.

What a process comes from does not change, so it is read once per process and kept under (pid, start time), which no
other process ever has. Whom it belongs to can change (a warm spare becomes a replica) and is joined anew each time.
"""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from agent.core.gpu import Gpu
from agent.core.owners import Origin, Owner, Stat, container_ids, owner, parse_stat
from agent.ports import FootprintView, ProcessOwner
from chassis.clock import Clock

LOOK_INTERVAL_S = 1.0
"""As often as NVML lists processes."""
PIDS_ON_LOOP_MAX = 32
"""So few are looked up at once: 20 µs each, where a thread costs 200 µs. More go to a thread."""
ORIGINS_MAX = 1024
"""Processes remembered: 16 GPUs with 64 each. When it is full, all are looked up again."""
ANCESTORS_MAX = 16
"""A shell, a launcher and a worker pool make five; a longer chain is not ours."""


@dataclass(slots=True)
class ProcOwners:
    """`ProcessOwner` over /proc. `owner_of` reads one file, and of a process seen for the first time a few more."""

    runtime: FootprintView
    proc: Path = Path("/proc")
    _origins: dict[tuple[int, int], Origin] = field(default_factory=dict)

    def owner_of(self, pid: int) -> Owner | None:
        """None when the process is gone, or its pid is not one of this PID namespace."""
        stat = self._stat(pid)
        if stat is None:
            return None
        key = (pid, stat.start_ticks)
        if key not in self._origins:
            if len(self._origins) >= ORIGINS_MAX:
                self._origins.clear()
            self._origins[key] = Origin(
                pids=(pid, stat.session, *self._ancestors(stat)),
                containers=container_ids(self._text(pid, "cgroup")),
            )
        return owner(self._origins[key], self.runtime.footprints())

    def _ancestors(self, stat: Stat) -> list[int]:
        found: list[int] = []
        while stat.parent > 1 and len(found) < ANCESTORS_MAX:
            found.append(stat.parent)
            above = self._stat(stat.parent)
            if above is None:
                break
            stat = above
        return found

    def _stat(self, pid: int) -> Stat | None:
        return parse_stat(self._text(pid, "stat"))

    def _text(self, pid: int, name: str) -> str:
        try:
            return (self.proc / str(pid) / name).read_text(encoding="utf-8", errors="replace")
        except OSError:
            return ""


@dataclass(frozen=True, slots=True)
class Holdings:
    """Who held which GPU at one moment."""

    gpus: tuple[Gpu, ...] = ()
    """Those that were up."""
    owners: Mapping[int, Owner] = field(default_factory=dict)
    """By pid; processes that could be looked up."""


@dataclass(slots=True)
class OwnerWatch:
    """Keeps the newest holdings."""

    gpus: Callable[[], tuple[Gpu, ...]]
    """Every GPU now."""
    owners: ProcessOwner
    clock: Clock
    newest: Holdings = field(default_factory=Holdings)

    async def run(self) -> None:
        """Look for ever."""
        while True:
            gpus = tuple(gpu for gpu in self.gpus() if gpu.up)
            pids = frozenset(process.pid for gpu in gpus for process in gpu.processes or ())
            few = len(pids) <= PIDS_ON_LOOP_MAX
            self.newest = Holdings(gpus, self._look(pids) if few else await asyncio.to_thread(self._look, pids))
            await self.clock.sleep(LOOK_INTERVAL_S)

    def _look(self, pids: frozenset[int]) -> dict[int, Owner]:
        found = {pid: self.owners.owner_of(pid) for pid in sorted(pids)}
        return {pid: whose for pid, whose in found.items() if whose is not None}
