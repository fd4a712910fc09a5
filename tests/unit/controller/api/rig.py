"""The real API over a real journal and a real hub, for tests of its handlers."""

import secrets
from pathlib import Path
from typing import Any

import httpx

from chassis.auth import Role
from chassis.clock import Clock, SystemClock
from contracts.agent_api import HostReport, ReplicaReport, SyncRequest
from contracts.vocabulary import ReplicaState
from controller.admission.report import Asked, Report
from controller.api.agents import DISCOVERY_WARM_UP_S
from controller.api.factory import create_api
from controller.api.parts import ApiParts
from controller.credentials import CredentialOffice
from controller.drivers.agent import AgentOrders
from controller.drivers.no_gateways import NoGateways
from controller.journal.credentials import SqlCredentials
from controller.journal.database import open_database
from controller.journal.sql import SqlJournal
from controller.journal.stores import SqlIntents, SqlSlos, SqlStory
from controller.rules_ports import RulesStanding, RulesState
from controller.sources.agents import AgentHub
from controller.sources.alertmanager import AlertInbox
from controller.stores import LoopStatus

TOKENS = {Role.AGENT: "agent-secret", Role.OPERATOR: "operator-secret", Role.VIEWER: "viewer-secret"}
NOW = 1_700_000_000.0


class Desk:
    """Examines nothing; remembers what it was asked."""

    def __init__(self) -> None:
        self.asked: list[Asked] = []

    async def examine(self, asked: Asked) -> Report:
        self.asked.append(asked)
        return Report(slo=asked.slo, tiers=(), findings=())


class Rig:
    """The real API over a real journal and a real hub; only the loop is absent."""

    def __init__(
        self, directory: Path, tokens: dict[Role, str], *, required: bool = False, clock: Clock | None = None
    ) -> None:
        self.database = open_database(f"sqlite:///{directory}/journal.db")
        self.journal = SqlJournal(self.database)
        self.leading_for_s: float | None = DISCOVERY_WARM_UP_S
        self.why_not_ready = ""
        self.slo_changes = self.wakes = self.alerts = 0
        self.numbers = iter(range(1_000))
        self.desk = Desk()
        self.rules = RulesState(RulesStanding.IN_STEP, 1, "")
        orders, clock, story = AgentOrders(), clock or SystemClock(), SqlStory(self.database)
        self.hub = AgentHub(orders=orders, clock=clock)
        self.hub.lead(1)
        self.office = CredentialOffice(
            store=SqlCredentials(self.database),
            clock=clock,
            new_token=lambda: secrets.token_urlsafe(32),
            new_id=lambda: f"line-{next(self.numbers)}",
            required=required,
        )
        self.app = create_api(
            ApiParts(
                clock=clock,
                tokens=tokens,
                slos=SqlSlos(self.database),
                admission=self.desk,
                rules=lambda: self.rules,
                intents=SqlIntents(self.database),
                story=story,
                fleet=self.hub,
                agents=self.hub,
                credentials=self.office,
                alerts=AlertInbox(store=story, clock=clock),
                gateways=NoGateways(),
                status=self.status,
                slos_changed=self.count_slo_change,
                intent_recorded=self.count_wake,
                alerts_received=self.count_alerts,
                new_id=lambda: f"id-{next(self.numbers)}",
                render_metrics=lambda: b"controller_leader 1.0\n",
            )
        )

    def status(self) -> LoopStatus:
        return LoopStatus("me", self.leading_for_s, 0.1, 3, 0, (("fresh", 2),), self.why_not_ready)

    def count_slo_change(self) -> None:
        self.slo_changes += 1

    def count_wake(self) -> None:
        self.wakes += 1

    def count_alerts(self, count: int) -> None:
        self.alerts += count

    def client(self, *, token: str = "", address: str = "127.0.0.1") -> httpx.AsyncClient:
        transport = httpx.ASGITransport(self.app, client=(address, 1234), raise_app_exceptions=False)
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        return httpx.AsyncClient(transport=transport, base_url="http://controller", headers=headers)


def sync_body(**changes: object) -> dict[str, Any]:
    replica = ReplicaReport(
        replica="eu-west-a-0",
        address="127.0.1.1",
        port=9001,
        state=ReplicaState.READY,
        generation=1,
        state_age_s=1.0,
        profile="full-fp32-onnx",
        log_tail=("last words",),
    )
    stopped = replica.model_copy(update={"replica": "eu-west-a-1", "port": 9002, "state": ReplicaState.STOPPED})
    report = HostReport(
        host="eu-west-a",
        region="eu-west",
        boot_id="b1",
        seq=1,
        runtime="process",
        agent_address="127.0.1.1",
        agent_port=9400,
        replicas=(replica, stopped),
        free_slots=("eu-west-a-1",),
    )
    request = SyncRequest(sent_unix_s=NOW, max_wait_s=0.0, thresholds_revision=0, report=report, receipts=())
    return {**request.model_dump(mode="json"), **changes}
