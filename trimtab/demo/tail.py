"""Following the controller's story while it is written: narrated at once, and kept to be asked about."""

from collections.abc import Callable
from dataclasses import dataclass, field

from chassis.clock import Clock
from trimtab.api_bodies import Decision
from trimtab.api_client import ApiError, ControllerApi
from trimtab.demo.narrator import Narrator

POLL_S = 0.5
LINES_PER_POLL = 200
LINES_MAX = 10_000
"""A demo writes a few hundred; beyond this something talks without end, and older lines are dropped."""


@dataclass(slots=True)
class StoryTail:
    """Polls the decisions; a controller that is away for a while is normal here."""

    api: ControllerApi
    clock: Clock
    narrator: Narrator
    lines: list[Decision] = field(default_factory=list)
    _after: str | None = None

    async def run(self) -> None:
        """Follow until cancelled."""
        while True:
            await self._read()
            await self.clock.sleep(POLL_S)

    def since(self, unix_s: float, is_meant: Callable[[Decision], bool] = lambda _: True) -> list[Decision]:
        """Lines written at or after that moment."""
        return [line for line in self.lines if line.at_unix_s >= unix_s and is_meant(line)]

    async def wait_for(
        self, unix_s: float, is_meant: Callable[[Decision], bool], *, within_s: float
    ) -> Decision | None:
        """The first such line written at or after `unix_s`; None when none came within that time."""
        deadline_s = self.clock.monotonic_s() + within_s
        while self.clock.monotonic_s() < deadline_s:
            if found := self.since(unix_s, is_meant):
                return found[0]
            await self.clock.sleep(POLL_S / 2)
        return None

    async def _read(self) -> None:
        try:
            page = await self.api.decisions(after=self._after, limit=LINES_PER_POLL)
        except ApiError:
            return  # it may have been killed a moment ago, on purpose
        self._after = page.next_after
        for line in page.items:
            self.narrator.decision(line.kind, line.summary)
        self.lines = [*self.lines, *page.items][-LINES_MAX:]
