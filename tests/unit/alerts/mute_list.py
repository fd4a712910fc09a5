"""Every alert there is, and the whole list of who may mute whom."""

import itertools

from contracts.vocabulary import Region, SloId
from slo_rules.compiler import compile_slos
from slo_rules.indicators import ExactCounters
from slo_rules.model import Slo
from slo_rules.rule_file import AlertingRule

ALERTS = compile_slos((Slo(SloId("speech"), 0.95, ExactCounters(0.2)),), (Region("eu-west"),)).alerts
ABOUT_THE_SAME = {
    "region": "eu-west",
    "host": "eu-west-a",
    "replica": "eu-west-a-0",
    "gpu": "0",
    "uuid": "GPU-0",
    "slo": "speech",
}
"""The worst case: everything that fires is about one and the same thing."""
ALLOWED = {
    ("SLOBurn/1", "SLOBurn/2"),
    ("SLOBurn/1", "SLOBurn/3"),
    ("SLOBurn/1", "SLOBurn/4"),
    ("SLOBurn/2", "SLOBurn/3"),
    ("SLOBurn/2", "SLOBurn/4"),
    ("SLOBurn/3", "SLOBurn/4"),
    *itertools.product(
        ("SLOBurn/1", "SLOBurn/2", "SLONoData", "GatewayDown", "RegionUnattended"),
        ("ReplicaDown", "ReplicaUnscraped", "AgentDown"),
    ),
    ("GpuUnfit", "GpuSlowed"),
    ("GpuUnfit", "XidStorm"),
    ("ControllerDown", "ControlLoopStuck"),
    ("ControllerDown", "NoLeader"),
}


def name_of(alert: AlertingRule) -> str:
    tier = dict(alert.labels).get("tier")
    return f"{alert.alert}/{tier}" if tier else alert.alert


def labels_of(alert: AlertingRule) -> dict[str, str]:
    return {**ABOUT_THE_SAME, **dict(alert.labels), "alertname": alert.alert}
