"""The agent's three pages over HTTP/1.1: `/metrics`, `/livez`, `/readyz`. GET only, because a GPU host opens no command port.

A server for three fixed pages needs no framework, and every bound is in sight: header size, time to send it, time to
take the answer, connections at once. One request per connection.
"""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from agent.core.histogram import Histogram
from agent.pages.answers import Response, accepts_gzip
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
NOT_HTTP = Response(400, "not an HTTP/1 request\n")


class PageServer:
    """Serves fixed routes until cancelled."""

    def __init__(self, *, address: str, port: int, routes: Mapping[str, Route], traffic: Traffic, clock: Clock) -> None:
        self._address = address
        self._port = port
        self._routes = routes
        self.traffic = traffic
        self.clock = clock
        self.open = 0
        """Connections."""
        self.listening = False
        """Connections are accepted."""

    async def run(self) -> None:
        """Listen and answer for ever; raises `OSError` when the port is taken."""
        loop = asyncio.get_running_loop()
        server = await loop.create_server(lambda: Exchange(self), self._address, self._port)
        log.info("agent_listened", address=self._address, port=self._port)
        async with server:
            self.listening = True
            try:
                await server.serve_forever()
            finally:
                self.listening = False

    def answer(self, head: bytes) -> tuple[str | None, Response]:
        """The page that was asked for, None without one, and what it says."""
        words = head.split(b"\r\n", 1)[0].split(b" ")
        if len(words) != 3 or not words[2].startswith(b"HTTP/1."):  # noqa: PLR2004  # method, target, version
            return None, NOT_HTTP
        method, target, _ = words
        page = target.partition(b"?")[0].decode("ascii", errors="replace")
        route = self._routes.get(page)
        if route is None:
            return None, Response(404, "this agent serves " + ", ".join(self._routes) + "\n")
        if method != b"GET":
            return None, Response(405, "GET only\n")
        return page, route()


class Exchange(asyncio.Protocol):
    """One connection: a request, its answer, and the end. Without a task or a stream, it costs half of what those do."""

    def __init__(self, server: PageServer) -> None:
        self._server = server
        self._transport: asyncio.Transport | None = None
        self._given_up: asyncio.TimerHandle | None = None
        self._head = b""
        self._crowded = False
        self._answered: tuple[str, float] | None = None
        """(page, monotonic time at which it was asked for)."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take it in, or, beyond every bound, drop it."""
        server = self._server
        server.open += 1
        if not isinstance(transport, asyncio.Transport) or server.open > SOCKETS_MAX:
            server.traffic.rejected_total += 1
            transport.close()
            return
        self._transport = transport
        self._crowded = server.open > CONNECTIONS_MAX
        self._given_up = asyncio.get_running_loop().call_later(EXCHANGE_S_MAX, transport.abort)

    def data_received(self, data: bytes) -> None:
        """Answer once the head is whole, or too long to be one."""
        if self._transport is None or self._transport.is_closing():
            return
        self._head += data
        head, end, _ = self._head.partition(b"\r\n\r\n")
        if len(head) > HEAD_BYTES_MAX:
            self._send(NOT_HTTP)
        elif end:
            self._reply(head)

    def eof_received(self) -> None:
        """A request broken off: there is nobody left to answer."""

    def connection_lost(self, exc: Exception | None) -> None:
        """The last byte is out, or the client is gone."""
        server = self._server
        server.open -= 1
        if self._given_up is not None:
            self._given_up.cancel()
        if self._answered is not None and exc is None:
            page, asked_s = self._answered
            server.traffic.answered(page, server.clock.monotonic_s() - asked_s)

    def _reply(self, head: bytes) -> None:
        if self._crowded:  # only now: closing with the request unread would reset the answer away
            self._server.traffic.rejected_total += 1
            self._send(CROWDED)
            return
        asked_s = self._server.clock.monotonic_s()
        page, response = self._server.answer(head)
        if page is not None:
            self._answered = (page, asked_s)
        self._send(response, gzip_accepted=accepts_gzip(head))

    def _send(self, response: Response, *, gzip_accepted: bool = False) -> None:
        if self._transport is not None:
            self._transport.write(response.encoded(gzip_accepted=gzip_accepted))
            self._transport.close()  # once all is written
