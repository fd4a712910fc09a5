"""Watches over the journal: says when the disk does not take it, and writes it anew when the disk is back.

It looks every second instead of being told: trouble arises on the disk's thread, and a second is nothing for a disk.
"""

import random
from dataclasses import dataclass, field

from agent.degradation import Degradations
from agent.errors import JournalError
from agent.memory.journal import FileJournal
from chassis.clock import Clock
from chassis.logs import logger
from chassis.retry import Backoff

log = logger(__name__)
JOURNAL = "journal"
"""Degraded while nothing can be made durable: healing goes on, orders are refused."""
MEMORY = "memory"
"""Degraded while a part of the memory is lost: orders that may have been executed before are refused."""
LOOK_EVERY_S = 1.0


@dataclass(slots=True)
class JournalKeeper:
    """Keeps one journal durable whenever its disk allows it."""

    journal: FileJournal
    degradations: Degradations
    clock: Clock
    rng: random.Random
    backoff: Backoff = field(default_factory=lambda: Backoff(base_s=1.0, cap_s=30.0))
    """An attempt writes a few megabytes at most: harmless twice a minute, and soon enough after someone made room."""

    async def run(self) -> None:
        """Look for ever."""
        failures = 0
        while True:
            failures = await self._look(failures)
            await self.clock.sleep(self.backoff.delay_s(failures, self.rng) if failures else LOOK_EVERY_S)

    async def _look(self, failures: int) -> int:
        """Mend once if need be; returns how many attempts in a row have failed now."""
        if self.journal.trouble:
            self.degradations.set(JOURNAL, f"orders are refused: {self.journal.trouble}")
            try:
                await self.journal.mend()
            except JournalError as error:
                log.debug("journal_not_mended", error=str(error), cause=repr(error.__cause__))
                failures += 1
        self._tell()
        return failures if self.journal.trouble else 0

    def _tell(self) -> None:
        if not self.journal.trouble:
            self.degradations.clear(JOURNAL)
        if self.journal.loss:
            self.degradations.set(MEMORY, self.journal.loss)
        else:
            self.degradations.clear(MEMORY)
