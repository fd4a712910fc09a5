"""The agent's three pages over HTTP/1.1: `/metrics`, `/livez`, `/readyz`. GET only, because a GPU host opens no command port.

A server for three fixed pages needs no framework, and every bound is in sight: header size, time to send it, time to
take the answer, connections at once. One request per connection.
"""

import asyncio
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field

from agent.answers import Response, accepts_gzip
from agent.core.histogram import Histogram
from chassis.clock import Clock
from chassis.logs import logger

log = logger(__name__)
HEAD_BYTES_MAX = 8_192
"""Prometheus sends 300 bytes."""
EXCHANGE_S_MAX = 5.0
"""From connection to last byte; a client slower than that is given up."""
CONNECTIONS_MAX = 16
"""A few Prometheus servers and a person; more would be an attack or a mistake, and gets 503."""
SOCKETS_MAX = 64
"""Beyond this even a 503 is too much: the connection is dropped."""
ANSWER_BOUNDS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)


@dataclass(slots=True)
class Traffic:
    """What the server did since it started."""

    answer_s: dict[str, Histogram] = field(default_factory=dict)
    """Per page: from the request read to the last byte of its answer written."""
    rejected_total: int = 0
    """Connections that were turned away because too many were open."""

    def answered(self, page: str, seconds: float) -> None:
        """One page was delivered."""
        self.answer_s.setdefault(page, Histogram(ANSWER_BOUNDS_S)).observe(seconds)


Route = Callable[[], Response]
CROWDED = Response(503, "too many connections\n")


class PageServer:
    """Serves fixed routes until cancelled."""

    def __init__(self, *, address: str, port: int, routes: Mapping[str, Route], traffic: Traffic, clock: Clock) -> None:
        self._address = address
        self._port = port
        self._routes = routes
        self._traffic = traffic
        self._clock = clock
        self._open = 0
        self.listening = False
        """Connections are accepted."""

    async def run(self) -> None:
        """Listen and answer for ever; raises `OSError` when the port is taken."""
        server = await asyncio.start_server(self._serve, self._address, self._port, limit=HEAD_BYTES_MAX)
        log.info("agent_listened", address=self._address, port=self._port)
        async with server:
            self.listening = True
            try:
                await server.serve_forever()
            finally:
                self.listening = False

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._open >= SOCKETS_MAX:
            self._traffic.rejected_total += 1
            writer.transport.abort()
            return
        self._open += 1
        try:
            with suppress(OSError, TimeoutError):  # a client that went away, or dawdled, needs no answer
                async with asyncio.timeout(EXCHANGE_S_MAX):
                    await self._exchange(reader, writer)
        finally:
            self._open -= 1
            writer.close()

    async def _exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        crowded = self._open > CONNECTIONS_MAX
        head = await _read_head(reader)  # before a 503, too: closing with it unread would reset the answer away
        read_s = self._clock.monotonic_s()
        page, response = (None, CROWDED) if crowded else self._answer(head)
        writer.write(response.encoded(gzip_accepted=accepts_gzip(head)))
        await writer.drain()
        if crowded:
            self._traffic.rejected_total += 1
        elif page is not None:
            self._traffic.answered(page, self._clock.monotonic_s() - read_s)

    def _answer(self, head: bytes) -> tuple[str | None, Response]:
        """The page that was asked for, None without one, and what it says."""
        words = head.split(b"\r\n", 1)[0].split(b" ")
        if len(words) != 3 or not words[2].startswith(b"HTTP/1."):  # noqa: PLR2004  # method, target, version
            return None, Response(400, "not an HTTP/1 request\n")
        method, target, _ = words
        page = target.partition(b"?")[0].decode("ascii", errors="replace")
        route = self._routes.get(page)
        if route is None:
            return None, Response(404, "this agent serves " + ", ".join(self._routes) + "\n")
        if method != b"GET":
            return None, Response(405, "GET only\n")
        return page, route()


async def _read_head(reader: asyncio.StreamReader) -> bytes:
    """Everything up to the empty line; empty when it is too long or was broken off."""
    try:
        return await reader.readuntil(b"\r\n\r\n")
    except (asyncio.IncompleteReadError, asyncio.LimitOverrunError):
        return b""
