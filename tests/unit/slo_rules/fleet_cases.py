"""Trouble for every alert about the machinery, and what only looks like it: values for promtool."""

from dataclasses import dataclass

from contracts.metric_names import (
    ALERT_AGENT_DEGRADED,
    ALERT_AGENT_DOWN,
    ALERT_ALERTMANAGER_ERRORS,
    ALERT_ALERTMANAGER_UNREACHABLE,
    ALERT_CLOCK_SKEW,
    ALERT_CONTROLLER_DOWN,
    ALERT_CONTROLLER_GAVE_UP,
    ALERT_CONTROLLER_OUT_OF_BUDGET,
    ALERT_GATEWAY_DOWN,
    ALERT_GPU_SLOWED,
    ALERT_GPU_UNFIT,
    ALERT_HOST_DISK_LOW,
    ALERT_LOOP_STUCK,
    ALERT_NO_LEADER,
    ALERT_PAUSED_TOO_LONG,
    ALERT_REGION_UNATTENDED,
    ALERT_RELOAD_FAILED,
    ALERT_REPLICA_DOWN,
    ALERT_REPLICA_QUARANTINED,
    ALERT_REPLICA_UNSCRAPED,
    ALERT_REPLICA_WITHHELD,
    ALERT_RULES_FAILING,
    ALERT_RULES_NOT_APPLIED,
    ALERT_SCRAPE_TARGET_MISSING,
    ALERT_SIGNALS_UNTRUSTED,
    ALERT_TWO_LEADERS,
    ALERT_XID_STORM,
)
from slo_rules.fleet_alerts import INTERVAL_S, fleet_alerts

CALM_S = 600
"""Before and after; longer than the window of any of them but one."""
TURN_S = 90
NEVER, GONE = "_", "stale"
"""No sample yet, and no more of them: what Prometheus marks when a target is gone."""
HOST = 'region="eu-west",host="eu-west-a"'
REPLICA = f'{HOST},replica="eu-west-a-0"'
GPU = f'{HOST},gpu="0",uuid="GPU-0"'
AGENT = f'job="agents",instance="a:1",{HOST}'
ON_HOST = {"region": "eu-west", "host": "eu-west-a"}
OF_REPLICA = ON_HOST | {"replica": "eu-west-a-0"}
OF_GPU = ON_HOST | {"gpu": "0", "uuid": "GPU-0"}
OF_SLO = {"region": "eu-west", "slo": "speech"}
RULES = {"rule_group": "slo.yml;slo-speech"}


@dataclass(frozen=True, slots=True)
class Gauge:
    """One value in calm, another in trouble; `NEVER` and `GONE` are none."""

    series: str
    calm: str
    trouble: str

    def values(self, trouble_s: int, calm_again_s: int) -> str:
        """In promtool's notation."""
        return " ".join((held(self.calm, CALM_S), held(self.trouble, trouble_s), held(self.calm, calm_again_s)))


@dataclass(frozen=True, slots=True)
class Counter:
    """Stands in calm and grows by one per scrape in trouble, or the other way round."""

    series: str
    grows_in_trouble: bool = True

    def values(self, trouble_s: int, calm_again_s: int) -> str:
        """In promtool's notation."""
        value, parts = 0, []
        for seconds, is_trouble in ((CALM_S, False), (trouble_s, True), (calm_again_s, False)):
            scrapes, step = seconds // INTERVAL_S, int(is_trouble == self.grows_in_trouble)
            parts.append(f"{value + step}+{step}x{scrapes - 1}")
            value += step * scrapes
        return " ".join(parts)


@dataclass(frozen=True, slots=True)
class Turns:
    """One of two series of which in trouble always one is 1, each for a minute and a half."""

    series: str
    first: bool
    """Is the one that begins."""

    def values(self, trouble_s: int, calm_again_s: int) -> str:
        """In promtool's notation."""
        parts, left_s, is_one = [held("0", CALM_S)], trouble_s, self.first
        while left_s > 0:
            parts.append(held(str(int(is_one)), min(left_s, TURN_S)))
            left_s, is_one = left_s - TURN_S, not is_one
        return " ".join((*parts, held("0", calm_again_s)))


def held(value: str, seconds: int) -> str:
    scrapes = seconds // INTERVAL_S
    match value:
        case "_":
            return f"_x{scrapes}"
        case "stale":
            return f"stale _x{scrapes - 1}"
        case growing if "+" in growing:
            return f"{growing}x{scrapes - 1}"
        case _:
            return f"{value}+0x{scrapes - 1}"


