"""How much of an SLO's error budget is left, written into its alert by Prometheus when it fires.

One look-up of one recorded series. Before that is first recorded, or when it went stale, the alert says so: no number is
better than an old one.
"""

from contracts.metric_names import LABEL_REGION, LABEL_SLO, LABEL_WINDOW, RULE_BUDGET_REMAINING

BUDGET_LEFT = "budget_left"
"""Name of the annotation."""
_LEFT = f"{RULE_BUDGET_REMAINING}{{{LABEL_SLO}=%q,{LABEL_REGION}=%q}}"
"""`%q` is filled with the alert's own SLO and region, quoted the way PromQL reads them."""


def budget_left() -> tuple[str, str]:
    """The annotation for an alert with an SLO and a region: `62.4% of 30d`; negative when more than all of it is spent."""
    return BUDGET_LEFT, (
        f"{{{{ with printf `{_LEFT}` $labels.{LABEL_SLO} $labels.{LABEL_REGION} | query }}}}"
        f"{{{{ with first . }}}}{{{{ .Value | humanizePercentage }}}}{{{{ with .Labels.{LABEL_WINDOW} }}}} of {{{{ . }}}}"
        "{{ end }}{{ end }}{{ else }}not known yet{{ end }}"
    )
