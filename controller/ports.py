"""What the loop needs from the world, as protocols of one to four methods.

Expected trouble comes back as a value (`SourceDown`, `Rejected`, `Unknown`), never as an exception and never as zero or
an empty list. Exceptions mean a broken assumption.
"""

from dataclasses import dataclass
from typing import Protocol

from contracts.agent_api import Order, Receipt
from contracts.vocabulary import HostId, OrderKey, Region, ReplicaId, SloId
from controller.core.actions import ActionRecord
from controller.core.fleet import Fleet, TrafficIntent
from slo_rules.model import Slo


# ── signals ───────────────────────────────────────────────────────────────────────────────────────────────────────────
@dataclass(frozen=True, slots=True)
class SloCounter:
    """Raw, monotonic event counts of one SLO at one replica since its process started."""

    slo: SloId
    good: float
    bad: float


@dataclass(frozen=True, slots=True)
class ReplicaCounters:
    """Raw counters of one replica at one scrape. Resets are the reader's to handle."""

    replica: ReplicaId
    region: Region
    sampled_unix_s: float
    """When Prometheus scraped it; the age of the signal is counted from here."""
    slos: tuple[SloCounter, ...]
    admitted: float
    rejected_overload: float
    queue_s: float
    service_s: float
    audio_s: float


@dataclass(frozen=True, slots=True)
class SignalSample:
    """All counters of all replicas, read with a constant number of queries."""

    at_unix_s: float
    replicas: tuple[ReplicaCounters, ...]
    scraped_ok: int
    """Replica targets whose last scrape worked; `scraped_ok` of `scraped_expected` is the coverage."""
    scraped_expected: int


@dataclass(frozen=True, slots=True)
class SourceDown:
    """The source could not be read. Not zero traffic, not health: nothing is known."""

    reason: str


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
class Endpoint:
    """One address a gateway may send to."""

    replica: ReplicaId
    region: Region
    address: str
    port: int
    draining: bool


@dataclass(frozen=True, slots=True)
class GatewayPlan:
    """Everything one gateway should know: one atomic message."""

    gateway: Region
    shares: tuple[tuple[Region, float], ...]
    """(region, share 0..1); 0 = standby. Sums to 1 over the regions that have endpoints."""
    endpoints: tuple[Endpoint, ...]
    shed_ratio: float = 0.0
    """Share of requests refused at the gateway before they reach a replica."""


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


@dataclass(frozen=True, slots=True)
class GatewayObservation:
    """Cumulative counters of one gateway, the gateway's own word on what happened."""

    gateway: Region
    version: str
    completed: tuple[tuple[Region, float], ...]
    """Finished upstream requests per region."""
    failed: tuple[tuple[Region, float], ...]
    """Upstream 5xx per region."""
    in_flight: tuple[tuple[ReplicaId, int], ...]
    """Active requests per endpoint; a drain is over when its replica shows 0."""


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


@dataclass(frozen=True, slots=True)
class DecisionRecord:
    """One line of the story: an act, a hold, a refusal, a reflex seen, a verdict. Append-only."""

    id: str
    at_unix_s: float
    epoch: int
    kind: str
    """act, hold, refuse, reflex, advance, verdict, operator, signal."""
    subject: str
    """What it is about: a replica, region or the fleet."""
    summary: str
    """One sentence for a person."""
    evidence: tuple[tuple[str, str], ...] = ()
    action_id: str | None = None


@dataclass(frozen=True, slots=True)
class OpenOrder:
    """An order that has no final receipt yet, as journaled; it survives the death of the leader that issued it."""

    host: HostId
    order: Order


@dataclass(frozen=True, slots=True)
class OperatorIntent:
    """Something a person asked for through the API; the loop judges and acts on it at its own pace."""

    id: str
    at_unix_s: float
    operator: str
    verb: str
    """restart, switch_profile, scale_out, scale_in, shift, pause, resume."""
    arguments: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class JournalState:
    """What a leader must know to go on where the last one stopped."""

    actions: tuple[ActionRecord, ...]
    """Every open action, and those closed within `history_s` (for cooldowns, budgets and attempt caps)."""
    orders: tuple[OpenOrder, ...]
    traffic: TrafficIntent | None
    slos: tuple[Slo, ...]
    slo_revision: int
    paused: bool
    intents: tuple[OperatorIntent, ...]
    """Not yet taken up."""
    reflexes_seen: frozenset[tuple[HostId, str, int]]
    """(host, boot, seq) of reflexes already in the story."""


@dataclass(frozen=True, slots=True)
class TickRecord:
    """What one tick wants remembered: one transaction, written before anything is touched."""

    decisions: tuple[DecisionRecord, ...] = ()
    actions: tuple[ActionRecord, ...] = ()
    """Upserts by id."""
    orders_issued: tuple[OpenOrder, ...] = ()
    receipts: tuple[tuple[HostId, Receipt], ...] = ()
    """Final receipts: they close their orders."""
    traffic: TrafficIntent | None = None
    """None leaves the stored one."""
    intents_taken: tuple[str, ...] = ()
    paused: bool | None = None
    reflexes_seen: tuple[tuple[HostId, str, int], ...] = ()

    @property
    def empty(self) -> bool:
        """True when there is nothing to write."""
        return self == TickRecord()


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
