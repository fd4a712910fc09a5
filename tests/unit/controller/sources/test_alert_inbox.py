import pytest

from chassis.clock import ManualClock
from controller.ports import DecisionRecord
from controller.sources.alertmanager import ALERTS_PER_WEBHOOK_MAX, AlertInbox
from controller.stores import AlertsMalformed, AlertsRecorded


class Memory:
    def __init__(self) -> None:
        self.lines: dict[str, DecisionRecord] = {}

    def record_signals(self, records: tuple[DecisionRecord, ...]) -> int:
        before = len(self.lines)
        self.lines.update({record.id: record for record in records})
        return len(self.lines) - before


def alert(**changes: object) -> dict[str, object]:
    return {
        "status": "firing",
        "labels": {"alertname": "SLOBurn", "region": "eu-west", "slo": "fast"},
        "annotations": {"summary": "burns"},
        "startsAt": "2026-01-01T00:00:00Z",
        "fingerprint": "abc",
        **changes,
    }


def webhook(*alerts: dict[str, object]) -> dict[str, object]:
    return {"version": "4", "status": "firing", "receiver": "controller", "alerts": list(alerts)}


@pytest.fixture
def memory() -> Memory:
    return Memory()


@pytest.fixture
def inbox(memory: Memory) -> AlertInbox:
    return AlertInbox(store=memory, clock=ManualClock())


def test_an_alert_becomes_one_line_of_the_story(inbox: AlertInbox, memory: Memory) -> None:
    assert inbox.receive(webhook(alert())) == AlertsRecorded(received=1, recorded=1)
    (line,) = memory.lines.values()
    assert (line.kind, line.subject, line.summary) == ("signal", "eu-west", "alert SLOBurn is firing: burns")
    assert ("slo", "fast") in line.evidence


def test_repetitions_are_counted_and_not_told_again(inbox: AlertInbox) -> None:
    inbox.receive(webhook(alert()))
    assert inbox.receive(webhook(alert())) == AlertsRecorded(received=1, recorded=0)


@pytest.mark.parametrize("change", [{"status": "resolved"}, {"startsAt": "2026-01-02T00:00:00Z"}, {"fingerprint": "x"}])
def test_a_changed_status_and_a_later_incident_are_news(inbox: AlertInbox, change: dict[str, object]) -> None:
    inbox.receive(webhook(alert()))
    assert inbox.receive(webhook(alert(**change))) == AlertsRecorded(received=1, recorded=1)


@pytest.mark.parametrize(
    ("payload", "field"),
    [
        ("text", ""),
        ({}, "alerts"),
        (webhook(alert(status="maybe")), "alerts.0.status"),
        (webhook(alert(labels={"a": 1})), "alerts.0.labels.a"),
        ({"alerts": [alert()] * (ALERTS_PER_WEBHOOK_MAX + 1)}, "alerts"),
    ],
)
def test_what_is_no_webhook_is_refused_with_the_culprit_named(
    inbox: AlertInbox, memory: Memory, payload: object, field: str
) -> None:
    answer = inbox.receive(payload)
    assert isinstance(answer, AlertsMalformed)
    assert answer.field == field
    assert not memory.lines
