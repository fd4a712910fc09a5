"""What the handlers need, handed over once by `app.py`."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request

from chassis.auth import Role
from chassis.clock import Clock
from controller.admission.report import AdmissionDesk
from controller.ports import FleetSource
from controller.rules_ports import RulesState
from controller.slo_store import SloStore
from controller.stores import AgentDesk, AlertReceiver, CredentialDesk, GatewayViewer, IntentStore, LoopStatus, Story


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiParts:
    """Ports and callbacks; nothing here can act on the fleet."""

    clock: Clock
    tokens: Mapping[Role, str]
    """Empty: the listener is on loopback, and whoever reaches it may do everything."""
    slos: SloStore
    admission: AdmissionDesk
    rules: Callable[[], RulesState]
    """What became of the objectives in Prometheus."""
    intents: IntentStore
    story: Story
    fleet: FleetSource
    agents: AgentDesk
    credentials: CredentialDesk
    alerts: AlertReceiver
    gateways: GatewayViewer
    status: Callable[[], LoopStatus]
    slos_changed: Callable[[], None]
    intent_recorded: Callable[[], None]
    alerts_received: Callable[[int], None]
    new_id: Callable[[], str]
    render_metrics: Callable[[], bytes]


def parts_of(request: Request) -> ApiParts:
    """The parts of the application that serves this request."""
    parts: ApiParts = request.app.state.parts
    return parts


Parts = Annotated[ApiParts, Depends(parts_of)]
