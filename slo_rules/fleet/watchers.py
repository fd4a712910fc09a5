"""Alerts about the watchers: Prometheus, its targets, and the way to whoever is on call.

When these are broken, every other alert is silent for the wrong reason. The last of them cannot be told at all, because
telling is what is broken; so one alert always fires, and whoever stops hearing it knows.
"""

from contracts.metric_names import (
    ALERT_ALERTMANAGER_ERRORS,
    ALERT_ALERTMANAGER_UNREACHABLE,
    ALERT_RELOAD_FAILED,
    ALERT_RULES_FAILING,
    ALERT_SCRAPE_TARGET_MISSING,
    ALERT_WATCHDOG,
    JOB_AGENTS,
    JOB_PROMETHEUS,
    JOB_REPLICAS,
    LABEL_JOB,
    UP,
)
from contracts.prometheus_names import (
    LABEL_ALERTMANAGER,
    LABEL_RULE_GROUP,
    PROMETHEUS_CONFIG_LAST_RELOAD_SUCCESSFUL,
    PROMETHEUS_NOTIFICATIONS_ALERTMANAGERS_DISCOVERED,
    PROMETHEUS_NOTIFICATIONS_DROPPED_TOTAL,
    PROMETHEUS_NOTIFICATIONS_ERRORS_TOTAL,
    PROMETHEUS_RULE_EVALUATION_FAILURES_TOTAL,
    PROMETHEUS_RULE_GROUP_ITERATIONS_MISSED_TOTAL,
)
from slo_rules import promql
from slo_rules.fleet.alert import MINUTE_S, FleetAlert
from slo_rules.tiers import Severity

WINDOW_S = 5 * MINUTE_S
JOBS = (JOB_REPLICAS, JOB_AGENTS, JOB_PROMETHEUS)
"""Without the first two nothing is measured, without the last nobody watches Prometheus. The controller has an alert of its
own; gateways may be somebody else's."""


def rules_failing() -> FleetAlert:
    """Promise: told when rules fail, or are skipped, evaluation after evaluation: a page that hangs on them would not come."""
    window = promql.duration(WINDOW_S)
    failed = promql.increase(PROMETHEUS_RULE_EVALUATION_FAILURES_TOTAL, window)
    missed = promql.increase(PROMETHEUS_RULE_GROUP_ITERATIONS_MISSED_TOTAL, window)
    return FleetAlert(
        ALERT_RULES_FAILING,
        f"{failed} > 0 or {missed} > 0",
        Severity.PAGE,
        for_s=2 * WINDOW_S,
        summary=f"Prometheus cannot evaluate the rules of {{{{ $labels.{LABEL_RULE_GROUP} }}}}",
        description="Rules of this group fail or are skipped. What they would alert about goes untold.",
        of_region=False,
    )


def reload_failed() -> FleetAlert:
    """Promise: told when Prometheus runs on with a former configuration, before it is started again and cannot."""
    return FleetAlert(
        ALERT_RELOAD_FAILED,
        f"{PROMETHEUS_CONFIG_LAST_RELOAD_SUCCESSFUL} == 0",
        Severity.TICKET,
        for_s=5 * MINUTE_S,
        summary="Prometheus refused its last configuration",
        description="It runs with the one before, and would not start again with what is on the disk.",
        of_region=False,
    )


def alertmanager_unreachable() -> FleetAlert:
    """Promise: told, by the silence of `Watchdog` if by nothing else, when alerts reach no Alertmanager at all. One of several
    that is away is no page: the others tell everything."""
    window = promql.duration(WINDOW_S)
    # An alert is dropped when every Alertmanager failed to take it, or when too many wait to be sent.
    dropped = promql.increase(PROMETHEUS_NOTIFICATIONS_DROPPED_TOTAL, window)
    return FleetAlert(
        ALERT_ALERTMANAGER_UNREACHABLE,
        f"{dropped} > 0 or {PROMETHEUS_NOTIFICATIONS_ALERTMANAGERS_DISCOVERED} < 1",
        Severity.PAGE,
        for_s=2 * WINDOW_S,  # a drop is seen for as long as the window is, so a restart of Alertmanager is over by then
        summary="Alerts do not reach Alertmanager",
        description="Prometheus drops alerts because no Alertmanager takes them, or knows of none. Nobody may be told of anything.",
        of_region=False,
    )


def alertmanager_errors() -> FleetAlert:
    """Promise: told through another Alertmanager when one of several has not taken alerts for ten minutes."""
    errors = promql.increase(PROMETHEUS_NOTIFICATIONS_ERRORS_TOTAL, promql.duration(WINDOW_S))
    return FleetAlert(
        ALERT_ALERTMANAGER_ERRORS,
        f"{errors} > 0",
        Severity.TICKET,  # while another one takes them, everything is told
        for_s=2 * WINDOW_S,
        summary=f"Alertmanager {{{{ $labels.{LABEL_ALERTMANAGER} }}}} does not take alerts",
        description="Prometheus cannot deliver alerts to it. When the others fail as well, nobody is told of anything.",
        of_region=False,
    )


def scrape_target_missing() -> FleetAlert:
    """Promise: told when a whole job has no target, which no `up == 0` can show."""
    job = f"{{{{ $labels.{LABEL_JOB} }}}}"
    return FleetAlert(
        ALERT_SCRAPE_TARGET_MISSING,
        " or ".join(f"absent({promql.selector(UP, promql.equals(LABEL_JOB, each))})" for each in JOBS),
        Severity.TICKET,  # a region without its counters pages by itself
        for_s=5 * MINUTE_S,
        summary=f"Prometheus has no target in job {job}",
        description=f"Nothing of job {job} is scraped, so nothing about it can alert.",
        of_region=False,
    )


def watchdog() -> FleetAlert:
    """Promise: fires from the first evaluation on, for ever. Its absence is the message."""
    return FleetAlert(
        ALERT_WATCHDOG,
        "vector(1)",
        None,
        for_s=0,
        summary="Alerting works",
        description="This alert always fires. A receiver that expects it raises the alarm when it stops hearing it.",
        of_region=False,
    )


ALERTS = (
    rules_failing,
    reload_failed,
    alertmanager_unreachable,
    alertmanager_errors,
    scrape_target_missing,
    watchdog,
)
