"""An event loop whose time is made up: when nothing is left to do, it jumps to the next timer.

Hours pass in seconds, exactly and the same on every machine. Threads would race with such a time, so work that is handed to
one is done at once instead.
"""

import asyncio
import selectors
from collections.abc import Callable, Coroutine
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

T = TypeVar("T")
START_UNIX_S = 1_700_000_000.0


class InlineExecutor(ThreadPoolExecutor):
    """Does what it is given before it returns."""

    def submit(self, work: Callable[..., T], /, *args: Any, **kwargs: Any) -> Future[T]:
        done: Future[T] = Future()
        try:
            done.set_result(work(*args, **kwargs))
        except Exception as error:  # noqa: BLE001  # it is the caller's, as with any executor
            done.set_exception(error)
        return done


class _Selector(selectors.DefaultSelector):
    """Never waits: what would be waited for is skipped."""

    skip: Callable[[float], None]

    def select(self, timeout: float | None = None) -> list[Any]:
        ready = super().select(0)
        if not ready and timeout is not None and timeout > 0:
            self.skip(timeout)
        return ready


class VirtualLoop(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        self._now_s = 0.0
        selector = _Selector()
        selector.skip = self._skip
        super().__init__(selector)
        self.set_default_executor(InlineExecutor(max_workers=1))

    def time(self) -> float:
        return self._now_s

    def _skip(self, seconds: float) -> None:
        self._now_s += seconds


class VirtualClock:
    """A `Clock` over the running virtual loop."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()

    def now_unix_s(self) -> float:
        return START_UNIX_S + self._loop.time()

    def monotonic_s(self) -> float:
        return self._loop.time()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


def run_virtually(main: Coroutine[Any, Any, T]) -> T:
    """Run `main` to its end in made-up time."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(main)
