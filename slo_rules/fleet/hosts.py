"""Alerts about gateways, replicas, agents and hosts.

A replica that is down costs capacity, and the others carry its load: users are spoken for by the SLOs, so these are
tickets. A gateway is different: behind a dead one there is no request left to be counted as bad. So is a region without any
agent: users may be well, but what breaks next is healed by nobody.
"""

from contracts.metric_names import (
    AGENT_CONTROLLER_CLOCK_OFFSET_SECONDS,
    AGENT_DEGRADED,
    AGENT_REPLICA_STATE,
    AGENT_REPLICA_UP,
    AGENT_REPLICA_WITHHELD,
    ALERT_AGENT_DEGRADED,
    ALERT_AGENT_DOWN,
    ALERT_CLOCK_SKEW,
    ALERT_GATEWAY_DOWN,
    ALERT_HOST_DISK_LOW,
    ALERT_REGION_UNATTENDED,
    ALERT_REPLICA_DOWN,
    ALERT_REPLICA_QUARANTINED,
    ALERT_REPLICA_UNSCRAPED,
    ALERT_REPLICA_WITHHELD,
    HOST_STATE_DISK_FREE_BYTES,
    HOST_STATE_DISK_TOTAL_BYTES,
    JOB_AGENTS,
    JOB_ENVOY,
    JOB_REPLICAS,
    LABEL_GATEWAY,
    LABEL_HOST,
    LABEL_JOB,
    LABEL_PART,
    LABEL_REGION,
    LABEL_REPLICA,
    LABEL_STATE,
    UP,
)
from contracts.vocabulary import ReplicaState
from slo_rules import promql
from slo_rules.fleet.alert import HOST, MINUTE_S, REPLICA, FleetAlert
from slo_rules.fleet.gpus import UNFIT
from slo_rules.tiers import Severity
from slo_rules.words.annotations import REGION_OF_ALERT

DISK_FREE_BYTES_LOW = 1024**3
"""The journal is rewritten at 2 MB and a log set aside at 16 MB; a gibibyte is weeks of both, and time to act."""
DISK_FREE_SHARE_LOW = 0.1
"""And a tenth, so that a small volume of its own is not low from the first day."""
CLOCK_OFFSET_S_MAX = 5
"""Agents reckon in the controller's time, so orders bear it; Prometheus, certificates and people do not."""


def gateway_down() -> FleetAlert:
    """Promise: told within two minutes after a region's gateway stopped answering, which no SLO would show."""
    up = f"{promql.selector(UP, promql.equals(LABEL_JOB, JOB_ENVOY))} == 0"
    return FleetAlert(
        ALERT_GATEWAY_DOWN,
        f'label_replace({up}, "{LABEL_REGION}", "$1", "{LABEL_GATEWAY}", "(.+)")',
        Severity.PAGE,
        for_s=MINUTE_S,
        summary=f"The gateway of {REGION_OF_ALERT} does not answer",
        description=(
            f"Prometheus cannot read the gateway of {REGION_OF_ALERT}. If clients cannot reach it either, their requests "
            "are counted nowhere: no SLO shows them as bad."
        ),
    )


def replica_down() -> FleetAlert:
    """Promise: told within two minutes about a replica that healing did not bring back; silent about one that was stopped,
    and about those that have an alert of their own."""
    states = f"{ReplicaState.QUARANTINED.value}|{ReplicaState.STOPPED.value}"
    explained = (
        f"{promql.selector(AGENT_REPLICA_STATE, promql.matches(LABEL_STATE, states))} == 1"
        f" or {AGENT_REPLICA_WITHHELD} == 1"
    )
    return FleetAlert(
        ALERT_REPLICA_DOWN,
        f"{AGENT_REPLICA_UP} == 0 unless on ({LABEL_HOST}, {LABEL_REPLICA}) ({explained})",
        Severity.TICKET,
        for_s=MINUTE_S,
        summary=f"Replica {REPLICA} is down in {REGION_OF_ALERT}",
        description=f"The agent on {HOST} has seen {REPLICA} unready for a minute; a restart by the agent takes seconds.",
    )


def replica_quarantined() -> FleetAlert:
    """Promise: told about every replica that its agent gave up and the controller did not bring back within two minutes."""
    quarantined = promql.equals(LABEL_STATE, ReplicaState.QUARANTINED.value)
    return FleetAlert(
        ALERT_REPLICA_QUARANTINED,
        f"{promql.selector(AGENT_REPLICA_STATE, quarantined)} == 1",
        Severity.TICKET,
        for_s=2 * MINUTE_S,
        summary=f"Replica {REPLICA} in {REGION_OF_ALERT} is quarantined",
        description=(
            f"The agent on {HOST} restarted {REPLICA} as often as its budget allows, and it broke every time. "
            "It stays down until somebody orders a restart."
        ),
    )


