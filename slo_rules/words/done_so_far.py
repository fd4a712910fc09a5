"""What Trimtab has done about it so far, written into an alert by Prometheus when it fires.

Alertmanager cannot query anything, so the alert has to carry the answer: this annotation is a template that looks up the
controller's own series. It says less rather than something false: without a leader it says that nobody acts, and with one
that did nothing it says so.
"""

from contracts.metric_names import (
    CONTROLLER_ACTION_BEGUN_TIMESTAMP_SECONDS,
    CONTROLLER_HELPLESS,
    CONTROLLER_LEADER,
    LABEL_ACTION,
    LABEL_REASON,
    LABEL_REGION,
    LABEL_SLO,
    LABEL_STAGE,
    LABEL_SUMMARY,
    LABEL_VERDICT,
)

DONE = "done"
"""Name of the annotation."""
TOLD_MAX = 5
"""The newest: a page is read on a telephone."""
_LEADS = f"max({CONTROLLER_LEADER}) == 1"
_ABOUT = f"{LABEL_ACTION}, {LABEL_SUMMARY}, {LABEL_STAGE}, {LABEL_VERDICT}"
_AGES = f"time() - max by ({_ABOUT}) ({CONTROLLER_ACTION_BEGUN_TIMESTAMP_SECONDS}{{{LABEL_REGION}=%q}})"
"""`max by` drops what tells one scrape of the leader from another; `%q` is filled with the region of the alert."""
_ACTIONS = f"sort(bottomk({TOLD_MAX}, {_AGES}))"
_HELPLESS = f"max by ({LABEL_REASON}) ({CONTROLLER_HELPLESS}{{{LABEL_REGION}=%q,{LABEL_SLO}=%q}})"
_OUTCOME = (
    f"{{{{ if .Labels.{LABEL_VERDICT} }}}}{{{{ reReplaceAll `_` ` ` .Labels.{LABEL_VERDICT} }}}}"
    f"{{{{ else }}}}{{{{ .Labels.{LABEL_STAGE} }}}}{{{{ end }}}}"
)


def done_so_far(*, about_slo: bool) -> tuple[str, str]:
    """The annotation for an alert with a region: the region's newest actions and their outcomes, newest first.

    `about_slo`: the alert has an SLO, too, so that it can be said when the loop can do no more about that one.
    """
    actions = (
        f"{{{{ with printf `{_ACTIONS}` $labels.{LABEL_REGION} | query }}}}"
        f"{{{{ range $i, $each := . }}}}{{{{ if $i }}}}; {{{{ end }}}}{{{{ .Labels.{LABEL_SUMMARY} }}}}: {_OUTCOME}, "
        "begun {{ humanizeDuration .Value }} ago{{ end }}."
        "{{ else }}Nothing was done there within the last hour.{{ end }}"
    )
    given_up = (
        f"{{{{ range printf `{_HELPLESS}` $labels.{LABEL_REGION} $labels.{LABEL_SLO} | query }}}}"
        f" Nothing more can be done: {{{{ reReplaceAll `_` ` ` .Labels.{LABEL_REASON} }}}}.{{{{ end }}}}"
    )
    known = f"{actions}{given_up if about_slo else ''}"
    return DONE, f"{{{{ if query `{_LEADS}` }}}}{known}{{{{ else }}}}No controller leads: nobody acts.{{{{ end }}}}"
