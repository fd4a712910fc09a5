"""Where a person is sent to look: the uids of our dashboards.

Alerts link to them and `grafana` renders them under these uids, so both sides take them from here; a uid survives a
rename of the dashboard's title.
"""

from enum import StrEnum


class DashboardUid(StrEnum):
    """One per dashboard, each for one question."""

    FLEET = "trimtab-fleet"
    """Are users served, everywhere?"""
    SLO = "trimtab-slo"
    """Is one promise kept, and who breaks it?"""
    REGION = "trimtab-region"
    """What goes on in one region: its traffic, its hosts, its replicas?"""
    REPLICA = "trimtab-replica"
    """Is one replica well, and its GPU?"""
    LOOP = "trimtab-loop"
    """What did the healer decide, refuse and do, and does it run at all?"""
    SERVING = "trimtab-serving"
    """How fast is speech made, and what does it wait for?"""
