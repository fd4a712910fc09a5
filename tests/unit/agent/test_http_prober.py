"""The liveness probe against a real socket: on time, late, broken and hostile answers."""

import asyncio
import json

import pytest

from agent.core.health import Answered, Missed, Vitals
from agent.ports import ReplicaSpec
from agent.probes.process import ANSWER_BYTES_MAX, HttpProber
from chassis.clock import SystemClock
from contracts.vocabulary import HostId, ProfileId, Region, ReplicaId

STATUS = {
    "replica": "h-0",
    "ready": True,
    "reason": "",
    "profile": "full-fp32-onnx",
    "profiles": ["full-fp32-onnx"],
    "profile_generation": 1,
    "progress_total": 41,
    "in_flight": 2,
    "queued_s": 0.5,
    "uptime_s": 9.0,
    "slo_revision": 3,
    "draining": False,
}
GOOD = json.dumps(STATUS).encode()


def http(body: bytes) -> bytes:
    return b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body) + body


class View:
    def vitals(self, replica):
        return Vitals(cpu_s=1.5, runnable=False)


class Replica:
    """Answers each request with the next of `answers`; None says nothing at all."""

    def __init__(self) -> None:
        self.answers: list[tuple[float, bytes | None]] = []
        self.requests = 0
        self.connections = 0

    async def serve(self, reader, writer):
        self.connections += 1
        try:
            while await reader.readuntil(b"\r\n\r\n"):
                self.requests += 1
                delay_s, answer = self.answers.pop(0) if self.answers else (0.0, http(GOOD))
                await asyncio.sleep(delay_s)
                if answer is not None:
                    writer.write(answer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


@pytest.fixture
async def replica():
    fake = Replica()
    server = await asyncio.start_server(fake.serve, "127.0.0.1", 0)
    fake.port = server.sockets[0].getsockname()[1]
    yield fake
    server.close()


@pytest.fixture
def spec(replica):
    return ReplicaSpec(
        ReplicaId("h-0"), Region("eu"), HostId("h"), "127.0.0.1", replica.port, ProfileId("full-fp32-onnx")
    )


@pytest.fixture
async def prober():
    prober = HttpProber(view=View(), clock=SystemClock(), deadline_s=0.1)
    yield prober
    prober.forget(ReplicaId("h-0"))


async def test_an_answer_carries_the_pulse_and_the_connection_is_kept(prober, spec, replica):
    for _ in range(3):
        probe = await prober.probe(spec)
        assert isinstance(probe, Answered)
        assert (probe.pulse.progress_total, probe.pulse.in_flight, probe.pulse.slo_revision) == (41, 2, 3)
    assert (replica.requests, replica.connections) == (3, 1)


async def test_a_late_answer_counts_at_the_next_probe_and_nothing_is_asked_twice(prober, spec, replica):
    replica.answers = [(0.25, http(GOOD))]
    probes = [await prober.probe(spec) for _ in range(3)]
    assert [type(probe) for probe in probes] == [Missed, Missed, Answered]
    assert replica.requests == 1
    assert probes[2].took_s == pytest.approx(0.25, abs=0.1)
    assert probes[0].vitals == Vitals(cpu_s=1.5, runnable=False)


async def test_nobody_listening_is_a_miss_without_waiting(prober, spec, free_port):
    from dataclasses import replace  # noqa: PLC0415

    probe = await prober.probe(replace(spec, port=free_port()))
    assert isinstance(probe, Missed)
    assert "connection failed" in probe.reason
    assert probe.waited_s < 0.1


BROKEN = {
    "not HTTP": b"SSH-2.0-OpenSSH\r\n\r\n",
    "no length": b"HTTP/1.1 200 OK\r\n\r\n{}",
    "negative length": b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n{}",
    "two lengths": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}",
    "not JSON": http(b"alive"),
    "another shape": http(b'{"alive": true}'),
    "endless": b"HTTP/1.1 200 OK\r\nX: " + b"x" * (ANSWER_BYTES_MAX + 10),
}


@pytest.mark.parametrize("answer", BROKEN.values(), ids=BROKEN.keys())
async def test_an_unusable_answer_is_a_miss_and_the_next_probe_starts_afresh(prober, spec, replica, answer):
    replica.answers = [(0.0, answer)]
    assert isinstance(await prober.probe(spec), Missed)
    assert isinstance(await prober.probe(spec), Answered)
    assert replica.connections == 2


async def test_forgetting_a_replica_during_its_probe_is_a_miss_and_not_the_end_of_the_prober(prober, spec, replica):
    replica.answers = [(5.0, None)]
    probing = asyncio.ensure_future(prober.probe(spec))
    while not replica.requests:  # noqa: ASYNC110  # the fake has no event
        await asyncio.sleep(0.005)
    prober.forget(spec.replica)
    probe = await probing
    assert isinstance(probe, Missed)
    assert "connection dropped" in probe.reason
    assert isinstance(await prober.probe(spec), Answered)


async def test_a_forgotten_replica_is_asked_on_a_new_connection(prober, spec, replica):
    replica.answers = [(5.0, None)]
    assert isinstance(await prober.probe(spec), Missed)
    prober.forget(spec.replica)
    assert isinstance(await prober.probe(spec), Answered)
