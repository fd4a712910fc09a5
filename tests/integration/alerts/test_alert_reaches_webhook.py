"""The whole advisory path with the real programs: Prometheus fires, Alertmanager tells, the webhook hears it once."""

import dataclasses
import shutil
from pathlib import Path

import pytest
import yaml

from alerts.config import AlertmanagerSettings, render_config
from contracts.metric_names import ALERT_REPLICA_DOWN, JOB_AGENTS
from slo_rules.compiler import compile_slos
from slo_rules.render import render_rules
from slo_rules.rule_file import RuleFile

pytestmark = [pytest.mark.prometheus, pytest.mark.alertmanager]
TOKEN = "for-the-webhook"


def hurried(rule_file: RuleFile) -> RuleFile:
    """The same expressions, evaluated every second and without patience."""
    return RuleFile(
        tuple(
            dataclasses.replace(
                group, interval_s=1, rules=tuple(dataclasses.replace(rule, for_s=0) for rule in group.rules)
            )
            for group in rule_file.groups
        )
    )


def write_configs(folder: Path, *, fleet_port: int, alertmanager_port: int) -> None:
    """Prometheus scraping the fake agent, and our Alertmanager configuration, told to hurry."""
    (folder / "rules.yml").write_text(render_rules(hurried(compile_slos((), ()))))
    (folder / "webhook.token").write_text(TOKEN)
    labels = {"region": "eu-west", "host": "eu-west-a"}
    scrape = {"job_name": JOB_AGENTS, "static_configs": [{"targets": [f"127.0.0.1:{fleet_port}"], "labels": labels}]}
    prometheus = {
        "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
        "rule_files": ["rules.yml"],
        "scrape_configs": [scrape],
        "alerting": {
            "alertmanagers": [{"static_configs": [{"targets": [f"127.0.0.1:{alertmanager_port}"]}]}],
        },
    }
    (folder / "prometheus.yml").write_text(yaml.safe_dump(prometheus))
    settings = AlertmanagerSettings(f"http://127.0.0.1:{fleet_port}/api/v1/alerts", str(folder / "webhook.token"))
    config = render_config(settings)
    hurry = config.replace("group_wait: 1m", "group_wait: 1s").replace("group_wait: 10s", "group_wait: 1s")
    assert hurry != config
    (folder / "alertmanager.yml").write_text(hurry)


def test_a_dead_replica_is_told_to_the_controller_once_with_the_token(
    tmp_path, fleet, free_port, start_program, answers, wait_until
):
    fleet.metrics = 'agent_replica_up{replica="eu-west-a-0"} 0\nagent_replica_up{replica="eu-west-a-1"} 0\n'
    alertmanager_port, prometheus_port = free_port(), free_port()
    write_configs(tmp_path, fleet_port=fleet.port, alertmanager_port=alertmanager_port)
    alertmanager = shutil.which("prometheus-alertmanager") or shutil.which("alertmanager")
    start_program(
        [
            str(alertmanager),
            f"--config.file={tmp_path / 'alertmanager.yml'}",
            f"--storage.path={tmp_path / 'alertmanager'}",
            f"--web.listen-address=127.0.0.1:{alertmanager_port}",
            "--cluster.listen-address=",
        ]
    )
    wait_until(lambda: answers(f"http://127.0.0.1:{alertmanager_port}/-/ready"), within_s=20, what="Alertmanager ready")
    start_program(
        [
            "prometheus",
            f"--config.file={tmp_path / 'prometheus.yml'}",
            f"--storage.tsdb.path={tmp_path / 'tsdb'}",
            f"--web.listen-address=127.0.0.1:{prometheus_port}",
        ]
    )

    def told() -> list[dict]:
        bodies = [body for _, _, body in fleet.posts]
        return [body for body in bodies if body["commonLabels"].get("alertname") == ALERT_REPLICA_DOWN]

    wait_until(told, within_s=60, what="the webhook hears of the dead replica")
    (body,) = told()
    assert {path for path, _, _ in fleet.posts} == {"/api/v1/alerts"}
    assert {authorization for _, authorization, _ in fleet.posts} == {f"Bearer {TOKEN}"}
    assert body["status"] == "firing"
    assert sorted(alert["labels"]["replica"] for alert in body["alerts"]) == ["eu-west-a-0", "eu-west-a-1"]
    assert body["alerts"][0]["annotations"]["summary"].endswith("is down in eu-west")
    assert body["groupLabels"] == {"region": "eu-west"}
