"""Control calls to a replica: bounded in time and size, whatever it answers, because healing waits behind them."""

import asyncio

import httpx
import pytest

from agent.errors import ReplicaControlError
from agent.healing import control
from agent.healing.control import HttpReplicaControl
from agent.ports import ReplicaSpec
from contracts.serving_api import SloThresholds
from contracts.vocabulary import HostId, ProfileId, Region, ReplicaId

LIGHT = ProfileId("light-int8-onnx")
THRESHOLDS = SloThresholds(revision=1, thresholds=())


@pytest.fixture
async def replica():
    """A replica that answers as a test says; `calls` are what it was asked."""

    class Replica:
        respond = staticmethod(lambda writer: None)
        calls: list[bytes] = []  # noqa: RUF012  # one class per test

    async def handle(reader, writer):
        Replica.calls.append(await reader.readuntil(b"\r\n\r\n"))
        try:
            await Replica.respond(writer)
        except ConnectionError:
            return
        finally:
            writer.close()

    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    Replica.spec = ReplicaSpec(ReplicaId("h-0"), Region("eu"), HostId("h"), "127.0.0.1", port, LIGHT)
    async with httpx.AsyncClient() as client:
        Replica.control = HttpReplicaControl(client)
        yield Replica
    server.close()


def answers(status: str, body: bytes):
    async def respond(writer):
        writer.write(f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)
        await writer.drain()

    return respond


async def trickle(writer):
    """Never finished, and never silent for long."""
    writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    for _ in range(100):
        writer.write(b"1\r\n \r\n")
        await writer.drain()
        await asyncio.sleep(0.05)


async def flood(writer):
    writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    for _ in range(10_000):
        writer.write(b"10000\r\n" + bytes(65_536) + b"\r\n")
        await writer.drain()


async def test_thresholds_are_handed_over(replica):
    replica.respond = answers("200 OK", b"{}")
    await replica.control.put_slos(replica.spec, THRESHOLDS)
    assert replica.calls[0].startswith(b"PUT /v1/control/slos HTTP/1.1")


async def test_a_switch_tells_what_came_of_it(replica):
    replica.respond = answers(
        "200 OK", b'{"profile": "light-int8-onnx", "generation": 2, "outcome": "committed", "detail": ""}'
    )
    answer = await replica.control.switch_profile(replica.spec, LIGHT)
    assert (answer.profile, answer.outcome) == (LIGHT, "committed")


@pytest.mark.parametrize(
    ("status", "body", "said"),
    [("409 Conflict", b"older thresholds", "409: older thresholds"), ("500 Oops", b"x" * 5000, "500: xxx")],
)
async def test_a_refusal_is_quoted_in_brief(replica, status, body, said):
    replica.respond = answers(status, body)
    with pytest.raises(ReplicaControlError, match=said) as raised:
        await replica.control.put_slos(replica.spec, THRESHOLDS)
    assert len(str(raised.value)) < 400


async def test_an_answer_that_is_none_is_an_error(replica):
    replica.respond = answers("200 OK", b"welcome")
    with pytest.raises(ReplicaControlError, match="unknown body"):
        await replica.control.switch_profile(replica.spec, LIGHT)


async def test_a_replica_that_hangs_up_is_an_error(replica):
    replica.respond = answers("", b"")
    with pytest.raises(ReplicaControlError, match="no answer"):
        await replica.control.put_slos(replica.spec, THRESHOLDS)


async def test_an_answer_that_trickles_for_ever_is_given_up_as_a_whole(replica, monkeypatch):
    monkeypatch.setattr(control, "SLOS_TIMEOUT_S", 0.3)
    replica.respond = trickle
    with pytest.raises(ReplicaControlError, match="no answer"):
        await asyncio.wait_for(replica.control.put_slos(replica.spec, THRESHOLDS), 3)


async def test_an_answer_without_end_is_not_read(replica):
    replica.respond = flood
    with pytest.raises(ReplicaControlError, match="too long"):
        await asyncio.wait_for(replica.control.switch_profile(replica.spec, LIGHT), 5)
