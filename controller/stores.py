"""What people ask of the controller's memory, as protocols: intents and the story of what happened; objectives are in `slo_store`.

The loop has its own view of the same memory (`ports.Journal`), fenced by the leader's epoch. These are unfenced: an
operator may change an objective through any controller, also a standby. Every refusal is a value that names its reason.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from contracts.agent_api import CredentialGrant, HostReport, SyncRequest, SyncResponse
from contracts.serving_api import SloThresholds
from contracts.vocabulary import HostId
from controller.core.actions import ActionId, ActionRecord
from controller.core.fleet import TrafficIntent
from controller.ports import DecisionRecord, GatewayObservation, Lease, OperatorIntent, SourceDown


@dataclass(frozen=True, slots=True)
class Change:
    """Who changed something, and when: the audit line that is written with every change."""

    operator: str
    at_unix_s: float


# ── intents ───────────────────────────────────────────────────────────────────────────────────────────────────────────
@dataclass(frozen=True, slots=True)
class IntentAccepted:
    """Recorded; `repeated` when the idempotency key had brought it before."""

    id: str
    repeated: bool


@dataclass(frozen=True, slots=True)
class IntentKeyReused:
    """The same idempotency key was used for a different intent."""

    id: str


@dataclass(frozen=True, slots=True)
class IntentLimit:
    """Too many intents wait for the loop."""

    waiting_max: int


class IntentStore(Protocol):
    """Where an operator's wish waits for the loop."""

    def add_intent(
        self, intent: OperatorIntent, idempotency_key: str | None
    ) -> IntentAccepted | IntentKeyReused | IntentLimit:
        """Record a wish; the loop judges it on its next tick."""
        ...


# ── the story ─────────────────────────────────────────────────────────────────────────────────────────────────────────
@dataclass(frozen=True, slots=True)
class DecisionQuery:
    """Which part of the story: the newest `limit` lines, or the `limit` lines that follow the line `after`."""

    limit: int
    after: str | None = None
    kind: str | None = None
    subject: str | None = None
    action_id: str | None = None


@dataclass(frozen=True, slots=True)
class UnknownCursor:
    """The line named by `after` does not exist, or was pruned."""


@dataclass(frozen=True, slots=True)
class Control:
    """The few facts that steer everything, as journaled."""

    lease: Lease | None
    """None before anybody ever led."""
    paused: bool
    traffic: TrafficIntent | None
    """None before the first leader chose one."""
    slo_revision: int


class Story(Protocol):
    """What happened and why, for people."""

    def decisions(self, query: DecisionQuery) -> tuple[DecisionRecord, ...] | UnknownCursor:
        """Lines in the order in which they were written, oldest first."""
        ...

    def actions(self, *, open_only: bool, limit: int) -> tuple[ActionRecord, ...]:
        """Newest first."""
        ...

    def action(self, action_id: ActionId) -> ActionRecord | None:
        """One action; None when there is none of that id."""
        ...

    def control(self) -> Control:
        """Lease, pause switch, traffic and SLO revision."""
        ...


class SignalStore(Protocol):
    """Where outside signals enter the story."""

    def record_signals(self, records: tuple[DecisionRecord, ...]) -> int:
        """Append those whose id is new; returns how many were."""
        ...


@dataclass(frozen=True, slots=True)
class LoopStatus:
    """How the loop of this process is doing, for people and probes."""

    holder: str
    """Name under which this process competes for the lease."""
    leading_for_s: float | None
    """None on a standby."""
    last_tick_age_s: float | None
    """None before the first tick ended."""
    ticks_ok: int
    ticks_failed: int
    trust: tuple[tuple[str, int], ...]
    """How many series are in which state of trust."""
    why_not_ready: str
    """Empty when this process leads and its last tick worked."""


# ── who may speak for a host ──────────────────────────────────────────────────────────────────────────────────────────
@dataclass(frozen=True, slots=True)
class HostCredential:
    """One credential as it is stored: the hash of a token, never the token."""

    host: HostId
    token_hash: str
    """SHA-256 in hexadecimal."""
    issued_unix_s: float
    expires_unix_s: float
    used: bool
    """The host has shown it at least once, so it has received it."""


@dataclass(frozen=True, slots=True)
class HostRevoked:
    """An operator shut this host out; only an operator lets it in again."""


