"""The first minutes of an agent: take over what runs, then start what is wanted.

Containers outlive the agent. One that runs and is missing from the first report looks lost to the controller, so taking
over comes before the first report, within a bound: an engine that is away must not silence the host. Until it is back,
every slot stays claimed, so that nobody starts into a slot whose container may run, and the engine's absence is reported.
"""

import asyncio
import random
from dataclasses import dataclass, field, replace

from agent.errors import ReplicaRuntimeError
from agent.healing.actuator import Actuator
from agent.healing.board import Board
from agent.healing.places import GpuPlaces
from agent.ports import HostMemory, HostRuntime, Instance, ReplicaMemory
from chassis.clock import Clock
from chassis.logs import logger
from chassis.retry import Backoff
from contracts.vocabulary import ReplicaId, ReplicaState

log = logger(__name__)
TAKE_OVER_S_MAX = 5.0
"""How long the first report waits: listing 64 containers takes 0.2 s, and the controller misses a host after ten seconds."""
GPUS_KNOWN_S_MAX = 3.0
"""How long starts wait for the driver's first word. A driver that takes longer is waited for by the reflexes, slot by slot."""
GPUS_POLL_S = 0.05
CLAIM = "boot"


@dataclass(slots=True)
class Boot:
    """Brings the board from nothing known to every slot adopted, started, or free."""

    board: Board
    actuator: Actuator
    places: GpuPlaces
    runtime: HostRuntime
    memory: HostMemory
    replicas: int
    """How many slots are started when nothing is remembered of them."""
    clock: Clock
    rng: random.Random
    backoff: Backoff = field(default_factory=lambda: Backoff(base_s=0.5, cap_s=5.0))
    """Between two looks for a runtime that is away: its replicas are reported again at most five seconds after its return."""
    _adopted: bool = False
    _wanted: list[ReplicaId] = field(default_factory=list)

    async def take_over(self) -> None:
        """Adopt what runs before anything is reported; what cannot be seen now is left to `finish`."""
        for replica in self.board.units:
            self.board.claim(replica, CLAIM)
        try:
            async with asyncio.timeout(TAKE_OVER_S_MAX):
                self._adopt(await self.runtime.running())
        except (TimeoutError, ReplicaRuntimeError) as error:
            log.warning("take_over_pending", error=str(error) or "timeout", cause=repr(error.__cause__))

    async def finish(self) -> None:
        """Adopt as soon as the runtime can be seen, then start what is wanted; returns when every start was tried."""
        failures = 0
        while not self._adopted:
            failures += 1
            await self.clock.sleep(self.backoff.delay_s(failures, self.rng))
            try:
                self._adopt(await self.runtime.running())
            except ReplicaRuntimeError as error:
                log.debug("take_over_still_pending", error=str(error), failures=failures)
        if self._wanted:
            await self._until_gpus_known()
        async with asyncio.TaskGroup() as starts:
            for replica in self._wanted:
                starts.create_task(self._start(replica))

    def _adopt(self, found: tuple[Instance, ...]) -> None:
        remembered = {memory.replica: memory for memory in self.memory.replicas()}
        running = {instance.replica: instance for instance in found}
        for slot, (replica, unit) in enumerate(self.board.units.items()):
            memory = remembered.get(replica)
            if memory is not None:
                unit.generation = memory.generation
                self.board.assign(replace(unit.spec, profile=memory.profile, gpus=memory.gpus or unit.spec.gpus))
            if replica in running:
                self._take(running[replica], memory)
            elif memory.wanted if memory is not None else slot < self.replicas:
                self._wanted.append(replica)
                self.board.awaited(replica)
            else:
                self.board.release(replica)
        self._adopted = True

    def _take(self, instance: Instance, memory: ReplicaMemory | None) -> None:
        """What the runtime sees of its devices counts more than what was remembered: somebody else may have made it."""
        gpus = self.runtime.gpus_of(instance.replica)
        if gpus:
            self.board.assign(replace(self.board.units[instance.replica].spec, gpus=gpus))
        self.actuator.adopt(instance, memory)
        self.board.release(instance.replica)
        log.info("replica_adopted", replica=instance.replica, token=instance.token)

    async def _until_gpus_known(self) -> None:
        try:
            async with asyncio.timeout(GPUS_KNOWN_S_MAX):
                while not self.places.known:
                    await self.clock.sleep(GPUS_POLL_S)
        except TimeoutError:
            log.warning("gpus_not_known_in_time", within_s=GPUS_KNOWN_S_MAX)

    async def _start(self, replica: ReplicaId) -> None:
        """What cannot be started is CRASHED, and healed like any other; on a bad GPU, nothing is even tried."""
        unfit = self.places.assign(self.board, replica)
        if unfit is not None:
            self.board.ended(replica, ReplicaState.CRASHED, f"not started: {unfit}")
            self.board.release(replica)
            return
        try:
            await self.actuator.start(replica)
        except ReplicaRuntimeError as error:
            log.warning("replica_not_started", replica=replica, error=str(error), cause=repr(error.__cause__))
        finally:
            self.board.release(replica)
