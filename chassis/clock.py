"""Time as a dependency: the one module that may touch the real clock.

Wall time is for people and journals, monotonic time for durations. Cores receive `now` as a value; shells receive a
`Clock`. Tests and simulations use `ManualClock`, which only moves when told to; a soak test uses `ScaledClock`.
"""

import asyncio
import time
from datetime import UTC, date, datetime
from typing import Protocol


class Clock(Protocol):
    """The three things a shell may ask of time."""

    def now_unix_s(self) -> float:
        """Wall time in seconds since the epoch: for journals and for deadlines that cross hosts."""
        ...

    def monotonic_s(self) -> float:
        """A clock that never jumps: for durations inside this process."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Let `seconds` pass."""
        ...


class SystemClock:
    """The real one."""

    def now_unix_s(self) -> float:
        """Wall time, seconds since the epoch."""
        return time.time()

    def monotonic_s(self) -> float:
        """Seconds of the system's monotonic clock."""
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        """Suspend the calling task."""
        await asyncio.sleep(seconds)


class ScaledClock:
    """Real time, `factor` times as fast: hours of a process's life in minutes, for benchmarks.

    What does not ask a clock stays as slow as it is: sockets, disks, and asyncio's own timeouts.
    """

    def __init__(self, factor: float) -> None:
        if factor <= 0:
            msg = f"time cannot be scaled by {factor:g}"
            raise ValueError(msg)
        self._factor = factor
        self._wall_s = time.time()
        self._monotonic_s = time.monotonic()

    def now_unix_s(self) -> float:
        """Wall time, that much ahead of the real one."""
        return self._wall_s + (self.monotonic_s() - self._monotonic_s)

    def monotonic_s(self) -> float:
        """Scaled seconds, from the real clock's value at the start."""
        return self._monotonic_s + (time.monotonic() - self._monotonic_s) * self._factor

    async def sleep(self, seconds: float) -> None:
        """Suspend the calling task for `seconds` of scaled time."""
        await asyncio.sleep(seconds / self._factor)


class ManualClock:
    """A clock that moves only when told to; sleeping moves it at once."""

    def __init__(self, *, now_unix_s: float = 1_700_000_000.0) -> None:
        self._wall_s = now_unix_s
        self._monotonic_s = 0.0

    def now_unix_s(self) -> float:
        """Virtual wall time."""
        return self._wall_s

    def monotonic_s(self) -> float:
        """Virtual monotonic time."""
        return self._monotonic_s

    def advance(self, seconds: float) -> None:
        """Let virtual time pass; negative steps are refused."""
        if seconds < 0:
            msg = f"time cannot go back by {-seconds} s"
            raise ValueError(msg)
        self._wall_s += seconds
        self._monotonic_s += seconds

    async def sleep(self, seconds: float) -> None:
        """Advance and let other tasks run."""
        self.advance(seconds)
        await asyncio.sleep(0)


def isoformat(unix_s: float) -> str:
    """`1700000000.0` → `2023-11-14T22:13:20.000Z`, for people and JSON."""
    return datetime.fromtimestamp(unix_s, tz=UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def utc_date(unix_s: float) -> date:
    """The day in UTC, for what is made anew once a day or a year."""
    return datetime.fromtimestamp(unix_s, tz=UTC).date()


def blocking_sleep(seconds: float) -> None:
    """Block the calling thread: for command lines and worker threads, never on an event loop."""
    time.sleep(seconds)
