"""What the agent did by itself, with the evidence for it: reported to the controller and counted for Prometheus."""

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field

from agent.core.histogram import Histogram
from contracts.agent_api import ReflexReport
from contracts.vocabulary import ReflexKind, ReplicaId

REFLEXES_KEPT = 32
"""As many as a report may carry: an hour of a crash loop within its budget, on several replicas."""
HEALING_KINDS = (ReflexKind.RESTART_HUNG, ReflexKind.RESTART_CRASHED, ReflexKind.RESTART_XID)
"""Reflexes after which a replica serves again; the others leave it down."""
HEAL_BOUNDS_S = (0.25, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 5.0, 10.0, 20.0, 40.0, 80.0)
"""From a warm spare (under a second) to a cold start that loads a model (a minute)."""


@dataclass(slots=True)
class _Open:
    seq: int
    kind: ReflexKind
    generation_after: int
    fault_began_s: float


@dataclass(slots=True)
class ReflexLog:
    """The newest reflexes of this boot; `healed` completes the one that is under way for a replica."""

    _kept: deque[ReflexReport] = field(default_factory=lambda: deque(maxlen=REFLEXES_KEPT))
    _open: dict[ReplicaId, _Open] = field(default_factory=dict)
    _seq: int = 0
    totals: dict[ReflexKind, int] = field(default_factory=lambda: dict.fromkeys(ReflexKind, 0))
    heal_seconds: dict[ReflexKind, Histogram] = field(
        default_factory=lambda: {kind: Histogram(HEAL_BOUNDS_S) for kind in HEALING_KINDS}
    )

    def began(
        self,
        kind: ReflexKind,
        replica: ReplicaId,
        generation: int,
        *,
        detected_unix_s: float,
        evidence: Mapping[str, str],
    ) -> int:
        """Write down a reflex as it begins; returns its number."""
        self._seq += 1
        self.totals[kind] += 1
        self._kept.append(
            ReflexReport(
                seq=self._seq,
                kind=kind,
                replica=replica,
                generation=generation,
                detected_unix_s=detected_unix_s,
                evidence=dict(evidence),
            )
        )
        return self._seq

    def restarted(
        self, seq: int, kind: ReflexKind, replica: ReplicaId, generation: int, *, fault_began_s: float
    ) -> None:
        """The new incarnation runs; it is healed once it is ready. A former reflex that never healed stays open-ended."""
        self._open[replica] = _Open(seq, kind, generation, fault_began_s)

    def ready(self, replica: ReplicaId, generation: int, *, now_s: float, now_unix_s: float) -> bool:
        """The replica serves: True when that completes a reflex."""
        done = self._open.get(replica)
        if done is None or done.generation_after != generation:
            return False
        del self._open[replica]
        self.heal_seconds[done.kind].observe(now_s - done.fault_began_s)
        for index, report in enumerate(self._kept):
            if report.seq == done.seq:
                self._kept[index] = report.model_copy(update={"healed_unix_s": now_unix_s})
        return True

    def newest(self) -> tuple[ReflexReport, ...]:
        """Oldest first, at most `REFLEXES_KEPT`."""
        return tuple(self._kept)
