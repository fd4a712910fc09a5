"""The whole advisory path with the real programs: Prometheus fires, Alertmanager tells, the controller and people hear it."""

import dataclasses
from pathlib import Path

import pytest
import yaml

from contracts.metric_names import ALERT_REPLICA_DOWN, JOB_AGENTS, JOB_CONTROLLER
from contracts.vocabulary import Region, SloId
from slo_rules.compiler import compile_slos
from slo_rules.indicators import ExactCounters
from slo_rules.model import Slo
from slo_rules.render import render_rules
from slo_rules.rule_file import RuleFile

pytestmark = [pytest.mark.prometheus, pytest.mark.alertmanager]
SLO = Slo(SloId("speech"), 0.95, ExactCounters(0.2))
PAGED, OTHER = Region("eu-west"), Region("us-east")
AGENT = """
agent_replica_up{replica="us-east-a-0"} 0
agent_replica_up{replica="us-east-a-1"} 0
"""
LEADER = """
controller_leader 1
controller_helpless{region="eu-west",slo="speech",reason="nothing_helped"} 1
controller_action_begun_timestamp_seconds{action="1",region="eu-west",stage="closed",verdict="no_effect",summary="restart eu-west-a-0"} 1
"""


def hurried(rule_file: RuleFile) -> RuleFile:
    """The same expressions, evaluated every second and without patience."""
    return RuleFile(
        tuple(
            dataclasses.replace(
                group,
                interval_s=1,
                rules=tuple(
                    dataclasses.replace(rule, for_s=0) if hasattr(rule, "for_s") else rule for rule in group.rules
                ),
            )
            for group in rule_file.groups
        )
    )


def write_prometheus(folder: Path, *, fleet_port: int, alertmanager_url: str) -> None:
    """Prometheus scraping a fake agent and a fake controller, told to hurry."""
    (folder / "rules.yml").write_text(render_rules(hurried(compile_slos((SLO,), (PAGED,)))))
    target = f"127.0.0.1:{fleet_port}"
    labels = {"region": OTHER, "host": "us-east-a"}
    config = {
        "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
        "rule_files": ["rules.yml"],
        "scrape_configs": [
            {
                "job_name": JOB_AGENTS,
                "metrics_path": "/agent",
                "static_configs": [{"targets": [target], "labels": labels}],
            },
            {"job_name": JOB_CONTROLLER, "metrics_path": "/controller", "static_configs": [{"targets": [target]}]},
        ],
        "alerting": {
            "alertmanagers": [{"static_configs": [{"targets": [alertmanager_url.removeprefix("http://")]}]}],
        },
    }
    (folder / "prometheus.yml").write_text(yaml.safe_dump(config))


def test_what_prometheus_finds_is_told_to_the_controller_and_to_people(
    tmp_path, people, free_port, start_program, wait_until
):
    people.fleet.pages.update({"/agent": AGENT, "/controller": LEADER})
    write_prometheus(tmp_path, fleet_port=people.fleet.port, alertmanager_url=people.alertmanager.url)
    start_program(
        [
            "prometheus",
            f"--config.file={tmp_path / 'prometheus.yml'}",
            f"--storage.tsdb.path={tmp_path / 'tsdb'}",
            f"--web.listen-address=127.0.0.1:{free_port()}",
            "--rules.alert.resend-delay=1s",  # what fires before Alertmanager is found is dropped, and sent again after this
        ]
    )

    def heard(alert: str) -> list[dict]:
        bodies = people.fleet.told("/api/v1/alerts")
        return [body for body in bodies if body["groupLabels"].get("alertname") == alert]

    def pages(word: str) -> list[str]:
        return [
            event["payload"]["custom_details"]["firing"]
            for event in people.fleet.told("/pagerduty")
            if word in event["payload"]["custom_details"]["firing"]
        ]

    wait_until(lambda: heard("Watchdog"), within_s=60, what="the controller hears of the first evaluation")
    wait_until(lambda: pages("SLONoData"), within_s=60, what="the missing data is paged")
    wait_until(lambda: pages("ControllerGaveUp"), within_s=60, what="the call for help is paged")

    # The story so far and the budget are looked up by Prometheus, and arrive as text.
    assert "Trimtab so far: restart eu-west-a-0: no effect, begun " in pages("ControllerGaveUp")[0]
    assert "Nothing more can be done: nothing helped." in pages("ControllerGaveUp")[0]
    assert "Budget left: not known yet" in pages("SLONoData")[0]
    assert "Machines: No agent tells of a replica" in pages("SLONoData")[0]
    assert "Story: trimtab why eu-west" in pages("SLONoData")[0]

    # Nobody is paged for the other region, so its machines are told: both at once, and once.
    wait_until(lambda: heard(ALERT_REPLICA_DOWN), within_s=60, what="the controller hears of the dead replicas")
    (body,) = heard(ALERT_REPLICA_DOWN)
    assert body["status"] == "firing"
    assert body["groupLabels"] == {"alertname": ALERT_REPLICA_DOWN, "region": OTHER}
    assert sorted(alert["labels"]["replica"] for alert in body["alerts"]) == ["us-east-a-0", "us-east-a-1"]
    assert body["alerts"][0]["annotations"]["summary"].endswith("is down in us-east")
