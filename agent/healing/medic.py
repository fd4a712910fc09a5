"""What the reflexes do to a broken replica: restart it, withhold the restart, or give up.

What is about to be done, and why, is written down first (`ReflexLog`). Three things stand between a broken replica and its
restart: its claim, which an order may hold; the state of its GPUs, because a start on a bad device only fails again; and
the budget. A withheld restart waits outside the budget, and is made up for as soon as the GPUs are fit.
"""

import asyncio
from dataclasses import dataclass, field

from agent.core.budget import Quarantine, RestartBudget, RestartLater, allow, recent, refusal_wait_s
from agent.core.health import BROKEN_STATES
from agent.degradation import Degradations
from agent.errors import ReplicaRuntimeError
from agent.healing.actuator import Actuator
from agent.healing.board import Board, Unit
from agent.healing.places import GpuPlaces
from agent.healing.reflexes import ReflexLog
from agent.ports import ExitFeed, Prober, ProcessView, ReplicaControl, ThresholdStore
from chassis.clock import Clock
from chassis.logs import logger
from contracts.vocabulary import ReflexKind, ReplicaState

log = logger(__name__)
LOG_TAIL_TIMEOUT_S = 0.5
"""Evidence is welcome, but the restart does not wait longer for it."""
XID_LAG_S = 2.0
"""A driver error heard this soon after a start is the former process's: it ends the process first and is told afterwards."""
XID_GRACE_S = 2.0
"""The error may be a neighbour's on the same GPU: what is in flight may finish. A broken CUDA context fails its work at once."""
REFUSALS_TOLD = 3
"""Refused restarts in a row after which the runtime counts as degraded: a second or so may be an engine that restarts."""
RUNTIME_PART = "runtime"


@dataclass(frozen=True, slots=True)
class HealerTools:
    """What the reflexes act with."""

    actuator: Actuator
    prober: Prober
    control: ReplicaControl
    view: ProcessView
    exits: ExitFeed
    thresholds: ThresholdStore
    places: GpuPlaces = field(default_factory=GpuPlaces)
    """Without any: a host without GPUs."""


