"""Follows the kernel log for the driver's errors: from before the agent started, and when NVML is dead.

`/dev/kmsg` is opened non-blocking, where a read gives one record or says that there is none; it never waits, so it can be
read on the event loop. Each look is bounded, because a broken driver can write thousands of lines. Where the log cannot
be read (no permission, no such file) NVML's own events remain.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from agent.core.kernel_log import KernelRecord, parse_record
from chassis.clock import Clock
from chassis.logs import logger

log = logger(__name__)
KERNEL_LOG = Path("/dev/kmsg")
LOOK_INTERVAL_S = 1.0
RECORDS_MAX = 512
"""Of one look: 5 ms. The next one follows at once when there is more."""
RECORD_BYTES_MAX = 8192
"""The kernel's own bound on one record (CONSOLE_EXT_LOG_MAX)."""


@dataclass(slots=True)
class KernelLog:
    """Reads on from where it was, for as long as the agent lives."""

    clock: Clock
    take: Callable[[KernelRecord], None]
    """Called with every record. Times of records that were there before are the kernel's; of later ones, their arrival."""
    path: Path = KERNEL_LOG
    readable: bool = False
    _rest: str = ""
    _caught_up: bool = False

    async def run(self) -> None:
        """Look for ever; returns when the log cannot be read here."""
        try:
            file = os.open(self.path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError as error:
            log.info("kernel_log_unreadable", path=str(self.path), error=repr(error))
            return
        self.readable = True
        try:
            while True:
                more = self._look(file)
                await self.clock.sleep(0.0 if more else LOOK_INTERVAL_S)
        finally:
            self.readable = False
            os.close(file)

    def _look(self, file: int) -> bool:
        """Read what is there; True when there may be more."""
        for _ in range(RECORDS_MAX):
            try:
                chunk = os.read(file, RECORD_BYTES_MAX)
            except BlockingIOError:
                chunk = b""
            except BrokenPipeError:
                continue  # records were overwritten before they were read: the next read gives the oldest that is left
            if not chunk:
                self._caught_up = True
                return False
            self._tell(chunk.decode(errors="replace"))
        return True

    def _tell(self, chunk: str) -> None:
        """Every whole line of the chunk; a pipe, unlike the kernel, may give several, or half of one."""
        *lines, self._rest = (self._rest + chunk).split("\n")
        for line in lines:
            record = parse_record(line)
            if record is not None:
                now_s = self.clock.monotonic_s()
                at_s = now_s if self._caught_up else min(record.at_s, now_s)
                self.take(KernelRecord(sequence=record.sequence, at_s=at_s, text=record.text))
