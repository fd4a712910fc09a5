"""The heartbeat around the loop: one pass at a time, sooner when something happened, and never the last because one failed.

A pass that fails is logged, counted and followed by the next. Whether this process leads is passed on to the hub after
every pass, so that agents only ever hear the leader.
"""

import asyncio
from collections.abc import Callable

from chassis.clock import Clock
from chassis.logs import logger
from controller.loop import ControlLoop, LoopView
from controller.metrics import ControllerMetrics
from controller.ports import FencedError
from controller.stores import LoopStatus

log = logger(__name__)

TICK_S_MAX = 60.0
"""Every await inside a pass is bounded and their sum is far below this; beyond it something is wrong that we cannot see."""
SPACING_S = 0.5
"""Least time between two passes: a burst of news is one reason to look, not ten."""


class Pulse:
    """Runs passes of one loop, and knows how they went."""

    def __init__(
        self,
        *,
        loop: ControlLoop,
        clock: Clock,
        metrics: ControllerMetrics,
        holder: str,
        lead: Callable[[int], None],
        stand_down: Callable[[], None],
    ) -> None:
        self._loop = loop
        self._clock = clock
        self._metrics = metrics
        self._holder = holder
        self._lead = lead
        self._stand_down = stand_down
        self._one_at_a_time = asyncio.Lock()
        self._ended_s: float | None = None
        self._led_since_s: float | None = None
        self._ticks_ok = 0
        self._ticks_failed = 0
        self._last_failure = "no tick yet"

    async def beat(self) -> None:
        """One pass; returns when it is over, however it went."""
        async with self._one_at_a_time:
            started_s = self._clock.monotonic_s()
            failure = await self._pass()
            self._ended_s = self._clock.monotonic_s()
            self._metrics.tick_ended(ok=not failure, lasted_s=self._ended_s - started_s)
            self._last_failure = failure
            if failure:
                self._ticks_failed += 1
            else:
                self._ticks_ok += 1
            self._follow_leadership(self._loop.view)
            self._metrics.seen(self._loop.view)

    def wait_s(self) -> float:
        """How long the next pass must wait to keep its distance from the last."""
        if self._ended_s is None:
            return 0.0
        return max(0.0, self._ended_s + SPACING_S - self._clock.monotonic_s())

    @property
    def leads(self) -> bool:
        """True while this process holds the lease, as far as it knows."""
        return self._led_since_s is not None

    def status(self) -> LoopStatus:
        """For people and probes."""
        now_s = self._clock.monotonic_s()
        trusts = [str(trust) for trust in self._loop.view.trust.values()]
        return LoopStatus(
            holder=self._holder,
            leading_for_s=None if self._led_since_s is None else now_s - self._led_since_s,
            last_tick_age_s=None if self._ended_s is None else round(now_s - self._ended_s, 3),
            ticks_ok=self._ticks_ok,
            ticks_failed=self._ticks_failed,
            trust=tuple((trust, trusts.count(trust)) for trust in sorted(set(trusts))),
            why_not_ready=self._why_not_ready(),
        )

    async def rest(self) -> None:
        """Wait until no pass is under way."""
        async with self._one_at_a_time:
            return

    async def _pass(self) -> str:
        """Empty when it worked, otherwise why not."""
        try:
            async with asyncio.timeout(TICK_S_MAX):
                await self._loop.tick()
        except FencedError as error:
            log.warning("tick_fenced", error=str(error))
            self._stand_down()
            return "a newer leader exists"
        except Exception as error:  # the supervisor of passes: whatever went wrong, the next one must come
            log.exception("tick_failed", error=repr(error))
            return f"the last tick failed: {error!r}"
        return ""

    def _follow_leadership(self, view: LoopView) -> None:
        if not view.leader:
            self._led_since_s = None
            self._stand_down()
            return
        if self._led_since_s is None:
            self._led_since_s = self._clock.monotonic_s()
        self._lead(view.epoch)

    def _why_not_ready(self) -> str:
        if self._last_failure:
            return self._last_failure
        view = self._loop.view
        return "" if view.leader else f"standby: {view.leader_name or 'another controller'} leads"
