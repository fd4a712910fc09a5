"""The Xids of one GPU: counted for ever, remembered for a while, each event once.

Two witnesses tell of the same event: NVML's events and the kernel log, seconds apart, in either order. They are paired
off one to one, so that ten real errors stay ten. A reset or a reboot clears what is remembered, never what was counted.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum

PAIR_S_MAX = 5.0
"""The same event reaches both witnesses within milliseconds; the log is read once a second, and a busy host is slow."""
UNPAIRED_MAX = 256
"""In a storm the oldest half-known events are given up: a few are then counted twice."""
TIMES_MAX = 16
"""Kept per Xid: enough for every rule that counts repetitions."""


class Witness(StrEnum):
    """Who told of an event."""

    NVML = "nvml"
    KERNEL_LOG = "kernel_log"


@dataclass(frozen=True, slots=True)
class Sighting:
    """One telling of an event."""

    xid: int
    at_s: float
    """Monotonic."""
    witness: Witness


@dataclass(frozen=True, slots=True)
class XidHistory:
    """What happened to one GPU."""

    counts: Mapping[int, int] = field(default_factory=dict)
    last_unix_s: Mapping[int, float] = field(default_factory=dict)
    times_s: Mapping[int, tuple[float, ...]] = field(default_factory=dict)
    """Per Xid the newest monotonic times since the last reset, oldest first, at most `TIMES_MAX`."""
    cleared_s: float = 0.0
    """Monotonic time of the last reset that ended everything before it."""
    unpaired: tuple[Sighting, ...] = ()
    """Sightings that the other witness has not told of yet."""


def seen(history: XidHistory, sighting: Sighting, at_unix_s: float) -> tuple[XidHistory, bool]:
    """Take one sighting; False when it is the second telling of an event that counts already."""
    fresh = tuple(each for each in history.unpaired if sighting.at_s - each.at_s <= PAIR_S_MAX)
    twin = next((each for each in fresh if _same_event(each, sighting)), None)
    if twin is not None:
        return replace(history, unpaired=_without(fresh, twin)), False
    xid, times = sighting.xid, history.times_s
    if sighting.at_s > history.cleared_s:
        told = sorted((*times.get(xid, ()), sighting.at_s))  # the kernel log may tell late of what came first
        times = {**times, xid: tuple(told[-TIMES_MAX:])}
    return (
        replace(
            history,
            counts={**history.counts, xid: history.counts.get(xid, 0) + 1},
            last_unix_s={**history.last_unix_s, xid: max(at_unix_s, history.last_unix_s.get(xid, 0.0))},
            times_s=times,
            unpaired=(*fresh, sighting)[-UNPAIRED_MAX:],
        ),
        True,
    )


def cleared(history: XidHistory, at_s: float) -> XidHistory:
    """A reset or a reboot ended what was wrong; what is told late about the time before it wakes nothing up."""
    return replace(history, times_s={}, cleared_s=at_s)


def _same_event(one: Sighting, other: Sighting) -> bool:
    return one.xid == other.xid and one.witness is not other.witness and abs(one.at_s - other.at_s) <= PAIR_S_MAX


def _without(sightings: tuple[Sighting, ...], gone: Sighting) -> tuple[Sighting, ...]:
    index = sightings.index(gone)
    return sightings[:index] + sightings[index + 1 :]
