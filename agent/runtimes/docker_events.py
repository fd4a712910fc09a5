"""The engine's events about our containers, as values on a queue, across every break of the stream.

The SDK's stream blocks, so a thread reads it. When it ends, it is opened again from the last event seen (`since`): the
engine replays what happened meanwhile, and what was seen already is passed over. An engine that restarted has forgotten
its events; so every opening puts `Opened` on the queue, and its reader then looks at all containers once.
"""

import asyncio
from dataclasses import dataclass, field
from typing import Any

from docker import APIClient
from docker.errors import StreamParseError

from agent.errors import ReplicaRuntimeError
from agent.runtimes.docker_engine import CALL_S_MAX, TROUBLE, DockerEngine
from agent.runtimes.docker_times import NANO, unix_ns
from chassis.clock import Clock
from chassis.logs import logger

log = logger(__name__)
REOPEN_S = 0.5
"""Between two tries: what an engine's return may go unnoticed, at the cost of one refused connection each."""


@dataclass(frozen=True, slots=True)
class Opened:
    """The stream begins, or began again: what it missed for good shows in the containers themselves."""


@dataclass(frozen=True, slots=True)
class Died:
    """The first process of a container ended."""

    container: str
    labels: dict[str, str]
    at_ns: int
    """By the engine's clock."""
    exit_code: str


@dataclass(frozen=True, slots=True)
class OutOfMemory:
    """The kernel ended a process of the container for its memory limit; the engine tells it before the death."""

    container: str
    at_ns: int


ContainerEvent = Opened | Died | OutOfMemory


@dataclass(slots=True)
class EventStream:
    """Follows one engine for ever."""

    engine: DockerEngine
    label: str
    clock: Clock
    into: asyncio.Queue[ContainerEvent]
    _since_ns: int | None = None
    """Of the newest event seen, by the engine's clock; None until the engine told its time."""
    _seen: set[tuple[str, str]] = field(default_factory=set)
    """Container and action of the events at exactly `_since_ns`: the engine repeats those."""

    async def follow(self) -> None:
        """Read until cancelled, opening the stream again whenever it ends."""
        while True:
            try:
                await self.engine.ping()
                await self._read_to_the_end()
            except ReplicaRuntimeError:
                log.debug("docker_events_wait", reason=self.engine.trouble)
            except (*TROUBLE, StreamParseError) as error:  # cut in the middle of an answer or of an event
                log.debug("docker_events_broke", error=repr(error))
            await self.clock.sleep(REOPEN_S)

    async def _read_to_the_end(self) -> None:
        client = await self.engine.in_thread(self.engine.connect)
        try:
            async with asyncio.timeout(CALL_S_MAX):
                stream = await self.engine.in_thread(lambda: self._open(client))
            try:
                await self.into.put(Opened())
                while (event := await self.engine.in_thread(lambda: next(stream, None))) is not None:
                    await self._take(event)
            finally:
                stream.close()  # wakes the thread that reads
        finally:
            client.close()

    def _open(self, client: APIClient) -> Any:  # noqa: ANN401  # the SDK's stream: iterated and closed
        if self._since_ns is None:
            self._since_ns = unix_ns(client.info()["SystemTime"])
        return client.events(  # type: ignore[call-overload]  # the engine takes fractions of a second
            since=f"{self._since_ns // NANO}.{self._since_ns % NANO:09d}",
            filters={"type": "container", "event": ["die", "oom"], "label": self.label},
            decode=True,
        )

    async def _take(self, event: dict[str, Any]) -> None:
        at_ns, container, action = int(event["timeNano"]), str(event["Actor"]["ID"]), str(event["Action"])
        if self._since_ns is not None and (
            at_ns < self._since_ns or (at_ns == self._since_ns and (container, action) in self._seen)
        ):
            return
        if at_ns != self._since_ns:
            self._seen.clear()
        self._since_ns = at_ns
        self._seen.add((container, action))
        attributes = {str(name): str(value) for name, value in event["Actor"]["Attributes"].items()}
        if action == "oom":
            await self.into.put(OutOfMemory(container, at_ns))
        else:
            await self.into.put(Died(container, attributes, at_ns, attributes.get("exitCode", "?")))
