"""The agent's three pages over HTTP/1.1: `/metrics`, `/livez`, `/readyz`. GET only, because a GPU host opens no command port.

A server for three fixed pages needs no framework, and every bound is in sight: header size, time to send it, time to
take the answer, connections at once. One request per connection.
"""

import asyncio
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass

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


@dataclass(frozen=True, slots=True)
class Response:
    """What a page answers."""

    status: int
    body: str
    content_type: str = "text/plain; charset=utf-8"


Route = Callable[[], Response]
PHRASES: Mapping[int, str] = {
    200: "OK",
    400: "Bad Request",
    404: "Not Found",
    405: "Method Not Allowed",
    503: "Service Unavailable",
}


class PageServer:
    """Serves fixed routes until cancelled."""

    def __init__(self, *, address: str, port: int, routes: Mapping[str, Route]) -> None:
        self._address = address
        self._port = port
        self._routes = routes
        self._open = 0

    async def run(self) -> None:
        """Listen and answer for ever; raises `OSError` when the port is taken."""
        server = await asyncio.start_server(self._serve, self._address, self._port, limit=HEAD_BYTES_MAX)
        log.info("agent_listened", address=self._address, port=self._port)
        async with server:
            await server.serve_forever()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._open >= SOCKETS_MAX:
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
        head = await _read_head(
            reader
        )  # also before a 503: closing with the request unread would reset the answer away
        response = Response(503, "too many connections\n") if crowded else self._answer(head)
        body = response.body.encode()
        preamble = (
            f"HTTP/1.1 {response.status} {PHRASES[response.status]}\r\n"
            f"Content-Type: {response.content_type}\r\n"
            f"Content-Length: {len(body)}\r\n"
            "X-Content-Type-Options: nosniff\r\n"
            "Connection: close\r\n\r\n"
        )
        writer.write(preamble.encode("ascii") + body)
        await writer.drain()

    def _answer(self, head: bytes | None) -> Response:
        words = (head or b"").split(b"\r\n", 1)[0].split(b" ")
        if len(words) != 3 or not words[2].startswith(b"HTTP/1."):  # noqa: PLR2004  # method, target, version
            return Response(400, "not an HTTP/1 request\n")
        method, target, _ = words
        route = self._routes.get(target.partition(b"?")[0].decode("ascii", errors="replace"))
        if route is None:
            return Response(404, "this agent serves " + ", ".join(self._routes) + "\n")
        if method != b"GET":
            return Response(405, "GET only\n")
        return route()


async def _read_head(reader: asyncio.StreamReader) -> bytes | None:
    """Everything up to the empty line; None when it is too long or was broken off."""
    try:
        return await reader.readuntil(b"\r\n\r\n")
    except (asyncio.IncompleteReadError, asyncio.LimitOverrunError):
        return None
