"""Orders about one replica, carried out: each ends in a result, whatever happens to the replica meanwhile."""

import asyncio
import math
from dataclasses import dataclass

from agent.core.fencing import Target
from agent.core.health import BROKEN_STATES, HealthPolicy
from agent.core.receipts import Result, done, failed
from agent.errors import ReplicaControlError, ReplicaRuntimeError
from agent.healing.actuator import Actuator
from agent.healing.board import Board, Unit
from agent.healing.places import GpuPlaces
from contracts.agent_api import Order
from contracts.vocabulary import OrderKind, ProfileId, ReplicaId, ReplicaState

GRACE_S_MAX = 60.0
"""What is ordered beyond it is not granted: a hung replica is down for all of its grace, and no reflex gets at it."""


@dataclass(frozen=True, slots=True)
class ReplicaOrders:
    """The hands behind the desk, for orders that name a replica."""

    board: Board
    actuator: Actuator
    places: GpuPlaces
    health: HealthPolicy

    def target(self, order: Order) -> Target | None:
        """What the order would meet; None when this host has no such replica."""
        unit = None if order.replica is None else self.board.units.get(order.replica)
        if unit is None:
            return None
        afresh = order.kind is OrderKind.START_REPLICA
        return Target(
            generation=unit.generation,
            running=unit.running,
            busy=unit.claimed_by is not None,
            unfit=self.places.why_not(self.board, unit.spec.replica, afresh=afresh) or "",
        )

    def claim(self, order: Order) -> None:
        """Take the replica for this order; the desk has seen that it is free."""
        if order.replica is not None:
            self.board.claim(order.replica, f"order {order.key}")

    def release(self, order: Order) -> None:
        """Give it back."""
        if order.replica is not None:
            self.board.release(order.replica)

    async def carry_out(self, order: Order) -> Result:
        """Do it; every expected failure is a result."""
        if order.replica is None:
            return failed("the order names no replica")
        try:
            return await self._carry_out(order, self.board.units[order.replica])
        except ReplicaRuntimeError as error:
            return failed(str(error))

    async def _carry_out(self, order: Order, unit: Unit) -> Result:
        replica = unit.spec.replica
        if order.kind is OrderKind.RESTART:
            return await self._restart(unit, _grace_s(order))
        if order.kind is OrderKind.START_REPLICA:
            return await self._start(unit, order.profile)
        if order.kind is OrderKind.STOP_REPLICA:
            await self.actuator.stop(replica, _grace_s(order), state=ReplicaState.STOPPED, reason="ordered")
            return done()
        return await self._switch(replica, order.profile)

    async def _restart(self, unit: Unit, grace_s: float) -> Result:
        unfit = self.places.assign(self.board, unit.spec.replica)
        if unfit is not None:  # it was fit when the order was judged
            return failed(unfit)
        unit.restarts_s = ()
        await self.actuator.restart(unit.spec.replica, grace_s)
        return await self._until_ready(unit)

    async def _start(self, unit: Unit, profile: ProfileId | None) -> Result:
        unfit = self.places.assign(self.board, unit.spec.replica, afresh=True)
        if unfit is not None:
            return failed(unfit)
        unit.restarts_s = ()
        await self.actuator.start(unit.spec.replica, profile)
        return await self._until_ready(unit)

    async def _switch(self, replica: ReplicaId, profile: ProfileId | None) -> Result:
        """Ask for it while the replica lives. One that breaks meanwhile is given up: a reflex waits for the claim."""
        if profile is None:
            return failed("the order names no profile")
        async with asyncio.TaskGroup() as race:
            asking = race.create_task(self._ask_to_switch(replica, profile))
            breaking = race.create_task(
                self.board.until(replica, lambda now: now.health.state in BROKEN_STATES, within_s=None)
            )
            await asyncio.wait({asking, breaking}, return_when=asyncio.FIRST_COMPLETED)
            breaking.cancel()
            if not asking.done():
                asking.cancel()
        if not asking.cancelled():
            return asking.result()
        health = self.board.units[replica].health
        return failed(f"{health.state.value} during the switch: {health.reason}")

    async def _ask_to_switch(self, replica: ReplicaId, profile: ProfileId) -> Result:
        try:
            answer = await self.actuator.switch_profile(replica, profile)
        except ReplicaControlError as error:
            return failed(str(error))
        if answer.profile != profile:
            return failed(f"{answer.outcome}: {answer.detail}")
        return done(answer.outcome)

    async def _until_ready(self, unit: Unit) -> Result:
        """A start is done when the replica serves, not when a process exists."""
        settled = {ReplicaState.READY, *BROKEN_STATES}
        await self.board.until(
            unit.spec.replica, lambda now: now.health.state in settled, within_s=self.health.start_deadline_s
        )
        if unit.health.state is ReplicaState.READY:
            return done()
        return failed(f"{unit.health.state.value}: {unit.health.reason}")


def _grace_s(order: Order) -> float:
    """Within bounds, whatever was ordered; what is no number is none."""
    return max(0.0, min(order.grace_s, GRACE_S_MAX)) if math.isfinite(order.grace_s) else 0.0