@dataclass(frozen=True, slots=True)
class CredentialLimit:
    """As many hosts have credentials as there are places for hosts."""

    hosts_max: int


class CredentialStore(Protocol):
    """Durable memory of credentials. Each method is one transaction that writes its own line of the story."""

    def add_credential(
        self, credential: HostCredential, former_until_unix_s: float, line: DecisionRecord
    ) -> HostRevoked | CredentialLimit | None:
        """Add one; the host's former ones end at `former_until_unix_s` at the latest. None: done."""
        ...

    def find_credential(self, token_hash: str) -> HostCredential | None:
        """The credential with this hash; None when there is none any more."""
        ...

    def use_credential(self, credential: HostCredential) -> None:
        """The host has it: its former ones end now."""
        ...

    def revoke_host(self, host: HostId, change: Change) -> int:
        """End all of the host's credentials and let it have no other; returns how many ended."""
        ...

    def readmit_host(self, host: HostId, change: Change) -> bool:
        """Let it join again; False when it was not shut out."""
        ...

    def revoked_hosts(self) -> frozenset[HostId]:
        """Every host that is shut out."""
        ...


@dataclass(frozen=True, slots=True)
class KnownHost:
    """The token is the host's own, and valid."""


@dataclass(frozen=True, slots=True)
class WrongHost:
    """The token is valid, but another host's."""


@dataclass(frozen=True, slots=True)
class UnknownToken:
    """Nobody's token: never issued, ended, expired or revoked."""


class CredentialDesk(Protocol):
    """Gives hosts tokens of their own, and recognises them."""

    @property
    def required(self) -> bool:
        """The join token opens nothing but this desk."""
        ...

    def check(self, host: HostId, token: str) -> KnownHost | WrongHost | UnknownToken:
        """Whether `token` speaks for `host` now."""
        ...

    def is_revoked(self, host: HostId) -> bool:
        """Whether the host is shut out, whatever token it shows."""
        ...

    def grant(self, host: HostId, proof: str, address: str) -> CredentialGrant | HostRevoked | CredentialLimit:
        """A new token. `proof` says by what right, and `address` from where, for the story."""
        ...

    def revoke(self, host: HostId, operator: str) -> None:
        """Shut the host out at once."""
        ...

    def readmit(self, host: HostId, operator: str) -> None:
        """Let it join again."""
        ...


# ── strangers that the API talks to ───────────────────────────────────────────────────────────────────────────────────
@dataclass(frozen=True, slots=True)
class NotLeading:
    """This controller is a standby: only the leader answers agents, so that a host has one voice in its ear."""


@dataclass(frozen=True, slots=True)
class Superseded:
    """A newer boot of the same host's agent reports; two agents must not share a host id."""

    boot_id: str


@dataclass(frozen=True, slots=True)
class HostLimit:
    """The hub holds as many hosts as it may."""

    hosts_max: int


class AgentDesk(Protocol):
    """Answers agents, and shows what they last said."""

    async def sync(self, request: SyncRequest) -> SyncResponse | NotLeading | Superseded | HostLimit:
        """One long poll: returns as soon as there is news for the host, at the latest after `max_wait_s`."""
        ...

    def reports(self) -> Mapping[HostId, HostReport]:
        """Newest report of every known host."""
        ...


class ThresholdSink(Protocol):
    """Takes the SLO thresholds that replicas must count against."""

    def publish_thresholds(self, thresholds: SloThresholds) -> None:
        """A larger revision replaces a smaller one and is delivered to every host."""
        ...


@dataclass(frozen=True, slots=True)
class AlertsRecorded:
    """How many alerts the webhook carried, and how many of them were news."""

    received: int
    recorded: int


@dataclass(frozen=True, slots=True)
class AlertsMalformed:
    """The body is not an Alertmanager webhook."""

    field: str
    problem: str


class AlertReceiver(Protocol):
    """Turns Alertmanager's webhook into signals."""

    def receive(self, payload: object) -> AlertsRecorded | AlertsMalformed:
        """Parse, deduplicate, record."""
        ...


class GatewayViewer(Protocol):
    """The observing half of a traffic driver."""

    async def observe(self) -> tuple[GatewayObservation | SourceDown, ...]:
        """Read every gateway once."""
        ...
