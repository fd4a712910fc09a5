"""The real agent on a fast clock: `python -m bench.agentlab.fast_agent FACTOR`, with the agent's own settings.

Only what would stay slow is replaced. asyncio's own timeouts ask no clock, and the pause between two probes is one of them:
so the prober sleeps before it asks, and as many probes are made as in the time that the clock shows. The NVML worker
samples that much more often.
"""

import asyncio
import random
import sys
from dataclasses import dataclass, field, replace

from agent.app import Agent, build_agent
from agent.command import serve
from agent.core.health import Probe
from agent.healing.healer import HealerPace
from agent.ports import Prober, ReplicaSpec
from agent.settings import AgentSettings
from chassis.clock import Clock, ScaledClock
from chassis.logs import configure_logs
from chassis.notify import build_notifier
from chassis.settings import inherited_environment
from contracts.vocabulary import ReplicaId

CATCH_UP_S_MAX = 10.0
"""Simulated: probes that a slow moment cost are made up for, but not those of a long one."""


@dataclass(slots=True)
class PacedProber:
    """`Prober` that waits, on the clock, until the next probe of that replica is due."""

    prober: Prober
    clock: Clock
    interval_s: float
    _due_s: dict[ReplicaId, float] = field(default_factory=dict)

    async def probe(self, spec: ReplicaSpec) -> Probe:
        now_s = self.clock.monotonic_s()
        due_s = self._due_s.get(spec.replica, now_s)
        self._due_s[spec.replica] = max(due_s + self.interval_s, now_s - CATCH_UP_S_MAX)
        await self.clock.sleep(max(0.0, due_s - now_s))
        return await self.prober.probe(spec)

    def forget(self, replica: ReplicaId) -> None:
        self.prober.forget(replica)


def hasten(agent: Agent, clock: Clock, factor: float) -> None:
    """Let the parts that do not ask the clock keep up with it."""
    healer = agent.healer
    paced = PacedProber(healer.tools.prober, clock, healer.pace.interval_s)
    healer.tools = replace(healer.tools, prober=paced)
    healer.pace = HealerPace(interval_s=0.0, starting_interval_s=0.0)
    agent.gpus.workers.argv = (sys.executable, "-m", "bench.agentlab.fast_worker", str(1.0 / factor))


def main(factor: float) -> None:
    """Run until SIGTERM."""
    settings = AgentSettings.read()
    configure_logs(process=f"agent {settings.host_id}", level=settings.log_level)
    clock = ScaledClock(factor)
    agent = build_agent(settings, clock=clock, rng=random.Random(1), environment=inherited_environment())
    hasten(agent, clock, factor)
    asyncio.run(serve(agent, build_notifier({}, clock=clock)))


if __name__ == "__main__":
    main(float(sys.argv[1]))
