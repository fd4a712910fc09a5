"""What a person reads when an alert fires: what happened, to which SLO, and where to go next.

Prometheus expands annotations and alert labels as Go templates. Text that came from outside goes through `literal`, so
that a description with braces can neither run a query nor make Prometheus refuse the whole file.
"""

from urllib.parse import quote

from contracts.metric_names import LABEL_REGION
from contracts.vocabulary import SloId
from slo_rules.rule_file import Labels

DASHBOARD_UID = "trimtab-fleet"
"""Uid of the dashboard that `grafana` renders; links survive a rename of its title."""
REGION_OF_ALERT = f"{{{{ $labels.{LABEL_REGION} }}}}"
"""Template for the region of the firing series."""


def literal(text: str) -> str:
    """`text` such that Go's template engine prints it unchanged."""
    return text.replace("{", '{{"{"}}')


def annotate(alert: str, *, summary: str, description: str, slo: SloId | None = None) -> Labels:
    """The four annotations every alert carries; `slo` narrows the dashboard link to one SLO and the alert's region."""
    focus = f"?var-slo={quote(slo, safe='')}&var-region={REGION_OF_ALERT}" if slo is not None else ""
    return (
        ("summary", summary),
        ("description", description),
        ("runbook", f"docs/runbooks/{alert}.md"),
        ("dashboard", f"/d/{DASHBOARD_UID}/{focus}"),
    )
