"""Faults of simulated GPUs of a running stack.

They are words in a file below the stack's home: no real GPU can be reached from here, whatever the machine has.
"""

from dataclasses import dataclass

from agent.simulated_gpus.directory import open_directory
from agent.simulated_gpus.errors import SimulatedGpusError
from agent.simulated_gpus.faults import inject, parse_fault
from trimtab.chaos.faults import FaultName
from trimtab.chaos.processes import NoSuchTargetError
from trimtab.supervisor.state import SimulatedGpusRow, StackState

SIMULATED = {
    FaultName.XID: "xid",
    FaultName.GPU_LOST: "lost",
    FaultName.GPU_HANG: "hang",
    FaultName.GPU_HOT: "hot",
    FaultName.GPU_HEAL: "heal",
}
"""Our name → the simulator's."""


@dataclass(frozen=True, slots=True)
class GpuTarget:
    """Which simulated GPU."""

    host: str
    """Empty: the first host."""
    gpu: int | None
    """None: the first GPU, or every one when healing."""


def break_gpu(fault: FaultName, target: GpuTarget, code: str, stack: StackState) -> str:
    """Inject or heal; `code` is the Xid. Returns one sentence per GPU; raises `NoSuchTargetError` saying what would work."""
    row = _host(stack, target.host)
    chosen = [target.gpu or 0]
    if fault is FaultName.GPU_HEAL and target.gpu is None:
        chosen = list(range(row.gpus))
    try:
        host = open_directory(row.directory)
        wanted = parse_fault([SIMULATED[fault], *([code] if code else [])])
        return "\n".join(f"{row.host}: {inject(host, gpu, wanted)}" for gpu in chosen)
    except SimulatedGpusError as error:
        raise NoSuchTargetError(str(error)) from error


def _host(stack: StackState, wanted: str) -> SimulatedGpusRow:
    if not stack.simulated_gpus:
        msg = "this stack has no simulated GPUs, and real ones are never broken: start it with `trimtab up --gpus 2`"
        raise NoSuchTargetError(msg)
    for row in stack.simulated_gpus:
        if wanted in {"", row.host}:
            return row
    known = ", ".join(row.host for row in stack.simulated_gpus)
    msg = f"no simulated GPUs on {wanted!r}; there are some on {known}"
    raise NoSuchTargetError(msg)
