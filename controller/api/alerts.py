"""Alertmanager's webhook: noted, counted, never acted on."""

from typing import Any

from fastapi import APIRouter, Depends
from pydantic import BaseModel

from contracts.serving_api import Problem
from controller.api.access import operator_or_neighbour
from controller.api.parts import Parts
from controller.api.problems import problem
from controller.stores import AlertsMalformed

EXAMPLE = {
    "version": "4",
    "status": "firing",
    "receiver": "controller",
    "alerts": [
        {
            "status": "firing",
            "labels": {"alertname": "SLOBurn", "slo": "speech-fast", "region": "eu-west"},
            "annotations": {"summary": "SLO speech-fast burns its error budget in eu-west"},
            "startsAt": "2026-01-01T00:00:00Z",
            "fingerprint": "c0ffee",
        }
    ],
}

router = APIRouter(tags=["alerts"])


class AlertReceipt(BaseModel):
    """How many alerts came, and how many of them were news."""

    received: int
    recorded: int


@router.post(
    "/alerts",
    dependencies=[Depends(operator_or_neighbour)],
    responses={422: {"model": Problem}},
    openapi_extra={"requestBody": {"content": {"application/json": {"example": EXAMPLE}}}},
)
def take_alerts(body: dict[str, Any], parts: Parts) -> AlertReceipt:
    """Webhook of Alertmanager (version 4). An alert enters the story once per change of its status."""
    taken = parts.alerts.receive(body)
    if isinstance(taken, AlertsMalformed):
        raise problem(
            422, "not an Alertmanager webhook", detail=taken.problem, field=taken.field, fix="send version 4 of it"
        )
    parts.alerts_received(taken.received)
    return AlertReceipt(received=taken.received, recorded=taken.recorded)
