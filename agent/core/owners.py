"""Whose process is that: from what the kernel tells about a process to the container and the replica it belongs to.

Pure. A runtime says by what its replicas can be recognised (`Footprint`), the kernel says where a process comes from
(`Origin`), and `owner` joins the two. A replica's first process is known by its pid, and its children by their ancestors or
their session; in a container the container's id is enough, also for what somebody started inside with `exec`.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from contracts.vocabulary import ReplicaId

CONTAINER_ID = re.compile(r"(?:^|[/-])([0-9a-f]{64})(?:\.scope)?(?=/|$)")
"""Engines differ in what stands around it: `/docker/ID`, `docker-ID.scope`, `libpod-ID.scope`, `cri-containerd-ID.scope`,
`/kubepods/…/podUID/ID`."""
_PARENT, _SESSION, _START_TICKS = 1, 3, 19
"""Fields of /proc/PID/stat after the command's closing parenthesis (proc_pid_stat(5): ppid, session, starttime)."""


@dataclass(frozen=True, slots=True)
class Footprint:
    """By what the processes of one replica are recognised on this host."""

    replica: ReplicaId
    pid: int | None = None
    """Its first process; None while none runs, or where process ids are not shared with the host."""
    container: str | None = None
    """Full id of its container; None without one."""


@dataclass(frozen=True, slots=True)
class Owner:
    """Whom a process belongs to. Neither: it is a stranger on this host."""

    replica: ReplicaId | None = None
    container: str | None = None


@dataclass(frozen=True, slots=True)
class Stat:
    """The part of /proc/PID/stat that tells where a process comes from."""

    parent: int
    session: int
    """Pid of the process that leads the session; replicas started by the agent lead their own."""
    start_ticks: int
    """With the pid it names one process for ever: pids are used again, a pair is not."""


@dataclass(frozen=True, slots=True)
class Origin:
    """Where one process comes from."""

    pids: tuple[int, ...]
    """Itself, its session's leader, then its ancestors, nearest first."""
    containers: tuple[str, ...]
    """Ids in its control group's path, outermost first."""


def parse_stat(text: str) -> Stat | None:
    """None when the text is no stat line."""
    fields = text.rpartition(")")[2].split()
    try:
        return Stat(int(fields[_PARENT]), int(fields[_SESSION]), int(fields[_START_TICKS]))
    except (IndexError, ValueError):
        return None


def container_ids(cgroup: str) -> tuple[str, ...]:
    """Ids of the containers around a process, outermost first, from its /proc/PID/cgroup (v1 or v2); empty for none."""
    found: dict[str, None] = {}
    for line in cgroup.splitlines():
        path = line.split(":", 2)[-1]
        found.update(dict.fromkeys(CONTAINER_ID.findall(path)))
    return tuple(found)


def owner(origin: Origin, footprints: Iterable[Footprint]) -> Owner:
    """The replica whose container or first process is among the origins, and the container."""
    by_container, by_pid = {}, {}
    for footprint in footprints:
        if footprint.container is not None:
            by_container[footprint.container] = footprint.replica
        if footprint.pid is not None:
            by_pid[footprint.pid] = footprint.replica
    for container in origin.containers:
        if container in by_container:
            return Owner(by_container[container], container)
    outermost = origin.containers[0] if origin.containers else None
    for pid in origin.pids:
        if pid in by_pid:
            return Owner(by_pid[pid], outermost)
    return Owner(None, outermost)