@dataclass(frozen=True, slots=True)
class Case:
    """Trouble that makes one alert fire."""

    alert: str
    labels: dict[str, str]
    series: tuple[Gauge | Counter | Turns, ...]
    shows_after_s: int = INTERVAL_S
    """How long the trouble lasts before the expression sees it."""
    lingers_s: int = CALM_S // 2
    """How long the expression may remember it."""


def controller(*series):
    return (Gauge('up{job="controller",instance="c:1"}', "1", "1"), *series)


CASES = (
    Case(
        ALERT_GATEWAY_DOWN,
        {"job": "envoy", "instance": "e:1", "gateway": "eu-west", "region": "eu-west"},
        (Gauge('up{job="envoy",instance="e:1",gateway="eu-west"}', "1", "0"),),
    ),
    Case(
        ALERT_REPLICA_DOWN,
        OF_REPLICA,
        (
            Gauge(f"agent_replica_up{{{REPLICA}}}", "1", "0"),
            Gauge(f'agent_replica_state{{{REPLICA},state="hung"}}', "0", "1"),
            Gauge(f'agent_replica_state{{{REPLICA},state="stopped"}}', "0", "0"),
            Gauge(f"agent_replica_withheld{{{REPLICA}}}", "0", "0"),
        ),
    ),
    Case(
        ALERT_REPLICA_QUARANTINED,
        OF_REPLICA | {"state": "quarantined"},
        (Gauge(f'agent_replica_state{{{REPLICA},state="quarantined"}}', "0", "1"),),
    ),
    Case(
        ALERT_REPLICA_WITHHELD,
        OF_REPLICA,
        (Gauge(f"agent_replica_withheld{{{REPLICA}}}", "0", "1"), Gauge(f"gpu_up{{{GPU}}}", "1", "1")),
    ),
    Case(
        ALERT_REPLICA_UNSCRAPED,
        OF_REPLICA | {"job": "tts", "instance": "t:1"},
        (
            Gauge(f'up{{job="tts",instance="t:1",{REPLICA}}}', "1", "0"),
            Gauge(f'agent_replica_up{{job="agents",instance="a:1",{REPLICA}}}', "1", "1"),
        ),
    ),
    Case(ALERT_AGENT_DOWN, ON_HOST | {"job": "agents", "instance": "a:1"}, (Gauge(f"up{{{AGENT}}}", "1", "0"),)),
    Case(
        ALERT_REGION_UNATTENDED,
        {"region": "eu-west"},
        (
            Gauge(f"up{{{AGENT}}}", "1", "0"),
            Gauge('up{job="agents",instance="b:1",region="eu-west",host="eu-west-b"}', "0", "0"),
            Gauge('up{job="agents",instance="c:1",region="us-east",host="us-east-a"}', "1", "1"),
        ),
    ),
    Case(
        ALERT_AGENT_DEGRADED,
        ON_HOST | {"part": "nvml"},
        (Gauge(f'agent_degraded{{{AGENT},part="nvml"}}', NEVER, "1"),),
        lingers_s=330,  # a series that merely ends is still seen for five minutes; a real target marks its end
    ),
    Case(
        ALERT_HOST_DISK_LOW,
        ON_HOST,
        (
            Gauge(f"host_state_disk_free_bytes{{{HOST}}}", "9e9", "9e8"),
            Gauge(f"host_state_disk_total_bytes{{{HOST}}}", "1e10", "1e10"),
        ),
    ),
    Case(ALERT_CLOCK_SKEW, ON_HOST, (Gauge(f"agent_controller_clock_offset_seconds{{{HOST}}}", "-5", "-6"),)),
    Case(
        ALERT_GPU_UNFIT,
        OF_GPU,
        (
            Gauge(f'gpu_up{{{GPU},reason=""}}', "1", "1"),
            Gauge(f'gpu_recommended_action{{{GPU},action="reset_gpu",source="xid 48"}}', "0", "1"),
        ),
    ),
    Case(ALERT_GPU_UNFIT, OF_GPU, (Gauge(f'gpu_up{{{GPU},reason="stale"}}', "1", "0"),)),
    Case(ALERT_GPU_SLOWED, OF_GPU, (Gauge(f"gpu_slowed{{{GPU}}}", "0", "1"),), shows_after_s=315, lingers_s=330),
    Case(
        ALERT_XID_STORM,
        OF_GPU,
        (Counter(f'gpu_xid_errors_total{{{GPU},xid="13"}}'),),
        shows_after_s=75,
        lingers_s=1_830,
    ),
    Case(
        ALERT_CONTROLLER_DOWN,
        {},
        (Gauge('up{job="controller",instance="c:1"}', "1", "0"),),
    ),
    Case(
        ALERT_LOOP_STUCK,
        {},
        controller(Counter('controller_ticks_total{job="controller",outcome="ok"}', grows_in_trouble=False)),
        shows_after_s=120,
    ),
    Case(  # one that never ticked has no such series
        ALERT_LOOP_STUCK, {}, (Gauge('up{job="controller",instance="c:1"}', NEVER, "1"),), lingers_s=330
    ),
    Case(ALERT_NO_LEADER, {}, (Gauge('controller_leader{job="controller",instance="c:1"}', "1", "0"),)),
    Case(
        ALERT_TWO_LEADERS,
        {},
        (
            Gauge('controller_leader{job="controller",instance="c:1"}', "1", "1"),
            Gauge('controller_leader{job="controller",instance="c:2"}', "0", "1"),
        ),
    ),
    *(
        Case(
            ALERT_CONTROLLER_GAVE_UP,
            OF_SLO,
            (Gauge(f'controller_helpless{{region="eu-west",slo="speech",reason="{reason}"}}', "0", "1"),),
        )
        for reason in ("nothing_helped", "no_data")
    ),
    Case(
        ALERT_CONTROLLER_OUT_OF_BUDGET,
        OF_SLO,
        (Gauge('controller_helpless{region="eu-west",slo="speech",reason="budget_spent"}', "0", "1"),),
    ),
    Case(ALERT_PAUSED_TOO_LONG, {}, (Gauge('controller_paused{job="controller"}', "0", "1"),)),
    Case(
        ALERT_SIGNALS_UNTRUSTED,
        {},
        (
            Gauge('controller_signals_trust{trust="fresh"}', "2", "1"),
            Gauge('controller_signals_trust{trust="dead"}', "0", "1"),
        ),
    ),
    Case(  # now the one, now the other, and never trusted
        ALERT_SIGNALS_UNTRUSTED,
        {},
        (
            Turns('controller_signals_trust{trust="late"}', first=True),
            Turns('controller_signals_trust{trust="dead"}', first=False),
        ),
    ),
    Case(
        ALERT_RULES_NOT_APPLIED,
        {},
        (
            Gauge('controller_rules_state{state="in_step"}', "1", "0"),
            Gauge('controller_rules_state{state="refused"}', "0", "1"),
        ),
    ),
    Case(  # tried again and again
        ALERT_RULES_NOT_APPLIED,
        {},
        (
            Turns('controller_rules_state{state="unknown"}', first=True),
            Turns('controller_rules_state{state="behind"}', first=False),
        ),
    ),
    Case(ALERT_RULES_NOT_APPLIED, {}, (Gauge("controller_rules_unhealthy", "0", "2"),)),
    Case(
        ALERT_RULES_FAILING,
        RULES,
        (Counter('prometheus_rule_evaluation_failures_total{rule_group="slo.yml;slo-speech"}'),),
        lingers_s=330,
    ),
    Case(
        ALERT_RULES_FAILING,
        RULES,
        (Counter('prometheus_rule_group_iterations_missed_total{rule_group="slo.yml;slo-speech"}'),),
        lingers_s=330,
    ),
    Case(ALERT_RELOAD_FAILED, {}, (Gauge("prometheus_config_last_reload_successful", "1", "0"),)),
    Case(
        ALERT_ALERTMANAGER_ERRORS,
        {"alertmanager": "http://a:9093"},
        (Counter('prometheus_notifications_errors_total{alertmanager="http://a:9093"}'),),
        lingers_s=330,
    ),
    Case(
        ALERT_ALERTMANAGER_UNREACHABLE,
        {},
        (Counter("prometheus_notifications_dropped_total"),),
        lingers_s=330,
    ),
    Case(ALERT_ALERTMANAGER_UNREACHABLE, {}, (Gauge("prometheus_notifications_alertmanagers_discovered", "1", "0"),)),
    *(
        Case(
            ALERT_SCRAPE_TARGET_MISSING,
            {"job": job},
            tuple(
                Gauge(f'up{{job="{each}",instance="i:1"}}', "1", GONE if each == job else "1")
                for each in ("tts", "agents", "prometheus")
            ),
        )
        for job in ("tts", "agents", "prometheus")
    ),
)
ALERTS = {alert.name: alert for alert in fleet_alerts()}


