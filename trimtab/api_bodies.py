"""What the controller answers, as far as the command line reads it; unknown fields are ignored."""

from typing import Any

from pydantic import BaseModel, ConfigDict, Field


class Body(BaseModel):
    """A frozen answer."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class Lease(Body):
    """Who leads, and for how long without a renewal."""

    holder: str
    epoch: int
    expires_at: str


class Status(Body):
    """The controller in one glance."""

    holder: str
    """The controller that answered."""
    leader: bool
    epoch: int
    lease: Lease | None
    """None before anybody ever led."""
    paused: bool
    last_tick_age_s: float | None
    """None before the first tick ended."""
    ticks_failed: int
    trust: dict[str, int]
    """How many series are in which state of trust."""
    slo_revision: int
    hosts: int
    replicas: int
    replicas_ready: int


class Replica(Body):
    """One serving process."""

    replica: str
    state: str
    reason: str
    profile: str | None
    """None until it answered its first probe."""
    generation: int
    in_flight: int
    queued_s: float
    slo_revision: int
    address: str
    port: int
    cordoned: bool
    gpus: tuple[str, ...] = ()
    """UUIDs of the devices that it works on."""
    withheld: str = ""
    """Why its agent does not restart it: its GPU is unfit. Empty: nothing is withheld."""
    canaries_failed: int = 0
    """Test utterances in a row that failed while there was no traffic."""


class Gpu(Body):
    """One GPU, as its host's agent sees it."""

    gpu: int
    uuid: str
    up: bool
    reason: str = ""
    temperature_celsius: float | None = None
    """None while it is not up, or has no sensor."""
    slowed: bool = False
    recommended_action: str = "none"
    action_source: str = ""
    model: str = ""
    simulated: bool = False


class Host(Body):
    """One machine."""

    host: str
    region: str
    report_age_s: float
    agent_address: str
    agent_port: int
    gpus: tuple[Gpu, ...] = ()
    replicas: tuple[Replica, ...]


class Share(Body):
    """Wanted share of a gateway's traffic for one region."""

    gateway: str
    region: str
    share: float


class Traffic(Body):
    """What the gateways should do."""

    shares: tuple[Share, ...]
    cordoned: tuple[str, ...]


class GatewayState(Body):
    """What one gateway says; `reason` tells why it could not be asked."""

    gateway: str
    version: str
    reason: str = ""


class Fleet(Body):
    """Everything that serves."""

    hosts: tuple[Host, ...]
    traffic: Traffic | None
    """None before the first leader chose one."""
    gateways: tuple[GatewayState, ...]

    def replicas(self, region: str | None = None) -> tuple[Replica, ...]:
        """All replicas, or those of one region."""
        return tuple(replica for host in self.hosts if region in {None, host.region} for replica in host.replicas)

    def share(self, gateway: str, region: str) -> float | None:
        """Wanted share; None when nothing was chosen yet."""
        shares = self.traffic.shares if self.traffic else ()
        return next((s.share for s in shares if (s.gateway, s.region) == (gateway, region)), None)


class Decision(Body):
    """One line of the story."""

    id: str
    at: str
    at_unix_s: float
    epoch: int
    kind: str
    subject: str
    summary: str
    evidence: dict[str, str]
    action_id: str | None
    """None for lines that belong to no action."""


class DecisionPage(Body):
    """Lines, oldest first."""

    items: tuple[Decision, ...]
    next_after: str | None
    """Where to go on; None while nothing was ever written."""


class Action(Body):
    """One action from intent to verdict."""

    id: str
    kind: str
    stage: str
    verdict: str | None
    """None while it is open."""
    cause: str
    detail: str
    origin: str
    action: dict[str, Any]
    epoch: int
    intended_at: str
    intended_unix_s: float
    stage_unix_s: float
    order_keys: tuple[str, ...]

    @property
    def subject(self) -> str:
        """The replica, else the GPU, the host or the region it is about."""
        named = (self.action.get(name) for name in ("replica", "name", "host", "region"))
        return str(next((value for value in named if value), ""))

    @property
    def is_open(self) -> bool:
        """Not closed yet."""
        return self.stage != "closed"


class ActionList(Body):
    """Newest first."""

    items: tuple[Action, ...]


class IntentReceipt(Body):
    """A wish was recorded; `repeated` when the same key had brought it before."""

    id: str
    repeated: bool = Field(default=False)
