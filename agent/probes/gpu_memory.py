"""What an agent must remember about its GPUs when it is restarted while the host runs on.

How far the kernel log was read, and which Xids still call for something: without the first a restart would find every
old Xid anew, without the second it would forget a GPU that must not be used. A reboot of the host clears it all: then the
file's boot id is not the kernel's any more, and monotonic times mean nothing.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from agent.core.kernel_log import XID_MAX
from agent.core.xid_history import TIMES_MAX
from chassis.logs import logger

log = logger(__name__)
ORPHANS_MAX = 64
"""Xids from the kernel log whose GPU has not told its bus id yet."""
Xid = Annotated[int, Field(ge=1, le=XID_MAX)]


class RememberedGpu(BaseModel):
    """One GPU."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    index: int
    uuid: str
    pci_bus_id: str
    model: str = ""
    xid_times_s: Mapping[Xid, Annotated[tuple[float, ...], Field(min_length=1, max_length=TIMES_MAX)]] = {}
    cleared_s: float = 0.0


class RememberedXid(BaseModel):
    """An error from the kernel log whose GPU was not known yet: the log will not tell of it again."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    pci_bus_id: str
    xid: Xid
    at_s: float


class GpuMemory(BaseModel):
    """The whole memory."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    boot_id: str
    kernel_sequence: int = -1
    """Newest record of the kernel log that was taken; -1: none."""
    gpus: Annotated[tuple[RememberedGpu, ...], Field(max_length=64)] = ()
    orphans: Annotated[tuple[RememberedXid, ...], Field(max_length=ORPHANS_MAX)] = ()


@dataclass(frozen=True, slots=True)
class GpuMemoryFile:
    """One small JSON file, replaced as a whole."""

    path: Path

    def load(self, boot_id: str) -> GpuMemory:
        """What was remembered in this boot of the host; empty for another or an unknown one, and without a readable file."""
        blank = GpuMemory(boot_id=boot_id)
        try:
            memory = GpuMemory.model_validate_json(self.path.read_bytes())
        except FileNotFoundError:
            return blank
        except (OSError, ValidationError) as error:
            log.warning("gpu_memory_unreadable", path=str(self.path), error=repr(error))
            return blank
        return memory if boot_id and memory.boot_id == boot_id else blank

    def save(self, memory: GpuMemory) -> None:
        """Replace the file; raises `OSError`. Not forced to the disk: only a reboot could lose it, which clears it anyway."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        beside = self.path.with_suffix(".new")
        beside.write_text(json.dumps(memory.model_dump(mode="json")), encoding="utf-8")
        beside.replace(self.path)
