"""What an alert about an SLO tells of its budget and of the region's machines: looked up by Prometheus when it fires."""

import subprocess

import pytest
import yaml

from slo_rules import promql
from slo_rules.render import render_rules
from slo_rules.rule_file import AlertingRule, RuleFile, RuleGroup
from slo_rules.words.budget_left import BUDGET_LEFT, budget_left
from slo_rules.words.machines_now import MACHINES, machines_now

pytestmark = pytest.mark.prometheus
ANNOTATIONS = (budget_left(), machines_now())
RULE = AlertingRule("Burn", "sum by (slo, region) (fires) > 0", for_s=0, labels=(), annotations=ANNOTATIONS)
SERIES = {
    'slo:error_budget_remaining:ratio{slo="some",region="eu-west",window="30d"}': "0.624",
    'slo:error_budget_remaining:ratio{slo="overdrawn",region="us-east",window="30d"}': "-0.35",
    'slo:error_budget_remaining:ratio{slo="o\\"dd",region="o\\"dd",window="month"}': "0.1",
    'slo:error_budget_remaining:ratio{slo="new",region="another",window="30d"}': "1",
    **{f'agent_replica_up{{replica="{n}",region="eu-west"}}': str(int(n < 5)) for n in range(8)},
    'up{job="agents",region="eu-west",host="a"}': "1",
    'up{job="agents",region="us-east",host="b"}': "0",
    'up{job="tts",region="us-east",host="b"}': "0",
    'agent_replica_up{replica="odd",region="o\\"dd"}': "0",
    'up{job="agents",region="o\\"dd",host="c"}': "0",
    'up{job="agents",region="o\\"dd",host="d"}': "0",
}
TOLD = {
    ("some", "eu-west"): ("62.4% of 30d", "5 of 8 known replicas are up"),
    ("overdrawn", "us-east"): ("-35% of 30d", "No agent tells of a replica, 1 agent(s) do not answer"),
    ("new", "empty"): ("not known yet", "No agent tells of a replica"),
    ('o"dd', 'o"dd'): ("10% of month", "0 of 1 known replicas are up, 2 agent(s) do not answer"),
}


def test_the_alert_tells_what_is_known_and_says_what_is_not(tmp_path):
    (tmp_path / "rules.yml").write_text(render_rules(RuleFile((RuleGroup("burn", 60, (RULE,)),))))
    fires = {f"fires{{slo={promql.quote(slo)},region={promql.quote(region)}}}": "1" for slo, region in TOLD}
    expected = [
        {
            "exp_labels": {"slo": slo, "region": region},
            "exp_annotations": {BUDGET_LEFT: budget, MACHINES: machines},
        }
        for (slo, region), (budget, machines) in TOLD.items()
    ]
    tests = {
        "rule_files": ["rules.yml"],
        "tests": [
            {
                "interval": "1m",
                "input_series": [{"series": name, "values": f"{value}x5"} for name, value in (SERIES | fires).items()],
                "alert_rule_test": [{"eval_time": "5m", "alertname": "Burn", "exp_alerts": expected}],
            }
        ],
    }
    (tmp_path / "tests.yml").write_text(yaml.safe_dump(tests))
    result = subprocess.run(
        ["promtool", "test", "rules", "tests.yml"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert result.returncode == 0, result.stdout + result.stderr
