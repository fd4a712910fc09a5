"""What an alert about the machinery tells a person: looked up by Prometheus when it fires."""

import pytest

from contracts.metric_names import (
    ALERT_CONTROLLER_GAVE_UP,
    ALERT_GPU_UNFIT,
    ALERT_RULES_NOT_APPLIED,
    ALERT_SIGNALS_UNTRUSTED,
    ALERT_WATCHDOG,
)
from slo_rules.fleet_alerts import INTERVAL_S
from tests.unit.slo_rules.fleet_cases import ALERTS, GPU, OF_GPU, OF_SLO, held
from tests.unit.slo_rules.fleet_promtool import promtool, written

pytestmark = pytest.mark.prometheus


def told(alert: str, labels: dict[str, str], series: dict[str, str], **annotations: str):
    """The alert, and a test of it after an hour of `series`, with every annotation; those that are not given are as compiled."""
    own = dict(ALERTS[alert].rule().annotations) | annotations
    for label, value in labels.items():
        own["dashboard"] = own["dashboard"].replace(f"{{{{ $labels.{label} }}}}", value)
    all_labels = {"severity": str(ALERTS[alert].severity or "none")} | labels
    at_s = 3_600
    return alert, {
        "name": f"{alert} in words",
        "interval": f"{INTERVAL_S}s",
        "input_series": [{"series": name, "values": held(value, at_s)} for name, value in series.items()],
        "alert_rule_test": [
            {
                "eval_time": f"{at_s}s",
                "alertname": alert,
                "exp_alerts": [{"exp_labels": all_labels, "exp_annotations": own}],
            }
        ],
    }


def action(summary: str, stage: str, verdict: str, region: str = "eu-west", leader: str = "c:1") -> str:
    labels = f'instance="{leader}",action="{summary}",summary="{summary}",stage="{stage}",verdict="{verdict}"'
    return f'controller_action_begun_timestamp_seconds{{region="{region}",{labels}}}'


LEADS = {"controller_leader": "1"}
HELPLESS = {'controller_helpless{region="eu-west",slo="speech",reason="nothing_helped"}': "1"}
ABOUT_SLO = {
    "summary": "Trimtab can do no more about SLO speech in eu-west",
    "description": (
        "SLO speech is beyond its error budget in eu-west, and no remedy is left that is known, safe and permitted."
    ),
}
DONE = {
    action("restart eu-west-a-0 after a drain", "closed", "no_effect"): "3000",
    action("shift traffic: gateway eu-west → us-east 40%", "verifying", ""): "3465",
    action("restart eu-west-a-0 after a drain", "closed", "no_effect", leader="c:2"): "3000",
    action("elsewhere", "closed", "improved", "us-east"): "3400",
}
IN_WORDS = (
    told(
        ALERT_CONTROLLER_GAVE_UP,
        OF_SLO,
        LEADS | HELPLESS | DONE,
        **ABOUT_SLO,
        done="shift traffic: gateway eu-west → us-east 40%: verifying, begun 2m 15s ago; "
        "restart eu-west-a-0 after a drain: no effect, begun 10m 0s ago. Nothing more can be done: nothing helped.",
    ),
    told(
        ALERT_CONTROLLER_GAVE_UP,
        OF_SLO,
        LEADS | HELPLESS,
        **ABOUT_SLO,
        done="Nothing was done there within the last hour. Nothing more can be done: nothing helped.",
    ),
    told(ALERT_CONTROLLER_GAVE_UP, OF_SLO, HELPLESS | DONE, **ABOUT_SLO, done="No controller leads: nobody acts."),
    told(
        ALERT_GPU_UNFIT,
        OF_GPU,
        LEADS
        | {
            f'gpu_recommended_action{{{GPU},action="reboot_host",source="xid 79"}}': "1",
            f'gpu_up{{{GPU},reason="gpu_lost"}}': "0",
        },
        summary="GPU 0 on eu-west-a in eu-west is unfit",
        description="Nothing is started on GPU 0 on eu-west-a. It calls for reboot host (xid 79). It cannot be read: gpu lost.",
        done="Nothing was done there within the last hour.",
    ),
    told(
        ALERT_SIGNALS_UNTRUSTED,
        {},
        {'controller_signals_trust{trust="late"}': "2", 'controller_signals_trust{trust="dead"}': "1"},
        summary="The counters of 3 region(s) cannot be relied on",
        description="2 late. 1 dead. Nothing that takes capacity away is begun there: what it would rest on is not known.",
    ),
    told(
        ALERT_RULES_NOT_APPLIED,
        {},
        {'controller_rules_state{state="refused"}': "1", "controller_rules_unhealthy": "0"},
        description="The rules are refused. An objective that was applied, changed or deleted since does not alert as it should.",
    ),
    told(
        ALERT_RULES_NOT_APPLIED,
        {},
        {'controller_rules_state{state="in_step"}': "1", "controller_rules_unhealthy": "2"},
        description="Some rules cannot be evaluated. An objective that was applied, changed or deleted since does not alert as "
        "it should.",
    ),
    told(ALERT_WATCHDOG, {}, {}),
)


def test_what_a_person_reads_is_looked_up_when_it_fires(tmp_path):
    tests = {alert: [case for name, case in IN_WORDS if name == alert] for alert, _ in IN_WORDS}
    result = promtool([written(tmp_path, alert, ALERTS[alert], cases) for alert, cases in tests.items()])
    assert result.returncode == 0, result.stdout + result.stderr
