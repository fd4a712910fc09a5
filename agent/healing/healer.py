"""The reflexes: probe one replica for ever, and call the medic at once when it is hung or crashed.

One keeper per replica, strangers to each other, so a slow probe or restart of one never delays another. Nothing here
needs the controller.
"""

import asyncio
from dataclasses import dataclass, field

from agent.core.budget import RestartBudget
from agent.core.health import BROKEN_STATES, Answered, Probe
from agent.core.histogram import Histogram
from agent.degradation import Degradations
from agent.errors import ReplicaControlError
from agent.healing.board import Board, Unit
from agent.healing.medic import HealerTools, Medic
from agent.healing.reflexes import ReflexLog
from chassis.clock import Clock
from chassis.logs import logger
from contracts.vocabulary import ReplicaId, ReplicaState

log = logger(__name__)
PROBE_BOUNDS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)
"""Around the 250 ms deadline; an answer above it came late."""


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


@dataclass(slots=True)
class Healer:
    """Keeps every replica of the board alive."""

    board: Board
    tools: HealerTools
    reflexes: ReflexLog
    budget: RestartBudget
    clock: Clock
    pace: HealerPace = field(default_factory=HealerPace)
    degradations: Degradations = field(default_factory=lambda: Degradations(lambda: None))
    """Where a runtime that refuses every start is told."""
    probe_seconds: dict[ReplicaId, Histogram] = field(default_factory=dict)
    _slos_tried_s: dict[ReplicaId, float] = field(default_factory=dict)
    _medic: Medic = field(init=False)

    def __post_init__(self) -> None:
        self._medic = Medic(
            board=self.board,
            tools=self.tools,
            reflexes=self.reflexes,
            budget=self.budget,
            degradations=self.degradations,
            clock=self.clock,
        )

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
                await self._medic.heal(unit)
            else:
                self._medic.spare(unit)
                await self._medic.heed_driver(unit)
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