@dataclass(frozen=True, slots=True)
class Quiet:
    """What looks like trouble and is none for this alert."""

    alert: str
    why: str
    series: tuple[str, ...]
    """Each with its value, after a space."""


QUIET = (
    *(
        Quiet(ALERT_REPLICA_DOWN, why, (f"agent_replica_up{{{REPLICA}}} 0", explained))
        for why, explained in (
            ("it was stopped", f'agent_replica_state{{{REPLICA},state="stopped"}} 1'),
            ("its quarantine has an alert", f'agent_replica_state{{{REPLICA},state="quarantined"}} 1'),
            ("its GPU has an alert", f"agent_replica_withheld{{{REPLICA}}} 1"),
        )
    ),
    Quiet(
        ALERT_REPLICA_WITHHELD,
        "an unfit GPU of the host explains it",
        (f"agent_replica_withheld{{{REPLICA}}} 1", f'gpu_recommended_action{{{GPU},action="reset_gpu"}} 1'),
    ),
    Quiet(
        ALERT_REPLICA_UNSCRAPED,
        "it does not serve, either",
        (f'up{{job="tts",{REPLICA}}} 0', f"agent_replica_up{{{REPLICA}}} 0"),
    ),
    Quiet(
        ALERT_HOST_DISK_LOW,
        "a small volume with room",
        (f"host_state_disk_free_bytes{{{HOST}}} 5e8", f"host_state_disk_total_bytes{{{HOST}}} 1e9"),
    ),
    Quiet(
        ALERT_HOST_DISK_LOW,
        "a large one, nearly full, with gigabytes left",
        (f"host_state_disk_free_bytes{{{HOST}}} 5e9", f"host_state_disk_total_bytes{{{HOST}}} 1e12"),
    ),
    *(
        Quiet(ALERT_GPU_UNFIT, why, (f'gpu_up{{{GPU},reason=""}} 1', f"gpu_recommended_action{{{GPU},{action}}} 1"))
        for why, action in (("nothing is wrong", 'action="none"'), ("a restart will do", 'action="restart_replica"'))
    ),
    Quiet(
        ALERT_CONTROLLER_DOWN,
        "a standby answers",
        ('up{job="controller",instance="c:1"} 0', 'up{job="controller",instance="c:2"} 1'),
    ),
    Quiet(ALERT_LOOP_STUCK, "no controller is there to tick", ('up{job="controller",instance="c:1"} 0',)),
    Quiet(
        ALERT_NO_LEADER,
        "one of two leads",
        (
            'controller_leader{job="controller",instance="c:1"} 1',
            'controller_leader{job="controller",instance="c:2"} 0',
        ),
    ),
    *(
        Quiet(ALERT_CONTROLLER_GAVE_UP, why, (f'controller_helpless{{region="eu-west",{labels}}} 1',))
        for why, labels in (
            ("users are well", 'reason="needs_person"'),
            ("somebody paused it", 'slo="speech",reason="paused"'),
            ("that has an alert of its own", 'slo="speech",reason="budget_spent"'),
        )
    ),
    Quiet(
        ALERT_SIGNALS_UNTRUSTED,
        "nobody asks for anything",
        ('controller_signals_trust{trust="zero_traffic"} 2', 'controller_signals_trust{trust="dead"} 0'),
    ),
    Quiet(
        ALERT_RULES_NOT_APPLIED,
        "in step, or not ours",
        (
            'controller_rules_state{state="in_step"} 1',
            'controller_rules_state{state="standby"} 1',
            'controller_rules_state{state="not_ours"} 1',
            'controller_rules_state{state="refused"} 0',
        ),
    ),
    Quiet(
        ALERT_ALERTMANAGER_UNREACHABLE,
        "all is delivered",
        ("prometheus_notifications_alertmanagers_discovered 1", "prometheus_notifications_dropped_total 7"),
    ),
    Quiet(
        ALERT_ALERTMANAGER_UNREACHABLE,
        "another one takes everything",
        (
            "prometheus_notifications_alertmanagers_discovered 2",
            "prometheus_notifications_dropped_total 0",
            'prometheus_notifications_errors_total{alertmanager="http://a:9093"} 0+1',
        ),
    ),
    Quiet(
        ALERT_REGION_UNATTENDED,
        "one of two agents answers",
        (f"up{{{AGENT}}} 0", 'up{job="agents",instance="b:1",region="eu-west",host="eu-west-b"} 1'),
    ),
)
QUIET_S = 4_500
