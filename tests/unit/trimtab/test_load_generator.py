"""The load generator against a small real server: exact counts, open loop, honest fates."""

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from chassis.clock import SystemClock
from contracts.vocabulary import Region
from trimtab.load.generator import LoadGenerator, Stream
from trimtab.load.http1 import HttpError, Target
from trimtab.load.records import Fate, Record, quantile, tally

HERE = Region("here")
SPOKEN = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\nX-TTS-Profile: full-fp32-onnx\r\n\r\nRIFF"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nRIF\r\n1;x=y\r\nF\r\n0\r\n\r\n"
REFUSED = b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nContent-Length: 4\r\n\r\nbusy"
BROKEN = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 11\r\n\r\nno upstream"
CUT = b"HTTP/1.1 200 OK\r\nContent-Length: 400\r\n\r\nRIFF"


class Server:
    """Answers each request with the next canned answer; remembers requests and connections."""

    def __init__(self, answers: Callable[[int], bytes], delay_s: float = 0.0) -> None:
        self._answers, self._delay_s = answers, delay_s
        self.heads: list[str] = []
        self.bodies: list[bytes] = []
        self.connections = 0
        self.port = 0

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode()
                length = int(head.lower().split("content-length: ")[1].split("\r\n")[0])
                self.heads.append(head)
                self.bodies.append(await reader.readexactly(length))
                await asyncio.sleep(self._delay_s)
                answer = self._answers(len(self.heads))
                writer.write(answer)
                await writer.drain()
                if answer is CUT:
                    break
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


@asynccontextmanager
async def serving(answers: Callable[[int], bytes], delay_s: float = 0.0) -> AsyncIterator[tuple[Server, LoadGenerator]]:
    server = Server(answers, delay_s)
    listening = await asyncio.start_server(server, "127.0.0.1", 0)
    server.port = listening.sockets[0].getsockname()[1]
    generator = LoadGenerator(
        targets={HERE: Target("127.0.0.1", server.port)}, clock=SystemClock(), rng=random.Random(7)
    )
    try:
        yield server, generator
    finally:
        generator.close()
        listening.close()
        await listening.wait_closed()


async def test_every_request_is_counted_once_with_its_fate() -> None:
    answers = {0: SPOKEN, 1: REFUSED, 2: BROKEN, 3: CHUNKED}
    async with serving(lambda n: answers[n % 4]) as (server, generator):
        await generator.run(Stream("base", (HERE,), rate_rps=80, duration_s=0.5))
    counts = tally(generator.records, threshold_s=5.0)
    assert counts.sent == len(server.heads) == len(generator.records)
    assert 30 <= counts.sent <= 48
    assert abs(counts.refused - counts.sent / 4) < 1
    assert abs(counts.failed - counts.sent / 4) < 1
    assert counts.spoken == counts.sent - counts.refused - counts.failed
    assert dict(counts.profiles)["full-fp32-onnx"] > 0


async def test_connections_are_kept_and_no_answer_comes_from_a_cache() -> None:
    async with serving(lambda n: SPOKEN) as (server, generator):
        for _ in range(5):
            await generator.speak_once("x", HERE)
    assert server.connections == 1
    assert all("Cache-Control: no-store" in head for head in server.heads)
    assert len(set(server.bodies)) > 1


async def test_a_slow_server_does_not_slow_the_sending() -> None:
    async with serving(lambda n: SPOKEN, delay_s=0.4) as (_, generator):
        await generator.run(Stream("base", (HERE,), rate_rps=50, duration_s=0.5))
    assert len(generator.records) >= 18, "open loop: due times do not depend on answers"
    assert tally(generator.records, threshold_s=0.3).late == len(generator.records)


async def test_a_stream_ends_early_but_waits_for_what_it_sent() -> None:
    stop = asyncio.Event()
    async with serving(lambda n: SPOKEN, delay_s=0.2) as (server, generator), asyncio.TaskGroup() as group:
        group.create_task(generator.run(Stream("base", (HERE,), rate_rps=50, duration_s=30), stop))
        await asyncio.sleep(0.3)
        stop.set()
    assert len(generator.records) == len(server.heads) > 5
    assert generator.in_flight == 0


async def test_a_cut_answer_is_a_lost_request() -> None:
    async with serving(lambda n: CUT) as (_, generator):
        record = await generator.speak_once("x", HERE)
    assert record.fate is Fate.FAILED
    assert "HttpError" in record.detail


async def test_nobody_listening_is_a_lost_request(free_port) -> None:
    generator = LoadGenerator(
        targets={HERE: Target("127.0.0.1", free_port())}, clock=SystemClock(), rng=random.Random(7)
    )
    record = await generator.speak_once("x", HERE)
    assert (record.fate, record.status) == (Fate.FAILED, None)


@pytest.mark.parametrize("nonsense", [b"SSH-2.0-hello\r\n\r\n", b"HTTP/1.1 abc\r\n\r\n"])
async def test_what_is_not_http_is_said_so(nonsense: bytes) -> None:
    async with serving(lambda n: nonsense) as (_server, generator):
        with pytest.raises(HttpError, match="not a status line"):
            await generator.targets[HERE].post("/tts", {}, {"Content-Type": "x"})


def test_a_rate_has_bounds() -> None:
    with pytest.raises(ValueError, match="outside"):
        Stream("mad", (HERE,), rate_rps=10_000, duration_s=1)


def test_a_tally_tells_late_from_lost() -> None:
    def record(fate: Fate, latency_s: float) -> Record:
        return Record(gateway=HERE, stream="s", sent_s=0, latency_s=latency_s, fate=fate, status=200)

    counts = tally([record(Fate.SPOKEN, 0.1), record(Fate.SPOKEN, 0.9), record(Fate.FAILED, 9.0)], threshold_s=0.5)
    assert (counts.sent, counts.spoken, counts.late, counts.failed) == (3, 2, 1, 1)
    assert counts.bad_ratio == pytest.approx(2 / 3)
    assert tally([], 1.0).bad_ratio == 0.0


def test_a_quantile_is_a_measured_value() -> None:
    assert quantile([3, 1, 2], 0.5) == 2
    assert quantile(range(1, 101), 0.95) == 95
    assert quantile([7], 0.99) == 7
    with pytest.raises(ValueError, match="nothing"):
        quantile([], 0.5)
