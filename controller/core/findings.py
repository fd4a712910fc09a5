"""What diagnosing concludes: one thing that is wrong, whose fault it is, and what shows it."""

from dataclasses import dataclass
from enum import StrEnum

from contracts.vocabulary import Region

Evidence = tuple[tuple[str, str], ...]


class Cause(StrEnum):
    """What is wrong, in the order in which it is treated."""

    REPLICA_DOWN = "replica_down"
    HOST_UNFIT = "host_unfit"
    """A GPU calls for its whole host to be drained or rebooted, or no GPU of the host can be used."""
    GPU_UNFIT = "gpu_unfit"
    """A GPU is down, or calls for being drained or reset."""
    BAD_CHANGE = "bad_change"
    OVERLOAD = "overload"
    REGION_SLOW = "region_slow"
    GPU_SLOWED = "gpu_slowed"
    """One replica is slow, and its GPU says why: heat or power braking, which no restart cures."""
    REPLICA_SLOW = "replica_slow"
    HOST_SILENT = "host_silent"
    UNEXPLAINED = "unexplained"


OF_HARDWARE = frozenset({Cause.HOST_UNFIT, Cause.GPU_UNFIT})
"""About a machine, perhaps for weeks: what its region lacks meanwhile shows in the region's own load and objectives, so these
alone neither keep a region from coming home nor from helping others."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong, and what shows it."""

    cause: Cause
    subject: str
    """Replica, GPU, region, host, or the id of the action to blame."""
    region: Region
    since_unix_s: float
    summary: str
    evidence: Evidence
