"""One simulated replica: a queue in front of workers, with the counters and states that a real one shows.

Requests are a fluid: what matters to the loop are rates, waits, refusals and the share that misses its objective, and those
follow from utilisation. Latency grows like a single-server queue, ρ/(1−ρ); a request is refused when the backlog exceeds
what the first-audio budget allows.
"""

from dataclasses import dataclass, field
from math import exp

from contracts.vocabulary import FULL_FP32, LIGHT_INT8, GpuUuid, Locality, ProfileId, ReplicaId, ReplicaState
from controller.core.fleet import ENDED_STATES

SERVICE_S = {FULL_FP32.id: 0.1, LIGHT_INT8.id: 0.025}
"""Seconds of work per request: full quality carries ten a second, light forty."""
AUDIO_S = 1.0
"""Seconds of audio per request, so that service seconds are the real-time factor too."""
THRESHOLD_S = 0.3
"""A request is good when its latency is at most this."""
QUEUE_S_MAX = 0.5
"""Backlog beyond which requests are refused."""
STEEPNESS = 12.0
"""How sharply the share of bad requests rises around the threshold; latencies spread by about a tenth of it."""
BAD_AT_REST = 0.004
START_S = 4.0
SWITCH_S = 2.0
PROFILES = (FULL_FP32.id, LIGHT_INT8.id)


@dataclass(slots=True)
class Counters:
    """Raw counters since the process started."""

    good: float = 0.0
    bad: float = 0.0
    admitted: float = 0.0
    rejected: float = 0.0
    queue_s: float = 0.0
    service_s: float = 0.0
    audio_s: float = 0.0


@dataclass(slots=True)
class SimulatedReplica:
    """State that changes with time and orders."""

    id: ReplicaId
    locality: Locality
    address: str
    port: int
    profile: ProfileId = FULL_FP32.id
    state: ReplicaState = ReplicaState.READY
    generation: int = 1
    since_s: float = 0.0
    """When it entered its state."""
    slowness: float = 1.0
    """Factor on service time that a restart cures."""
    backlog_s: float = 0.0
    counters: Counters = field(default_factory=Counters)
    gpus: tuple[GpuUuid, ...] = ()
    withheld: str = ""
    """Why its agent does not restart it."""

    def enter(self, state: ReplicaState, now_s: float) -> None:
        """Change state now."""
        self.state, self.since_s = state, now_s

    def start(self, now_s: float) -> None:
        """A new incarnation: counters at zero, transient slowness gone."""
        self.generation += 1
        self.slowness, self.backlog_s, self.counters, self.withheld = 1.0, 0.0, Counters(), ""
        self.enter(ReplicaState.STARTING, now_s)

    def step(self, now_s: float) -> None:
        """Finish starting when it is time."""
        if self.state is ReplicaState.STARTING and now_s - self.since_s >= START_S:
            self.enter(ReplicaState.READY, now_s)

    @property
    def ended(self) -> bool:
        """True when no process of it is left."""
        return self.state in ENDED_STATES

    @property
    def serves(self) -> bool:
        """True when requests that reach it are answered."""
        return self.state is ReplicaState.READY

    def fail(self, requests: float) -> None:
        """Requests that ran into a replica that does not answer."""
        self.counters.bad += requests

    def serve(self, requests: float, seconds: float, slowness: float) -> None:
        """Take in `requests` over `seconds`, `slowness` times slower than nominal besides its own slowness."""
        service_s = SERVICE_S[self.profile] * slowness * self.slowness
        room = max(0.0, (seconds + QUEUE_S_MAX - self.backlog_s) / service_s)
        admitted = min(requests, room)
        refused = requests - admitted
        before_s = self.backlog_s
        self.backlog_s = max(0.0, before_s + admitted * service_s - seconds)
        busy = min(0.95, admitted * service_s / seconds)
        wait_s = (before_s + self.backlog_s) / 2 + 0.5 * service_s * busy / (1.0 - busy)
        late = 1.0 / (1.0 + exp(-STEEPNESS * ((wait_s + service_s) / THRESHOLD_S - 1.0)))
        bad_ratio = min(1.0, BAD_AT_REST + late)
        counters = self.counters
        counters.admitted += admitted
        counters.rejected += refused
        counters.queue_s += admitted * wait_s
        counters.service_s += min(seconds, admitted * service_s)
        counters.audio_s += min(seconds / service_s, admitted) * AUDIO_S
        counters.bad += admitted * bad_ratio + refused
        counters.good += admitted * (1.0 - bad_ratio)
