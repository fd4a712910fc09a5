"""From what the machine can do to how hard the demo pushes it, and to the objective it must keep.

Everything follows from two measurements at full quality: how long a sentence takes under light load, and how many
sentences per second the whole machine speaks when it never rests.
"""

from dataclasses import dataclass

BASE_UTILISATION = 0.35
"""Steady load as a share of full capacity: one region must be able to carry it alone, beside everything else that runs
on these cores."""
SURGE_UTILISATION = 1.35
"""First wave of the surge as a share of full capacity: just too much for full quality. It grows until it is felt, so it
needs no margin; the light profile's capacity (2.6 times on the slowest machine seen) does, for neighbours that wake up."""
THRESHOLD_OVER_P95 = 2.5
"""A healthy sentence stays well under the objective's threshold; one at a seventh of the speed is well over it."""
THRESHOLD_S_MIN = 0.25
"""Below it the scheduler of a busy machine, not the system under test, would decide."""
OBJECTIVE = 0.9
"""Looser than production's 0.95: on two shared cores the demo itself takes a few requests over the edge."""
BASE_RPS_MIN = 2.0
"""Fewer requests than this per second would prove little in a demo's minutes."""
RPS_MAX = 240.0
"""What the load generator paces without becoming the bottleneck."""


@dataclass(frozen=True, slots=True)
class Measured:
    """What this machine does at full quality."""

    p50_s: float
    p95_s: float
    """Of sentences spoken one at a time, through a gateway."""
    full_rps: float
    """Sentences per second with every replica always busy."""


@dataclass(frozen=True, slots=True)
class Sizing:
    """What the demo will do on this machine."""

    threshold_s: float
    objective: float
    base_rps: float
    surge_rps: float
    """On top of the base."""
    full_rps: float
    """What both are measured against."""


def size(measured: Measured) -> Sizing:
    """Loads and objective for this machine."""
    threshold_s = max(THRESHOLD_S_MIN, THRESHOLD_OVER_P95 * measured.p95_s)
    full_rps = min(measured.full_rps, RPS_MAX / SURGE_UTILISATION)
    base_rps = max(BASE_RPS_MIN, BASE_UTILISATION * full_rps)
    surge_rps = max(BASE_RPS_MIN, SURGE_UTILISATION * full_rps - base_rps)
    return Sizing(
        threshold_s=round(threshold_s, 3),
        objective=OBJECTIVE,
        base_rps=round(base_rps, 2),
        surge_rps=round(surge_rps, 2),
        full_rps=measured.full_rps,
    )
