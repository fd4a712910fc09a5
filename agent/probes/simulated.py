"""A prober over the simulated runtime: answers what the scripted replicas would answer."""

from agent.core.health import Answered, Missed, Probe
from agent.ports import ReplicaSpec
from agent.runtimes.simulated import SimulatedRuntime
from contracts.vocabulary import ReplicaId


class SimulatedProber:
    """`Prober` without a network: a frozen, starting or absent replica misses, any other answers with its pulse."""

    def __init__(self, runtime: SimulatedRuntime) -> None:
        self._runtime = runtime

    async def probe(self, spec: ReplicaSpec) -> Probe:
        """What the replica would answer now; a miss takes no time here."""
        pulse = self._runtime.pulse(spec.replica)
        if pulse is None:
            return Missed(reason="simulated silence", waited_s=0.0, vitals=self._runtime.vitals(spec.replica))
        return Answered(pulse=pulse, took_s=0.0)

    def forget(self, replica: ReplicaId) -> None:
        """Nothing is kept between probes."""
