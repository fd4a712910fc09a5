"""Alerts about the machinery itself, the same for every SLO: who heals, and who watches, has to be alive.

Each is one a person can act on, with a runbook that says how. A healer that works ends most of these conditions in seconds
or minutes; every alert waits longer than that, and then means that healing itself failed, or needs a hand. Users are spoken
for by the SLOs: a page here is for what those would not show, or for a healer that is gone when it is needed.
"""

from slo_rules.fleet import gpus, hosts, loop, watchers
from slo_rules.fleet.alert import FleetAlert
from slo_rules.rule_file import RuleGroup

FLEET_GROUP = "fleet"
INTERVAL_S = 15
"""Four looks within the shortest patience; the expressions read a few series per replica and GPU."""


def fleet_alerts() -> tuple[FleetAlert, ...]:
    """All of them, without parameters."""
    return tuple(make() for module in (hosts, gpus, loop, watchers) for make in module.ALERTS)


def fleet_group() -> RuleGroup:
    """The same as one group of rules."""
    return RuleGroup(FLEET_GROUP, INTERVAL_S, tuple(alert.rule() for alert in fleet_alerts()))
