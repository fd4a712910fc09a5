"""Alerts about the control loop: whether it runs, whether it may act, and where it can do no more.

Who heals has to be alive, so these page. What the loop says of itself is told by its leader alone and is gone with it;
that silence is what `ControllerDown`, `NoLeader` and `ControlLoopStuck` are for.
"""

from contracts.metric_names import (
    ALERT_CONTROLLER_DOWN,
    ALERT_CONTROLLER_GAVE_UP,
    ALERT_CONTROLLER_OUT_OF_BUDGET,
    ALERT_LOOP_STUCK,
    ALERT_NO_LEADER,
    ALERT_PAUSED_TOO_LONG,
    ALERT_RULES_NOT_APPLIED,
    ALERT_SIGNALS_UNTRUSTED,
    ALERT_TWO_LEADERS,
    CONTROLLER_HELPLESS,
    CONTROLLER_LEADER,
    CONTROLLER_PAUSED,
    CONTROLLER_RULES_STATE,
    CONTROLLER_RULES_UNHEALTHY,
    CONTROLLER_SIGNALS_TRUST,
    CONTROLLER_TICKS_TOTAL,
    JOB_CONTROLLER,
    LABEL_JOB,
    LABEL_OUTCOME,
    LABEL_REASON,
    LABEL_REGION,
    LABEL_SLO,
    LABEL_STATE,
    LABEL_TRUST,
    UP,
)
from slo_rules import promql
from slo_rules.fleet.alert import MINUTE_S, FleetAlert
from slo_rules.tiers import Severity
from slo_rules.words.annotations import REGION_OF_ALERT

TICKS_RANGE_S = 2 * MINUTE_S
"""Two dozen ticks of 5 s: none of them succeeding is not a slow one."""
PAUSED, BUDGET_SPENT = "paused", "budget_spent"
"""Reasons of helplessness with an alert of their own."""
UNTRUSTED = "late|partial|dead"
"""States of trust on which nothing that takes something away may rest."""
NOT_APPLIED = "behind|refused|unknown"
"""Ways in which the rules that Prometheus runs are not those of the objectives."""
_CONTROLLER = promql.equals(LABEL_JOB, JOB_CONTROLLER)
_ABOUT_AN_SLO = promql.Matcher(LABEL_SLO, "!=", "")
_SLO = f"{{{{ $labels.{LABEL_SLO} }}}}"


def controller_down() -> FleetAlert:
    """Promise: told within two minutes when nobody is left who could decide."""
    # absent() of the healthy ones: also true when no controller is scraped at all, and false while a standby answers.
    healthy = f"{promql.selector(UP, _CONTROLLER)} == 1"
    return FleetAlert(
        ALERT_CONTROLLER_DOWN,
        f"absent({healthy})",
        Severity.PAGE,
        for_s=MINUTE_S,
        summary="No controller answers",
        description="Agents keep healing locally and the gateways keep their last weights; nothing shifts, switches or scales.",
        of_region=False,
    )


def loop_stuck() -> FleetAlert:
    """Promise: told within four minutes when a controller lives and its loop does not."""
    ticks = promql.selector(CONTROLLER_TICKS_TOTAL, _CONTROLLER, promql.equals(LABEL_OUTCOME, "ok"))
    rate = promql.rate(ticks, promql.duration(TICKS_RANGE_S))
    return FleetAlert(
        ALERT_LOOP_STUCK,
        # A loop that never ticked has no series: it counts as zero, as long as a controller is there to tick.
        f"(sum({rate}) or vector(0)) == 0 and max({promql.selector(UP, _CONTROLLER)}) == 1",
        Severity.PAGE,
        for_s=MINUTE_S,
        summary="The control loop stands still",
        description="A controller answers, but no tick succeeded for two minutes: no decision is being taken.",
        of_region=False,
    )


def no_leader() -> FleetAlert:
    """Promise: told when controllers live and tick, and none of them may decide."""
    return FleetAlert(
        ALERT_NO_LEADER,
        f"max({promql.selector(CONTROLLER_LEADER, _CONTROLLER)}) == 0",
        Severity.PAGE,
        for_s=MINUTE_S,  # a lease lasts 15 s, so a change of leader is over long before
        summary="No controller leads",
        description="Every controller that answers is a standby: somebody else holds the lease, or nobody can take it.",
        of_region=False,
    )


def two_leaders() -> FleetAlert:
    """Promise: told when two controllers lead at once for longer than scrapes of one handover can seem to show."""
    return FleetAlert(
        ALERT_TWO_LEADERS,
        f"sum({promql.selector(CONTROLLER_LEADER, _CONTROLLER)}) > 1",
        Severity.PAGE,
        for_s=MINUTE_S,
        summary="{{ $value }} controllers lead at the same time",
        description="Each believes in a lease of its own: they do not share one database, and undo each other's decisions.",
        of_region=False,
    )


