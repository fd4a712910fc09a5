"""How the worker is told to end: by its parent, or by what it found."""

import threading
from dataclasses import dataclass, field


@dataclass(slots=True)
class Ending:
    """Set once, from any thread but never from a signal handler, which may interrupt a holder of the lock."""

    code: int = 0
    """Of the first request."""
    _requested: threading.Event = field(default_factory=threading.Event)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def request(self, code: int = 0) -> None:
        """End the worker with this exit code."""
        with self._lock:
            if not self._requested.is_set():
                self.code = code
                self._requested.set()

    @property
    def requested(self) -> bool:
        """Whether threads should return."""
        return self._requested.is_set()

    def wait(self, seconds: float | None = None) -> None:
        """Until the end was requested, or so long."""
        self._requested.wait(seconds)
