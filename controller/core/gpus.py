"""One GPU as its agent reports it, and whether work may be started on it.

The agent recommends, from the driver's own verdict or from an Xid; what is done about it is decided here in the
controller. A GPU that cannot be seen is not the same as one that is broken: its telemetry may be all that is stuck.
"""

from dataclasses import dataclass

from contracts.vocabulary import UNFIT_FROM, GpuAction, GpuUuid, HostId

_SEVERITY = {action: rank for rank, action in enumerate(GpuAction)}
_HARMLESS = frozenset(action for action, rank in _SEVERITY.items() if rank < _SEVERITY[UNFIT_FROM])
_SOURCES = {"driver": "the driver's verdict", "": "no sample"}


@dataclass(frozen=True, slots=True)
class Gpu:
    """One device of one host, as of the newest report."""

    uuid: GpuUuid
    index: int | None
    """NVML's index; None when the driver does not list a device that a replica was given."""
    up: bool
    reason: str
    """Why it is not up; empty when it is."""
    recommended_action: GpuAction
    action_source: str
    """What recommends it: `driver`, `xid 79`, or empty."""
    slowed: bool = False
    """The hardware slows it down now, for heat or power braking."""
    model: str = ""
    simulated: bool = False

    @property
    def fit(self) -> bool:
        """Work may be started there."""
        return self.up and self.recommended_action in _HARMLESS

    @property
    def severity(self) -> int:
        """Rank of what it calls for, from harmless to drastic."""
        return _SEVERITY[self.recommended_action]

    @property
    def merely_unseen(self) -> bool:
        """Down, but nothing says that the device is at fault: only what still serves there can tell."""
        return not self.up and self.recommended_action in _HARMLESS

    def asks_for(self, action: GpuAction) -> bool:
        """True when what it calls for is `action` or something more drastic."""
        return self.severity >= _SEVERITY[action]

    def name(self, host: HostId) -> str:
        """For people: `eu-west-a GPU 3`, labelled when it is a stand-in for tests and development."""
        which = f"GPU {self.index}" if self.index is not None else str(self.uuid)
        return f"{host} {'simulated ' if self.simulated else ''}{which}"

    def trouble(self, host: HostId) -> str:
        """What shows that it is unfit, and where: `xid 79 on eu-west-a GPU 3`."""
        source = self.action_source or ("" if self.up else self.reason)
        return f"{_SOURCES.get(source, source)} on {self.name(host)}"
