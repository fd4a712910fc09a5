"""Alertmanager is started again in the middle of an incident: nobody is paged twice, and what was muted is muted again.

It tells alerts that are older than their group's wait at once, maybe before it knows what mutes them: a ticket may slip through.
"""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.integration.alerts.conftest import alertmanager, fake_fleet, fake_mail_server, with_secrets

pytestmark = pytest.mark.alertmanager
REGION = "eu-west"


def alert(name: str, severity: str, **labels: str) -> dict:
    return {
        "labels": {"alertname": name, "severity": severity, "region": REGION, **labels},
        "annotations": {"summary": f"{name} in {REGION}"},
        "startsAt": "2026-01-01T00:00:00Z",
    }


INCIDENT = (
    alert("SLOBurn", "page", slo="speech", tier="1"),
    alert("SLOBurn", "ticket", slo="speech", tier="3"),
    alert("ReplicaDown", "ticket", replica="eu-west-a-0"),
)
LATER = alert("ReplicaQuarantined", "ticket", replica="eu-west-a-1")


def test_nobody_is_paged_twice_and_what_was_muted_is_muted_again(
    tmp_path: Path, free_port: Callable[[], int], wait_until: Callable[..., None]
):
    with fake_fleet() as fleet, fake_mail_server() as mail:
        settings = with_secrets(tmp_path, fleet, mail)
        with alertmanager(settings, tmp_path, free_port()) as server:
            wait_until(server.is_ready, within_s=20, what="Alertmanager ready")
            server.fire(*INCIDENT)
            wait_until(lambda: fleet.told("/pagerduty"), within_s=20, what="the page")
        with alertmanager(settings, tmp_path, free_port()) as server:
            wait_until(server.is_ready, within_s=20, what="Alertmanager ready again")
            server.fire(*INCIDENT)
            server.fire(LATER)
            wait_until(lambda: "ReplicaQuarantined" in str(fleet.told("/chat")), within_s=20, what="what came later")
            muted = {each["labels"]["alertname"] for each in server.alerts() if each["status"]["inhibitedBy"]}
        assert len(fleet.told("/pagerduty")) == 1
        assert muted == {"SLOBurn", "ReplicaDown"}
        for name in ("SLOBurn", "ReplicaDown"):
            assert len([body for body in fleet.told("/chat") if body["groupLabels"]["alertname"] == name]) <= 1