@dataclass(slots=True)
class Medic:
    """Acts on one broken replica at a time per call; calls for different replicas run side by side."""

    board: Board
    tools: HealerTools
    reflexes: ReflexLog
    budget: RestartBudget
    degradations: Degradations
    clock: Clock
    _runtime_refuses: bool = False
    """As it was told last."""

    async def heal(self, unit: Unit) -> None:
        """One try at a replica that is hung or crashed; what cannot be done now is tried again at the next call."""
        now_s = self.clock.monotonic_s()
        if now_s < unit.retry_s or not self.board.claim(unit.spec.replica, "reflex"):
            return
        try:
            unfit = self.tools.places.assign(self.board, unit.spec.replica)
            if unfit is not None:
                await self._withhold(unit, unfit)
                return
            allowance = allow(unit.restarts_s, now_s, self.budget)
            if isinstance(allowance, Quarantine):
                await self._quarantine(unit, allowance)
            elif unit.withheld or not isinstance(allowance, RestartLater):
                hung = unit.health.state is ReplicaState.HUNG
                await self._restart(unit, ReflexKind.RESTART_HUNG if hung else ReflexKind.RESTART_CRASHED)
        finally:
            self.board.release(unit.spec.replica)

    def spare(self, unit: Unit) -> None:
        """It is not broken, by whatever hand: nothing is withheld from it, and no runtime refuses it."""
        unit.withheld = ""
        if self._runtime_refuses:
            self._tell_runtime("")

    async def heed_driver(self, unit: Unit) -> None:
        """Restart a replica that outlived a driver error after which its program has to be restarted: once per error."""
        now_s, faults = self.clock.monotonic_s(), self.tools.places.program_faults(unit)
        if unit.instance is None or now_s - unit.health.started_s < XID_LAG_S:
            unit.faults_seen = faults
            return
        if faults <= unit.faults_seen or self.tools.places.why_not(self.board, unit.spec.replica) is not None:
            return
        allowance = allow(unit.restarts_s, now_s, self.budget)
        if isinstance(allowance, RestartLater) or not self.board.claim(unit.spec.replica, "reflex"):
            return
        try:
            fresh, unit.faults_seen = faults - unit.faults_seen, faults
            if isinstance(allowance, Quarantine):
                log.warning("driver_error_not_heeded", replica=unit.spec.replica, reason="no restarts left; it lives")
                return
            await self._restart(unit, ReflexKind.RESTART_XID, driver_errors=str(fresh))
        finally:
            self.board.release(unit.spec.replica)

    # ── the three answers ─────────────────────────────────────────────────────────────────────────────────────────────
    async def _restart(self, unit: Unit, kind: ReflexKind, **evidence: str) -> None:
        """A refusal by the runtime tells nothing about the replica: it is not counted, and tried again, slower and slower."""
        replica, began_s, now_s = unit.spec.replica, fault_began_s(unit), self.clock.monotonic_s()
        seq = await self._write_down(unit, kind, **evidence)
        try:
            if kind is ReflexKind.RESTART_CRASHED and not unit.refusals:
                await self.tools.actuator.start(replica)
            else:  # a refused restart may have left the hung process in place
                await self.tools.actuator.restart(replica, XID_GRACE_S if kind is ReflexKind.RESTART_XID else 0.0)
        except ReplicaRuntimeError as error:
            self._refused(unit, kind, error)
            return
        unit.restarts_s = (*recent(unit.restarts_s, now_s, self.budget), now_s)
        self.reflexes.restarted(seq, kind, replica, unit.generation, fault_began_s=began_s)
        self._tell_runtime("")

    async def _withhold(self, unit: Unit, unfit: str) -> None:
        """Leave it down, and end what hangs: a process on a bad GPU holds the device against its reset."""
        if not unit.withheld:
            await self._write_down(unit, ReflexKind.WITHHOLD, unfit=unfit)
        if unit.withheld != unfit:
            unit.withheld = unfit
            self.board.changed.ring()
        if unit.instance is None:
            return
        tail = unit.log_tail
        try:
            await self.tools.actuator.stop(
                unit.spec.replica, grace_s=0.0, state=ReplicaState.CRASHED, reason=unit.health.reason
            )
        except ReplicaRuntimeError as error:
            self._refused(unit, ReflexKind.WITHHOLD, error)
        unit.log_tail = tail

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

    # ── a runtime that refuses ────────────────────────────────────────────────────────────────────────────────────────
    def _refused(self, unit: Unit, kind: ReflexKind, error: ReplicaRuntimeError) -> None:
        log.warning("reflex_failed", replica=unit.spec.replica, kind=kind.value, error=str(error))
        unit.refusals += 1
        unit.retry_s = self.clock.monotonic_s() + refusal_wait_s(unit.refusals, self.budget)
        self._tell_runtime(str(error))

    def _tell_runtime(self, error: str) -> None:
        refused = [
            unit.spec.replica
            for unit in self.board.units.values()
            if unit.refusals >= REFUSALS_TOLD and unit.health.state in BROKEN_STATES
        ]
        self._runtime_refuses = bool(refused)
        if not refused:
            self.degradations.clear(RUNTIME_PART)
        elif error:
            self.degradations.set(RUNTIME_PART, f"refuses again and again to start {', '.join(refused)}: {error}")

    # ── what is written down ──────────────────────────────────────────────────────────────────────────────────────────
    async def _write_down(self, unit: Unit, kind: ReflexKind, **more: str) -> int:
        try:
            async with asyncio.timeout(LOG_TAIL_TIMEOUT_S):
                unit.log_tail = await self.tools.view.log_tail(unit.spec.replica)
        except TimeoutError:
            unit.log_tail = ("the log could not be read in time",)
        evidence = {**self._evidence(unit), **more}
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
            "silent_s": f"{now_s - fault_began_s(unit):.3f}",
        }
        if health.pulse is not None:
            evidence |= {
                "in_flight": str(health.pulse.in_flight),
                "progress_total": str(health.pulse.progress_total),
                "progress_age_s": f"{health.progress_age_s(now_s):.3f}",
            }
        if unit.spec.gpus:
            evidence["gpus"] = ", ".join(unit.spec.gpus)
        return evidence


def fault_began_s(unit: Unit) -> float:
    """When the first missed probe was sent, or, without one, when the state was entered."""
    return unit.health.since_s if unit.health.silence is None else unit.health.silence.since_s
