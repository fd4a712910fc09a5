"""What the loop needs from the world, as protocols of one to four methods.

Expected trouble comes back as a value (`SourceDown`, `Rejected`, `Unknown`), never as an exception and never as zero or
an empty list. Exceptions mean a broken assumption.
"""

from dataclasses import dataclass
from typing import Protocol

from contracts.agent_api import Order, Receipt
from contracts.vocabulary import HostId, OrderKey
from controller.core.fleet import Fleet
from controller.core.gateways import Endpoint, GatewayObservation, GatewayPlan
from controller.core.story import DecisionRecord, JournalState, OpenOrder, OperatorIntent, TickRecord
from controller.core.telemetry import ReplicaCounters, SignalSample, SloCounter, SourceDown

__all__ = [
    "Applied",
    "Confirmation",
    "DecisionRecord",
    "Endpoint",
    "FencedError",
    "FleetSource",
    "GatewayObservation",
    "GatewayPlan",
    "Journal",
    "JournalState",
    "Lease",
    "LeaseHeld",
    "OpenOrder",
    "OperatorIntent",
    "Rejected",
    "ReplicaCounters",
    "ReplicaDriver",
    "SignalSample",
    "SignalSource",
    "SloCounter",
    "SourceDown",
    "TickRecord",
    "TrafficDriver",
    "Unknown",
]


# ── signals ───────────────────────────────────────────────────────────────────────────────────────────────────────────
class SignalSource(Protocol):
    """Where request counters come from: Prometheus, or the simulated fleet."""

    async def sample(self) -> SignalSample | SourceDown:
        """Read every counter once; bounded by its own timeout."""
        ...


class FleetSource(Protocol):
    """What the agents last reported, and the second signal path."""

    def fleet(self) -> Fleet:
        """Newest report of every known host, with its age."""
        ...


# ── acting ────────────────────────────────────────────────────────────────────────────────────────────────────────────
class ReplicaDriver(Protocol):
    """Hands orders to the agents and brings their receipts back."""

    def offer(self, orders: tuple[tuple[HostId, Order], ...]) -> None:
        """Make these the open orders, replacing the former set; each is delivered until its receipt is final."""
        ...

    def receipts(self) -> tuple[tuple[HostId, Receipt], ...]:
        """Receipts that arrived since `settle` forgot them; the same receipt may appear again."""
        ...

    def settle(self, keys: tuple[OrderKey, ...]) -> None:
        """These receipts are journaled: acknowledge them to the agents."""
        ...


@dataclass(frozen=True, slots=True)
class Applied:
    """Every gateway runs this version."""

    version: str


@dataclass(frozen=True, slots=True)
class Rejected:
    """A gateway refused it and kept the former one."""

    reason: str


@dataclass(frozen=True, slots=True)
class Unknown:
    """No answer in time: neither applied nor rejected. Observe before repeating."""

    reason: str


Confirmation = Applied | Rejected | Unknown


class TrafficDriver(Protocol):
    """Moves traffic: Envoy here, the Kubernetes Gateway API elsewhere."""

    async def apply(self, plans: tuple[GatewayPlan, ...]) -> str:
        """Publish the whole desired state atomically per gateway; returns its version. Refuses (`ValueError`) a plan
        without a routable endpoint."""
        ...

    async def confirm(self, version: str, timeout_s: float) -> Confirmation:
        """Wait until every gateway runs `version`."""
        ...

    async def observe(self) -> tuple[GatewayObservation | SourceDown, ...]:
        """Read every gateway once."""
        ...


# ── memory ────────────────────────────────────────────────────────────────────────────────────────────────────────────
@dataclass(frozen=True, slots=True)
class Lease:
    """The right to act: one holder at a time, and an epoch that only grows and fences every order."""

    holder: str
    epoch: int
    expires_unix_s: float


@dataclass(frozen=True, slots=True)
class LeaseHeld:
    """Somebody else leads until then."""

    holder: str
    expires_unix_s: float


class FencedError(Exception):
    """A newer epoch exists: this process no longer leads and must stop acting."""


class Journal(Protocol):
    """Durable memory with a leader lease: SQL in production, a dictionary in the simulation."""

    def acquire(self, holder: str, now_unix_s: float, ttl_s: float) -> Lease | LeaseHeld:
        """Take or renew the lease. A new holder gets a larger epoch; renewing keeps it."""
        ...

    def load(self, now_unix_s: float, history_s: float) -> JournalState:
        """Everything a leader needs."""
        ...

    def write(self, epoch: int, record: TickRecord) -> None:
        """One atomic transaction. Raises `FencedError` when `epoch` is not the newest."""
        ...