def gave_up() -> FleetAlert:
    """Promise: told within three minutes when an objective is beyond its budget and the loop has nothing left to do."""
    helpless = promql.selector(
        CONTROLLER_HELPLESS, _ABOUT_AN_SLO, promql.Matcher(LABEL_REASON, "!~", f"{PAUSED}|{BUDGET_SPENT}")
    )
    return FleetAlert(
        ALERT_CONTROLLER_GAVE_UP,
        f"max by ({LABEL_REGION}, {LABEL_SLO}) ({helpless}) == 1",
        Severity.PAGE,
        for_s=2 * MINUTE_S,
        summary=f"Trimtab can do no more about SLO {_SLO} in {REGION_OF_ALERT}",
        description=(
            f"SLO {_SLO} is beyond its error budget in {REGION_OF_ALERT}, and no remedy is left that is known, safe and "
            "permitted."
        ),
        of_slo=True,
    )


def out_of_budget() -> FleetAlert:
    """Promise: told within three minutes when an objective is beyond its budget and every attempt of a day is spent."""
    helpless = promql.selector(CONTROLLER_HELPLESS, _ABOUT_AN_SLO, promql.equals(LABEL_REASON, BUDGET_SPENT))
    return FleetAlert(
        ALERT_CONTROLLER_OUT_OF_BUDGET,
        f"max by ({LABEL_REGION}, {LABEL_SLO}) ({helpless}) == 1",
        Severity.PAGE,
        for_s=2 * MINUTE_S,
        summary=f"Trimtab has spent its attempts on SLO {_SLO} in {REGION_OF_ALERT}",
        description=(
            f"SLO {_SLO} is beyond its error budget in {REGION_OF_ALERT}. What would be tried next was tried as often as a "
            "day allows: a person is needed."
        ),
        of_slo=True,
    )


def paused_too_long() -> FleetAlert:
    """Promise: told when a pause has outlived the work that it was for."""
    return FleetAlert(
        ALERT_PAUSED_TOO_LONG,
        f"max({CONTROLLER_PAUSED}) == 1",
        Severity.TICKET,
        for_s=60 * MINUTE_S,
        summary="The loop has been paused for an hour",
        description="Somebody paused new actions and did not resume them. Agents heal locally; nothing else is done.",
        of_region=False,
    )


def signals_untrusted() -> FleetAlert:
    """Promise: told when the loop has not been able to rely on some region's counters for ten minutes, be they late at first
    and dead later."""
    trust = promql.selector(CONTROLLER_SIGNALS_TRUST, promql.matches(LABEL_TRUST, UNTRUSTED))
    return FleetAlert(
        ALERT_SIGNALS_UNTRUSTED,
        f"sum({trust}) > 0",
        Severity.TICKET,  # while users suffer from it, an SLO without data, or one that burns, pages
        for_s=10 * MINUTE_S,
        summary="The counters of {{ $value }} region(s) cannot be relied on",
        description=(
            f"{{{{ range query `sort_desc(sum by ({LABEL_TRUST}) ({trust}) > 0)` }}}}{{{{ .Value }}}} {{{{ .Labels.{LABEL_TRUST} }}}}. "
            "{{ end }}Nothing that takes capacity away is begun there: what it would rest on is not known."
        ),
        of_region=False,
    )


def rules_not_applied() -> FleetAlert:
    """Promise: told when Prometheus has not run the rules of the current objectives for ten minutes, or cannot evaluate them."""
    state = promql.selector(CONTROLLER_RULES_STATE, promql.matches(LABEL_STATE, NOT_APPLIED))
    return FleetAlert(
        ALERT_RULES_NOT_APPLIED,
        # Over all states: while it is tried again, they may change before ten minutes have gone by.
        f"max({state}) == 1 or max({CONTROLLER_RULES_UNHEALTHY}) > 0",
        Severity.TICKET,  # the rules that ran before still run
        for_s=10 * MINUTE_S,
        summary="Prometheus does not run the rules of the current objectives",
        description=(
            f"{{{{ range query `max by ({LABEL_STATE}) ({state}) == 1` }}}}The rules are {{{{ .Labels.{LABEL_STATE} }}}}. "
            "{{ else }}Some rules cannot be evaluated. {{ end }}An objective that was applied, changed or deleted since does not alert as it should."
        ),
        of_region=False,
    )


ALERTS = (
    controller_down,
    loop_stuck,
    no_leader,
    two_leaders,
    gave_up,
    out_of_budget,
    paused_too_long,
    signals_untrusted,
    rules_not_applied,
)
