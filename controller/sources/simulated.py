"""The eyes in a simulated world: counters and reports, with the faults of their sources."""

from controller.core.fleet import Fleet
from controller.ports import SignalSample, SourceDown
from controller.simulation.faults import FaultKind
from controller.simulation.world import SimulatedWorld


class SimulatedSignals:
    """A `SignalSource` that reads the simulated replicas' counters."""

    def __init__(self, world: SimulatedWorld) -> None:
        self._world = world

    async def sample(self) -> SignalSample | SourceDown:
        """Every counter at once, or that the source is down."""
        if self._world.active(FaultKind.SIGNALS_DOWN):
            return SourceDown(reason="simulated outage of the signal source")
        return self._world.sample()


class SimulatedReports:
    """A `FleetSource` that shows the simulated agents' newest reports."""

    def __init__(self, world: SimulatedWorld) -> None:
        self._world = world

    def fleet(self) -> Fleet:
        """Newest report of every host, with its age."""
        return self._world.fleet()
