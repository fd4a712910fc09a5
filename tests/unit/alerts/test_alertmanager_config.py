"""Alertmanager's configuration: accepted by amtool, routed by severity, one incident one notification."""

import subprocess

import pytest
import yaml

from alerts.__main__ import main
from alerts.config import AlertmanagerSettings, AlertmanagerSettingsError, render_config
from slo_rules.tiers import LADDER

URL = "http://127.0.0.1:8080/api/v1/alerts"


def config(*, path: str | None = "/run/webhook.token") -> dict:
    return yaml.safe_load(render_config(AlertmanagerSettings(URL, webhook_token_file=path)))


def amtool(*argv: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["amtool", *argv], capture_output=True, text=True, timeout=30, check=False)


def test_alerts_of_one_slo_in_one_region_are_one_notification():
    assert config()["route"]["group_by"] == ["slo", "region"]


def test_a_slower_tier_is_muted_by_every_faster_one_of_the_same_slo_and_region():
    rules = [rule for rule in config()["inhibit_rules"] if 'alertname="SLOBurn"' in rule["target_matchers"]]
    muted = {rule["target_matchers"][1]: (rule["source_matchers"][1], rule["equal"]) for rule in rules}
    assert muted == {
        'tier="2"': ('tier=~"1"', ["slo", "region"]),
        'tier="3"': ('tier=~"1|2"', ["slo", "region"]),
        'tier="4"': ('tier=~"1|2|3"', ["slo", "region"]),
    }
    assert len(muted) == len(LADDER) - 1


def test_the_token_is_named_by_its_file_and_never_written():
    webhooks = [receiver["webhook_configs"][0] for receiver in config()["receivers"]]
    assert {webhook["url"] for webhook in webhooks} == {URL}
    assert {webhook["http_config"]["authorization"]["credentials_file"] for webhook in webhooks} == {
        "/run/webhook.token"
    }


def test_without_a_token_file_no_authorization_is_sent():
    assert all("http_config" not in receiver["webhook_configs"][0] for receiver in config(path=None)["receivers"])


@pytest.mark.parametrize(
    ("url", "token_file", "culprit"),
    [
        ("", None, "webhook_url"),
        ("ftp://host/x", None, "webhook_url"),
        ("http://", None, "webhook_url"),
        (URL, "", "token"),
    ],
)
def test_settings_that_lead_nowhere_are_refused(url, token_file, culprit):
    with pytest.raises(AlertmanagerSettingsError, match=culprit):
        AlertmanagerSettings(url, token_file)


def test_the_command_writes_what_the_function_renders(capsys, tmp_path):
    assert main(["render", "--webhook-url", URL]) == 0
    assert capsys.readouterr().out == render_config(AlertmanagerSettings(URL, None))
    assert main(["render", "--webhook-url", URL, "--output", str(tmp_path / "am.yml")]) == 0
    assert (tmp_path / "am.yml").read_text() == render_config(AlertmanagerSettings(URL, None))


def test_the_command_names_a_bad_setting(capsys):
    assert main(["render", "--webhook-url", "nowhere"]) == 1
    assert "webhook_url" in capsys.readouterr().err


@pytest.mark.alertmanager
@pytest.mark.parametrize("token_file", ["/run/webhook.token", None])
def test_amtool_accepts_the_configuration(tmp_path, token_file):
    path = tmp_path / "alertmanager.yml"
    path.write_text(render_config(AlertmanagerSettings(URL, token_file)))
    result = amtool("check-config", str(path))
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.alertmanager
@pytest.mark.parametrize(
    ("labels", "receiver"),
    [
        (["alertname=SLOBurn", "severity=page", "slo=speech", "region=eu-west", "tier=1"], "page"),
        (["alertname=SLOBurn", "severity=ticket", "slo=speech", "region=eu-west", "tier=4"], "ticket"),
        (["alertname=ReplicaDown", "severity=ticket"], "ticket"),
        (["alertname=SomebodyElses"], "ticket"),
    ],
)
def test_an_alert_reaches_the_receiver_of_its_severity(tmp_path, labels, receiver):
    path = tmp_path / "alertmanager.yml"
    path.write_text(render_config(AlertmanagerSettings(URL, None)))
    result = amtool("config", "routes", "test", f"--config.file={path}", f"--verify.receivers={receiver}", *labels)
    assert result.returncode == 0, result.stdout + result.stderr
    assert result.stdout.strip() == receiver
