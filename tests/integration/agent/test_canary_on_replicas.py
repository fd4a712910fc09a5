"""The canary against what really answers: a serving process, the fake replica, and servers that misbehave."""

import asyncio
import sys
from pathlib import Path

import httpx
import pytest

from agent.core.canary import CanaryOutcome
from agent.ports import ReplicaSpec
from agent.probes.speech import ANSWER_BYTES_MAX, HttpSpeaker
from contracts.vocabulary import HostId, ProfileId, Region, ReplicaId

REPOSITORY = Path(__file__).resolve().parents[3]


def spec(port: int) -> ReplicaSpec:
    return ReplicaSpec(ReplicaId("h-0"), Region("eu"), HostId("h"), "127.0.0.1", port, ProfileId("full-fp32-onnx"))


async def ask(port: int, *, deadline_s: float = 5.0):
    async with httpx.AsyncClient(trust_env=False) as client:
        return await HttpSpeaker(client, deadline_s).speak(spec(port))


async def test_a_serving_process_speaks_and_counts_it_as_a_canary(start_program, free_port, wait_until, answers):
    port = free_port()
    env = {"TRIMTAB_SERVING_PORT": str(port), "TRIMTAB_SERVING_ENGINE": "simulated", "PYTHONPATH": str(REPOSITORY)}
    start_program([sys.executable, "-m", "serving"], env=env, name="replica")
    wait_until(lambda: answers(f"http://127.0.0.1:{port}/readyz"), within_s=20, what="the replica is ready")
    verdict = await ask(port)
    assert verdict.outcome is CanaryOutcome.OK, verdict
    async with httpx.AsyncClient(trust_env=False) as client:
        page = (await client.get(f"http://127.0.0.1:{port}/metrics")).text
    assert 'tts_canaries_total{outcome="ok"} 1.0' in page
    assert 'tts_requests_total{outcome="ok"} 0.0' in page


@pytest.fixture
async def serve():
    """A server that reads a request and then does what a test says."""
    servers = []

    async def start(respond) -> int:
        async def handle(reader, writer):
            await reader.readuntil(b"\r\n\r\n")
            try:
                await respond(writer)
            except ConnectionError:
                return
            finally:
                writer.close()

        servers.append(await asyncio.start_server(handle, "127.0.0.1", 0))
        return servers[-1].sockets[0].getsockname()[1]

    yield start
    for server in servers:
        server.close()


async def test_a_replica_that_says_nothing_is_given_up_in_time(serve):
    async def silent(_):
        await asyncio.sleep(5)

    verdict = await asyncio.wait_for(ask(await serve(silent), deadline_s=0.2), 3)
    assert (verdict.outcome, verdict.reason) == (CanaryOutcome.FAILED, "no sound within 0.2 s")


async def test_a_replica_that_never_stops_talking_is_cut_off(serve):
    async def endless(writer):
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        for _ in range(1000):
            writer.write(b"10000\r\n" + bytes(65_536) + b"\r\n")
            await writer.drain()

    verdict = await ask(await serve(endless))
    assert (verdict.outcome, verdict.reason) == (CanaryOutcome.FAILED, f"more than {ANSWER_BYTES_MAX} bytes")


def test_a_replica_that_answers_but_lost_its_voice_is_replaced_and_a_healthy_one_is_not(make_host, wait_until):
    host = make_host("--speaks", replicas=2, canary_after_s=0.5)
    host.boot(ready=(0, 1))
    wait_until(
        lambda: 'agent_canaries_total{replica="eu-west-a-1",outcome="ok"} 0' not in host.page(),
        within_s=15,
        what="a canary was spoken",
    )
    neighbour, mute = host.pid(1), host.fault(0, mute=True)
    host.pid_after(0, mute, within_s=20)
    wait_until(lambda: host.is_ready(0), within_s=10, what="ready again")

    def reasons() -> list[str]:
        told = host.controller.requests[-1].report.reflexes
        return [each.evidence["reason"] for each in told if each.replica == "eu-west-a-0"]

    wait_until(reasons, within_s=5, what="the controller heard of it")
    assert "3 canaries in a row failed" in reasons()[0]
    assert host.pid(1) == neighbour


def test_a_replica_without_a_voice_of_our_kind_is_left_alone(make_host, wait_until):
    host = make_host(canary_after_s=0.5)
    host.boot()
    former = host.pid(0)

    def unsupported() -> int:
        line = next(line for line in host.page().splitlines() if 'outcome="unsupported"' in line)
        return int(line.split()[-1])

    wait_until(lambda: unsupported() >= 4, within_s=20, what="four canaries were not understood")
    assert host.pid(0) == former
