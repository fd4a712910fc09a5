"""The order desk: judges each delivery, writes it down, executes it once, and writes down what came of it.

Durable before done: the RUNNING receipt is on disk before the first touch, so no crash at any step can lead to a second
execution. An order that could not be journaled is not executed; the controller delivers it again.
"""

import asyncio
from collections import Counter
from dataclasses import dataclass, field

from agent.actuator import Actuator
from agent.board import Board, Unit
from agent.core.fencing import Circumstances, Execute, Refuse, Replay, Target, judge
from agent.core.health import BROKEN_STATES, HealthPolicy
from agent.errors import JournalError, ReplicaControlError, ReplicaRuntimeError
from agent.journal import FileJournal
from chassis.clock import Clock
from chassis.logs import logger
from contracts.agent_api import Order, Receipt
from contracts.vocabulary import OrderKind, ProfileId, ReceiptStatus, ReplicaId, ReplicaState

log = logger(__name__)
INBOX_MAX = 64
"""Orders waiting to be judged: one per replica of the largest host. More are dropped, and delivered again."""


class ControllerTime:
    """The controller's clock, estimated from its last answer: deadlines hold even when this host's clock is wrong."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._server_unix_s = clock.now_unix_s()
        self._heard_s = clock.monotonic_s()

    def heard(self, server_unix_s: float) -> None:
        """The controller said what time it is."""
        self._server_unix_s = server_unix_s
        self._heard_s = self._clock.monotonic_s()

    def now_unix_s(self) -> float:
        """What its clock should show now."""
        return self._server_unix_s + self._clock.monotonic_s() - self._heard_s


@dataclass(frozen=True, slots=True)
class _Result:
    status: ReceiptStatus
    detail: str = ""


@dataclass(slots=True)
class OrderDesk:
    """Takes orders in, one judgement at a time; executions run side by side, one per replica."""

    board: Board
    actuator: Actuator
    journal: FileJournal
    controller_time: ControllerTime
    health: HealthPolicy
    clock: Clock
    outcomes: Counter[tuple[OrderKind, str]] = field(default_factory=Counter)
    _inbox: asyncio.Queue[Order] = field(default_factory=lambda: asyncio.Queue(INBOX_MAX))

    def deliver(self, order: Order) -> None:
        """Take one delivery in; never waits."""
        try:
            self._inbox.put_nowait(order)
        except asyncio.QueueFull:
            log.warning("order_dropped", key=order.key, reason="inbox full; it will be delivered again")

    async def run(self) -> None:
        """Judge and execute for ever. What a former run left RUNNING is settled first."""
        self.journal.settle_interrupted()
        async with asyncio.TaskGroup() as executions:
            while True:
                await self._take(await self._inbox.get(), executions)

    async def _take(self, order: Order, executions: asyncio.TaskGroup) -> None:
        verdict = judge(order, self._circumstances(order))
        if isinstance(verdict, Replay):
            self.journal.acknowledge([order.key], known=False)
        elif isinstance(verdict, Refuse):
            self.outcomes[order.kind, verdict.reason.value] += 1
            log.warning("order_refused", key=order.key, kind=order.kind.value, reason=verdict.detail)
            await self._record(
                Receipt(
                    key=order.key,
                    epoch=order.epoch,
                    status=ReceiptStatus.REFUSED,
                    refusal=verdict.reason,
                    detail=verdict.detail,
                )
            )
        else:
            await self._begin(order, verdict, executions)

    def _circumstances(self, order: Order) -> Circumstances:
        unit = self.board.units.get(order.replica)
        return Circumstances(
            epoch_seen=self.journal.epoch_seen,
            controller_now_unix_s=self.controller_time.now_unix_s(),
            receipt=self.journal.receipt(order.key),
            target=None
            if unit is None
            else Target(generation=unit.generation, running=unit.running, busy=unit.claimed_by is not None),
        )

    async def _begin(self, order: Order, _: Execute, executions: asyncio.TaskGroup) -> None:
        self.board.claim(order.replica, f"order {order.key}")
        running = Receipt(
            key=order.key,
            epoch=order.epoch,
            status=ReceiptStatus.RUNNING,
            executions=1,
            started_unix_s=self.clock.now_unix_s(),
        )
        if not await self._record(running):
            self.board.release(order.replica)
            return
        log.info("order_began", key=order.key, kind=order.kind.value, replica=order.replica)
        executions.create_task(self._execute(order, running), name=f"order {order.key}")

    async def _execute(self, order: Order, running: Receipt) -> None:
        try:
            result = await self._carry_out(order)
        except ReplicaRuntimeError as error:
            result = _Result(ReceiptStatus.FAILED, str(error))
        finally:
            self.board.release(order.replica)
        self.outcomes[order.kind, result.status.value] += 1
        log.info("order_ended", key=order.key, status=result.status.value, detail=result.detail)
        await self._record(
            running.model_copy(
                update={
                    "status": result.status,
                    "detail": result.detail,
                    "finished_unix_s": self.clock.now_unix_s(),
                    "generation_after": self.board.units[order.replica].generation,
                }
            )
        )

    async def _carry_out(self, order: Order) -> _Result:
        unit = self.board.units[order.replica]
        match order.kind:
            case OrderKind.RESTART:
                unit.restarts_s = ()
                await self.actuator.restart(order.replica, order.grace_s)
                return await self._until_ready(unit)
            case OrderKind.START_REPLICA:
                unit.restarts_s = ()
                await self.actuator.start(order.replica, order.profile)
                return await self._until_ready(unit)
            case OrderKind.STOP_REPLICA:
                await self.actuator.stop(order.replica, order.grace_s, state=ReplicaState.STOPPED, reason="ordered")
                return _Result(ReceiptStatus.DONE)
            case OrderKind.SWITCH_PROFILE:
                return await self._switch(order)

    async def _switch(self, order: Order) -> _Result:
        """Ask for it while the replica lives. One that breaks meanwhile is given up: a reflex waits for the claim."""
        if order.profile is None:
            return _Result(ReceiptStatus.FAILED, "the order names no profile")
        async with asyncio.TaskGroup() as race:
            asking = race.create_task(self._ask_to_switch(order.replica, order.profile))
            breaking = race.create_task(
                self.board.until(order.replica, lambda now: now.health.state in BROKEN_STATES, within_s=None)
            )
            await asyncio.wait({asking, breaking}, return_when=asyncio.FIRST_COMPLETED)
            breaking.cancel()
            if not asking.done():
                asking.cancel()
        if not asking.cancelled():
            return asking.result()
        health = self.board.units[order.replica].health
        return _Result(ReceiptStatus.FAILED, f"{health.state.value} during the switch: {health.reason}")

    async def _ask_to_switch(self, replica: ReplicaId, profile: ProfileId) -> _Result:
        try:
            answer = await self.actuator.switch_profile(replica, profile)
        except ReplicaControlError as error:
            return _Result(ReceiptStatus.FAILED, str(error))
        if answer.profile != profile:
            return _Result(ReceiptStatus.FAILED, f"{answer.outcome}: {answer.detail}")
        return _Result(ReceiptStatus.DONE, answer.outcome)

    async def _until_ready(self, unit: Unit) -> _Result:
        """A start is done when the replica serves, not when a process exists."""
        settled = {ReplicaState.READY, *BROKEN_STATES}
        await self.board.until(
            unit.spec.replica, lambda now: now.health.state in settled, within_s=self.health.start_deadline_s
        )
        if unit.health.state is ReplicaState.READY:
            return _Result(ReceiptStatus.DONE)
        return _Result(ReceiptStatus.FAILED, f"{unit.health.state.value}: {unit.health.reason}")

    async def _record(self, receipt: Receipt) -> bool:
        try:
            await self.journal.record(receipt)
        except JournalError as error:
            log.warning("receipt_not_journaled", key=receipt.key, error=str(error), cause=repr(error.__cause__))
            return False
        self.board.changed.ring()
        return True
