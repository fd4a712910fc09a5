"""What a person reads when an alert fires: what happened, to which SLO, and where to go next.

Prometheus expands annotations and alert labels as Go templates. Text that came from outside goes through `literal`, so
that a description with braces can neither run a query nor make Prometheus refuse the whole file.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import quote

from contracts.dashboards import DashboardUid
from contracts.metric_names import (
    ALERT_AGENT_DEGRADED,
    ALERT_AGENT_DOWN,
    ALERT_CLOCK_SKEW,
    ALERT_CONTROLLER_GAVE_UP,
    ALERT_CONTROLLER_OUT_OF_BUDGET,
    ALERT_GATEWAY_DOWN,
    ALERT_GPU_SLOWED,
    ALERT_GPU_UNFIT,
    ALERT_HOST_DISK_LOW,
    ALERT_REGION_UNATTENDED,
    ALERT_REPLICA_DOWN,
    ALERT_REPLICA_QUARANTINED,
    ALERT_REPLICA_UNSCRAPED,
    ALERT_REPLICA_WITHHELD,
    ALERT_XID_STORM,
    LABEL_HOST,
    LABEL_REGION,
    LABEL_REPLICA,
    LABEL_SLO,
)
from contracts.vocabulary import SloId
from slo_rules.rule_file import Labels
from slo_rules.words.budget_left import budget_left
from slo_rules.words.done_so_far import done_so_far
from slo_rules.words.machines_now import machines_now

REGION_OF_ALERT = f"{{{{ $labels.{LABEL_REGION} }}}}"
"""Template for the region of the firing series."""


@dataclass(frozen=True, slots=True)
class Focus:
    """The dashboard that explains an alert, and the labels of the firing series that narrow it."""

    dashboard: DashboardUid
    labels: tuple[str, ...] = ()


_REPLICA = Focus(DashboardUid.REPLICA, (LABEL_REGION, LABEL_HOST, LABEL_REPLICA))
_REGION = Focus(DashboardUid.REGION, (LABEL_REGION,))
_HOST = Focus(DashboardUid.REGION, (LABEL_REGION, LABEL_HOST))
_PROMISE = Focus(DashboardUid.SLO, (LABEL_SLO, LABEL_REGION))
FOCUS: Mapping[str, Focus] = {
    ALERT_REPLICA_DOWN: _REPLICA,
    ALERT_REPLICA_QUARANTINED: _REPLICA,
    ALERT_REPLICA_WITHHELD: _REPLICA,
    ALERT_REPLICA_UNSCRAPED: _REPLICA,
    ALERT_AGENT_DOWN: _HOST,
    ALERT_AGENT_DEGRADED: _HOST,
    ALERT_HOST_DISK_LOW: _HOST,
    ALERT_CLOCK_SKEW: _HOST,
    ALERT_GPU_UNFIT: _HOST,
    ALERT_GPU_SLOWED: _HOST,
    ALERT_XID_STORM: _HOST,
    ALERT_GATEWAY_DOWN: _REGION,
    ALERT_REGION_UNATTENDED: _REGION,
    ALERT_CONTROLLER_GAVE_UP: _PROMISE,
    ALERT_CONTROLLER_OUT_OF_BUDGET: _PROMISE,
}
MACHINERY = Focus(DashboardUid.LOOP)
"""Of every other alert: it is about the healer, or about those who watch."""


def literal(text: str) -> str:
    """`text` such that Go's template engine prints it unchanged."""
    return text.replace("{", '{{"{"}}')


def annotate(alert: str, *, summary: str, description: str, slo: SloId | None = None) -> Labels:
    """The four annotations every alert carries. With `slo` the dashboard is that SLO's, in the alert's region, and three more
    tell what is left of its budget, how many machines work there, and what was done so far."""
    told = (budget_left(), machines_now(), done_so_far(about_slo=True)) if slo is not None else ()
    return (
        ("summary", summary),
        ("description", description),
        ("runbook", f"docs/runbooks/{alert}.md"),
        ("dashboard", _dashboard_of(alert, slo)),
        *told,
    )


def _dashboard_of(alert: str, slo: SloId | None) -> str:
    """Path within Grafana. The region of a missing-data alert is in its labels, so every alert about an SLO has one."""
    if slo is not None:
        return f"/d/{DashboardUid.SLO}/?var-slo={quote(slo, safe='')}&var-region={REGION_OF_ALERT}"
    focus = FOCUS.get(alert, MACHINERY)
    chosen = "&".join(f"var-{label}={{{{ $labels.{label} }}}}" for label in focus.labels)
    return f"/d/{focus.dashboard}/{'?' if chosen else ''}{chosen}"
