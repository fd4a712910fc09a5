"""A host whose machine orders can be carried out: the order desk over a scripted driver and a scripted machine."""

import asyncio
from contextlib import asynccontextmanager

import pytest

from agent.core.health import HealthPolicy
from agent.healing.actuator import Actuator
from agent.healing.board import Board
from agent.healing.places import GpuPlaces
from agent.memory.journal import FileJournal
from agent.orders.desk import ControllerTime, OrderDesk
from agent.orders.machine import MachineOrders, MachinePace, MachinePolicy
from agent.orders.replicas import ReplicaOrders
from agent.ports import ReplicaSpec
from agent.probes.simulated import SimulatedProber
from agent.runtimes.simulated import SimulatedRuntime
from chassis.clock import SystemClock
from contracts.agent_api import Order
from contracts.vocabulary import (
    MACHINE_ORDERS,
    GpuUuid,
    HostId,
    OrderKey,
    OrderKind,
    ProfileId,
    ReceiptStatus,
    Region,
    ReplicaId,
)

A, B = GpuUuid("GPU-a"), GpuUuid("GPU-b")
REPLICA = ReplicaId("h-0")
SPEC = ReplicaSpec(REPLICA, Region("eu"), HostId("h"), "127.0.0.1", 1, ProfileId("full-fp32-onnx"), (A,))


class Gpus:
    """A driver's picture that a test paints; what is renewed counts."""

    def __init__(self) -> None:
        self.known = self.has_driver = True
        self.gpus, self.unfit, self.pids, self.held, self.reset = (A, B), {A: "needs a reset"}, (), True, []
        self.releases = 0
        self.slices: dict[GpuUuid, GpuUuid] = {}

    def present(self):
        return self.gpus

    def why_unfit(self, gpu):
        return self.unfit.get(gpu)

    def device_of(self, gpu):
        return self.slices.get(gpu, gpu)

    def processes(self, gpu):
        return self.pids if gpu == A else ()

    def program_faults(self, gpu):
        return 0

    @asynccontextmanager
    async def released(self):
        self.held = False
        self.releases += 1
        yield
        self.held = True

    def reset_done(self, gpu):
        self.reset.append(gpu)


class ScriptedMachine:
    """Does what a test says."""

    def __init__(self, gpus: Gpus) -> None:
        self.gpus, self.boot, self.done, self.helps = gpus, "boot-1", [], True
        self.hold = asyncio.Event()
        self.hold.set()

    def boot_id(self) -> str:
        return self.boot

    async def reset_gpu(self, gpu):
        assert not self.gpus.held  # the real tool refuses while any program has the device open
        self.done.append(f"reset {gpu}")
        await self.hold.wait()
        if self.helps:
            self.gpus.unfit.pop(gpu, None)

    async def reboot(self):
        self.done.append("reboot")


class Rig:
    def __init__(self, path, *, permitted=MACHINE_ORDERS, per_day_max=3, boot_id="boot-1", per_replica=1) -> None:
        self.clock, self.gpus, self.runtime = SystemClock(), Gpus(), SimulatedRuntime()
        self.machine = ScriptedMachine(self.gpus)
        self.machine.boot = boot_id
        self.journal = FileJournal(path, clock=self.clock, boot_id=boot_id)
        self.journal.open()
        self.board = Board([SPEC], policy=HealthPolicy(), clock=self.clock)
        self.places = GpuPlaces(fitness=self.gpus, use=self.gpus, per_replica=per_replica)
        prober = SimulatedProber(self.runtime)
        self.actuator = Actuator(
            board=self.board, runtime=self.runtime, prober=prober, control=None, memory=self.journal
        )
        self.orders = MachineOrders(
            policy=MachinePolicy(permitted, per_day_max),
            machine=self.machine,
            board=self.board,
            places=self.places,
            memory=self.journal,
            driver=self.gpus,
            clock=self.clock,
            pace=MachinePace(fit_within_s=0.3, down_within_s=0.3, poll_s=0.01),
        )
        self.time = ControllerTime(self.clock)
        replicas = ReplicaOrders(self.board, self.actuator, self.places, HealthPolicy())
        self.desk = OrderDesk(replicas, self.orders, self.board, self.journal, self.time, self.clock)
        self.task = asyncio.ensure_future(self.desk.run())

    async def end_desk(self) -> None:
        """As when one of its orders fell over a defect: what is under way is cut off."""
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)

    async def close(self) -> None:
        await self.end_desk()
        self.journal.close()

    def order(self, key: str, kind: OrderKind, gpu: GpuUuid | None = None, replica: ReplicaId | None = None) -> Order:
        return Order(
            key=OrderKey(key),
            kind=kind,
            epoch=1,
            generation=0,
            gpu=gpu,
            replica=replica,
            not_after_unix_s=self.time.now_unix_s() + 10.0,
        )

    def offer(
        self, key: str, kind: OrderKind, gpu: GpuUuid | None = None, replica: ReplicaId | None = None
    ) -> OrderKey:
        order = self.order(key, kind, gpu, replica)
        self.desk.deliver(order)
        return order.key

    def status(self, key: OrderKey) -> ReceiptStatus | None:
        receipt = self.journal.receipt(key)
        return None if receipt is None else receipt.status

    async def final(self, key: OrderKey):
        for _ in range(500):
            if self.status(key) not in {None, ReceiptStatus.RUNNING}:
                return self.journal.receipt(key)
            await asyncio.sleep(0.01)
        return pytest.fail(f"no final receipt of {key}", pytrace=False)

    async def until_begun(self, what: str) -> None:
        for _ in range(500):
            if what in self.machine.done:
                return
            await asyncio.sleep(0.01)
        pytest.fail(f"{what} was not begun", pytrace=False)


@pytest.fixture
async def make_rig(tmp_path):
    rigs = []

    async def make(**options) -> Rig:
        rigs.append(Rig(tmp_path / "journal.jsonl", **options))
        return rigs[-1]

    yield make
    for rig in rigs:
        await rig.close()
