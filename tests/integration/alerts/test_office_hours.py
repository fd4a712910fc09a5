"""Tickets outside office hours wait; pages, calls for help and the controller's copy do not."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from alerts.settings import OfficeHours
from slo_rules.windows import Weekday

pytestmark = pytest.mark.alertmanager


@pytest.fixture(scope="module")
def adjust():
    """Hours of the day after tomorrow: now is none of them, and no midnight during the test changes that."""
    day = (datetime.now(tz=UTC) + timedelta(days=2)).strftime("%A").lower()
    return lambda settings: replace(settings, ticket_hours=OfficeHours("00:00", "24:00", (Weekday(day),), "UTC"))


def alert(name: str, severity: str, region: str) -> dict:
    labels = {"alertname": name, "severity": severity, "region": region}
    return {"labels": labels, "startsAt": datetime.now(tz=UTC).isoformat()}


def test_at_night_pages_come_and_tickets_wait(people, wait_until):
    people.alertmanager.fire(alert("HostDiskLow", "ticket", "eu-west"), alert("HostDiskLow", "ticket", "us-east"))
    wait_until(
        lambda: len(people.fleet.told("/api/v1/alerts")) == 2, within_s=30, what="the controller hears of tickets"
    )
    people.alertmanager.fire(alert("SLOBurn", "page", "eu-west"), alert("ControllerGaveUp", "page", "eu-west"))
    wait_until(lambda: len(people.fleet.told("/pagerduty")) == 2, within_s=30, what="a page and a call for help")
    assert people.fleet.told("/chat") == []
    assert people.mail.messages == []
