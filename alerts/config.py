"""The Alertmanager configuration as a function of a few settings.

Route: alerts of one SLO in one region are one incident and one notification; pages hurry, tickets gather. Inhibition: a
slower burn tier is silent while a faster one fires for the same SLO and region, which also covers a cold start, when
every window is as short as the history. Every receiver posts to the controller's webhook: for the controller an alert is a
signal, never an order. On-call tools are added beside the webhook, in the receiver of their severity.
"""

from dataclasses import dataclass
from urllib.parse import urlsplit

import yaml

from contracts.metric_names import (
    ALERT_CONTROLLER_DOWN,
    ALERT_LOOP_STUCK,
    ALERT_SLO_BURN,
    LABEL_REGION,
    LABEL_SEVERITY,
    LABEL_SLO,
    LABEL_TIER,
)
from slo_rules.tiers import LADDER, Severity

HEADER = "# Rendered by `python -m alerts render`: edit alerts/config.py instead.\n"
WEBHOOK_PATH = "/api/v1/alerts"
ALERTS_PER_POST_MAX = 100
"""A bound on the webhook's body; a group is one SLO in one region, so more than a hundred means a broken rule."""
ALERTNAME = "alertname"


class AlertmanagerSettingsError(ValueError):
    """Settings that Alertmanager would refuse, or that would send alerts nowhere."""


@dataclass(frozen=True, slots=True)
class Pace:
    """How patiently one severity is told."""

    group_wait: str
    """Gather this long before the first notification of a group."""
    group_interval: str
    """Before telling that the group changed."""
    repeat_interval: str
    """Before telling the same again."""


PACES = {
    # Ten seconds let the tiers of one outage arrive together, so that inhibition can do its work.
    Severity.PAGE: Pace(group_wait="10s", group_interval="1m", repeat_interval="1h"),
    # A ticket is read in the morning: once a day is often enough.
    Severity.TICKET: Pace(group_wait="1m", group_interval="5m", repeat_interval="1d"),
}


@dataclass(frozen=True, slots=True)
class AlertmanagerSettings:
    """Where alerts go; valid from birth (`AlertmanagerSettingsError` otherwise)."""

    webhook_url: str
    """The controller's, e.g. `http://127.0.0.1:8080/api/v1/alerts`."""
    webhook_token_file: str | None
    """Path, as Alertmanager sees it, of a file with the bearer token; None when the controller asks for none. A file,
    so that the token is neither in the configuration nor in Alertmanager's status page."""

    def __post_init__(self) -> None:
        parts = urlsplit(self.webhook_url)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            msg = f"webhook_url: {self.webhook_url!r} is not an http(s) URL; write http://HOST:PORT{WEBHOOK_PATH}"
            raise AlertmanagerSettingsError(msg)
        if self.webhook_token_file == "":
            msg = "webhook_token_file: an empty path names no file; leave it out when the controller asks for no token"
            raise AlertmanagerSettingsError(msg)


def render_config(settings: AlertmanagerSettings) -> str:
    """A file that `amtool check-config` accepts; the same settings always give the same bytes."""
    document = {
        "route": _route(),
        "inhibit_rules": [*_faster_tiers_mute_slower(), _no_controller_mutes_its_loop()],
        "receivers": [{"name": severity.value, "webhook_configs": [_webhook(settings)]} for severity in Severity],
    }
    return HEADER + yaml.safe_dump(document, sort_keys=False, width=4_096, allow_unicode=True)


def _route() -> dict[str, object]:
    return {
        # An alert without a known severity still reaches somebody.
        "receiver": Severity.TICKET.value,
        "group_by": [LABEL_SLO, LABEL_REGION],
        "routes": [
            {
                "receiver": severity.value,
                "matchers": [_is(LABEL_SEVERITY, severity.value)],
                "group_wait": pace.group_wait,
                "group_interval": pace.group_interval,
                "repeat_interval": pace.repeat_interval,
            }
            for severity, pace in PACES.items()
        ],
    }


def _faster_tiers_mute_slower() -> list[dict[str, object]]:
    numbers = [rung.number for rung in LADDER]
    return [
        {
            "source_matchers": [
                _is(ALERTNAME, ALERT_SLO_BURN),
                f'{LABEL_TIER}=~"{"|".join(str(faster) for faster in numbers[:position])}"',
            ],
            "target_matchers": [_is(ALERTNAME, ALERT_SLO_BURN), _is(LABEL_TIER, str(number))],
            "equal": [LABEL_SLO, LABEL_REGION],
        }
        for position, number in enumerate(numbers)
        if position > 0
    ]


def _no_controller_mutes_its_loop() -> dict[str, object]:
    return {
        "source_matchers": [_is(ALERTNAME, ALERT_CONTROLLER_DOWN)],
        "target_matchers": [_is(ALERTNAME, ALERT_LOOP_STUCK)],
    }


def _webhook(settings: AlertmanagerSettings) -> dict[str, object]:
    webhook: dict[str, object] = {
        "url": settings.webhook_url,
        "send_resolved": True,
        "max_alerts": ALERTS_PER_POST_MAX,
    }
    if settings.webhook_token_file is not None:
        webhook["http_config"] = {
            "authorization": {"type": "Bearer", "credentials_file": settings.webhook_token_file},
        }
    return webhook


def _is(label: str, value: str) -> str:
    return f'{label}="{value}"'
