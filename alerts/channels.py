"""Ways to reach people. Every secret stands in a file that only Alertmanager reads; none is ever in the configuration.

`kind` tells the channels apart in YAML.
"""

import re
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Discriminator

from alerts.checks import check_address, check_file, check_host_port, check_url
from alerts.errors import AlertmanagerSettingsError

RECIPIENTS_MAX = 20
"""More readers want a mailing list."""
_CHANNEL = re.compile(r"^[#@]?[\w.-]{1,80}$")


@dataclass(frozen=True, slots=True)
class Slack:
    """A channel of a Slack workspace, through an incoming webhook."""

    channel: str
    """`#tts-pages`, or a channel's id."""
    api_url_file: str
    """File with the webhook's URL, which is the secret."""
    kind: Literal["slack"] = "slack"

    def __post_init__(self) -> None:
        if not _CHANNEL.match(self.channel):
            raise AlertmanagerSettingsError(
                "channel", f"{self.channel!r} is not a channel", 'write "#tts-pages", in quotes, or the channel\'s id'
            )
        check_file("api_url_file", self.api_url_file)


@dataclass(frozen=True, slots=True)
class PagerDuty:
    """A service of PagerDuty, through its Events API v2."""

    routing_key_file: str
    """File with the integration key."""
    api_url: str | None = None
    """None: the United States' region; the European one is https://events.eu.pagerduty.com/v2/enqueue."""
    kind: Literal["pagerduty"] = "pagerduty"

    def __post_init__(self) -> None:
        check_file("routing_key_file", self.routing_key_file)
        if self.api_url is not None:
            check_url("api_url", self.api_url, example="https://events.eu.pagerduty.com/v2/enqueue")


@dataclass(frozen=True, slots=True)
class Email:
    """Mail to a few addresses; needs `Smtp` settings."""

    to: tuple[str, ...]
    kind: Literal["email"] = "email"

    def __post_init__(self) -> None:
        if not 1 <= len(self.to) <= RECIPIENTS_MAX:
            raise AlertmanagerSettingsError(
                "to", f"{len(self.to)} addresses are not 1..{RECIPIENTS_MAX}", "name the readers, or a mailing list"
            )
        for position, address in enumerate(self.to):
            check_address(f"to[{position}]", address)


@dataclass(frozen=True, slots=True)
class Webhook:
    """Any other tool that takes Alertmanager's webhook (version 4)."""

    url: str
    """Not secret: Alertmanager's status page shows it."""
    token_file: str | None = None
    """File with a bearer token; None sends none."""
    kind: Literal["webhook"] = "webhook"

    def __post_init__(self) -> None:
        check_url("url", self.url, example="https://chat.example/hooks/alerts")
        check_file("token_file", self.token_file)


Channel = Annotated[Slack | PagerDuty | Email | Webhook, Discriminator("kind")]
"""One way; a values file picks it by `kind`."""


@dataclass(frozen=True, slots=True)
class Smtp:
    """The mail server that all mail goes through."""

    smarthost: str
    """`mail.example:587`; port 465 speaks TLS from the first byte, others upgrade to it."""
    sender: str
    username: str | None = None
    """None: the server asks for no login."""
    auth_password_file: str | None = None
    require_tls: bool = True
    """False only for a relay on the same machine: mail about an outage names hosts and regions."""

    def __post_init__(self) -> None:
        check_host_port("smarthost", self.smarthost)
        check_address("sender", self.sender)
        check_file("auth_password_file", self.auth_password_file)
        if (self.username is None) != (self.auth_password_file is None):
            raise AlertmanagerSettingsError(
                "auth_password_file",
                "a login is a name and a password",
                "give username and auth_password_file, or neither",
            )
