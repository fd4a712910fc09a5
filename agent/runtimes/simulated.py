"""Replicas that exist only in memory: for simulations and tests of everything above a runtime.

A real adapter that ships with the product: it passes the same conformance suite as child processes and containers, and
lets a caller break replicas on purpose (`freeze`, `crash`, `fail_next_starts`).
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace

from agent.core.health import Pulse, Vitals
from agent.core.owners import Footprint
from agent.errors import ReplicaRuntimeError
from agent.ports import Exit, Instance, ReplicaSpec
from contracts.vocabulary import GpuUuid, ReplicaId


@dataclass(slots=True)
class _Simulated:
    instance: Instance
    pulse: Pulse
    gpus: tuple[GpuUuid, ...]
    frozen: bool = False


class SimulatedRuntime:
    """`Runtime` without processes; a replica is ready as soon as it runs."""

    def __init__(self) -> None:
        self._replicas: dict[ReplicaId, _Simulated] = {}
        self._exits: asyncio.Queue[Exit] = asyncio.Queue()
        self._starts = 0
        self._starts_to_fail = 0

    # ── the port ──────────────────────────────────────────────────────────────────────────────────────────────────────
    async def start(self, spec: ReplicaSpec) -> Instance:
        """Make it run; one that runs is returned as it is."""
        existing = self._replicas.get(spec.replica)
        if existing is not None:
            return existing.instance
        if self._starts_to_fail > 0:
            self._starts_to_fail -= 1
            msg = f"cannot start {spec.replica}: told to fail"
            raise ReplicaRuntimeError(msg)
        self._starts += 1
        instance = Instance(replica=spec.replica, token=f"simulated-{self._starts}")
        pulse = Pulse(
            ready=True,
            reason="",
            profile=spec.profile,
            profiles=(spec.profile,),
            progress_total=0,
            in_flight=0,
            queued_s=0.0,
            slo_revision=0,
        )
        self._replicas[spec.replica] = _Simulated(instance, pulse, spec.gpus)
        return instance

    async def restart(self, spec: ReplicaSpec, grace_s: float) -> Instance:
        """End what runs and start anew."""
        await self.stop(spec.replica, grace_s)
        return await self.start(spec)

    async def stop(self, replica: ReplicaId, grace_s: float) -> None:  # noqa: ARG002  # nothing here needs grace
        """End it; its exit is told like that of any process."""
        self._end(replica, "exit code 0")

    async def running(self) -> tuple[Instance, ...]:
        """What runs now."""
        return tuple(simulated.instance for simulated in self._replicas.values())

    async def next_exit(self) -> Exit:
        """Wait for the next end."""
        return await self._exits.get()

    def vitals(self, replica: ReplicaId) -> Vitals | None:
        """A frozen replica consumes nothing."""
        simulated = self._replicas.get(replica)
        return None if simulated is None else Vitals(cpu_s=0.0, runnable=not simulated.frozen)

    def footprints(self) -> tuple[Footprint, ...]:
        """Replicas in memory leave no process behind."""
        return tuple(Footprint(replica=replica) for replica in self._replicas)

    async def log_tail(self, replica: ReplicaId) -> tuple[str, ...]:
        """One line, so that evidence has something to carry."""
        return (f"{replica} ran here",) if self._starts else ()

    def watchers(self) -> Mapping[str, Callable[[], Awaitable[None]]]:
        """Nothing moves here by itself."""
        return {}

    def gpus_of(self, replica: ReplicaId) -> tuple[GpuUuid, ...]:
        """What it was told to use."""
        simulated = self._replicas.get(replica)
        return () if simulated is None else simulated.gpus

    # ── what a simulation does to it ──────────────────────────────────────────────────────────────────────────────────
    def pulse(self, replica: ReplicaId) -> Pulse | None:
        """What a probe would read; None from a replica that is frozen or does not run."""
        simulated = self._replicas.get(replica)
        return None if simulated is None or simulated.frozen else simulated.pulse

    def set_pulse(self, replica: ReplicaId, **changes: object) -> None:
        """Let a running replica say something else about itself."""
        simulated = self._replicas[replica]
        simulated.pulse = replace(simulated.pulse, **changes)  # type: ignore[arg-type]  # field names, as given

    def freeze(self, replica: ReplicaId) -> None:
        """It answers no more, as after SIGSTOP."""
        self._replicas[replica].frozen = True

    def crash(self, replica: ReplicaId) -> None:
        """It ends by itself, as after SIGKILL."""
        self._end(replica, "signal SIGKILL")

    def fail_next_starts(self, count: int) -> None:
        """The next `count` starts raise."""
        self._starts_to_fail = count

    def _end(self, replica: ReplicaId, reason: str) -> None:
        simulated = self._replicas.pop(replica, None)
        if simulated is not None:
            self._exits.put_nowait(Exit(instance=simulated.instance, reason=reason))
