"""Alertmanager's configuration: accepted by amtool for every kind of settings, and routed to whoever should hear."""

import subprocess

import pytest
import yaml

from alerts.__main__ import main
from alerts.channels import Email, PagerDuty, Slack, Smtp, Webhook
from alerts.config import render_config, rendered_files
from alerts.settings import AlertmanagerSettings, Audience, ControllerWebhook, Links, OfficeHours, Team
from alerts.values import EXAMPLE, load_values
from contracts.vocabulary import Region, SloId
from slo_rules.compiler import compile_slos
from slo_rules.indicators import ExactCounters
from slo_rules.model import Slo

URL = "http://127.0.0.1:8080/api/v1/alerts"
CONTROLLER = ControllerWebhook(URL)
SMTP = Smtp("mail.example:587", "trimtab@example.org", "trimtab", "/run/smtp.password")
CHANNELS = (
    Slack("#pages", "/run/slack.url"),
    PagerDuty("/run/pagerduty.key"),
    PagerDuty("/run/pagerduty-eu.key", api_url="https://events.eu.pagerduty.com/v2/enqueue"),
    Email(("a@example.org", "b@example.org")),
    Webhook("https://chat.example/hook", "/run/chat.token"),
    Webhook("https://chat.example/open"),
)
MATRIX = {
    "the controller alone": AlertmanagerSettings(CONTROLLER),
    "with a token": AlertmanagerSettings(ControllerWebhook(URL, "/run/webhook.token")),
    "with an authority of its own": AlertmanagerSettings(ControllerWebhook(URL, None, "/run/ca.pem")),
    "pages only": AlertmanagerSettings(CONTROLLER, Audience(page=CHANNELS), smtp=SMTP),
    "tickets only": AlertmanagerSettings(CONTROLLER, Audience(ticket=CHANNELS), smtp=SMTP),
    "every channel": AlertmanagerSettings(CONTROLLER, Audience(CHANNELS, CHANNELS), smtp=SMTP),
    "mail without a login": AlertmanagerSettings(
        CONTROLLER, Audience(CHANNELS), smtp=Smtp("127.0.0.1:25", "a@b", require_tls=False)
    ),
    "teams": AlertmanagerSettings(
        CONTROLLER,
        Audience(CHANNELS[:1], CHANNELS[1:2]),
        teams=(Team("eu-west", Audience(page=CHANNELS[:2])), Team("us.east_1", Audience(ticket=CHANNELS[4:]))),
    ),
    "office hours": AlertmanagerSettings(
        CONTROLLER, ticket_hours=OfficeHours("00:00", "24:00", time_zone="Asia/Kathmandu")
    ),
    "links": AlertmanagerSettings(CONTROLLER, links=Links("https://g.example/sub?".rstrip("?"), "http://[::1]:80/r")),
    "heartbeat": AlertmanagerSettings(CONTROLLER, heartbeat=Webhook("https://heartbeat.example/x")),
    "the example": load_values(EXAMPLE),
}
ALERTS = compile_slos((Slo(SloId("speech"), 0.95, ExactCounters(0.2)),), (Region("eu-west"),)).alerts


def config(settings: AlertmanagerSettings) -> dict:
    return yaml.safe_load(render_config(settings))


def amtool(*argv: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["amtool", *argv], capture_output=True, text=True, timeout=30, check=False)


def write(folder, settings: AlertmanagerSettings):
    for name, text in rendered_files(settings).items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder / "alertmanager.yml"


@pytest.mark.alertmanager
def test_amtool_accepts_every_kind_of_settings_with_its_templates(tmp_path):
    files = [write(tmp_path / name, settings) for name, settings in MATRIX.items()]
    result = amtool("check-config", *map(str, files))
    assert result.returncode == 0, result.stdout + result.stderr
    assert result.stdout.count("SUCCESS") == 2 * len(MATRIX), "each configuration, and its templates"


def test_secrets_are_named_by_their_files_and_nothing_else_of_them_is_written():
    text = render_config(MATRIX["every channel"])
    for secret in ("api_url", "routing_key", "smtp_auth_password", "credentials"):
        assert f"{secret}_file:" in text or secret == "api_url"
        assert f"{secret}:" not in text


def test_without_a_token_file_no_authorization_is_sent():
    (webhook,) = config(MATRIX["the controller alone"])["receivers"][0]["webhook_configs"]
    assert "http_config" not in webhook
    assert webhook["url"] == URL


