"""The reflexes: probe one replica for ever, and heal it at once when it is hung or crashed.

One keeper per replica, strangers to each other, so a slow probe or restart of one never delays another. Nothing here
needs the controller. What a reflex did and why is written down first (`ReflexLog`); how often it may act is judged by
the budget; and it acts only while it holds the replica's claim.
"""

import asyncio
from dataclasses import dataclass, field

from agent.actuator import Actuator
from agent.board import Board, Unit
from agent.core.budget import Quarantine, RestartBudget, RestartLater, allow, recent, refusal_wait_s
from agent.core.health import BROKEN_STATES, Answered, Probe
from agent.core.histogram import Histogram
from agent.errors import ReplicaControlError, ReplicaRuntimeError
from agent.ports import ExitFeed, Prober, ProcessView, ReplicaControl, ThresholdStore
from agent.reflexes import ReflexLog
from chassis.clock import Clock
from chassis.logs import logger
from contracts.vocabulary import ReflexKind, ReplicaId, ReplicaState

log = logger(__name__)
PROBE_BOUNDS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)
"""Around the 250 ms deadline; an answer above it came late."""
LOG_TAIL_TIMEOUT_S = 0.5
"""Evidence is welcome, but the restart does not wait longer for it."""


@dataclass(frozen=True, slots=True)
class HealerPace:
    """When to look."""

    interval_s: float = 0.2
    """Between the starts of two probes. With three misses of 250 ms the worst case from freeze to verdict is
    0.2 + 0.75 s: under a second."""
    starting_interval_s: float = 0.05
    """While starting: a refused connection costs 0.1 ms, and every 50 ms waited here is 50 ms not served."""
    slos_retry_s: float = 1.0
    """Between two tries to hand a replica its SLO thresholds."""


@dataclass(frozen=True, slots=True)
class HealerTools:
    """What the reflexes act with."""

    actuator: Actuator
    prober: Prober
    control: ReplicaControl
    view: ProcessView
    exits: ExitFeed
    thresholds: ThresholdStore


