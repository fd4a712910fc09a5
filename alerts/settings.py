"""Where alerts go, how patiently, and what their links lead to: settings of one Alertmanager, valid from birth."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from alerts.channels import Channel, Email, Smtp, Webhook
from alerts.checks import check_file, check_url, check_url_prefix
from alerts.errors import AlertmanagerSettingsError
from slo_rules.windows import Weekday

CHANNELS_MAX = 10
"""Of one audience: who is told in eleven places reads none of them."""
TEAMS_MAX = 100
WORKDAYS = (Weekday.MONDAY, Weekday.TUESDAY, Weekday.WEDNESDAY, Weekday.THURSDAY, Weekday.FRIDAY)
_CLOCK = re.compile(r"^([01][0-9]|2[0-3]):[0-5][0-9]$|^24:00$")
_REGION = re.compile(r"^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$")


@dataclass(frozen=True, slots=True)
class ControllerWebhook:
    """Trimtab's own ear: every alert is told to it, as a signal and never as an order."""

    url: str
    """E.g. `http://127.0.0.1:8700/api/v1/alerts`."""
    token_file: str | None = None
    """File with the bearer token; None when the controller asks for none. A file, so that the token is neither in the
    configuration nor on Alertmanager's status page."""
    ca_file: str | None = None
    """Who signed the controller's certificate (PEM); None for the system's authorities."""

    def __post_init__(self) -> None:
        check_url("url", self.url, example="http://HOST:PORT/api/v1/alerts")
        check_file("token_file", self.token_file)
        check_file("ca_file", self.ca_file)


@dataclass(frozen=True, slots=True)
class Audience:
    """Who is told of each severity. Nobody is a choice, too: Alertmanager's own page still shows everything."""

    page: tuple[Channel, ...] = ()
    ticket: tuple[Channel, ...] = ()

    def __post_init__(self) -> None:
        for name, channels in (("page", self.page), ("ticket", self.ticket)):
            if len(channels) > CHANNELS_MAX:
                raise AlertmanagerSettingsError(
                    name, f"{len(channels)} channels are more than {CHANNELS_MAX}", "tell a shared channel instead"
                )

    @property
    def channels(self) -> tuple[Channel, ...]:
        """All of them."""
        return self.page + self.ticket


@dataclass(frozen=True, slots=True)
class Team:
    """Who is told of one region instead of everybody's audience. A severity left empty falls back to that."""

    region: str
    audience: Audience

    def __post_init__(self) -> None:
        if not _REGION.match(self.region):
            raise AlertmanagerSettingsError(
                "region", f"{self.region!r} is not the name of a region", "write letters, digits, dots and dashes"
            )
        if not self.audience.channels:
            raise AlertmanagerSettingsError(
                "page", f"nobody is named for {self.region}", "name a channel, or drop the team"
            )


@dataclass(frozen=True, slots=True)
class Links:
    """What the links in a notification begin with, as a reader's browser reaches it."""

    dashboards: str | None = None
    """Grafana, e.g. `https://grafana.example`; None links to the expression in Prometheus instead."""
    runbooks: str | None = None
    """What stands before `docs/runbooks/SLOBurn.md`; None prints that path alone."""

    def __post_init__(self) -> None:
        if self.dashboards is not None:
            check_url_prefix("dashboards", self.dashboards, example="https://grafana.example")
        if self.runbooks is not None:
            check_url_prefix("runbooks", self.runbooks, example="https://git.example/trimtab/blob/main")


