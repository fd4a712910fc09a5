"""The board: what this host knows about each of its replicas, now.

The one mutable picture that probing, healing, orders, the report and the metrics page share. It changes only on the
event loop and only through these methods, so every reader sees a whole state. Each replica can be *claimed* by one hand
at a time, an order or a reflex: that claim is the lock that keeps a restart from meeting another.
"""

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace

from agent.core.health import Health, HealthPolicy, Probe, ended, observe, starting, voiceless
from agent.ports import Exit, Instance, ReplicaSpec
from chassis.clock import Clock
from contracts.vocabulary import ProfileId, ReplicaId, ReplicaState


class Bell:
    """Rung on every change worth telling; waiting clears it, so a ring between two waits is not lost."""

    def __init__(self) -> None:
        self._rung = asyncio.Event()

    def ring(self) -> None:
        """Something changed."""
        self._rung.set()

    def hush(self) -> None:
        """What was rung so far is about to be told."""
        self._rung.clear()

    async def wait(self) -> None:
        """Return at the next ring, at once when one is pending."""
        await self._rung.wait()


@dataclass(slots=True)
class Unit:
    """One replica slot of this host."""

    spec: ReplicaSpec
    generation: int
    health: Health
    instance: Instance | None = None
    """None while no process is expected to run: before the first start, while one is ended on purpose, and after."""
    claimed_by: str | None = None
    """Who works on it: an order's key or a reflex."""
    restarts_s: tuple[float, ...] = ()
    """Reflexive restarts within the budget window (monotonic)."""
    refusals: int = 0
    """Reflexive restarts in a row that the runtime refused."""
    retry_s: float = 0.0
    """After a refusal: no reflex before this time (monotonic)."""
    withheld: str = ""
    """Why it is not restarted, when it would otherwise: its GPUs are unfit. Empty: nothing is withheld."""
    faults_seen: int = 0
    """Driver errors on its GPUs that called for a restart of a program, as far as they are dealt with."""
    canaries_failed: int = 0
    """Canary utterances of this incarnation that failed in a row."""
    restarts_total: int = 0
    log_tail: tuple[str, ...] = ()
    last_exit: Exit | None = None
    """A process can end before its start has been told here; then this is how `began` knows."""
    turned: asyncio.Event = field(default_factory=asyncio.Event)
    """Set, and replaced, at every change of state."""

    @property
    def running(self) -> bool:
        """A process exists or should exist."""
        return self.health.state is not ReplicaState.STOPPED


class Board:
    """All slots of the host, in slot order."""

    def __init__(self, specs: Iterable[ReplicaSpec], *, policy: HealthPolicy, clock: Clock) -> None:
        self._policy = policy
        self._clock = clock
        self.changed = Bell()
        idle = ended(starting(clock.monotonic_s()), ReplicaState.STOPPED, "", clock.monotonic_s())
        self.units: dict[ReplicaId, Unit] = {spec.replica: Unit(spec=spec, generation=0, health=idle) for spec in specs}

    # ── the lock ──────────────────────────────────────────────────────────────────────────────────────────────────────
    def claim(self, replica: ReplicaId, by: str) -> bool:
        """Take the replica for one hand; False when another holds it."""
        unit = self.units[replica]
        if unit.claimed_by is not None:
            return False
        unit.claimed_by = by
        return True

    def release(self, replica: ReplicaId) -> None:
        """Give it back."""
        self.units[replica].claimed_by = None

    # ── what happens to a replica ─────────────────────────────────────────────────────────────────────────────────────
    def ending(self, replica: ReplicaId) -> None:
        """Its process is about to be ended on purpose: its exit is no crash, and its answers count no more."""
        self.units[replica].instance = None

    def not_ended(self, replica: ReplicaId, instance: Instance | None) -> None:
        """Its process could not be ended: it counts again, as a crash when it ended by itself in the meantime."""
        unit = self.units[replica]
        unit.instance = instance
        self._exited_unseen(unit)

    def awaited(self, replica: ReplicaId) -> None:
        """It is about to be started: until then it counts as starting, so that nobody takes its slot for free."""
        self._turn(self.units[replica], starting(self._clock.monotonic_s()))

    def began(self, instance: Instance, generation: int) -> None:
        """A new incarnation runs, at its own address where the runtime chose its machine."""
        unit = self.units[instance.replica]
        unit.instance = instance
        unit.generation = generation
        if instance.address is not None:
            unit.spec = replace(unit.spec, address=instance.address)
        unit.log_tail = ()
        unit.refusals, unit.retry_s = 0, 0.0
        unit.withheld, unit.canaries_failed = "", 0
        self._turn(unit, starting(self._clock.monotonic_s()))
        self._exited_unseen(unit)

    def observed(self, replica: ReplicaId, instance: Instance, probe: Probe) -> None:
        """A probe of `instance` came back; one of a former incarnation is dropped."""
        unit = self.units[replica]
        if unit.instance == instance:
            self._turn(unit, observe(unit.health, probe, self._clock.monotonic_s(), self._policy))

    def voiceless(self, replica: ReplicaId, instance: Instance, reason: str) -> None:
        """`instance` answers but cannot speak: it is hung until it is replaced."""
        unit = self.units[replica]
        if unit.instance == instance:
            self._turn(unit, voiceless(unit.health, reason, self._clock.monotonic_s()))

    def exited(self, exit_: Exit) -> Unit | None:
        """A process ended. Returns its unit when that is a crash, None when it was wanted or is old news."""
        unit = self.units.get(exit_.instance.replica)
        if unit is None:
            return None
        unit.last_exit = exit_
        if unit.instance != exit_.instance:
            return None
        self.ended(unit.spec.replica, ReplicaState.CRASHED, exit_.reason)
        return unit

    def ended(self, replica: ReplicaId, state: ReplicaState, reason: str) -> None:
        """No process runs any more, for the reason that `state` names."""
        unit = self.units[replica]
        unit.instance = None
        if state is not ReplicaState.CRASHED:
            unit.withheld = ""
        self._turn(unit, ended(unit.health, state, reason, self._clock.monotonic_s()))

    def assign(self, spec: ReplicaSpec) -> None:
        """The replica shall run as `spec` from its next start on, and is known to after a switch."""
        self.units[spec.replica].spec = spec

    # ── waiting for a level ───────────────────────────────────────────────────────────────────────────────────────────
    async def until(self, replica: ReplicaId, is_so: Callable[[Unit], bool], *, within_s: float | None) -> bool:
        """Wait until `is_so` holds for the replica; False when it did not within `within_s`. None: until cancelled."""
        unit = self.units[replica]
        try:
            async with asyncio.timeout(within_s):
                while not is_so(unit):
                    await unit.turned.wait()
        except TimeoutError:
            return is_so(unit)
        return True

    def _exited_unseen(self, unit: Unit) -> None:
        """Catch up on an exit that was told while the process was not the unit's."""
        if unit.last_exit is not None and unit.last_exit.instance == unit.instance:
            self.ended(unit.spec.replica, ReplicaState.CRASHED, unit.last_exit.reason)

    def _turn(self, unit: Unit, health: Health) -> None:
        turned = health.state is not unit.health.state or health.started_s != unit.health.started_s
        unit.health = health
        if turned:
            unit.turned.set()
            unit.turned = asyncio.Event()
            self.changed.ring()


def with_profile(spec: ReplicaSpec, profile: ProfileId) -> ReplicaSpec:
    """The same replica on another profile."""
    return replace(spec, profile=profile)
