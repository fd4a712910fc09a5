"""The sync between an agent and the controller, version 1: `POST /api/v1/agents/{host}/sync`.

One long-poll request carries the host report and receipts up, and orders and SLO thresholds down. The controller answers
at once when it has something new and otherwise holds the request for at most `max_wait_s`; the agent aborts and re-sends
when its own state changes. Every order is delivered again until its terminal receipt was acknowledged, so delivery is
at least once and execution, by key, at most once.
"""

from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from contracts.serving_api import SloThresholds
from contracts.vocabulary import (
    GpuAction,
    GpuUuid,
    HostId,
    OrderKey,
    OrderKind,
    ProfileId,
    ReceiptStatus,
    ReflexKind,
    RefusalReason,
    Region,
    ReplicaId,
    ReplicaState,
)

API_VERSION = 1
REPLICAS_PER_HOST_MAX = 64
RECEIPTS_PER_SYNC_MAX = 256
ORDER_LIFE_S_MAX = 60.0
"""Longest time from the issue of an order to its `not_after`: a host that lost its memory knows after that long that
whatever it may have executed before is void."""
MAX_WAIT_S_LIMIT = 25.0
"""Longest hold: below the 30 s at which common proxies cut idle requests."""


class Wire(BaseModel):
    """A frozen body; unknown fields are ignored so that one side can be upgraded first."""

    model_config = ConfigDict(extra="ignore", frozen=True)


class ReplicaReport(Wire):
    """One replica as its agent sees it."""

    replica: ReplicaId
    address: str
    port: int
    state: ReplicaState
    reason: str = ""
    generation: int
    """Incarnation: +1 at every start of the process, by whatever hand. Orders name the generation they mean."""
    state_age_s: float
    profile: ProfileId | None
    """None until the replica answered its first probe."""
    profiles: tuple[ProfileId, ...] = ()
    progress_total: int = 0
    progress_age_s: float = 0.0
    """Seconds since the progress counter last moved while work was in flight; 0 when idle."""
    in_flight: int = 0
    queued_s: float = 0.0
    slo_revision: int = 0
    restarts_total: int = 0
    log_tail: tuple[str, ...] = ()
    """Last lines of the log of a replica that is hung, crashed or quarantined; at most 20 lines."""
    gpus: tuple[GpuUuid, ...] = ()
    """Whole devices that it was given, or was given a part of; empty on a host without GPUs."""
    withheld: str = ""
    """Why the agent does not restart it, when it would otherwise: its GPU is unfit. Empty: nothing is withheld."""
    canaries_failed: int = 0
    """Canary utterances in a row that failed; they are only sent while there is no traffic."""


class ReflexReport(Wire):
    """Something the agent did by itself. `seq` is unique per host and boot, so a report seen twice counts once."""

    seq: int
    kind: ReflexKind
    replica: ReplicaId
    generation: int
    """Generation that was found broken."""
    detected_unix_s: float
    healed_unix_s: float | None = None
    """Ready again; None while under way or when it did not help."""
    evidence: dict[str, str] = {}


class GpuReport(Wire):
    """One GPU, or the absence of a driver when `uuid` is empty."""

    gpu: int
    uuid: str
    up: bool
    reason: str = ""
    utilization_ratio: float | None = None
    memory_used_ratio: float | None = None
    temperature_celsius: float | None = None
    clock_ratio: float | None = None
    """SM clock over its maximum."""
    slowed: bool = False
    """The hardware slows it down now, for heat or power braking. A software power cap is normal and does not count."""
    recommended_action: Annotated[GpuAction, BeforeValidator(lambda said: said or GpuAction.NONE)] = GpuAction.NONE
    """Agents of the first version say nothing as an empty text."""
    action_source: str = ""
    """What recommends it: `driver`, `xid 79`, or empty."""
    model: str = ""
    simulated: bool = False
    """A stand-in for tests and development: never a real device."""


