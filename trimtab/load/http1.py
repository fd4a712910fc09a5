"""A lean HTTP/1.1 client for one purpose: post a small body, read a whole answer, keep the connection.

The load shares its cores with the system under test, so a request should cost tens of microseconds, not the millisecond
of a general client. It knows Content-Length and chunked bodies, and nothing else.
"""

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass, field

LINE_BYTES_MAX = 65_536
"""The stream's limit for the block of headers, and for a chunk's size line."""
BODY_BYTES_MAX = 64 * 1024 * 1024
"""Five minutes of speech are 13 MB; anything beyond this is a runaway answer."""


class HttpError(Exception):
    """The answer was cut short, or is not HTTP/1.1 as we know it."""


@dataclass(frozen=True, slots=True)
class Answer:
    """One complete answer; header names are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class _Connection:
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    @property
    def usable(self) -> bool:
        return not (self.writer.is_closing() or self.reader.at_eof())


@dataclass(slots=True)
class Target:
    """One server with its idle connections: at most as many as requests were in flight at once."""

    address: str
    port: int
    _idle: list[_Connection] = field(default_factory=list)

    async def post(self, path: str, body: Mapping[str, object], headers: Mapping[str, str]) -> Answer:
        """Post JSON and read the whole answer; the caller bounds the time. Raises `OSError` or `HttpError`."""
        connection = await self._connect()
        try:
            connection.writer.write(self._request(path, body, headers))
            await connection.writer.drain()
            answer = await _read_answer(connection.reader)
        except asyncio.IncompleteReadError as error:
            connection.writer.close()
            msg = f"{self.address}:{self.port} closed the connection within the answer to {path}"
            raise HttpError(msg) from error
        except BaseException:
            connection.writer.close()  # also on cancellation: half an answer must not be the next one's beginning
            raise
        if answer.headers.get("connection", "").lower() == "close":
            connection.writer.close()
        else:
            self._idle.append(connection)
        return answer

    def close(self) -> None:
        """Close every idle connection."""
        while self._idle:
            self._idle.pop().writer.close()

    async def _connect(self) -> _Connection:
        while self._idle:
            connection = self._idle.pop()
            if connection.usable:
                return connection
            connection.writer.close()
        return _Connection(*await asyncio.open_connection(self.address, self.port, limit=LINE_BYTES_MAX))

    def _request(self, path: str, body: Mapping[str, object], headers: Mapping[str, str]) -> bytes:
        payload = json.dumps(body).encode()
        lines = [
            f"POST {path} HTTP/1.1",
            f"Host: {self.address}:{self.port}",
            "Content-Type: application/json",
            f"Content-Length: {len(payload)}",
            *(f"{name}: {value}" for name, value in headers.items()),
        ]
        return "\r\n".join([*lines, "", ""]).encode() + payload


async def _read_answer(reader: asyncio.StreamReader) -> Answer:
    try:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    except asyncio.LimitOverrunError as error:
        msg = f"headers of more than {LINE_BYTES_MAX} bytes"
        raise HttpError(msg) from error
    status_line, *header_lines = head.rstrip("\r\n").split("\r\n")
    try:
        status = int(status_line.split(" ", 2)[1])
    except (IndexError, ValueError) as error:
        msg = f"not a status line: {status_line[:80]!r}"
        raise HttpError(msg) from error
    pairs = (line.partition(":") for line in header_lines)
    headers = {name.strip().lower(): value.strip() for name, _, value in pairs}
    return Answer(status, headers, await _read_body(reader, headers))


async def _read_body(reader: asyncio.StreamReader, headers: Mapping[str, str]) -> bytes:
    if headers.get("transfer-encoding", "").lower() == "chunked":
        return await _read_chunks(reader)
    length = int(headers.get("content-length", "0"))
    _bound(length)
    return await reader.readexactly(length)


async def _read_chunks(reader: asyncio.StreamReader) -> bytes:
    body = bytearray()
    while True:
        size = int((await reader.readuntil(b"\r\n")).split(b";")[0], 16)
        _bound(len(body) + size)
        chunk = await reader.readexactly(size + 2)
        if size == 0:
            return bytes(body)
        body += chunk[:-2]


def _bound(size: int) -> None:
    if size > BODY_BYTES_MAX:
        msg = f"an answer of {size} bytes, over the limit of {BODY_BYTES_MAX}"
        raise HttpError(msg)
