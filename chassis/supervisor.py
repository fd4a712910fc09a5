"""Long-running tasks that must survive their own mistakes.

The one place where `except Exception` stands: a task that dies is logged, counted and started again after a bounded,
jittered pause, so that one failing part never takes its process along. Cancellation passes through untouched.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from chassis.clock import Clock
from chassis.logs import logger
from chassis.retry import Backoff

log = logger(__name__)
STEADY_S = 60.0
"""A task that ran this long was healthy: its next failure starts at the shortest pause again."""


@dataclass(slots=True)
class Supervisor:
    """Runs named coroutines for ever inside a caller's TaskGroup."""

    clock: Clock
    rng: random.Random
    backoff: Backoff = field(default_factory=lambda: Backoff(base_s=0.2, cap_s=10.0))
    failures_total: dict[str, int] = field(default_factory=dict)

    def keep(self, group: asyncio.TaskGroup, name: str, run: Callable[[], Awaitable[None]]) -> None:
        """Start `run` in `group` and restart it whenever it fails; a normal return ends it."""
        self.failures_total.setdefault(name, 0)
        group.create_task(self._forever(name, run), name=name)

    async def _forever(self, name: str, run: Callable[[], Awaitable[None]]) -> None:
        in_a_row = 0
        while True:
            started_s = self.clock.monotonic_s()
            try:
                await run()
            except Exception as error:  # the supervisor is where unknown trouble is caught, logged and counted
                lasted_s = self.clock.monotonic_s() - started_s
                in_a_row = 1 if lasted_s > STEADY_S else in_a_row + 1
                self.failures_total[name] += 1
                log.exception("task_failed", task=name, error=repr(error), in_a_row=in_a_row)
                await self.clock.sleep(self.backoff.delay_s(in_a_row, self.rng))
            else:
                return