@dataclass(slots=True)
class Healer:
    """Keeps every replica of the board alive."""

    board: Board
    tools: HealerTools
    reflexes: ReflexLog
    budget: RestartBudget
    clock: Clock
    pace: HealerPace = field(default_factory=HealerPace)
    probe_seconds: dict[ReplicaId, Histogram] = field(default_factory=dict)
    _slos_tried_s: dict[ReplicaId, float] = field(default_factory=dict)

    async def watch_exits(self) -> None:
        """Turn notices of ended processes into crashes on the board; the keepers wake by that."""
        while True:
            exit_ = await self.tools.exits.next_exit()
            if self.board.exited(exit_) is not None:
                log.warning("replica_crashed", replica=exit_.instance.replica, reason=exit_.reason)

    async def keep(self, replica: ReplicaId) -> None:
        """Probe, and heal, one replica for ever."""
        unit = self.board.units[replica]
        while True:
            started_s = self.clock.monotonic_s()
            turned = unit.turned
            await self._probe(unit)
            if unit.health.state in BROKEN_STATES:
                await self._heal(unit)
            interval_s = (
                self.pace.starting_interval_s if unit.health.state is ReplicaState.STARTING else self.pace.interval_s
            )
            await self._pause(turned, started_s + interval_s - self.clock.monotonic_s())

    async def _pause(self, turned: asyncio.Event, seconds: float) -> None:
        """Sleep until the next probe is due, or until the state turned since the last one began."""
        try:
            async with asyncio.timeout(max(0.0, seconds)):
                await turned.wait()
        except TimeoutError:
            return

    async def _probe(self, unit: Unit) -> None:
        instance = unit.instance
        if instance is None:
            return
        replica = unit.spec.replica
        probe = await self.tools.prober.probe(unit.spec)
        if isinstance(probe, Answered):
            await self._push_slos(unit, probe)
        self._measure(replica, probe)
        self.board.observed(replica, instance, probe)
        if unit.health.state is ReplicaState.READY and self.reflexes.ready(
            replica, unit.generation, now_s=self.clock.monotonic_s(), now_unix_s=self.clock.now_unix_s()
        ):
            log.info("replica_healed", replica=replica, generation=unit.generation)
            self.board.changed.ring()

    def _measure(self, replica: ReplicaId, probe: Probe) -> None:
        seconds = self.probe_seconds.setdefault(replica, Histogram(PROBE_BOUNDS_S))
        seconds.observe(probe.took_s if isinstance(probe, Answered) else probe.waited_s)

    async def _push_slos(self, unit: Unit, probe: Answered) -> None:
        """Hand over newer thresholds before the answer counts: a fresh replica is ready with them, not before them."""
        thresholds, replica = self.tools.thresholds.thresholds, unit.spec.replica
        now_s = self.clock.monotonic_s()
        tried_s = self._slos_tried_s.get(replica, now_s - self.pace.slos_retry_s)
        if probe.pulse.slo_revision >= thresholds.revision or now_s - tried_s < self.pace.slos_retry_s:
            return
        self._slos_tried_s[replica] = now_s
        try:
            await self.tools.control.put_slos(unit.spec, thresholds)
        except ReplicaControlError as error:
            log.warning("slos_not_pushed", replica=replica, revision=thresholds.revision, error=str(error))
            return
        del self._slos_tried_s[replica]

    # ── healing ───────────────────────────────────────────────────────────────────────────────────────────────────────
    async def _heal(self, unit: Unit) -> None:
        now_s = self.clock.monotonic_s()
        if now_s < unit.retry_s:
            return
        allowance = allow(unit.restarts_s, now_s, self.budget)
        if isinstance(allowance, RestartLater) or not self.board.claim(unit.spec.replica, "reflex"):
            return
        try:
            if isinstance(allowance, Quarantine):
                await self._quarantine(unit, allowance)
            elif await self._restart(unit):
                unit.restarts_s = (*recent(unit.restarts_s, now_s, self.budget), now_s)
            else:
                unit.refusals += 1
                unit.retry_s = self.clock.monotonic_s() + refusal_wait_s(unit.refusals, self.budget)
        finally:
            self.board.release(unit.spec.replica)

    async def _restart(self, unit: Unit) -> bool:
        """False when the runtime refused, which tells nothing about the replica."""
        hung = unit.health.state is ReplicaState.HUNG
        kind = ReflexKind.RESTART_HUNG if hung else ReflexKind.RESTART_CRASHED
        replica, began_s = unit.spec.replica, self._fault_began_s(unit)
        seq = await self._write_down(unit, kind)
        try:
            if hung or unit.refusals:  # a refused restart may have left the hung process in place
                await self.tools.actuator.restart(replica, grace_s=0.0)
            else:
                await self.tools.actuator.start(replica)
        except ReplicaRuntimeError as error:
            log.warning("reflex_failed", replica=replica, kind=kind.value, error=str(error))
            return False
        self.reflexes.restarted(seq, kind, replica, unit.generation, fault_began_s=began_s)
        return True

    async def _quarantine(self, unit: Unit, spent: Quarantine) -> None:
        reason = f"{spent.restarts} restarts within {spent.window_s:g} s did not help: {unit.health.reason}"
        await self._write_down(unit, ReflexKind.QUARANTINE)
        tail = unit.log_tail
        try:
            await self.tools.actuator.stop(
                unit.spec.replica, grace_s=0.0, state=ReplicaState.QUARANTINED, reason=reason
            )
        except ReplicaRuntimeError as error:
            log.warning("reflex_failed", replica=unit.spec.replica, kind="quarantine", error=str(error))
            self.board.ended(unit.spec.replica, ReplicaState.QUARANTINED, f"{reason}; it could not be stopped: {error}")
        unit.log_tail = tail

    async def _write_down(self, unit: Unit, kind: ReflexKind) -> int:
        try:
            async with asyncio.timeout(LOG_TAIL_TIMEOUT_S):
                unit.log_tail = await self.tools.view.log_tail(unit.spec.replica)
        except TimeoutError:
            unit.log_tail = ("the log could not be read in time",)
        evidence = self._evidence(unit)
        log.warning("reflex_began", replica=unit.spec.replica, kind=kind.value, generation=unit.generation, **evidence)
        return self.reflexes.began(
            kind,
            unit.spec.replica,
            unit.generation,
            detected_unix_s=self.clock.now_unix_s(),
            evidence=evidence,
        )

    def _evidence(self, unit: Unit) -> dict[str, str]:
        health, now_s = unit.health, self.clock.monotonic_s()
        evidence = {
            "reason": health.reason,
            "missed_probes": str(health.missed_probes),
            "silent_s": f"{now_s - self._fault_began_s(unit):.3f}",
        }
        if health.pulse is not None:
            evidence |= {
                "in_flight": str(health.pulse.in_flight),
                "progress_total": str(health.pulse.progress_total),
                "progress_age_s": f"{health.progress_age_s(now_s):.3f}",
            }
        return evidence

    @staticmethod
    def _fault_began_s(unit: Unit) -> float:
        """When the first missed probe was sent, or, without one, when the state was entered."""
        return unit.health.since_s if unit.health.silence is None else unit.health.silence.since_s
