"""Orders about the machine: reset a GPU, reboot the host. Off unless this host's own policy allows them.

Three guards, besides the policy: nothing may run on what is reset or rebooted, neither ours nor anybody's; one such order
at a time, and only so many a day, so that a controller that is wrong, or wronged, cannot keep a host in a boot loop. What is
worked on is closed first: no reflex and no other order starts a replica there meanwhile.

A reset needs a device that nobody has open, this agent included, so the worker lets go of the driver meanwhile and other
GPUs go unseen. It is done when the driver, asked by a fresh worker, finds the GPU fit. A reboot is done when the kernel's boot id has
changed; the agent that begins it seldom lives to see that, so the next one tells it from the note that was written before.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from agent.core.fencing import MachineTarget
from agent.core.receipts import REBOOTED, MachineNote, Result, done, failed, within_a_day
from agent.errors import JournalError, MachineError
from agent.healing.board import Board, Unit
from agent.healing.places import GpuPlaces
from agent.ports import GpuDriver, Machine, MachineMemory
from chassis.clock import Clock
from contracts.agent_api import Order
from contracts.vocabulary import MACHINE_ORDERS, GpuUuid, OrderKey, OrderKind

USERS_TOLD_MAX = 8
"""Names in a refusal: enough to know where to look."""


@dataclass(frozen=True, slots=True)
class MachinePolicy:
    """What this host permits."""

    permitted: frozenset[OrderKind] = frozenset()
    per_day_max: int = 0

    def __post_init__(self) -> None:
        if not self.permitted <= MACHINE_ORDERS:
            msg = f"only {', '.join(sorted(MACHINE_ORDERS))} are orders about the machine"
            raise ValueError(msg)


@dataclass(frozen=True, slots=True)
class MachinePace:
    """How long to look for the effect of an order."""

    fit_within_s: float = 60.0
    """A driver that reloads takes 10 to 30 s to show its devices again."""
    down_within_s: float = 300.0
    """systemd gives units 90 s to end, and some need all of it."""
    poll_s: float = 0.2
    """A look costs nothing: the picture is in memory."""


@dataclass(slots=True)
class MachineOrders:
    """The hands behind the desk, for orders about the machine."""

    policy: MachinePolicy
    machine: Machine
    board: Board
    places: GpuPlaces
    memory: MachineMemory
    driver: GpuDriver
    clock: Clock
    pace: MachinePace = field(default_factory=MachinePace)
    _under_way: OrderKey | None = None

    def target(self, order: Order) -> MachineTarget:
        """What the order would meet."""
        return MachineTarget(
            permitted=self.policy.permitted,
            gpus=self.places.devices(),
            under_way=self._under_way or "",
            users=self._users(order),
            begun_today=within_a_day(self.memory.machine_notes(), self.clock.now_unix_s()),
            per_day_max=self.policy.per_day_max,
        )

    def claim(self, order: Order) -> None:
        """Take the machine for this order, and close what it is about."""
        self._under_way = order.key
        self.places.close(order.gpu if order.kind is OrderKind.RESET_GPU else None, f"{order.kind.value} is under way")

    def release(self, order: Order) -> None:
        """Give it back."""
        self._under_way = None
        self.places.open(order.gpu if order.kind is OrderKind.RESET_GPU else None)

    async def carry_out(self, order: Order) -> Result:
        """Do it, and look whether it helped; every expected failure is a result."""
        before = self.machine.boot_id()
        note = MachineNote(key=order.key, kind=order.kind, at_unix_s=self.clock.now_unix_s(), boot_id=before)
        try:
            await self.memory.note_machine(note)
            match order:
                case Order(kind=OrderKind.RESET_GPU, gpu=str(gpu)):
                    return await self._reset(GpuUuid(gpu))
                case Order(kind=OrderKind.REBOOT_HOST):
                    return await self._reboot(before)
        except (MachineError, JournalError) as error:
            return failed(str(error))
        return failed(f"the order is no {order.kind.value} that can be carried out")

    async def _reset(self, gpu: GpuUuid) -> Result:
        async with self.driver.released():
            await self.machine.reset_gpu(gpu)
            self.driver.reset_done(gpu)
        fitness = self.places.fitness

        def is_fit() -> bool:
            return fitness.known and gpu in self.places.devices() and fitness.why_unfit(gpu) is None

        if await self._seen(is_fit, within_s=self.pace.fit_within_s):
            return done()
        seen = fitness.why_unfit(gpu) if gpu in self.places.devices() else "the driver does not show it"
        return failed(f"{self.pace.fit_within_s:g} s after its reset, {gpu} is unfit: {seen}")

    async def _reboot(self, before: str) -> Result:
        await self.machine.reboot()
        still = {before, ""}  # one that cannot be read proves nothing
        if await self._seen(lambda: self.machine.boot_id() not in still, within_s=self.pace.down_within_s):
            return done(REBOOTED)
        return failed(f"the host did not go down within {self.pace.down_within_s:g} s")

    async def _seen(self, is_so: Callable[[], bool], *, within_s: float) -> bool:
        try:
            async with asyncio.timeout(within_s):
                while not is_so():
                    await self.clock.sleep(self.pace.poll_s)
        except TimeoutError:
            return is_so()
        return True

    def _users(self, order: Order) -> tuple[str, ...]:
        """Who would lose their work. A program on a GPU that is none of our replicas counts, whosever it is."""
        units = [unit for unit in self.board.units.values() if _may_run(unit)]
        if order.kind is OrderKind.REBOOT_HOST:
            return _told(
                units, [pid for gpu in sorted(self.places.devices()) for pid in self.places.use.processes(gpu)]
            )
        gpu = order.gpu
        if gpu is None:
            return ()
        return _told([unit for unit in units if self.places.may_use(unit, gpu)], self.places.use.processes(gpu))


def _may_run(unit: Unit) -> bool:
    """A process exists, or a hand is at work that may just be starting one."""
    return unit.instance is not None or unit.claimed_by is not None


def _told(units: Sequence[Unit], pids: Sequence[int]) -> tuple[str, ...]:
    return tuple([str(unit.spec.replica) for unit in units] + [f"pid {pid}" for pid in pids])[:USERS_TOLD_MAX]
