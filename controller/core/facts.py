"""What an open action is moved forward by: reports, receipts and gateways of this tick, and how far they can be trusted."""

from collections.abc import Mapping
from dataclasses import dataclass

from contracts.agent_api import Receipt
from contracts.vocabulary import HostId, OrderKey
from controller.core.actions import ActionRecord
from controller.core.fleet import Fleet, Host, TrafficIntent
from controller.core.gateways import GatewayObservation
from controller.core.ledger import hosts_of
from controller.core.policy import Policy
from controller.core.telemetry import SourceDown


@dataclass(frozen=True, slots=True)
class Published:
    """What the gateways were last told, and whether they said that they run it."""

    version: str
    intent: TrafficIntent
    confirmed: bool
    rejection: str = ""
    """Why a gateway refused it; empty when none did."""


@dataclass(frozen=True, slots=True)
class Facts:
    """Everything observed that may move an action forward."""

    now_unix_s: float
    epoch: int
    fleet: Fleet
    receipts: Mapping[OrderKey, Receipt]
    gateways: tuple[GatewayObservation | SourceDown, ...]
    published: Published | None
    """None until this leader has published once."""
    policy: Policy

    def answers(self, record: ActionRecord) -> list[Receipt]:
        """What agents said so far to the orders of an action."""
        return [self.receipts[key] for key in record.order_keys if key in self.receipts]

    def heard(self, host: HostId) -> Host | None:
        """The host by its fresh report; None when there is none."""
        found = self.fleet.host(host)
        return found if found is not None and found.report_age_s <= self.policy.report_age_s_max else None

    def is_heard(self, host: HostId) -> bool:
        """Only a fresh report proves that something is gone: a new leader has at first none, and misses everything."""
        return self.heard(host) is not None

    def is_void(self, record: ActionRecord) -> bool:
        """True when an unanswered order can no longer be executed and a report younger than that shows no effect."""
        void_unix_s = record.stage_unix_s + self.policy.order_ttl_s
        age_s = max((self._report_age_s(host) for host in hosts_of(record.action)), default=0.0)
        return self.now_unix_s - age_s > void_unix_s + self.policy.order_ttl_s  # one more for what began just in time

    def _report_age_s(self, host: HostId) -> float:
        found = self.fleet.host(host)
        return found.report_age_s if found is not None else self.policy.ready_within_s
