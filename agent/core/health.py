"""Probe results folded into one state per replica.

The hard part is telling *busy* from *hung*. Silence alone proves nothing: a replica whose event loop is starved by its
own work answers late. So three things speak for life: an answer, however late; a progress counter that moves; and, while
no answer comes, CPU time that the process still consumes. A stopped or deadlocked process shows none of them and is
hung after three missed probes; one that merely spins gets `patience_s`. And an answer alone proves nothing either: work
in flight with a progress counter that stands still for `stall_s` is hung, too.

Last, a replica can answer every probe and yet not speak. Only somebody who asks it to speak finds out (`voiceless`).
"""

from dataclasses import dataclass, replace

from contracts.vocabulary import ProfileId, ReplicaState

PROBED_STATES = frozenset({ReplicaState.STARTING, ReplicaState.READY, ReplicaState.UNREADY, ReplicaState.HUNG})
"""States in which a process exists that could answer."""
BROKEN_STATES = frozenset({ReplicaState.HUNG, ReplicaState.CRASHED})
"""States that the agent heals by itself."""


@dataclass(frozen=True, slots=True)
class HealthPolicy:
    """How much silence, slowness and standstill a replica may show."""

    misses_max: int = 3
    """Missed probes in a row that make a lifeless process hung: with a 250 ms deadline, 0.75 s of silence."""
    patience_s: float = 3.0
    """Silence allowed while the process visibly works: four times the longest stall seen on a saturated machine."""
    start_deadline_s: float = 60.0
    """Longest way to the first readiness: a cold start loads the model and runs a self-test."""
    stall_s: float = 20.0
    """Standstill of the progress counter with work in flight. The controller acts on it after 10 s and drains first;
    this is the fallback for when it is gone."""
    working_cpu_s_min: float = 0.02
    """CPU time since the first miss that counts as working: two scheduler ticks of 10 ms, the resolution of the counter."""


@dataclass(frozen=True, slots=True)
class Vitals:
    """What the kernel says about a process."""

    cpu_s: float
    """CPU time consumed so far."""
    runnable: bool
    """It has a processor, or is waiting for one."""


@dataclass(frozen=True, slots=True)
class Pulse:
    """What a replica says about itself."""

    ready: bool
    reason: str
    profile: ProfileId
    profiles: tuple[ProfileId, ...]
    progress_total: int
    in_flight: int
    queued_s: float
    slo_revision: int


@dataclass(frozen=True, slots=True)
class Answered:
    """The probe got an answer, possibly after its deadline."""

    pulse: Pulse
    took_s: float


@dataclass(frozen=True, slots=True)
class Missed:
    """No usable answer within the deadline."""

    reason: str
    waited_s: float
    vitals: Vitals | None = None
    """None where the kernel cannot be asked."""


Probe = Answered | Missed


@dataclass(frozen=True, slots=True)
class Silence:
    """A run of missed probes."""

    since_s: float
    misses: int
    vitals: Vitals | None
    """At the first miss."""


@dataclass(frozen=True, slots=True)
class Health:
    """Everything known about one incarnation of one replica. Times are monotonic seconds."""

    state: ReplicaState
    reason: str
    since_s: float
    """When it entered `state`."""
    started_s: float
    moved_s: float
    """When its progress counter last moved, or it last had nothing in flight."""
    was_ready: bool = False
    pulse: Pulse | None = None
    """None until the first answer."""
    silence: Silence | None = None
    """None while probes are answered."""
    voiceless: str = ""
    """Why it counts as hung although it answers; empty when it does not. Only a new process lifts it."""

    def progress_age_s(self, now_s: float) -> float:
        """Seconds of standstill with work in flight; 0 when idle or unknown."""
        return 0.0 if self.pulse is None or self.pulse.in_flight == 0 else max(0.0, now_s - self.moved_s)

    @property
    def missed_probes(self) -> int:
        """Probes missed in a row."""
        return 0 if self.silence is None else self.silence.misses


def starting(now_s: float) -> Health:
    """A process that was just spawned."""
    return Health(state=ReplicaState.STARTING, reason="", since_s=now_s, started_s=now_s, moved_s=now_s)


def ended(health: Health, state: ReplicaState, reason: str, now_s: float) -> Health:
    """The process is gone: CRASHED, STOPPED or QUARANTINED, told apart by the caller who knows why."""
    return replace(_enter(health, state, reason, now_s), silence=None)


def voiceless(health: Health, reason: str, now_s: float) -> Health:
    """It was asked to speak, again and again, and did not: hung, whatever its probes say. Without a process: unchanged."""
    if health.state not in PROBED_STATES:
        return health
    return replace(_enter(health, ReplicaState.HUNG, reason, now_s), voiceless=reason)


def observe(health: Health, probe: Probe, now_s: float, policy: HealthPolicy) -> Health:
    """The next health after one probe; states without a process stay as they are."""
    if health.state not in PROBED_STATES:
        return health
    if isinstance(probe, Answered):
        return _after_answer(health, probe.pulse, now_s, policy)
    return _after_miss(health, probe, now_s, policy)


def _after_answer(health: Health, pulse: Pulse, now_s: float, policy: HealthPolicy) -> Health:
    was = health.pulse  # work that was not there at the last look has not stood still since then
    moved = was is None or pulse.progress_total != was.progress_total or pulse.in_flight == 0 or was.in_flight == 0
    known = replace(health, pulse=pulse, silence=None, moved_s=now_s if moved else health.moved_s)
    if known.voiceless:
        return _enter(known, ReplicaState.HUNG, known.voiceless, now_s)
    stalled_s = known.progress_age_s(now_s)
    if stalled_s > policy.stall_s:
        return _enter(known, ReplicaState.HUNG, f"no progress with {pulse.in_flight} in flight", now_s)
    if pulse.ready:
        return replace(_enter(known, ReplicaState.READY, "", now_s), was_ready=True)
    if known.was_ready:
        return _enter(known, ReplicaState.UNREADY, pulse.reason, now_s)
    return _still_starting(known, pulse.reason, now_s, policy)


def _after_miss(health: Health, miss: Missed, now_s: float, policy: HealthPolicy) -> Health:
    silence = health.silence or Silence(since_s=now_s - miss.waited_s, misses=0, vitals=miss.vitals)
    silent = replace(health, silence=replace(silence, misses=silence.misses + 1))
    if not silent.was_ready:
        return _still_starting(silent, miss.reason, now_s, policy)
    given_up = now_s - silence.since_s >= policy.patience_s or not _works(silence.vitals, miss.vitals, policy)
    if silent.missed_probes >= policy.misses_max and given_up:
        return _enter(silent, ReplicaState.HUNG, f"{silent.missed_probes} probes missed: {miss.reason}", now_s)
    return silent


def _still_starting(health: Health, reason: str, now_s: float, policy: HealthPolicy) -> Health:
    if now_s - health.started_s < policy.start_deadline_s:
        return _enter(health, ReplicaState.STARTING, reason, now_s)
    return _enter(health, ReplicaState.HUNG, f"not ready within {policy.start_deadline_s:g} s: {reason}", now_s)


def _works(first: Vitals | None, now: Vitals | None, policy: HealthPolicy) -> bool:
    """True when the kernel saw the process run, or wait for a processor, since its first missed probe."""
    if first is None or now is None:
        return False
    return now.runnable or now.cpu_s - first.cpu_s >= policy.working_cpu_s_min


def _enter(health: Health, state: ReplicaState, reason: str, now_s: float) -> Health:
    since_s = health.since_s if health.state is state else now_s
    return replace(health, state=state, reason=reason, since_s=since_s)
