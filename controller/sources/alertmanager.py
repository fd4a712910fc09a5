"""Alertmanager's webhook as signals: noted in the story, never acted on directly.

The loop reads the same counters that the alerts are made of, and sooner; what arrives here tells a reader when people were
paged. An alert enters the story once per change of its status: Alertmanager repeats itself for as long as it fires.
"""

import hashlib
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from chassis.clock import Clock
from controller.ports import DecisionRecord
from controller.stores import AlertsMalformed, AlertsRecorded, SignalStore

ALERTS_PER_WEBHOOK_MAX = 1_000
"""Alertmanager groups alerts; a larger group than this is a broken grouping, not a larger incident."""
LABELS_MAX = 64
TEXT_CHARS_MAX = 4_096
_Text = Annotated[str, Field(max_length=TEXT_CHARS_MAX)]
_Texts = Annotated[dict[_Text, _Text], Field(max_length=LABELS_MAX)]


class _Body(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)


class _Alert(_Body):
    """One alert of a webhook, as Alertmanager's documentation describes it."""

    status: Literal["firing", "resolved"]
    labels: _Texts
    annotations: _Texts = {}
    starts_at: _Text = Field(default="", alias="startsAt")
    fingerprint: _Text = ""


class _Webhook(_Body):
    """A webhook of version 4."""

    alerts: Annotated[tuple[_Alert, ...], Field(max_length=ALERTS_PER_WEBHOOK_MAX)]


class AlertInbox:
    """`stores.AlertReceiver` that writes to the story."""

    def __init__(self, *, store: SignalStore, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    def receive(self, payload: object) -> AlertsRecorded | AlertsMalformed:
        """Record every alert whose status is news; malformed bodies are refused whole."""
        try:
            webhook = _Webhook.model_validate(payload)
        except ValidationError as error:
            first = error.errors()[0]
            return AlertsMalformed(field=".".join(str(part) for part in first["loc"]), problem=first["msg"])
        now_unix_s = self._clock.now_unix_s()
        records = tuple(_record(alert, now_unix_s) for alert in webhook.alerts)
        return AlertsRecorded(received=len(records), recorded=self._store.record_signals(records))


def _record(alert: _Alert, now_unix_s: float) -> DecisionRecord:
    name = alert.labels.get("alertname", "alert")
    subject = next((alert.labels[label] for label in ("replica", "region", "host") if label in alert.labels), "fleet")
    summary = alert.annotations.get("summary", name)
    return DecisionRecord(
        id=f"alert-{_mark(alert)}",
        at_unix_s=now_unix_s,
        epoch=0,  # said by nobody who leads
        kind="signal",
        subject=subject[:200],
        summary=f"alert {name} is {alert.status}: {summary}",
        evidence=tuple(sorted(alert.labels.items())),
    )


def _mark(alert: _Alert) -> str:
    """Equal for repetitions of the same alert in the same status; a later incident starts at another time."""
    identity = alert.fingerprint or repr(sorted(alert.labels.items()))
    return hashlib.sha256(f"{identity}|{alert.status}|{alert.starts_at}".encode()).hexdigest()[:24]
