"""Alerts about GPUs: what the loop could not cure, or may not touch.

The way from an unfit GPU back to service is capacity elsewhere, a drain, a reset and a minute of watching; the patience of
`GpuUnfit` is as long as that takes, so that it speaks when it did not work or is not permitted.
"""

from contracts.metric_names import (
    ALERT_GPU_SLOWED,
    ALERT_GPU_UNFIT,
    ALERT_XID_STORM,
    GPU_RECOMMENDED_ACTION,
    GPU_SLOWED,
    GPU_UP,
    GPU_XID_ERRORS_TOTAL,
    LABEL_ACTION,
    LABEL_GPU,
    LABEL_HOST,
    LABEL_REASON,
    LABEL_REGION,
    LABEL_SOURCE,
    LABEL_UUID,
    LABEL_XID,
)
from contracts.vocabulary import UNFIT_FROM, GpuAction
from slo_rules import promql
from slo_rules.fleet.alert import GPU, MINUTE_S, FleetAlert
from slo_rules.tiers import Severity
from slo_rules.words.annotations import REGION_OF_ALERT

_ORDERED = tuple(GpuAction)
_UNFIT_ACTIONS = "|".join(action.value for action in _ORDERED[_ORDERED.index(UNFIT_FROM) :])
_CALLS = promql.selector(GPU_RECOMMENDED_ACTION, promql.matches(LABEL_ACTION, _UNFIT_ACTIONS))
UNFIT = f"{GPU_UP} == 0 or {_CALLS} == 1"
"""PromQL: GPUs on which nothing is started."""
_ONE_GPU = f"{LABEL_REGION}, {LABEL_HOST}, {LABEL_GPU}, {LABEL_UUID}"
_OF_THIS = f"{{{LABEL_HOST}=%q,{LABEL_UUID}=%q}}"
_THIS = f"$labels.{LABEL_HOST} $labels.{LABEL_UUID}"
XIDS_MAX = 4
"""In half an hour. The first ones are answered by restarts; the fifth says that restarts do not help."""
XID_WINDOW_S = 30 * MINUTE_S
SLOWED_WINDOW_S = 10 * MINUTE_S
SLOWED_SHARE_MAX = 0.5
"""Of the window: heat comes and goes by the second, and a moment of it is no work for anybody."""


def gpu_unfit() -> FleetAlert:
    """Promise: told about every GPU that carries no work and was not cured in ten minutes, with what it calls for."""
    calls = (
        f"{{{{ range printf `{GPU_RECOMMENDED_ACTION}{_OF_THIS} == 1` {_THIS} | query }}}}"
        f" It calls for {{{{ reReplaceAll `_` ` ` .Labels.{LABEL_ACTION} }}}}"
        f"{{{{ with .Labels.{LABEL_SOURCE} }}}} ({{{{ . }}}}){{{{ end }}}}.{{{{ end }}}}"
    )
    unseen = (
        f"{{{{ range printf `{GPU_UP}{_OF_THIS} == 0` {_THIS} | query }}}}"
        f" It cannot be read: {{{{ reReplaceAll `_` ` ` .Labels.{LABEL_REASON} }}}}.{{{{ end }}}}"
    )
    return FleetAlert(
        ALERT_GPU_UNFIT,
        f"count by ({_ONE_GPU}) ({UNFIT})",
        Severity.TICKET,
        for_s=10 * MINUTE_S,
        summary=f"{GPU} in {REGION_OF_ALERT} is unfit",
        description=f"Nothing is started on {GPU}.{calls}{unseen}",
    )


def gpu_slowed() -> FleetAlert:
    """Promise: told when heat or the power brake held a GPU down for most of a quarter of an hour."""
    slowed = f"avg_over_time({GPU_SLOWED}[{promql.duration(SLOWED_WINDOW_S)}])"
    return FleetAlert(
        ALERT_GPU_SLOWED,
        f"{slowed} > {promql.number(SLOWED_SHARE_MAX)}",
        Severity.TICKET,
        for_s=5 * MINUTE_S,
        summary=f"{GPU} in {REGION_OF_ALERT} is slowed down by heat or power",
        description=(
            f"The hardware held down the clocks of {GPU} for {{{{ $value | humanizePercentage }}}} of the last "
            f"{promql.duration(SLOWED_WINDOW_S)}. No restart cools it."
        ),
    )


def xid_storm() -> FleetAlert:
    """Promise: told when one GPU reports driver errors faster than restarts can be the answer."""
    window = promql.duration(XID_WINDOW_S)
    which = (
        f"{{{{ range printf `increase({GPU_XID_ERRORS_TOTAL}{_OF_THIS}[{window}]) > 0` {_THIS} | query }}}}"
        f" Xid {{{{ .Labels.{LABEL_XID} }}}}: {{{{ printf `%.0f` .Value }}}}.{{{{ end }}}}"
    )
    return FleetAlert(
        ALERT_XID_STORM,
        # `increase` reckons with the edges of the window and makes 4.01 of 4: half an error more tells 4 from 5.
        f"sum by ({_ONE_GPU}) ({promql.increase(GPU_XID_ERRORS_TOTAL, window)}) > {promql.number(XIDS_MAX + 0.5)}",
        Severity.TICKET,
        for_s=MINUTE_S,
        summary=f"{GPU} in {REGION_OF_ALERT} reports one driver error after another",
        description=f"More than {XIDS_MAX} driver errors within {window} on {GPU}.{which}",
    )


ALERTS = (gpu_unfit, gpu_slowed, xid_storm)
