"""The line to one Docker engine: every call in a thread and under a deadline, and what is wrong when none is answered.

An engine that is away is a state, not an exception of the agent's life: connecting happens at the first call, a failed
call raises `ReplicaRuntimeError` and is remembered as `trouble`, and while there is trouble a call first asks for a sign
of life within a second, so that nobody waits ten for an engine that is known to be gone.
"""

import asyncio
import socket
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeVar

import requests.exceptions
from docker import APIClient
from docker.errors import APIError, DockerException
from docker.utils import kwargs_from_env

from agent.errors import ReplicaRuntimeError
from chassis.logs import logger

log = logger(__name__)
CALL_S_MAX = 10.0
"""On top of any grace: create and start take 0.2 s, a restart 0.4 s; an engine that needs ten seconds is stuck."""
PING_S_MAX = 1.0
"""A sign of life takes a millisecond."""
THREADS_MAX = 16
"""Calls at once: restarts side by side gain nothing beyond a few, and an engine that hangs holds no more threads."""
REASON_CHARS_MAX = 200
UNIX, DEFAULT_URL = "unix://", "unix:///var/run/docker.sock"
TROUBLE = (DockerException, requests.exceptions.RequestException, OSError)
"""What the SDK raises, its transport included."""
T = TypeVar("T")


class EngineAnsweredError(ReplicaRuntimeError):
    """The engine is there and refuses: `status` is its HTTP code."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


@dataclass(slots=True)
class DockerEngine:
    """One engine. Nothing connects before the first call, and a lost connection is made again by the next one."""

    base_url: str | None = None
    """None: the SDK's own choice (DOCKER_HOST, or the default socket)."""
    on_trouble: Callable[[str | None], None] = lambda _: None
    """Told, on the event loop, why the engine cannot be used; None once it can again."""
    trouble: str | None = None
    _client: APIClient | None = None
    _connecting: threading.Lock = field(default_factory=threading.Lock)
    _threads: ThreadPoolExecutor = field(
        default_factory=lambda: ThreadPoolExecutor(THREADS_MAX, thread_name_prefix="docker")
    )
    _under_way: dict[str, asyncio.Event] = field(default_factory=dict)
    """The end of the newest call, by what it is alone with. A thread that outlived its caller's patience has not ended."""

    def close(self) -> None:
        """Let go of the connection; calls under way end within their own deadline."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        if self._client is not None:
            self._client.close()

    async def call(
        self, what: str, work: Callable[[APIClient], T], *, within_s: float = CALL_S_MAX, alone: str = ""
    ) -> T:
        """Let `work` talk to the engine; `what` completes "could not …". Raises `ReplicaRuntimeError`.

        Calls that name the same thing in `alone` never overlap: a later one waits, within its own deadline.
        """
        if self.trouble is not None:
            await self.ping()
        try:
            async with asyncio.timeout(within_s):
                await self._until_alone(alone)
                return await self._answer(what, work, alone)
        except TimeoutError as error:
            await self.ping()  # it answers this: then one container is stuck, and not the engine
            msg = f"could not {what} within {within_s:g} s"
            raise ReplicaRuntimeError(msg) from error

    async def ping(self) -> None:
        """Ask for a sign of life; raises `ReplicaRuntimeError` without one."""
        try:
            async with asyncio.timeout(PING_S_MAX):
                await self._answer("reach Docker", APIClient.ping, "")
        except TimeoutError as error:
            self._lost(f"Docker does not answer within {PING_S_MAX:g} s")
            msg = f"could not reach Docker within {PING_S_MAX:g} s"
            raise ReplicaRuntimeError(msg) from error

    async def in_thread(self, work: Callable[[], T]) -> T:
        """Run something else that blocks on the engine, a stream say, on one of its threads; errors come as they are."""
        return await asyncio.wrap_future(self._threads.submit(work))

    def connect(self) -> APIClient:
        """A connection of the caller's own, for a stream that is read for ever. Blocks; raises one of `TROUBLE`."""
        self._knock()
        if self.base_url is None:
            return APIClient(version="auto", timeout=int(CALL_S_MAX), **kwargs_from_env())
        return APIClient(base_url=self.base_url, version="auto", timeout=int(CALL_S_MAX))

    def _knock(self) -> None:
        """Raises `OSError` where nobody listens: the SDK leaves the sockets of refused connections to the collector."""
        url = self.base_url or kwargs_from_env().get("base_url", DEFAULT_URL)
        if url.startswith(UNIX):
            with socket.socket(socket.AF_UNIX) as door:
                door.settimeout(PING_S_MAX)
                door.connect(url.removeprefix(UNIX))

    async def _until_alone(self, alone: str) -> None:
        while (former := self._under_way.get(alone)) is not None and not former.is_set():
            await former.wait()

    async def _answer(self, what: str, work: Callable[[APIClient], T], alone: str) -> T:
        """Raises `TimeoutError`, when its caller's deadline passes, for the caller to judge."""
        future = self._threads.submit(self._work, work)
        if alone:
            ended = self._under_way[alone] = asyncio.Event()
            future.add_done_callback(partial(_wake, asyncio.get_running_loop(), ended))
        try:
            result = await asyncio.wrap_future(future)
        except APIError as error:
            self._found()
            msg = f"could not {what}: {str(error.explanation or error)[:REASON_CHARS_MAX]}"
            raise EngineAnsweredError(msg, error.status_code or 0) from error
        except TROUBLE as error:
            self._lost(f"Docker cannot be reached: {str(error)[:REASON_CHARS_MAX]}")
            msg = f"could not {what}: Docker cannot be reached"
            raise ReplicaRuntimeError(msg) from error
        self._found()
        return result

    def _work(self, work: Callable[[APIClient], T]) -> T:
        self._knock()
        with self._connecting:
            client = self._client
            if client is None:
                client = self._client = self.connect()
        return work(client)

    def _lost(self, reason: str) -> None:
        if self.trouble is None:
            log.warning("docker_lost", reason=reason)
        self.trouble = reason
        self.on_trouble(reason)

    def _found(self) -> None:
        if self.trouble is not None:
            log.info("docker_found")
            self.trouble = None
            self.on_trouble(None)


def _wake(loop: asyncio.AbstractEventLoop, ended: asyncio.Event, _: Future[Any]) -> None:
    if not loop.is_closed():
        loop.call_soon_threadsafe(ended.set)
