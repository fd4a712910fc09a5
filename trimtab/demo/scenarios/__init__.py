"""The faults, each one short story: break it, watch it being noticed and healed, end the fault, watch it go home."""

from trimtab.demo.scenarios.controller_killed import controller_killed
from trimtab.demo.scenarios.region_slow import region_slow
from trimtab.demo.scenarios.replica_lost import replica_frozen, replica_killed
from trimtab.demo.scenarios.surge import surge

SCENARIOS = {
    "freeze": replica_frozen,
    "kill": replica_killed,
    "slow-region": region_slow,
    "surge": surge,
    "kill-controller": controller_killed,
}
"""By name, in the order in which the demo lives through them."""

__all__ = ["SCENARIOS"]
