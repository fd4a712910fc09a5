"""Which container and replica uses which GPU, and how much of its memory: joins, so that no other series repeats them.

Holdings change at most once a second, so their text is put together then, and not at every scrape.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from agent.core.gpu import Gpu
from agent.core.owners import Owner
from agent.exporter.gpus import gpu_labels
from agent.exporter.page import Page, joined
from agent.probes.owners import Holdings, OwnerWatch
from contracts import metric_names as names


@dataclass(slots=True)
class JoinSection:
    """Processes on GPUs. One that belongs to no replica shows with an empty `replica`, and is counted."""

    watch: OwnerWatch
    _written: Holdings | None = None
    _text: str = field(default="")

    def write(self, page: Page) -> None:
        """Owners, memory per process, and strangers per GPU."""
        holdings = self.watch.newest
        if holdings is not self._written:
            self._written, self._text = holdings, text_of(holdings)
        page.block(self._text)


def text_of(holdings: Holdings) -> str:
    """The families of one moment; empty without GPUs."""
    page, known = Page(), holdings.owners
    ids = [(gpu_labels(gpu.identity), gpu) for gpu in holdings.gpus]
    info: dict[str, float] = {}
    memory: dict[str, float] = {}
    for id_, gpu in ids:
        for process in gpu.processes or ():
            whose = known.get(process.pid)
            if whose is None:
                continue
            info[joined(id_, _owner_labels(whose))] = 1
            if process.memory_used_bytes is not None:
                pid = joined(id_, {names.LABEL_PID: str(process.pid), **_owner_labels(whose)})
                memory[pid] = memory.get(pid, 0) + process.memory_used_bytes  # one process in several MIG instances
    page.family(names.GPU_CONTAINER_INFO, "gauge", info.items())
    page.family(names.GPU_PROCESS_MEMORY_USED_BYTES, "gauge", memory.items())
    strangers = [(id_, _strangers(gpu, known)) for id_, gpu in ids]
    page.family(names.GPU_FOREIGN_PROCESSES, "gauge", [(id_, count) for id_, count in strangers if count is not None])
    return page.text() if ids else ""


def _owner_labels(whose: Owner) -> dict[str, str]:
    return {names.LABEL_CONTAINER: whose.container or "", names.LABEL_REPLICA: whose.replica or ""}


def _strangers(gpu: Gpu, known: Mapping[int, Owner]) -> int | None:
    """Processes of no replica; None when nobody told who is there, or when not one of those listed can be seen, as in a
    container with its own pids."""
    if gpu.processes is None:
        return None
    pids = {process.pid for process in gpu.processes}
    seen = [known[pid] for pid in pids if pid in known]
    if pids and not seen:
        return None
    return sum(whose.replica is None for whose in seen)
