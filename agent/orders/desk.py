"""The order desk: judges each delivery, writes it down, has it executed once, and writes down what came of it.

Durable before done: the RUNNING receipt is on disk before the first touch, so no crash at any step can lead to a second
execution. An order that cannot be journaled is refused, which needs no disk: the controller can turn to another host at once.
"""

import asyncio
from collections import Counter
from contextlib import ExitStack
from dataclasses import dataclass, field

from agent.core.fencing import NO_MACHINE, Circumstances, Refuse, Replay, judge
from agent.core.receipts import ended, refused, running
from agent.errors import JournalError
from agent.healing.board import Board
from agent.memory.journal import FileJournal
from agent.orders.machine import MachineOrders
from agent.orders.replicas import ReplicaOrders
from chassis.clock import Clock
from chassis.logs import logger
from contracts.agent_api import Order, Receipt
from contracts.vocabulary import MACHINE_ORDERS, OrderKind, RefusalReason

log = logger(__name__)
INBOX_MAX = 64
"""Orders waiting to be judged: one per replica of the largest host. More are dropped, and delivered again."""


class ControllerTime:
    """The controller's clock, estimated from its last answer: deadlines hold even when this host's clock is wrong."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._server_unix_s = clock.now_unix_s()
        self._heard_s = clock.monotonic_s()
        self.offset_s: float | None = None
        """The controller's clock minus this host's, when it last spoke; None until it did."""

    def heard(self, server_unix_s: float) -> None:
        """The controller said what time it is."""
        self._server_unix_s = server_unix_s
        self._heard_s = self._clock.monotonic_s()
        self.offset_s = server_unix_s - self._clock.now_unix_s()

    def now_unix_s(self) -> float:
        """What its clock should show now."""
        return self._server_unix_s + self._clock.monotonic_s() - self._heard_s


@dataclass(slots=True)
class OrderDesk:
    """Takes orders in, one judgement at a time; executions run side by side, one per replica and one for the machine."""

    replicas: ReplicaOrders
    machine: MachineOrders | None
    """None where nothing about the machine can be ordered, as in simulations of whole fleets."""
    board: Board
    journal: FileJournal
    controller_time: ControllerTime
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
            await self._refuse(order, verdict)
        else:
            await self._begin(order, executions)

    def _circumstances(self, order: Order) -> Circumstances:
        return Circumstances(
            epoch_seen=self.journal.epoch_seen,
            controller_now_unix_s=self.controller_time.now_unix_s(),
            receipt=self.journal.receipt(order.key),
            target=self.replicas.target(order),
            machine=NO_MACHINE if self.machine is None else self.machine.target(order),
            fence_unix_s=self.journal.fence_unix_s,
        )

    async def _begin(self, order: Order, executions: asyncio.TaskGroup) -> None:
        hands = self._hands(order)
        hands.claim(order)
        begun = running(order, self.clock.now_unix_s())
        with ExitStack() as claim:
            claim.callback(hands.release, order)
            try:
                await self._record(begun)
            except JournalError as error:
                claim.close()
                await self._refuse(order, Refuse(RefusalReason.NOT_DURABLE, f"{error}: {error.__cause__ or 'no room'}"))
                return
            held = claim.pop_all()
        log.info("order_began", key=order.key, kind=order.kind.value, replica=order.replica, gpu=order.gpu)
        execution = executions.create_task(self._execute(order, begun, hands, held), name=f"order {order.key}")
        execution.add_done_callback(lambda _: held.close())  # cancelled before its first step, it releases nothing

    async def _execute(
        self, order: Order, begun: Receipt, hands: ReplicaOrders | MachineOrders, held: ExitStack
    ) -> None:
        with held:
            result = await hands.carry_out(order)
        self.outcomes[order.kind, result.status.value] += 1
        log.info("order_ended", key=order.key, status=result.status.value, detail=result.detail)
        unit = None if order.replica is None else self.board.units.get(order.replica)
        generation = None if unit is None else unit.generation
        await self._record(ended(begun, result, self.clock.now_unix_s(), generation))

    def _hands(self, order: Order) -> ReplicaOrders | MachineOrders:
        """Whose order it is; one about the machine is refused where there are no hands for it."""
        return self.machine if self.machine is not None and order.kind in MACHINE_ORDERS else self.replicas

    async def _refuse(self, order: Order, refusal: Refuse) -> None:
        self.outcomes[order.kind, refusal.reason.value] += 1
        log.warning("order_refused", key=order.key, kind=order.kind.value, reason=refusal.detail)
        await self._record(refused(order, refusal.reason, refusal.detail))

    async def _record(self, receipt: Receipt) -> None:
        """Raises `JournalError` for a RUNNING receipt that is not durable; a final one is kept in any case."""
        await self.journal.record(receipt)
        self.board.changed.ring()
