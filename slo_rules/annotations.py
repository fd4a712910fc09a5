"""What a person reads when an alert fires: what happened, to which SLO, and where to go next.

Prometheus expands annotations and alert labels as Go templates. Text that came from outside goes through `literal`, so
that a description with braces can neither run a query nor make Prometheus refuse the whole file.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import quote

from contracts.dashboards import DashboardUid
from contracts.metric_names import ALERT_AGENT_DOWN, ALERT_REPLICA_DOWN, LABEL_HOST, LABEL_REGION, LABEL_REPLICA
from contracts.vocabulary import SloId
from slo_rules.rule_file import Labels

REGION_OF_ALERT = f"{{{{ $labels.{LABEL_REGION} }}}}"
"""Template for the region of the firing series."""


@dataclass(frozen=True, slots=True)
class Focus:
    """The dashboard that explains an alert, and the labels of the firing series that narrow it."""

    dashboard: DashboardUid
    labels: tuple[str, ...] = ()


FOCUS: Mapping[str, Focus] = {
    ALERT_REPLICA_DOWN: Focus(DashboardUid.REPLICA, (LABEL_REGION, LABEL_HOST, LABEL_REPLICA)),
    ALERT_AGENT_DOWN: Focus(DashboardUid.REGION, (LABEL_REGION, LABEL_HOST)),
}
MACHINERY = Focus(DashboardUid.LOOP)
"""Of every other alert without an SLO: it is about the healer itself."""


def literal(text: str) -> str:
    """`text` such that Go's template engine prints it unchanged."""
    return text.replace("{", '{{"{"}}')


def annotate(alert: str, *, summary: str, description: str, slo: SloId | None = None) -> Labels:
    """The four annotations every alert carries; `slo` sends the reader to that SLO's dashboard, in the alert's region."""
    return (
        ("summary", summary),
        ("description", description),
        ("runbook", f"docs/runbooks/{alert}.md"),
        ("dashboard", _dashboard_of(alert, slo)),
    )


def _dashboard_of(alert: str, slo: SloId | None) -> str:
    """Path within Grafana. The region of a missing-data alert is in its labels, so every alert about an SLO has one."""
    if slo is not None:
        return f"/d/{DashboardUid.SLO}/?var-slo={quote(slo, safe='')}&var-region={REGION_OF_ALERT}"
    focus = FOCUS.get(alert, MACHINERY)
    chosen = "&".join(f"var-{label}={{{{ $labels.{label} }}}}" for label in focus.labels)
    return f"/d/{focus.dashboard}/{'?' if chosen else ''}{chosen}"
