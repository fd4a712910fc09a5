"""Receivers: which channels one name in the routing tree stands for, and what each of them is told.

What people read comes from templates (`alerts/templates`); a channel's settings only say where it goes.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import assert_never

from alerts.channels import Channel, Email, PagerDuty, Slack, Smtp, Webhook
from alerts.settings import AlertmanagerSettings, Audience, ControllerWebhook

ALERTS_PER_POST_MAX = 500
"""Half of what the controller takes at once. A group is one kind of alert in one region: more means a broken rule."""


class News(StrEnum):
    """Kinds of news for people, most urgent first."""

    URGENT = "urgent"
    """A page that nothing else is working on any more."""
    PAGE = "page"
    TICKET = "ticket"


CONTROLLER = "controller"
"""The receiver that is told everything."""
HEARTBEAT = "heartbeat"
"""The receiver that is told that alerts get through at all; a bare name when nobody listens."""
PAGERDUTY_SEVERITY = {News.URGENT: "critical", News.PAGE: "error", News.TICKET: "warning"}
"""Critical and error call somebody, a warning does not (PagerDuty's dynamic notifications)."""
SLACK_COLOUR = {News.URGENT: "#7a0019", News.PAGE: "danger", News.TICKET: "warning"}


@dataclass(frozen=True, slots=True)
class Receiver:
    """A name that routes lead to, and who stands behind it."""

    name: str
    news: News
    channels: tuple[Channel, ...]
    region: str | None = None
    """The region whose team this is; None: everybody's."""


def receivers_of(settings: AlertmanagerSettings) -> tuple[Receiver, ...]:
    """Everybody's three receivers, and those of every team for the severities that it takes."""
    everybody = tuple(Receiver(news.value, news, _channels(settings.people, news)) for news in News)
    teams = tuple(
        Receiver(f"{news.value}-{team.region}", news, channels, team.region)
        for team in settings.teams
        for news in News
        if (channels := _channels(team.audience, news))
    )
    return everybody + teams


def render_receivers(settings: AlertmanagerSettings, receivers: Iterable[Receiver]) -> list[dict[str, object]]:
    """Every receiver, the machines' first."""
    return [
        _controller(settings.controller),
        _heartbeat(settings.heartbeat),
        *(_receiver(receiver) for receiver in receivers),
    ]


def render_smtp(smtp: Smtp | None) -> dict[str, object]:
    """The part of `global` that mail needs."""
    if smtp is None:
        return {}
    login = {"smtp_auth_username": smtp.username, "smtp_auth_password_file": smtp.auth_password_file}
    return {
        "smtp_smarthost": smtp.smarthost,
        "smtp_from": smtp.sender,
        **(login if smtp.username is not None else {}),
        "smtp_require_tls": smtp.require_tls,
    }


def _controller(webhook: ControllerWebhook) -> dict[str, object]:
    """The receiver of every alert."""
    http: dict[str, object] = _bearer(webhook.token_file)
    if webhook.ca_file is not None:
        http["tls_config"] = {"ca_file": webhook.ca_file}
    return {"name": CONTROLLER, "webhook_configs": [_post(webhook.url, http)]}


def _heartbeat(webhook: Webhook | None) -> dict[str, object]:
    """The end of `Watchdog` is not told: to who listens for any beat, news of its death is one more of them."""
    if webhook is None:
        return {"name": HEARTBEAT}
    beat = _post(webhook.url, _bearer(webhook.token_file)) | {"send_resolved": False}
    return {"name": HEARTBEAT, "webhook_configs": [beat]}


def _receiver(receiver: Receiver) -> dict[str, object]:
    """One entry of `receivers`; without channels it is only a name, which Alertmanager's own page still shows."""
    configs: dict[str, list[dict[str, object]]] = {}
    for channel in receiver.channels:
        configs.setdefault(f"{channel.kind}_configs", []).append(_channel(channel, receiver.news))
    return {"name": receiver.name, **configs}


def _channels(audience: Audience, news: News) -> tuple[Channel, ...]:
    return audience.ticket if news is News.TICKET else audience.page


def _channel(channel: Channel, news: News) -> dict[str, object]:
    match channel:
        case Slack():
            return _slack(channel, news)
        case PagerDuty():
            return _pagerduty(channel, news)
        case Email():
            return _email(channel)
        case Webhook():
            return _post(channel.url, _bearer(channel.token_file))
    assert_never(channel)


def _slack(channel: Slack, news: News) -> dict[str, object]:
    return {
        "send_resolved": True,
        "api_url_file": channel.api_url_file,
        "channel": channel.channel,
        "username": "Trimtab",
        "color": f'{{{{ if eq .Status "firing" }}}}{SLACK_COLOUR[news]}{{{{ else }}}}good{{{{ end }}}}',
        "title": _use("slack.title"),
        "fallback": _use("slack.title"),
        "text": _use("slack.text"),
    }


def _pagerduty(channel: PagerDuty, news: News) -> dict[str, object]:
    where = {} if channel.api_url is None else {"url": channel.api_url}
    return {
        "send_resolved": True,
        "routing_key_file": channel.routing_key_file,
        **where,
        "severity": PAGERDUTY_SEVERITY[news],
        "description": _use("subject"),
        "client": "Trimtab",
        "group": "{{ .CommonLabels.region }}",
        "details": {"firing": _use("firing"), "resolved": _use("resolved")},
    }


def _email(channel: Email) -> dict[str, object]:
    return {
        "send_resolved": True,
        "to": ", ".join(channel.to),
        "headers": {"Subject": _use("subject")},
        "text": _use("text"),
        "html": _use("email.html"),
    }


def _post(url: str, http: Mapping[str, object]) -> dict[str, object]:
    config = {"http_config": dict(http)} if http else {}
    return {"send_resolved": True, "url": url, "max_alerts": ALERTS_PER_POST_MAX, **config}


def _bearer(token_file: str | None) -> dict[str, object]:
    return {} if token_file is None else {"authorization": {"type": "Bearer", "credentials_file": token_file}}


def _use(template: str) -> str:
    return f'{{{{ template "trimtab.{template}" . }}}}'
