"""Everything a scenario may touch, and the few questions that all scenarios ask."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

import httpx

from chassis.clock import Clock
from contracts.vocabulary import FULL_FP32, OrderKey, Region, ReplicaState
from trimtab.api_bodies import Action, Fleet, Replica
from trimtab.api_client import ApiError, ControllerApi
from trimtab.chaos.processes import ProcessTree
from trimtab.demo.narrator import Narrator
from trimtab.demo.receipts import executions
from trimtab.demo.report import ActionLine
from trimtab.demo.sizing import Sizing
from trimtab.demo.tail import StoryTail
from trimtab.demo.timeline import is_bad
from trimtab.load.generator import LoadGenerator
from trimtab.load.records import Record
from trimtab.stack.model import Listener, StackPlan

POLL_S = 0.25
ACTIONS_MAX = 100
"""Newest actions looked at: a whole demo takes about twenty."""
READY_POLL_S = 0.05
READY, STOPPED = ReplicaState.READY.value, ReplicaState.STOPPED.value
READY_LOOK_S = 0.5
"""A frozen replica accepts and never answers: one look may not take longer."""


@dataclass(slots=True)
class World:
    """A running stack under load."""

    api: ControllerApi
    load: LoadGenerator
    story: StoryTail
    tree: ProcessTree
    clock: Clock
    narrator: Narrator
    sizing: Sizing
    plan: StackPlan
    home: Path
    replicas: int
    """Per region, when nothing is wrong."""

    @property
    def regions(self) -> tuple[Region, ...]:
        """Those with a gateway, in the plan's order."""
        return tuple(gateway.region for gateway in self.plan.gateways)

    async def until(self, holds: Callable[[], Awaitable[bool]], *, within_s: float) -> float | None:
        """Seconds until `holds`; None when it did not within that time. An absent controller means "not yet"."""
        started_s = self.clock.monotonic_s()
        while (waited_s := self.clock.monotonic_s() - started_s) < within_s:
            try:
                if await holds():
                    return waited_s
            except ApiError:
                pass  # the next look may find it
            await self.clock.sleep(POLL_S)
        return None

    async def serves_again(self, replica: Listener, *, within_s: float) -> float | None:
        """Seconds until that address answers ready; None when it does not."""
        started_s = self.clock.monotonic_s()
        async with httpx.AsyncClient(timeout=READY_LOOK_S, trust_env=False) as client:
            while self.clock.monotonic_s() - started_s < within_s:
                try:
                    if (await client.get(f"{replica.url}/readyz")).is_success:
                        return self.clock.monotonic_s() - started_s
                except httpx.HTTPError:
                    pass  # frozen or gone: exactly what is waited out here
                await self.clock.sleep(READY_POLL_S)
        return None

    async def serving(self, region: Region) -> tuple[Replica, ...]:
        """The region's ready replicas."""
        return tuple(replica for replica in (await self.api.fleet()).replicas(region) if replica.state == READY)

    async def is_home(self) -> bool:
        """As at the start: so many replicas at full quality, every gateway with its own region, and nothing open."""
        fleet = await self.api.fleet()
        is_same = all(_is_home(fleet, region, self.replicas) for region in self.regions)
        return is_same and not await self.api.actions(open_only=True, limit=1)

    async def finished(self, kind: str, since_unix_s: float, *, within_s: float) -> Action | None:
        """The first action of that kind intended since then that is closed; None when there is none within that time."""
        found: list[Action] = []

        async def is_there() -> bool:
            actions = await self.api.actions(limit=ACTIONS_MAX)
            mine = [a for a in actions if a.intended_unix_s >= since_unix_s and a.kind == kind and not a.is_open]
            found.extend(mine[-1:])
            return bool(mine)

        await self.until(is_there, within_s=within_s)
        return found[0] if found else None

    async def actions_since(self, unix_s: float) -> tuple[ActionLine, ...]:
        """The controller's actions intended at or after that moment, oldest first, with the agents' own counts."""
        times = await asyncio.to_thread(executions, self.home)
        found = [action for action in await self.api.actions(limit=ACTIONS_MAX) if action.intended_unix_s >= unix_s]
        return tuple(_line(action, times) for action in reversed(found))

    def suffers(self, last_s: float, region: Region | None = None) -> bool:
        """True when at least half of what ended in the last seconds was late, refused or lost."""
        from_s = self.clock.monotonic_s() - last_s
        ended = [r for r in self.load.records if r.sent_s + r.latency_s >= from_s and region in {None, r.gateway}]
        return bool(ended) and 2 * sum(is_bad(record, self.sizing.threshold_s) for record in ended) >= len(ended)

    def sent_since(self, monotonic_s: float, region: Region | None = None) -> list[Record]:
        """Requests sent since, to one gateway or to all."""
        return [r for r in self.load.since(monotonic_s) if region in {None, r.gateway}]


def listener_of(replica: Replica) -> Listener:
    """Where a replica listens."""
    return Listener(replica.address, replica.port)


def _is_home(fleet: Fleet, region: Region, replicas: int) -> bool:
    serving = [replica for replica in fleet.replicas(region) if replica.state != STOPPED]
    at_full = all(replica.state == READY and replica.profile == FULL_FP32.id for replica in serving)
    return at_full and len(serving) == replicas and fleet.share(region, region) == 1.0


def _line(action: Action, times: dict[OrderKey, int]) -> ActionLine:
    counts = [times.get(OrderKey(key), 0) for key in action.order_keys]
    return ActionLine(
        id=action.id,
        kind=action.kind,
        subject=action.subject,
        verdict=action.verdict or "",
        executions=max(counts, default=0),
    )
