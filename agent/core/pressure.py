"""What the kernel tells about pressure and limits, as values. Pure: takes the text of a file, knows no file.

Pressure stall information (PSI): how long tasks stood still because a resource was short. *Some*: at least one task did;
*full*: all that were not idle did, so that time was lost altogether. A host whose processors are 100 % busy and whose
pressure is 0 is well used; pressure is what its replicas feel.
"""

from collections.abc import Iterable
from dataclasses import dataclass

US_PER_S = 1e6
"""PSI totals are microseconds (Documentation/accounting/psi.rst)."""
UNLIMITED = "max"
"""What cgroup v2 writes where there is no limit (Documentation/admin-guide/cgroup-v2.rst)."""


@dataclass(frozen=True, slots=True)
class Stall:
    """One line of a pressure file."""

    kind: str
    """`some` or `full`."""
    ratio_10s: float
    """Share of the last ten seconds that was stalled, 0..1."""
    total_s: float
    """Stalled seconds since boot."""


def parse_pressure(text: str) -> tuple[Stall, ...]:
    """Lines such as `some avg10=1.66 avg60=4.11 avg300=2.38 total=1399396768`; one that is not of that form is left out."""
    stalls = []
    for line in text.splitlines():
        kind, *pairs = line.split() or [""]
        fields = dict(pair.split("=", 1) for pair in pairs if "=" in pair)
        try:
            stalls.append(Stall(kind, float(fields["avg10"]) / 100.0, int(fields["total"]) / US_PER_S))
        except (KeyError, ValueError):
            continue
    return tuple(stalls)


def unified_path(cgroup: str) -> str | None:
    """Path of a process in the cgroup v2 hierarchy, from its /proc/PID/cgroup; None where there is none (v1 alone)."""
    for line in cgroup.splitlines():
        if line.startswith("0::/"):
            return line[3:]
    return None


def lineage(path: str) -> tuple[str, ...]:
    """`/a/b` → `/a/b`, `/a`, `/`: a limit of any of them binds."""
    parts = [part for part in path.split("/") if part]
    return tuple("/" + "/".join(parts[:length]) for length in range(len(parts), -1, -1))


def parse_memory_max(text: str) -> int | None:
    """Bytes; None without a limit."""
    word = text.strip()
    return int(word) if word.isdigit() else None


def parse_cpu_max(text: str) -> float | None:
    """`150000 100000` → 1.5 processors; None without a limit."""
    quota, _, period = text.strip().partition(" ")
    if quota == UNLIMITED or not quota.isdigit() or not period.isdigit() or int(period) == 0:
        return None
    return int(quota) / int(period)


def tightest(limits: Iterable[float | None]) -> float | None:
    """The limit that binds first; None without any."""
    return min((limit for limit in limits if limit is not None), default=None)
