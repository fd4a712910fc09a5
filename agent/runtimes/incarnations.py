"""Which incarnations of each replica were seen, and whose end was told: every end once, and of the right one.

An engine tells that a container died, at a time of its own clock; but a container that is restarted keeps its id. So an
end belongs to the newest incarnation of that container that had begun by then.
"""

from dataclasses import dataclass, field

from agent.ports import Instance
from contracts.vocabulary import ReplicaId

KEPT = 8
"""Incarnations remembered per replica: an engine's replay reaches back minutes, a restart budget allows six in five."""


@dataclass(frozen=True, slots=True)
class Incarnation:
    """One start of one container."""

    instance: Instance
    container: str
    started_ns: int
    """By the engine's clock."""


@dataclass(slots=True)
class Incarnations:
    """The newest incarnations of every replica, in the order of their starts."""

    _seen: dict[ReplicaId, tuple[Incarnation, ...]] = field(default_factory=dict)
    _told: dict[ReplicaId, tuple[str, ...]] = field(default_factory=dict)

    def learn(self, incarnation: Incarnation) -> bool:
        """It runs, or ran; False for one that is known already."""
        replica = incarnation.instance.replica
        seen = self._seen.get(replica, ())
        if incarnation in seen:
            return False
        self._seen[replica] = tuple(sorted((*seen, incarnation), key=lambda each: each.started_ns)[-KEPT:])
        return True

    def newest(self) -> tuple[Incarnation, ...]:
        """Of every replica, the one that began last. Safe to call from another thread."""
        return tuple(seen[-1] for seen in tuple(self._seen.values()))

    def who_died(self, container: str, at_ns: int) -> Instance | None:
        """The incarnation of `container` that ended at `at_ns`; None for one that was never seen to run."""
        candidates = [
            each
            for seen in self._seen.values()
            for each in seen
            if each.container == container and each.started_ns <= at_ns
        ]
        return max(candidates, key=lambda each: each.started_ns).instance if candidates else None

    def tell(self, instance: Instance) -> bool:
        """True the first time: its end is to be told now."""
        told = self._told.get(instance.replica, ())
        if instance.token in told:
            return False
        self._told[instance.replica] = (*told, instance.token)[-KEPT:]
        return True

    def was_told(self, instance: Instance) -> bool:
        """Its end is known already."""
        return instance.token in self._told.get(instance.replica, ())