def replica_withheld() -> FleetAlert:
    """Promise: told when a restart is withheld although the host shows no unfit GPU any more. Silent while one explains it:
    then the GPU is what has to be treated."""
    return FleetAlert(
        ALERT_REPLICA_WITHHELD,
        f"{AGENT_REPLICA_WITHHELD} == 1 unless on ({LABEL_HOST}) ({UNFIT})",
        Severity.TICKET,
        for_s=5 * MINUTE_S,
        summary=f"Replica {REPLICA} in {REGION_OF_ALERT} is not started again",
        description=(
            f"The agent on {HOST} withholds the restart of {REPLICA} because of its GPU, but no GPU that it shows is unfit: "
            "the one that the replica was given may be missing altogether."
        ),
    )


def replica_unscraped() -> FleetAlert:
    """Promise: told when a replica serves and Prometheus does not read it, so that the SLOs do not count its requests."""
    serves = f"{AGENT_REPLICA_UP} == 1"
    target = f"{promql.selector(UP, promql.equals(LABEL_JOB, JOB_REPLICAS))} == 0"
    return FleetAlert(
        ALERT_REPLICA_UNSCRAPED,
        f"{target} and on ({LABEL_HOST}, {LABEL_REPLICA}) {serves}",
        Severity.TICKET,
        for_s=2 * MINUTE_S,
        summary=f"Replica {REPLICA} in {REGION_OF_ALERT} serves but is not measured",
        description=(
            f"The agent on {HOST} sees {REPLICA} ready while Prometheus cannot scrape it: its requests are missing from "
            "every SLO, and the loop trusts the region less."
        ),
    )


def agent_down() -> FleetAlert:
    """Promise: told within two minutes about a host whose agent Prometheus cannot read. A ticket: its replicas may well be
    serving, and if they are not, their SLO pages."""
    return FleetAlert(
        ALERT_AGENT_DOWN,
        f"{promql.selector(UP, promql.equals(LABEL_JOB, JOB_AGENTS))} == 0",
        Severity.TICKET,
        for_s=MINUTE_S,
        summary=f"The agent on {HOST} in {REGION_OF_ALERT} does not answer",
        description=f"Nothing on {HOST} is watched or healed. Its replicas may well be serving.",
    )


def region_unattended() -> FleetAlert:
    """Promise: told within six minutes when no agent of a region can be read: a healer that is gone pages, as the controller
    does. A service manager starts an agent again long before."""
    return FleetAlert(
        ALERT_REGION_UNATTENDED,
        f"max by ({LABEL_REGION}) ({promql.selector(UP, promql.equals(LABEL_JOB, JOB_AGENTS))}) == 0",
        Severity.PAGE,
        for_s=5 * MINUTE_S,
        summary=f"No agent of {REGION_OF_ALERT} answers",
        description=(
            f"Prometheus has read no agent of {REGION_OF_ALERT} for five minutes. Its replicas may well be serving; what "
            "breaks there now is neither seen nor healed."
        ),
    )


def agent_degraded() -> FleetAlert:
    """Promise: told about every part of an agent that could not do its work for five minutes, and named."""
    part = f"{{{{ $labels.{LABEL_PART} }}}}"
    return FleetAlert(
        ALERT_AGENT_DEGRADED,
        f"max by ({LABEL_REGION}, {LABEL_HOST}, {LABEL_PART}) ({AGENT_DEGRADED}) == 1",
        Severity.TICKET,
        for_s=5 * MINUTE_S,
        summary=f"The agent on {HOST} in {REGION_OF_ALERT} works without its part {part}",
        description=f"The part {part} of the agent on {HOST} has failed for five minutes; the rest goes on.",
    )


def host_disk_low() -> FleetAlert:
    """Promise: told while there is still room, before an agent that cannot write its journal has to refuse orders."""
    low = promql.number(DISK_FREE_BYTES_LOW)
    share = promql.number(DISK_FREE_SHARE_LOW)
    return FleetAlert(
        ALERT_HOST_DISK_LOW,
        f"{HOST_STATE_DISK_FREE_BYTES} < {low} and {HOST_STATE_DISK_FREE_BYTES} < {share} * {HOST_STATE_DISK_TOTAL_BYTES}",
        Severity.TICKET,
        for_s=10 * MINUTE_S,
        summary=f"The disk with the agent's state on {HOST} in {REGION_OF_ALERT} is nearly full",
        description=(
            f"{{{{ $value | humanize1024 }}}}B are left on {HOST}. When nothing is left, the agent refuses orders: what it "
            "cannot journal it does not carry out."
        ),
    )


def clock_skew() -> FleetAlert:
    """Promise: told about a host whose clock was wrong for five minutes, before a certificate or a graph is."""
    return FleetAlert(
        ALERT_CLOCK_SKEW,
        f"abs({AGENT_CONTROLLER_CLOCK_OFFSET_SECONDS}) > {CLOCK_OFFSET_S_MAX}",
        Severity.TICKET,
        for_s=5 * MINUTE_S,
        summary=f"The clocks of {HOST} in {REGION_OF_ALERT} and of the controller differ",
        description=(
            "The two clocks are {{ $value | humanizeDuration }} apart. Orders bear that; certificates, tokens and whoever "
            "compares logs do not."
        ),
    )


ALERTS = (
    gateway_down,
    replica_down,
    replica_quarantined,
    replica_withheld,
    replica_unscraped,
    agent_down,
    region_unattended,
    agent_degraded,
    host_disk_low,
    clock_skew,
)
