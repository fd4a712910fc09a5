"""The routing tree: the controller hears everything, people hear each incident once.

An incident is what breaks together in one region. So pages of a region are one group, whatever broke in it: five slow SLOs,
their missing data and the agents that went silent are one notification, and what follows is an update of it (PagerDuty's
same incident). Tickets of a region are one group per kind of alert, because each kind is one piece of work. A call for
help by the controller is a group of its own and waits for nothing: it must not be the sixth line of an update.
"""

from alerts.matchers import ALERTNAME, equals, one_of
from alerts.receivers import CONTROLLER, HEARTBEAT, News, Receiver
from alerts.settings import AlertmanagerSettings, OfficeHours, Pace
from contracts.metric_names import (
    ALERT_CONTROLLER_GAVE_UP,
    ALERT_CONTROLLER_OUT_OF_BUDGET,
    ALERT_WATCHDOG,
    LABEL_REGION,
    LABEL_SEVERITY,
)
from slo_rules.tiers import Severity

URGENT_ALERTS = (ALERT_CONTROLLER_GAVE_UP, ALERT_CONTROLLER_OUT_OF_BUDGET)
"""The controller says that it can do no more. Sent at once, to the same people as a page, and muted by nothing."""
TICKET_HOURS = "ticket-hours"


def render_route(settings: AlertmanagerSettings, receivers: tuple[Receiver, ...]) -> dict[str, object]:
    """The tree. Its last branch takes what no other does: an alert without a known severity still reaches somebody."""
    paces = settings.paces
    hours = () if settings.ticket_hours is None else (TICKET_HOURS,)
    return {
        "receiver": News.TICKET.value,
        "group_by": [ALERTNAME, LABEL_REGION],
        "routes": [
            {"receiver": CONTROLLER, **_pace(paces.controller), "continue": True},
            {"matchers": [equals(ALERTNAME, ALERT_WATCHDOG)], "receiver": HEARTBEAT, **_pace(paces.heartbeat)},
            {
                "matchers": [one_of(ALERTNAME, URGENT_ALERTS)],
                **_branch(News.URGENT, receivers),
                "group_by": [LABEL_REGION],
                **_pace(paces.urgent),
            },
            {
                "matchers": [equals(LABEL_SEVERITY, Severity.PAGE.value)],
                **_branch(News.PAGE, receivers),
                "group_by": [LABEL_REGION],
                **_pace(paces.page),
            },
            {**_branch(News.TICKET, receivers, hours), **_pace(paces.ticket)},
        ],
    }


def render_time_intervals(hours: OfficeHours | None) -> list[dict[str, object]]:
    """When tickets are told; nothing when that is always."""
    if hours is None:
        return []
    interval = {
        "weekdays": [weekday.value for weekday in hours.weekdays],
        "times": [{"start_time": hours.starts, "end_time": hours.ends}],
        "location": hours.time_zone,
    }
    return [{"name": TICKET_HOURS, "time_intervals": [interval]}]


def _branch(news: News, receivers: tuple[Receiver, ...], hours: tuple[str, ...] = ()) -> dict[str, object]:
    """Everybody's receiver, and below it those of the regions that have a team for such news."""
    teams = [
        {"receiver": receiver.name, "matchers": [equals(LABEL_REGION, receiver.region)], **_during(hours)}
        for receiver in receivers
        if receiver.news is news and receiver.region is not None
    ]
    return {"receiver": news.value, **_during(hours), **({"routes": teams} if teams else {})}


def _during(hours: tuple[str, ...]) -> dict[str, object]:
    """Not inherited by the routes below, so each says it."""
    return {"active_time_intervals": list(hours)} if hours else {}


def _pace(pace: Pace) -> dict[str, str]:
    return {
        "group_wait": f"{pace.group_wait_s}s",
        "group_interval": f"{pace.group_interval_s}s",
        "repeat_interval": f"{pace.repeat_interval_s}s",
    }
