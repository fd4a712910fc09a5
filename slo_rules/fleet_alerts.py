"""Alerts about the machinery itself, the same for every SLO: who heals has to be alive.

A healer that works ends these conditions in seconds; each alert therefore waits a minute, and then means that healing
itself failed.
"""

from contracts.metric_names import (
    AGENT_REPLICA_UP,
    ALERT_AGENT_DOWN,
    ALERT_CONTROLLER_DOWN,
    ALERT_LOOP_STUCK,
    ALERT_REPLICA_DOWN,
    CONTROLLER_TICKS_TOTAL,
    JOB_AGENTS,
    JOB_CONTROLLER,
    LABEL_HOST,
    LABEL_JOB,
    LABEL_OUTCOME,
    LABEL_REPLICA,
    LABEL_SEVERITY,
)
from slo_rules import promql
from slo_rules.annotations import REGION_OF_ALERT, annotate
from slo_rules.rule_file import AlertingRule, RuleGroup
from slo_rules.tiers import Severity

INTERVAL_S = 15
"""Four looks within the minute of patience; the expressions read a handful of series."""
PATIENCE_S = 60
TICKS_RANGE_S = 120
"""Two dozen ticks of 5 s: none of them succeeding is not a slow one."""
UP = "up"
"""Written by Prometheus for every target: 1 when the last scrape worked."""
_REPLICA = f"{{{{ $labels.{LABEL_REPLICA} }}}}"
_HOST = f"{{{{ $labels.{LABEL_HOST} }}}}"


def fleet_group() -> RuleGroup:
    """One group of four alerts, without parameters."""
    return RuleGroup("fleet", INTERVAL_S, (_replica_down(), _agent_down(), _controller_down(), _loop_stuck()))


def _replica_down() -> AlertingRule:
    return _alert(
        ALERT_REPLICA_DOWN,
        f"{AGENT_REPLICA_UP} == 0",
        Severity.TICKET,  # the others carry its load; users are spoken for by the SLOs
        summary=f"Replica {_REPLICA} is down in {REGION_OF_ALERT}",
        description=f"The agent on {_HOST} has seen {_REPLICA} unready for a minute; a restart by the agent takes seconds.",
    )


def _agent_down() -> AlertingRule:
    return _alert(
        ALERT_AGENT_DOWN,
        f"{promql.selector(UP, promql.equals(LABEL_JOB, JOB_AGENTS))} == 0",
        Severity.PAGE,
        summary=f"The agent on {_HOST} in {REGION_OF_ALERT} does not answer",
        description=f"Nothing on {_HOST} is watched or healed. Its replicas may well be serving.",
    )


def _controller_down() -> AlertingRule:
    # absent() of the healthy ones: also true when no controller is scraped at all, and false while a standby answers.
    healthy = f"{promql.selector(UP, promql.equals(LABEL_JOB, JOB_CONTROLLER))} == 1"
    return _alert(
        ALERT_CONTROLLER_DOWN,
        f"absent({healthy})",
        Severity.PAGE,
        summary="No controller answers",
        description="Agents keep healing locally and the gateways keep their last weights; nothing shifts, switches or scales.",
    )


def _loop_stuck() -> AlertingRule:
    controller = promql.equals(LABEL_JOB, JOB_CONTROLLER)
    ticks = promql.selector(CONTROLLER_TICKS_TOTAL, controller, promql.equals(LABEL_OUTCOME, "ok"))
    rate = promql.rate(ticks, promql.duration(TICKS_RANGE_S))
    return _alert(
        ALERT_LOOP_STUCK,
        # A loop that never ticked has no series: it counts as zero, as long as a controller is there to tick.
        f"(sum({rate}) or vector(0)) == 0 and max({promql.selector(UP, controller)}) == 1",
        Severity.PAGE,
        summary="The control loop stands still",
        description="A controller answers, but no tick succeeded for two minutes: no decision is being taken.",
    )


def _alert(name: str, expr: str, severity: Severity, *, summary: str, description: str) -> AlertingRule:
    return AlertingRule(
        name,
        expr,
        for_s=PATIENCE_S,
        labels=((LABEL_SEVERITY, severity.value),),
        annotations=annotate(name, summary=summary, description=description),
    )
