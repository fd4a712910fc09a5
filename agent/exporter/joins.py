"""Which container and replica uses which GPU, and how much of its memory: joins, so that no other series repeats them."""

from collections.abc import Mapping
from dataclasses import dataclass

from agent.core.gpu import Gpu
from agent.core.owners import Owner
from agent.exporter.page import Page, joined, label_text
from agent.probes.gpu import GpuWatch
from agent.probes.owners import OwnerWatch
from chassis.clock import Clock
from contracts import metric_names as names


@dataclass(frozen=True, slots=True)
class JoinSection:
    """Processes on GPUs. One that belongs to no replica shows with an empty `replica`, and is counted."""

    gpus: GpuWatch
    owners: OwnerWatch
    clock: Clock

    def write(self, page: Page) -> None:
        """Owners, memory per process, and strangers per GPU."""
        gpus = [gpu for gpu in self.gpus.newest(self.clock.monotonic_s()) if gpu.up]
        ids = [(gpu_labels(gpu), gpu) for gpu in gpus]
        known = self.owners.newest
        info = {
            joined(id_, _owner_labels(known[process.pid])): 1.0
            for id_, gpu in ids
            for process in gpu.processes
            if process.pid in known
        }
        page.family(names.GPU_CONTAINER_INFO, "gauge", info.items())
        memory: dict[str, float] = {}
        for id_, gpu in ids:
            for process in gpu.processes:
                whose = known.get(process.pid)
                if whose is not None and process.memory_used_bytes is not None:
                    pid = joined(id_, {names.LABEL_PID: str(process.pid), **_owner_labels(whose)})
                    memory[pid] = memory.get(pid, 0.0) + process.memory_used_bytes  # one process, several MIG instances
        page.family(names.GPU_PROCESS_MEMORY_USED_BYTES, "gauge", memory.items())
        strangers = [(id_, _strangers(gpu, known)) for id_, gpu in ids]
        page.family(
            names.GPU_FOREIGN_PROCESSES, "gauge", [(id_, count) for id_, count in strangers if count is not None]
        )


def gpu_labels(gpu: Gpu) -> str:
    """`gpu="0",uuid="GPU-…"`, rendered."""
    return label_text({names.LABEL_GPU: str(gpu.index), names.LABEL_UUID: gpu.uuid})


def _owner_labels(whose: Owner) -> dict[str, str]:
    return {names.LABEL_CONTAINER: whose.container or "", names.LABEL_REPLICA: whose.replica or ""}


def _strangers(gpu: Gpu, known: Mapping[int, Owner]) -> int | None:
    """Processes of no replica; None when not one of those listed can be seen, as in a container with its own pids."""
    pids = {process.pid for process in gpu.processes}
    seen = [known[pid] for pid in pids if pid in known]
    if pids and not seen:
        return None
    return sum(whose.replica is None for whose in seen)
