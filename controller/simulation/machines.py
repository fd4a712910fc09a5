"""The machine under a simulated agent: its GPUs, what its policy permits, and a reboot that takes a while."""

from dataclasses import dataclass, field, replace

from contracts.agent_api import Order
from contracts.vocabulary import GpuUuid, OrderKind, RefusalReason, ReplicaId
from controller.core.gpus import Gpu
from controller.simulation.faults import Faults
from controller.simulation.gpus import LOST, STALE, SimulatedGpu
from controller.simulation.replicas import SimulatedReplica

RESET_S = 8.0
REBOOT_S = 60.0


@dataclass(frozen=True, slots=True)
class Touch:
    """One order about the machine that was begun, for those who check that it was right."""

    at_s: float
    kind: OrderKind
    target: str
    permitted: bool
    held_by: tuple[ReplicaId, ...]


@dataclass(slots=True)
class SimulatedMachine:
    """State of the machine; the agent looks at it every second."""

    gpus: tuple[SimulatedGpu, ...] = ()
    permits: frozenset[OrderKind] = frozenset()
    guards: bool = True
    """False makes the agent do whatever it is told, and start wherever it is told."""
    seen: tuple[Gpu, ...] = ()
    """Every GPU as of this second."""
    back_s: float | None = None
    """When the reboot under way is over; None while there is none."""
    reset_ends_s: float | None = None
    """When the reset under way is over; None while there is none."""
    touches: list[Touch] = field(default_factory=list)
    unfit_starts: list[ReplicaId] = field(default_factory=list)
    """Replicas that were started on an unfit GPU: a defect somewhere."""

    def look(self, faults: Faults, now_s: float) -> None:
        """See what is wrong now. During a reset the driver belongs to it alone, and every GPU goes unseen."""
        self.seen = tuple(gpu.state(faults, now_s) for gpu in self.gpus)
        if self.reset_ends_s is not None:
            self.seen = tuple(replace(gpu, up=False, reason=gpu.reason or STALE) for gpu in self.seen)

    def why_unfit(self, gpus: tuple[GpuUuid, ...]) -> str:
        """Why nothing should be started on these; empty when it may."""
        unfit = (gpu for gpu in self.seen if gpu.uuid in gpus and not gpu.fit)
        return next((gpu.action_source or gpu.reason for gpu in unfit), "")

    def is_lost(self, gpus: tuple[GpuUuid, ...]) -> bool:
        """True when one of them fell off the bus: what runs there is dead."""
        return any(gpu.uuid in gpus and gpu.reason == LOST for gpu in self.seen)

    def place(self, replicas: dict[ReplicaId, SimulatedReplica]) -> tuple[GpuUuid, ...] | None:
        """The least used fit GPU; None when none is fit, nothing where there are no GPUs."""
        if not self.seen:
            return ()
        fit = [gpu for gpu in self.seen if gpu.fit or not self.guards]
        if not fit:
            return None
        load = {gpu.uuid: sum(gpu.uuid in replica.gpus for replica in replicas.values()) for gpu in fit}
        return (min(fit, key=lambda gpu: (load[gpu.uuid], gpu.uuid)).uuid,)

    def why_not(self, order: Order, replicas: dict[ReplicaId, SimulatedReplica]) -> RefusalReason | None:
        """What the agent's own policy says to an order about the machine."""
        if not self.guards:
            return None
        if order.kind not in self.permits:
            return RefusalReason.NOT_PERMITTED
        if order.kind is OrderKind.RESET_GPU and order.gpu not in {gpu.uuid for gpu in self.gpus}:
            return RefusalReason.UNKNOWN_GPU
        return RefusalReason.GPU_IN_USE if held_by(order, replicas) else None

    def begin(self, order: Order, replicas: dict[ReplicaId, SimulatedReplica], now_s: float, extra_s: float) -> None:
        """Start to do it; it takes `extra_s` more than usual."""
        target = order.gpu if order.kind is OrderKind.RESET_GPU else "host"
        holders = held_by(order, replicas)
        self.touches.append(Touch(now_s, order.kind, str(target), order.kind in self.permits, holders))
        if order.kind is OrderKind.REBOOT_HOST:
            self.back_s = now_s + REBOOT_S + extra_s
        else:
            self.reset_ends_s = now_s + RESET_S + extra_s

    def end_reset(self, gpu: GpuUuid | None, faults: Faults, now_s: float) -> bool:
        """The reset is over; true when the GPU is fit now."""
        self.reset_ends_s = None
        for device in self.gpus:
            if device.uuid == gpu:
                device.reset_s = now_s
        self.look(faults, now_s)
        return gpu is not None and not self.why_unfit((gpu,))

    def boot(self, now_s: float) -> None:
        """The machine is up again."""
        self.back_s = self.reset_ends_s = None
        for device in self.gpus:
            device.booted_s = now_s


def held_by(order: Order, replicas: dict[ReplicaId, SimulatedReplica]) -> tuple[ReplicaId, ...]:
    """Replicas with a process on what the order is about."""
    alive = [replica for replica in replicas.values() if not replica.ended]
    return tuple(r.id for r in alive if order.kind is OrderKind.REBOOT_HOST or order.gpu in r.gpus)
