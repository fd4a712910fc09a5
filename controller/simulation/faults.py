"""What can go wrong in the simulated fleet: one value per fault, with its place and its time."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum


class FaultKind(StrEnum):
    """Kinds of trouble; `where` of a fault is a replica, GPU (`host/index`), host or region as the kind demands."""

    HANG = "hang"
    """Replica: stops making progress and answering probes."""
    CRASH = "crash"
    """Replica: the process ends."""
    SLOW_REPLICA = "slow_replica"
    """Replica: works `size` times slower until it is restarted."""
    SICK_DEVICE = "sick_device"
    """Replica: works `size` times slower whatever is done, until the end of the fault."""
    SLOW_REGION = "slow_region"
    """Region: every replica there works `size` times slower."""
    SURGE = "surge"
    """Region: `size` times the usual requests."""
    REFLEX_OFF = "reflex_off"
    """Host: its agent does not heal by itself."""
    HOST_SILENT = "host_silent"
    """Host: its agent neither reports nor receives, its replicas go on."""
    HOST_DEAD = "host_dead"
    """Host: agent and replicas are gone; afterwards it boots and starts what it ran."""
    ORDERS_LOST = "orders_lost"
    """Host: orders do not arrive."""
    RECEIPTS_LOST = "receipts_lost"
    """Host: receipts do not arrive."""
    ORDERS_REPEATED = "orders_repeated"
    """Host: every order arrives twice, settled ones too."""
    GPU_XID_RESTART = "gpu_xid_restart"
    """GPU: an Xid that only the program suffers from; what runs there crashes once."""
    GPU_NEEDS_RESET = "gpu_needs_reset"
    """GPU: works on, but calls for a reset (xid 48) until it is reset or rebooted."""
    GPU_LOST = "gpu_lost"
    """GPU: fell off the bus (xid 79); what ran there is dead, and only a reboot brings it back."""
    GPU_BROKEN = "gpu_broken"
    """GPU: calls for a reset (xid 119), and none helps until somebody replaces it."""
    GPU_FLAPS = "gpu_flaps"
    """GPU: calls for being drained (xid 74) for `size` seconds, then not, then again."""
    GPU_SLOWED = "gpu_slowed"
    """GPU: heat slows it down `size` times."""
    RESET_TAKES = "reset_takes"
    """Host: the reset of a GPU takes `size` seconds longer."""
    REBOOT_TAKES = "reboot_takes"
    """Host: a reboot takes `size` seconds longer."""
    SIGNALS_DOWN = "signals_down"
    """Everywhere: the source of counters cannot be read."""
    SIGNALS_LATE = "signals_late"
    """Everywhere: counters are `size` seconds old."""
    SIGNALS_PARTIAL = "signals_partial"
    """Everywhere: a share `size` of replicas is missing from the counters."""
    GATEWAYS_STUCK = "gateways_stuck"
    """Everywhere: gateways do not take up new plans."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault, in seconds since the simulation began."""

    kind: FaultKind
    where: str = ""
    """Replica, host or region; empty for faults that are everywhere."""
    from_s: float = 0.0
    until_s: float = float("inf")
    size: float = 1.0


@dataclass(frozen=True, slots=True)
class Faults:
    """The faults of one run."""

    all: tuple[Fault, ...] = ()

    def active(self, kind: FaultKind, at_s: float, where: str = "") -> bool:
        """True while such a fault is on at that place."""
        return any(f.kind is kind and f.where == where and f.from_s <= at_s < f.until_s for f in self.all)

    def size(self, kind: FaultKind, at_s: float, where: str = "") -> float:
        """Product of the sizes of the faults of that kind that are on; 1 when none is."""
        product = 1.0
        for fault in self.all:
            if fault.kind is kind and fault.where == where and fault.from_s <= at_s < fault.until_s:
                product *= fault.size
        return product

    def beginning(self, kinds: Iterable[FaultKind], after_s: float, until_s: float) -> tuple[Fault, ...]:
        """Faults of these kinds that begin in (after, until]."""
        wanted = frozenset(kinds)
        return tuple(fault for fault in self.all if fault.kind in wanted and after_s < fault.from_s <= until_s)
