"""Inhibition in the real Alertmanager: of the tiers of one outage only the fastest is told, elsewhere nothing is muted."""

import shutil
from datetime import UTC, datetime

import httpx
import pytest

from alerts.config import AlertmanagerSettings, render_config
from contracts.metric_names import ALERT_SLO_BURN

pytestmark = pytest.mark.alertmanager


def burn(region: str, tier: int, severity: str, slo: str = "speech") -> dict:
    labels = {"alertname": ALERT_SLO_BURN, "slo": slo, "region": region, "tier": str(tier), "severity": severity}
    return {"labels": labels, "startsAt": datetime.now(tz=UTC).isoformat()}


def test_slower_tiers_of_the_same_slo_and_region_are_muted(
    tmp_path, fleet, free_port, start_program, answers, wait_until
):
    config = render_config(AlertmanagerSettings(f"http://127.0.0.1:{fleet.port}/api/v1/alerts", None))
    hurry = config.replace("group_wait: 1m", "group_wait: 2s").replace("group_wait: 10s", "group_wait: 1s")
    (tmp_path / "alertmanager.yml").write_text(hurry)
    port = free_port()
    program = shutil.which("prometheus-alertmanager") or shutil.which("alertmanager")
    start_program(
        [
            str(program),
            f"--config.file={tmp_path / 'alertmanager.yml'}",
            f"--storage.path={tmp_path / 'data'}",
            f"--web.listen-address=127.0.0.1:{port}",
            "--cluster.listen-address=",
        ]
    )
    url = f"http://127.0.0.1:{port}"
    wait_until(lambda: answers(f"{url}/-/ready"), within_s=20, what="Alertmanager ready")
    sent = [
        burn("eu-west", 1, "page"),
        burn("eu-west", 3, "ticket"),
        burn("eu-west", 4, "ticket"),
        burn("us-east", 4, "ticket"),
        burn("eu-west", 4, "ticket", slo="other"),
    ]
    httpx.post(f"{url}/api/v2/alerts", json=sent, timeout=5).raise_for_status()

    def told() -> set[tuple[str, str, str]]:
        alerts = [alert["labels"] for _, _, body in fleet.posts for alert in body["alerts"]]
        return {(labels["slo"], labels["region"], labels["tier"]) for labels in alerts}

    others = {("speech", "us-east", "4"), ("other", "eu-west", "4")}
    wait_until(lambda: told() >= others, within_s=30, what="the tickets of other incidents are told")
    assert told() == others | {("speech", "eu-west", "1")}

    states = httpx.get(f"{url}/api/v2/alerts", timeout=5).json()
    muted = {alert["labels"]["tier"] for alert in states if alert["status"]["inhibitedBy"]}
    assert muted == {"3", "4"}