@dataclass(frozen=True, slots=True)
class OfficeHours:
    """When tickets are told; those of the night wait for the morning. Pages always come through."""

    starts: str = "09:00"
    ends: str = "17:00"
    weekdays: tuple[Weekday, ...] = WORKDAYS
    time_zone: str = "UTC"
    """IANA name, e.g. `Europe/Berlin`."""

    def __post_init__(self) -> None:
        for name, clock in (("starts", self.starts), ("ends", self.ends)):
            if not _CLOCK.match(clock):
                raise AlertmanagerSettingsError(name, f"{clock!r} is no time of a day", 'write "09:00", in quotes')
        if self.starts >= self.ends:
            raise AlertmanagerSettingsError(
                "ends", f"{self.ends} is not after {self.starts}", "end later on the same day"
            )
        if not self.weekdays:
            raise AlertmanagerSettingsError("weekdays", "no day is left to tell a ticket", "name at least one")
        try:
            ZoneInfo(self.time_zone)
        except (ZoneInfoNotFoundError, ValueError, OSError) as error:
            raise AlertmanagerSettingsError(
                "time_zone", f"{self.time_zone!r} is not a time zone", "write an IANA name, e.g. Europe/Berlin"
            ) from error


@dataclass(frozen=True, slots=True)
class Pace:
    """How patiently a group of alerts is told; seconds."""

    group_wait_s: int
    """Gather this long before the first notification of a group."""
    group_interval_s: int
    """Before telling that the group changed."""
    repeat_interval_s: int
    """Before telling the same again."""

    def __post_init__(self) -> None:
        if self.group_wait_s < 0 or self.group_interval_s < 1 or self.repeat_interval_s < 1:
            raise AlertmanagerSettingsError(
                "paces",
                f"{self} has an interval that never ends or never was",
                "write 1 s or more, and a wait of 0 or more",
            )


@dataclass(frozen=True, slots=True)
class Paces:
    """One pace per kind of news."""

    controller: Pace = Pace(group_wait_s=5, group_interval_s=15, repeat_interval_s=3_600)
    """Soon: the story should tell when people were told. Five seconds let the tiers of one burn mute each other."""
    urgent: Pace = Pace(group_wait_s=0, group_interval_s=60, repeat_interval_s=1_800)
    """At once: nobody else is acting any more."""
    page: Pace = Pace(group_wait_s=10, group_interval_s=300, repeat_interval_s=3_600)
    """Ten seconds let what breaks together arrive together. What an outage of a region breaks later (data goes missing,
    slower SLOs follow) is an update of the same incident, not another one: five minutes gather it."""
    ticket: Pace = Pace(group_wait_s=600, group_interval_s=600, repeat_interval_s=86_400)
    """A ticket is read by daylight, so it waits for longer than a page takes to come (8 minutes unless an SLO says otherwise):
    the first machines of an outage are down long before its page fires, which then mutes them."""
    heartbeat: Pace = Pace(group_wait_s=0, group_interval_s=60, repeat_interval_s=30)
    """Once a minute: whoever listens may call for help after three. Repeats are looked for at every interval only, so that an
    equal one would miss every second of them by milliseconds."""


@dataclass(frozen=True, slots=True)
class AlertmanagerSettings:
    """Everything that `render_config` needs."""

    controller: ControllerWebhook
    people: Audience = field(default_factory=Audience)
    teams: tuple[Team, ...] = ()
    smtp: Smtp | None = None
    links: Links = field(default_factory=Links)
    ticket_hours: OfficeHours | None = None
    """None tells tickets at any time."""
    heartbeat: Webhook | None = None
    """Told every minute that alerts still get through; calls somebody when that stops (a dead man's switch)."""
    paces: Paces = field(default_factory=Paces)

    def __post_init__(self) -> None:
        if len(self.teams) > TEAMS_MAX:
            raise AlertmanagerSettingsError(
                "teams", f"{len(self.teams)} are more than {TEAMS_MAX}", "let small regions share everybody's audience"
            )
        regions = [team.region for team in self.teams]
        if len(set(regions)) != len(regions):
            raise AlertmanagerSettingsError("teams", "a region appears twice", "give it one team with all its channels")
        if self.smtp is None and any(isinstance(channel, Email) for channel in self._channels()):
            raise AlertmanagerSettingsError(
                "smtp", "mail has no server to go through", "add smtp.smarthost and smtp.sender"
            )

    def _channels(self) -> Iterable[Channel]:
        yield from self.people.channels
        for team in self.teams:
            yield from team.audience.channels
