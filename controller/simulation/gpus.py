"""GPUs of a simulated host: what is wrong with each now follows from the faults alone, and from when it was last cured.

So nothing has to be kept in step: a reset or a reboot is a time, and a fault that began later is not cured by it.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from contracts.vocabulary import GpuAction, GpuUuid, HostId
from controller.core.gpus import Gpu
from controller.simulation.faults import Fault, FaultKind, Faults

MODEL = "Simulated H200"
NEVER_S = float("-inf")
LOST, STALE = "lost", "stale"
"""Why one is not up: it fell off the bus, or nobody looks while another one is reset."""


@dataclass(slots=True)
class SimulatedGpu:
    """One device, and when it was last helped."""

    host: HostId
    index: int
    reset_s: float = NEVER_S
    booted_s: float = NEVER_S

    @property
    def uuid(self) -> GpuUuid:
        """Stable, and plainly no real one."""
        return GpuUuid(f"GPU-simulated-{self.host}-{self.index}")

    @property
    def place(self) -> str:
        """What faults call it."""
        return f"{self.host}/{self.index}"

    def state(self, faults: Faults, now_s: float) -> Gpu:
        """As its agent sees it now."""
        worst = max((self._asked(fault, now_s) for fault in self._on(faults, now_s)), key=_severity, default=_NOTHING)
        lost = worst[0] is GpuAction.REBOOT_HOST
        return Gpu(
            uuid=self.uuid,
            index=self.index,
            up=not lost,
            reason=LOST if lost else "",
            recommended_action=worst[0],
            action_source=worst[1],
            slowed=faults.active(FaultKind.GPU_SLOWED, now_s, self.place),
            model=MODEL,
            simulated=True,
        )

    def _on(self, faults: Faults, now_s: float) -> Iterable[Fault]:
        return (fault for fault in faults.all if fault.where == self.place and fault.from_s <= now_s < fault.until_s)

    def _asked(self, fault: Fault, now_s: float) -> tuple[GpuAction, str]:
        """What one fault makes it call for, unless that was done."""
        match fault.kind:
            case FaultKind.GPU_NEEDS_RESET if max(self.reset_s, self.booted_s) < fault.from_s:
                return GpuAction.RESET_GPU, "xid 48"
            case FaultKind.GPU_LOST if self.booted_s < fault.from_s:
                return GpuAction.REBOOT_HOST, "xid 79"
            case FaultKind.GPU_BROKEN:
                return GpuAction.RESET_GPU, "xid 119"
            case FaultKind.GPU_FLAPS if (now_s - fault.from_s) // fault.size % 2 == 0:
                return GpuAction.DRAIN_GPU, "xid 74"
        return _NOTHING


_NOTHING = (GpuAction.NONE, "")
_ORDER = {action: rank for rank, action in enumerate(GpuAction)}


def _severity(asked: tuple[GpuAction, str]) -> int:
    return _ORDER[asked[0]]
