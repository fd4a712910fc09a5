"""Liveness probes over HTTP/1.1, as cheap as five probes per second and replica must be.

A kept-alive connection and forty lines of protocol cost a fifth of a general client. There is at most one request on its
way per replica: when the deadline passes, the probe is missed but the request stays, and the next probe waits for *its*
answer instead of sending another. So a late answer still counts as a sign of life, a slow replica is not made slower,
and a frozen one sees one connection.
"""

import asyncio
from dataclasses import dataclass, field

from pydantic import ValidationError

from agent.core.health import Answered, Missed, Probe, Pulse
from agent.ports import ProcessView, ReplicaSpec
from chassis.clock import Clock
from contracts.serving_api import ReplicaStatus
from contracts.vocabulary import ReplicaId

DEADLINE_S = 0.25
"""A healthy replica answers in 2 ms; on a saturated machine 100 ms were seen."""
ANSWER_BYTES_MAX = 65_536
"""A status is under 1 kB; more is not a status."""
_LENGTH_HEADER = b"content-length:"


class _BadAnswerError(Exception):
    """What came back is no HTTP answer that we understand."""


class _Line(asyncio.Protocol):
    """One connection: sends a request, resolves one future with its body."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._received = b""
        self.answer: asyncio.Future[bytes] | None = None
        self.sent_s = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        if isinstance(transport, asyncio.Transport):
            self._transport = transport

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002  # asyncio's signature
        self._transport = None
        self._fail(ConnectionResetError("connection closed"))

    def data_received(self, data: bytes) -> None:
        self._received += data
        if self.answer is None or self.answer.done():
            return
        try:
            body = _body_of(self._received)
        except _BadAnswerError as error:
            self._fail(error)
            return
        if body is not None:
            self.answer.set_result(body)

    def send(self, request: bytes, now_s: float) -> asyncio.Future[bytes]:
        self._received = b""
        self.sent_s = now_s
        self.answer = asyncio.get_running_loop().create_future()
        if self._transport is None:
            self._fail(ConnectionResetError("connection closed"))
        else:
            self._transport.write(request)
        return self.answer

    @property
    def open(self) -> bool:
        return self._transport is not None and not self._transport.is_closing()

    def close(self) -> None:
        """Whoever waits for the answer learns that it will not come; cancelling it would cancel the waiter."""
        self._fail(ConnectionResetError("connection dropped"))
        if self._transport is not None:
            self._transport.abort()

    def _fail(self, error: Exception) -> None:
        if self.answer is not None and not self.answer.done():
            self.answer.set_exception(error)
            self.answer.exception()  # retrieved: nobody may be waiting for it any more


def _body_of(received: bytes) -> bytes | None:
    """The body, or None while the answer is incomplete. The status code does not matter: /livez always answers 200."""
    if len(received) > ANSWER_BYTES_MAX:
        msg = "answer too large"
        raise _BadAnswerError(msg)
    head, separator, body = received.partition(b"\r\n\r\n")
    if not separator:
        return None
    lengths = [line for line in head.split(b"\r\n")[1:] if line.lower().startswith(_LENGTH_HEADER)]
    if not head.startswith(b"HTTP/1.") or len(lengths) != 1:
        msg = "not an HTTP/1 answer with a length"
        raise _BadAnswerError(msg)
    length = lengths[0][len(_LENGTH_HEADER) :].strip()
    if not length.isdigit():
        msg = "bad content length"
        raise _BadAnswerError(msg)
    return body[: int(length)] if len(body) >= int(length) else None


@dataclass(slots=True)
class HttpProber:
    """`Prober` that reads `ReplicaStatus` from `/livez`."""

    view: ProcessView
    clock: Clock
    deadline_s: float = DEADLINE_S
    _lines: dict[ReplicaId, _Line] = field(default_factory=dict)

    async def probe(self, spec: ReplicaSpec) -> Probe:
        """One probe: at most `deadline_s`."""
        asked_s = self.clock.monotonic_s()
        try:
            async with asyncio.timeout(self.deadline_s):
                line, answer = await self._ask(spec)
                body = await asyncio.shield(answer)
            status = ReplicaStatus.model_validate_json(body)
        except TimeoutError:
            return self._missed(spec.replica, f"no answer within {self.deadline_s:g} s", asked_s)
        except OSError as error:
            self.forget(spec.replica)
            return self._missed(spec.replica, f"connection failed: {error}", asked_s)
        except (_BadAnswerError, ValidationError) as error:
            self.forget(spec.replica)
            return self._missed(spec.replica, f"unusable answer: {str(error)[:120]}", asked_s)
        line.answer = None
        return Answered(pulse=_pulse_of(status), took_s=self.clock.monotonic_s() - line.sent_s)

    def forget(self, replica: ReplicaId) -> None:
        """Drop the connection and the answer on its way."""
        line = self._lines.pop(replica, None)
        if line is not None:
            line.close()

    async def _ask(self, spec: ReplicaSpec) -> tuple[_Line, asyncio.Future[bytes]]:
        """A connection with a request on its way: the one still unanswered, or a new one."""
        line = self._lines.get(spec.replica)
        if line is not None and line.answer is not None:
            return line, line.answer
        if line is None or not line.open:
            self.forget(spec.replica)
            loop = asyncio.get_running_loop()
            _, line = await loop.create_connection(_Line, spec.address, spec.port)
            self._lines[spec.replica] = line
        request = f"GET /livez HTTP/1.1\r\nHost: {spec.address}:{spec.port}\r\nAccept: application/json\r\n\r\n"
        return line, line.send(request.encode("ascii"), self.clock.monotonic_s())

    def _missed(self, replica: ReplicaId, reason: str, asked_s: float) -> Missed:
        return Missed(reason=reason, waited_s=self.clock.monotonic_s() - asked_s, vitals=self.view.vitals(replica))


def _pulse_of(status: ReplicaStatus) -> Pulse:
    return Pulse(
        ready=status.ready,
        reason=status.reason,
        profile=status.profile,
        profiles=status.profiles,
        progress_total=status.progress_total,
        in_flight=status.in_flight,
        queued_s=status.queued_s,
        slo_revision=status.slo_revision,
    )
