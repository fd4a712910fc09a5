"""Which GPUs each replica of this host has, and whether it may be started on them now.

The rules are pure (`agent.core.placement`); this is where they meet the driver's picture and the board. A GPU, or the whole
host, can also be *closed* for a while: during a reset or a reboot nothing may be started there, however fit it looks.
Changes only on the event loop.
"""

from dataclasses import dataclass, field, replace

from agent.core.placement import Device, NoFitGpu, Placement, hold, place
from agent.healing.board import Board, Unit
from agent.ports import GpuFitness, GpuUse
from contracts.vocabulary import GpuUuid, ReplicaId

NOT_YET_KNOWN = "the driver has not said yet which GPUs there are"
NONE_SHOWN = "the driver shows no GPU"


class NoGpus:
    """`GpuFitness` and `GpuUse` of a host without a driver."""

    known = True
    has_driver = False

    def present(self) -> tuple[GpuUuid, ...]:
        """None."""
        return ()

    def why_unfit(self, gpu: GpuUuid) -> str | None:  # noqa: ARG002  # the port's signature
        """Nothing here can be unfit."""
        return None

    def device_of(self, gpu: GpuUuid) -> GpuUuid | None:  # noqa: ARG002
        """None is here."""
        return None

    def processes(self, gpu: GpuUuid) -> tuple[int, ...]:  # noqa: ARG002
        """None."""
        return ()

    def program_faults(self, gpu: GpuUuid) -> int:  # noqa: ARG002
        """None."""
        return 0


@dataclass(slots=True)
class GpuPlaces:
    """Answers for every replica of one board."""

    fitness: GpuFitness = field(default_factory=NoGpus)
    use: GpuUse = field(default_factory=NoGpus)
    per_replica: int = 0
    """GPUs of one replica; 0: replicas are not placed, and see every device."""
    _closed_gpus: dict[GpuUuid, str] = field(default_factory=dict)
    _closed_host: str = ""

    @property
    def known(self) -> bool:
        """Whether starts can be placed: the GPUs of this host are known, or do not matter."""
        return self.per_replica == 0 or self.fitness.known

    def gpus_present(self) -> tuple[GpuUuid, ...]:
        """What a program of this host can be given, in PCI order."""
        return self.fitness.present()

    def devices(self) -> frozenset[GpuUuid]:
        """Every whole GPU of this host, whether it is split by MIG or not."""
        found = (self.use.device_of(gpu) for gpu in self.fitness.present())
        return frozenset(device for device in found if device is not None)

    # ── starting ──────────────────────────────────────────────────────────────────────────────────────────────────────
    def why_not(self, board: Board, replica: ReplicaId, *, afresh: bool = False) -> str | None:
        """Why it must not be started now; None when it may. `afresh`: it may be moved off GPUs that are unfit."""
        plan = self._plan(board, board.units[replica], afresh=afresh)
        return plan.reason if isinstance(plan, NoFitGpu) else None

    def assign(self, board: Board, replica: ReplicaId, *, afresh: bool = False) -> str | None:
        """Give it its GPUs, if it may be started now; else why not."""
        unit = board.units[replica]
        plan = self._plan(board, unit, afresh=afresh)
        if isinstance(plan, NoFitGpu):
            return plan.reason
        if plan != unit.spec.gpus:
            board.assign(replace(unit.spec, gpus=plan))
        return None

    def free_slots(self, board: Board) -> tuple[ReplicaId, ...]:
        """Slots in which an order could start a replica now, in slot order."""
        free = (unit.spec.replica for unit in board.units.values() if not unit.running and unit.claimed_by is None)
        return tuple(replica for replica in free if self.why_not(board, replica, afresh=True) is None)

    def _plan(self, board: Board, unit: Unit, *, afresh: bool) -> Placement:
        if self._closed_host:
            return NoFitGpu(self._closed_host)
        if self.per_replica == 0:  # it would see every device, the closed ones as well
            return NoFitGpu("; ".join(self._closed_gpus.values())) if self._closed_gpus else ()
        if not self.known:
            return NoFitGpu(NOT_YET_KNOWN)
        had, devices = unit.spec.gpus, self._devices(board, unit)
        if (had or afresh) and not devices and self.fitness.has_driver:  # no reason to start without a GPU
            return hold(had, devices) if had else NoFitGpu(NONE_SHOWN)
        here = all(gpu in self.fitness.present() for gpu in had)
        too_few = len(had) < self.per_replica
        return place(had, devices, self.per_replica) if afresh or too_few or not here else hold(had, devices)

    def _devices(self, board: Board, unit: Unit) -> list[Device]:
        """A slot that is claimed may be about to start: two that start side by side must not choose the same GPU."""
        others = [
            other.spec.gpus
            for other in board.units.values()
            if other is not unit and (other.running or other.claimed_by is not None)
        ]
        return [Device(gpu, self.why_unfit(gpu), sum(gpu in gpus for gpus in others)) for gpu in self.fitness.present()]

    def why_unfit(self, gpu: GpuUuid) -> str | None:
        """Why nothing should be started on this GPU now; None when it may."""
        return self._closed_gpus.get(self.use.device_of(gpu) or gpu) or self.fitness.why_unfit(gpu)

    # ── what happens there ────────────────────────────────────────────────────────────────────────────────────────────
    def may_use(self, unit: Unit, device: GpuUuid) -> bool:
        """Whether a process of this replica may work on `device`, or on a part of it. One whose GPUs nobody knows may use any."""
        return not unit.spec.gpus or any(self.use.device_of(gpu) == device for gpu in unit.spec.gpus)

    def devices_of(self, unit: Unit) -> tuple[GpuUuid, ...]:
        """The whole devices that a replica works on; what is not known to be part of one is named as it is."""
        return tuple(dict.fromkeys(self.use.device_of(gpu) or gpu for gpu in unit.spec.gpus))

    def program_faults(self, unit: Unit) -> int:
        """Driver errors so far, on any of its GPUs, that call for a restart of the program."""
        return sum(self.use.program_faults(gpu) for gpu in unit.spec.gpus)

    # ── closing ───────────────────────────────────────────────────────────────────────────────────────────────────────
    def close(self, gpu: GpuUuid | None, why: str) -> None:
        """Let nothing be started on this device, or, with None, on this host, until it is opened."""
        if gpu is None:
            self._closed_host = why
        else:
            self._closed_gpus[gpu] = why

    def open(self, gpu: GpuUuid | None) -> None:
        """End a closing."""
        if gpu is None:
            self._closed_host = ""
        else:
            self._closed_gpus.pop(gpu, None)
