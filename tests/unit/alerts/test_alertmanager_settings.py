"""Settings are refused with the field and the fix, before Alertmanager, or a reader, would find out."""

import dataclasses

import pytest

from alerts.channels import Email, PagerDuty, Slack, Smtp, Webhook
from alerts.errors import AlertmanagerSettingsError
from alerts.settings import AlertmanagerSettings, Audience, ControllerWebhook, Links, OfficeHours, Pace, Team
from alerts.values import EXAMPLE, load_values, parse_values

CONTROLLER = "controller: {url: 'http://127.0.0.1:8700/api/v1/alerts'}\n"
SLACK = Slack("#pages", "/run/slack.url")


def test_the_example_names_every_field_there_is():
    settings = load_values(EXAMPLE)
    kinds = {
        channel.kind for team in (settings.people, *(t.audience for t in settings.teams)) for channel in team.channels
    }
    assert kinds == {"slack", "pagerduty", "email", "webhook"}
    not_set = [field.name for field in dataclasses.fields(settings) if not getattr(settings, field.name)]
    assert not_set == []


def test_the_smallest_values_file_tells_the_controller_alone():
    assert parse_values(CONTROLLER) == AlertmanagerSettings(
        ControllerWebhook("http://127.0.0.1:8700/api/v1/alerts"),
    )


@pytest.mark.parametrize(
    ("text", "field", "fix"),
    [
        ("", "values", "start from alerts/example.yaml"),
        ("[1, 2]", "values", "start from alerts/example.yaml"),
        ("controller: {url: [", "values", "check around that line"),
        ("people: {}", "controller", "add it"),
        ("controller: {url: 'ftp://h/x'}", "controller.url", "write http://HOST"),
        ("controller: {url: 'http://user:word@h/x'}", "controller.url", "move them to a file"),
        ("controller: {url: 'http://h/{{ x }}'}", "controller.url", "write http://HOST"),
        ("controller: {url: 'http://h/x', token_file: webhook.token}", "controller.token_file", "e.g. /etc/"),
        ("controller: {url: 'http://h/x', token_file: ''}", "controller.token_file", "e.g. /etc/"),
        (CONTROLLER + "receivers: {}", "receivers", "remove it"),
        (CONTROLLER + "people: {pages: []}", "people.pages", "remove it"),
        (CONTROLLER + "people: {page: [{kind: irc}]}", "people.page[0]", "use slack"),
        (CONTROLLER + "people: {page: [{channel: '#a'}]}", "people.page[0]", "add kind"),
        (
            CONTROLLER + "people: {page: [{kind: slack, channel: '#a', api_url: 'https://hooks'}]}",
            "people.page[0].api_url_file",
            "add it",
        ),
        (
            CONTROLLER + "people: {page: [{kind: slack, channel: '#a', api_url_file: /s, api_url: 'https://hooks'}]}",
            "people.page[0].api_url",
            "secrets come from files",
        ),
        (
            CONTROLLER + "people: {ticket: [{kind: slack, channel: 'a b', api_url_file: /s}]}",
            "people.ticket[0].channel",
            "in quotes",
        ),
        (
            CONTROLLER + "people: {ticket: [{kind: email, to: ['a@b', 'a@b\\nBcc: c@d']}]}",
            "people.ticket[0].to",
            "not one mail address",
        ),
        (CONTROLLER + "people: {ticket: [{kind: email, to: [a@b]}]}", "smtp", "smtp.smarthost"),
        (CONTROLLER + "people: {ticket: [{kind: email, to: []}]}", "people.ticket[0].to", "name the readers"),
        (CONTROLLER + "regions: {eu: {}}", "regions[eu].page", "drop the team"),
        (
            CONTROLLER + "regions: {'e\"u': {page: [{kind: webhook, url: 'http://h'}]}}",
            'regions[e"u].region',
            "letters",
        ),
        (CONTROLLER + "smtp: {smarthost: mail, sender: a@b}", "smtp.smarthost", "mail.example:587"),
        (CONTROLLER + "smtp: {smarthost: 'm:25', sender: a@b, username: u}", "smtp.auth_password_file", "or neither"),
        (CONTROLLER + "links: {dashboards: grafana}", "links.dashboards", "https://grafana.example"),
        (CONTROLLER + "links: {runbooks: 'https://h/?path='}", "links.runbooks", "write https://git.example"),
        (CONTROLLER + "ticket_hours: {starts: '08:00', ends: 17:00}", "ticket_hours.ends", "in quotes"),
        (CONTROLLER + "ticket_hours: {starts: '18:00', ends: '17:00'}", "ticket_hours.ends", "later on the same day"),
        (CONTROLLER + "ticket_hours: {starts: '8', ends: '17:00'}", "ticket_hours.starts", "09:00"),
        (CONTROLLER + "ticket_hours: {weekdays: []}", "ticket_hours.weekdays", "at least one"),
        (CONTROLLER + "ticket_hours: {weekdays: [caturday]}", "ticket_hours.weekdays[0]", "example.yaml"),
        (CONTROLLER + "ticket_hours: {time_zone: Mars/Olympus}", "ticket_hours.time_zone", "IANA"),
    ],
)
def test_values_that_cannot_be_are_refused_with_the_field_and_the_fix(text, field, fix):
    with pytest.raises(AlertmanagerSettingsError) as caught:
        parse_values(text)
    assert caught.value.field.startswith(field)
    assert fix in str(caught.value)


def test_a_file_that_cannot_be_read_is_named(tmp_path):
    with pytest.raises(AlertmanagerSettingsError, match=r"nowhere\.yaml: cannot be read"):
        load_values(tmp_path / "nowhere.yaml")
    large = tmp_path / "large.yaml"
    large.write_text(CONTROLLER + "#" * 300_000)
    with pytest.raises(AlertmanagerSettingsError, match=r"large\.yaml: is larger than"):
        load_values(large)


@pytest.mark.parametrize(
    "make",
    [
        lambda: Audience(page=(SLACK,) * 11),
        lambda: AlertmanagerSettings(
            ControllerWebhook("http://h"), teams=tuple(Team(f"r{n}", Audience((SLACK,))) for n in range(101))
        ),
        lambda: AlertmanagerSettings(ControllerWebhook("http://h"), teams=(Team("eu", Audience((SLACK,))),) * 2),
        lambda: Email(tuple(f"a{n}@b" for n in range(21))),
        lambda: Pace(group_wait_s=0, group_interval_s=0, repeat_interval_s=1),
        lambda: PagerDuty("key"),
        lambda: PagerDuty("/key", api_url="events"),
        lambda: Webhook("http://h", token_file="t"),
        lambda: Smtp("m:25", "nobody"),
    ],
)
def test_settings_out_of_bounds_cannot_be_made(make):
    with pytest.raises(AlertmanagerSettingsError):
        make()


def test_what_is_left_out_means_what_it_says():
    assert OfficeHours().weekdays[0] == "monday"
    assert Links() == Links(dashboards=None, runbooks=None)