class Degradation(Wire):
    """A part of the agent that cannot do its work, while the rest goes on."""

    part: str
    """journal, runtime, credentials, nvml, logs, …"""
    reason: str


class HostReport(Wire):
    """Everything one host knows about itself now."""

    host: HostId
    region: Region
    boot_id: str
    """New at every start of the agent process; with `seq` it orders reports."""
    seq: int
    runtime: str
    """process, docker, swarm or simulated."""
    agent_address: str
    agent_port: int
    """Where the agent's own /metrics is, for scrape discovery."""
    replicas: Annotated[tuple[ReplicaReport, ...], Field(max_length=REPLICAS_PER_HOST_MAX)]
    free_slots: tuple[ReplicaId, ...]
    """Ids of replicas that could be started here now: on GPUs that are fit, where there are any."""
    gpus: tuple[GpuReport, ...] = ()
    reflexes: tuple[ReflexReport, ...] = ()
    """The newest reflexes of this boot, at most 32."""
    cpu_utilization_ratio: float | None = None
    epoch_seen: int = 0
    degraded: tuple[Degradation, ...] = ()
    region_rtts_s: dict[Region, float] = {}
    """Seconds of one round trip to each other region's gateway, newest measurement; a region that does not answer is absent."""
    machine_orders: tuple[OrderKind, ...] = ()
    """Kinds of machine order that this host's policy permits."""


class Order(Wire):
    """One thing to do, complete: the agent has nothing left to choose."""

    key: OrderKey
    kind: OrderKind
    epoch: int
    """Leader epoch of the issuer; an agent refuses epochs older than the newest it has seen."""
    replica: ReplicaId | None = None
    """Its target; None for an order about the machine."""
    generation: int
    """Incarnation the order was decided for. RESTART and STOP_REPLICA are refused when it has changed since."""
    gpu: GpuUuid | None = None
    """For RESET_GPU."""
    not_after_unix_s: float
    """Controller's clock. Past it the order is refused, never executed late."""
    profile: ProfileId | None = None
    """For SWITCH_PROFILE and START_REPLICA."""
    grace_s: float = 0.0
    """How long RESTART and STOP_REPLICA let work finish before the process is killed; 0 for a hung one."""


class Receipt(Wire):
    """What became of one order. Answered from the agent's own journal when the order comes again."""

    key: OrderKey
    epoch: int
    status: ReceiptStatus
    refusal: RefusalReason | None = None
    detail: str = ""
    executions: int = 0
    """How often the agent executed this key: 0 or 1. More would be a defect, so it is counted, not assumed."""
    started_unix_s: float | None = None
    finished_unix_s: float | None = None
    generation_after: int | None = None


class SyncRequest(Wire):
    """Agent → controller."""

    api_version: int = API_VERSION
    sent_unix_s: float
    max_wait_s: Annotated[float, Field(ge=0, le=MAX_WAIT_S_LIMIT)]
    thresholds_revision: int
    """Revision of the SLO thresholds the agent holds."""
    report: HostReport
    receipts: Annotated[tuple[Receipt, ...], Field(max_length=RECEIPTS_PER_SYNC_MAX)]
    """Every receipt not yet acknowledged, oldest first."""


class SyncResponse(Wire):
    """Controller → agent."""

    api_version: int = API_VERSION
    epoch: int
    server_unix_s: float
    """The controller's clock, from which the agent estimates 'now' for `not_after`, whatever its own clock says."""
    orders: tuple[Order, ...] = ()
    receipts_acked: tuple[OrderKey, ...] = ()
    thresholds: SloThresholds | None = None
    """Present when the agent's revision is not the controller's."""


class CredentialGrant(Wire):
    """`POST /api/v1/agents/{host}/credentials`: a token of this host's own, in exchange for the join token or its former one.

    The former token stays valid until the new one was used, so an answer that got lost locks nobody out.
    """

    token: str
    expires_unix_s: float
    """The controller's clock; an agent renews at half of the lifetime."""
    server_unix_s: float
