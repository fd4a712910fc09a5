"""Reads NVIDIA's error lines in the kernel log, as /dev/kmsg gives them.

The log tells what NVML's events cannot: Xids from before the worker started, and those of a driver too dead to answer.
One record is `priority,sequence,microseconds since boot,flags;text` (Documentation/ABI/testing/dev-kmsg). Programs can write
there as well, an echo of an old error for instance; the kernel alone can write under facility 0, which is checked.
"""

import re
from dataclasses import dataclass

XID_MAX = 999
"""NVIDIA's catalogue ends below 200; a larger number is a broken line, and must not become a series."""
FACILITY_SHIFT, FACILITY_KERNEL = 3, 0
"""The priority's upper bits say who speaks."""
_RECORD = re.compile(r"(?P<priority>\d+),(?P<sequence>\d+),(?P<at_us>\d+),[^;]*;(?P<text>[^\n]*)")
_XID = re.compile(r"NVRM: Xid \((?:PCI:)?(?P<pci>[0-9a-fA-F:.]+)\): (?P<xid>\d+)")
_PCI = re.compile(r"(?:(?P<domain>[0-9a-f]{4,8}):)?(?P<bus>[0-9a-f]{2}):(?P<device>[0-9a-f]{2})(?:\.\d)?")


@dataclass(frozen=True, slots=True)
class KernelRecord:
    """One line of the log."""

    sequence: int
    """Grows by one per record from boot on: a place to read on from."""
    at_s: float
    """Seconds since boot by the kernel's own clock, which runs up to seconds a day ahead of or behind the monotonic one."""
    text: str


@dataclass(frozen=True, slots=True)
class KernelXid:
    """An error that the driver logged."""

    pci_bus_id: str
    """As `normal_pci_bus_id` writes it."""
    xid: int


def parse_record(raw: str) -> KernelRecord | None:
    """The first line of a record of the kernel's; None for anything else."""
    found = _RECORD.match(raw)
    if found is None or int(found["priority"]) >> FACILITY_SHIFT != FACILITY_KERNEL:
        return None
    return KernelRecord(sequence=int(found["sequence"]), at_s=int(found["at_us"]) / 1e6, text=found["text"])


def xid_in(text: str) -> KernelXid | None:
    """The Xid that a line tells of: `NVRM: Xid (PCI:0000:3b:00): 79, pid=…`; None when it tells of none."""
    found = _XID.search(text)
    if found is None or not 0 < (xid := int(found["xid"])) <= XID_MAX:
        return None
    pci = normal_pci_bus_id(found["pci"])
    return None if pci is None else KernelXid(pci_bus_id=pci, xid=xid)


def normal_pci_bus_id(pci: str) -> str | None:
    """`00000000:3B:00.0` (NVML), `0000:3b:00` (log) and `3b:00.0` → `0000:3b:00`; None for anything else."""
    found = _PCI.fullmatch(pci.lower())
    if found is None:
        return None
    return f"{int(found['domain'] or '0', 16):04x}:{found['bus']}:{found['device']}"