def names_and_severities() -> list[tuple[str, str]]:
    return sorted({(alert.alert, dict(alert.labels)["severity"]) for alert in ALERTS} | {("SomebodyElses", "warning")})


URGENT = {"ControllerGaveUp", "ControllerOutOfBudget"}


def people_of(name: str, severity: str, region: str) -> str:
    """Who should hear, said without the code that decides it."""
    if name == "Watchdog":
        return "heartbeat"
    news = "urgent" if name in URGENT else "page" if severity == "page" else "ticket"
    teams = {"eu-west": {"urgent", "page"}, "us.east_1": {"ticket"}}
    return f"{news}-{region}" if news in teams.get(region, ()) else news


@pytest.mark.alertmanager
def test_every_alert_of_every_severity_and_region_reaches_the_controller_and_its_people(tmp_path):
    path = write(tmp_path, MATRIX["teams"])
    severities = {severity for _, severity in names_and_severities()}
    assert severities >= {"page", "ticket", "none"}
    wrong = []
    for name, severity in names_and_severities():
        for region in ("eu-west", "us.east_1", ""):
            expected = f"controller,{people_of(name, severity, region)}"
            labels = [f"alertname={name}", f"severity={severity}", f"region={region}", "slo=speech", "tier=1"]
            told = amtool("config", "routes", "test", f"--config.file={path}", *labels).stdout.strip()
            if told != expected:
                wrong.append((name, severity, region, told, expected))
    assert wrong == []


def test_pages_are_told_at_any_hour_and_tickets_only_in_theirs():
    tree = config(load_values(EXAMPLE))["route"]["routes"]
    by_receiver = {route["receiver"]: route for route in tree}
    hours = {name: "active_time_intervals" in route for name, route in by_receiver.items()}
    assert hours == {"controller": False, "heartbeat": False, "urgent": False, "page": False, "ticket": True}
    assert [route["active_time_intervals"] for route in by_receiver["ticket"]["routes"]] == [["ticket-hours"]]


def test_the_heartbeat_is_not_told_of_its_own_end_and_everybody_else_is():
    resolved = {
        receiver["name"]: {
            channel["send_resolved"] for kind, each in receiver.items() if kind != "name" for channel in each
        }
        for receiver in config(load_values(EXAMPLE))["receivers"]
    }
    assert resolved.pop("heartbeat") == {False}
    assert set.union(*resolved.values()) == {True}


def test_no_route_to_people_is_left_without_a_receiver_of_that_name():
    for settings in MATRIX.values():
        document = config(settings)
        names = [receiver["name"] for receiver in document["receivers"]]
        assert len(set(names)) == len(names)
        branches = document["route"]["routes"]
        used = {route["receiver"] for branch in branches for route in (branch, *branch.get("routes", ()))}
        assert used == set(names)


def test_the_command_writes_what_the_function_renders(capsys, tmp_path):
    assert main(["render", "--webhook-url", URL]) == 0
    assert capsys.readouterr().out == render_config(AlertmanagerSettings(CONTROLLER))
    argv = ["render", "--values", str(EXAMPLE), "--dashboards", "https://other.example", "--output", str(tmp_path)]
    assert main(argv) == 0
    written = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()}
    assert written == set(rendered_files(load_values(EXAMPLE)))
    links = (tmp_path / "templates" / "links.tmpl").read_text()
    assert "https://other.example" in links
    assert "https://git.example/trimtab" in links


def test_the_command_names_a_bad_setting(capsys, tmp_path):
    assert main(["render", "--webhook-url", "nowhere"]) == 1
    assert capsys.readouterr().err.startswith("url: 'nowhere' is not an http(s) URL")
    assert main(["render", "--values", str(tmp_path / "none")]) == 1
    assert "cannot be read" in capsys.readouterr().err


def test_a_token_beside_a_values_file_is_wrong_usage_and_not_forgotten(capsys):
    with pytest.raises(SystemExit) as ended:
        main(["render", "--values", str(EXAMPLE), "--webhook-token-file", "/run/token"])
    assert ended.value.code == 2
    assert "controller.token_file" in capsys.readouterr().err


def test_help_shows_examples(capsys):
    with pytest.raises(SystemExit):
        main(["render", "--help"])
    assert "python -m alerts render --values values.yaml" in capsys.readouterr().out
