"""The budget that is left, as an alert about an SLO tells it: looked up by the real Prometheus code when it fires."""

import subprocess

import pytest
import yaml

from slo_rules import promql
from slo_rules.budget_left import BUDGET_LEFT, budget_left
from slo_rules.render import render_rules
from slo_rules.rule_file import AlertingRule, RuleFile, RuleGroup

pytestmark = pytest.mark.prometheus
RULE = AlertingRule("Burn", "sum by (slo, region) (fires) > 0", for_s=0, labels=(), annotations=(budget_left(),))
LEFT = 'slo:error_budget_remaining:ratio{slo="%s",region="eu-west",window="30d"}'
TOLD = {"some": "62.4% of 30d", "overdrawn": "-35% of 30d", "new": "not known yet", 'o"dd': "10% of 30d"}


def test_the_alert_tells_what_is_left_or_that_it_is_not_known(tmp_path):
    (tmp_path / "rules.yml").write_text(render_rules(RuleFile((RuleGroup("burn", 60, (RULE,)),))))
    series = {
        **{f'fires{{slo={promql.quote(slo)},region="eu-west"}}': "1" for slo in TOLD},
        LEFT % "some": "0.624",
        LEFT % "overdrawn": "-0.35",
        LEFT % 'o\\"dd': "0.1",
        'slo:error_budget_remaining:ratio{slo="new",region="us-east",window="30d"}': "1",
    }
    expected = [
        {"exp_labels": {"slo": slo, "region": "eu-west"}, "exp_annotations": {BUDGET_LEFT: text}}
        for slo, text in TOLD.items()
    ]
    tests = {
        "rule_files": ["rules.yml"],
        "tests": [
            {
                "interval": "1m",
                "input_series": [{"series": name, "values": f"{value}x5"} for name, value in series.items()],
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
