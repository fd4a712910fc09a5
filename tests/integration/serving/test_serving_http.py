"""A real replica over HTTP: what clients, probes and the agent see."""

import asyncio
import io
import signal
import subprocess
import sys
import time
import wave
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from contracts.serving_api import BODY_BYTES_MAX, Problem, ReplicaStatus
from contracts.vocabulary import FULL_FP32, LIGHT_INT8

pytestmark = pytest.mark.voice
FOX = "The quick brown fox jumps over the lazy dog near the river."
LONG = " ".join([FOX] * 20)


def wav_seconds(body: bytes) -> float:
    with wave.open(io.BytesIO(body)) as read:
        assert read.getnframes() * 2 + 44 == len(body), "true sizes"
        return read.getnframes() / read.getframerate()


async def test_one_replica_answers_every_route(start_replica: Callable[..., Any]):
    replica = start_replica()
    async with replica.client() as client:
        whole = await client.post("/tts", json={"text": FOX})
        assert 2.5 < wav_seconds(whole.content) < 5
        assert whole.headers["x-tts-profile"] == FULL_FP32.id
        assert whole.headers["content-type"] == "audio/wav"

        streamed = await client.post("/v1/audio/speech", json={"input": FOX, "model": "tts-1", "voice": "alloy"})
        assert streamed.content[40:44] == b"\xff" * 4
        assert "content-length" not in streamed.headers

        slow = await client.post("/v1/audio/speech", json={"input": FOX, "response_format": "pcm", "speed": 0.5})
        assert slow.headers["content-type"] == "audio/pcm"
        assert 5 < len(slow.content) / 48_000 < 10, "24 kHz, half as fast"

        assert (await client.get("/v1/models")).json()["data"][0]["id"] == "joe"
        assert (await client.get("/v1/audio/voices")).json()["voices"][0]["profiles"] == [FULL_FP32.id, LIGHT_INT8.id]
        status = ReplicaStatus.model_validate((await client.get("/livez")).json())
        assert (status.ready, status.in_flight, status.profile_generation) == (True, 0, 1)
        assert status.progress_total > 5


BAD = [
    ("/tts", b"", 422, None),
    ("/tts", b"\x00\xff\xfe", 422, None),
    ("/tts", b"[]", 422, None),
    ("/tts", b'{"text": ""}', 422, "text"),
    ("/tts", b'{"text": "\\u0000\\u0007"}', 422, "text"),
    ("/tts", b'{"text": "hi", "speed": NaN}', 422, "speed"),
    ("/tts", b'{"text": "hi", "voice": "x"}', 422, "voice"),
    ("/v1/audio/speech", b'{"input": "hi", "speed": 9}', 422, "speed"),
    ("/v1/audio/speech", b'{"input": "hi", "response_format": "mp3"}', 422, "response_format"),
    ("/v1/audio/speech", b'{"input": "' + b"a" * 4097 + b'"}', 422, "input"),
    ("/v1/audio/speech", b'{"input": "\\ud800"}', 422, None),
    ("/v1/audio/speech", b'{"input": "' + b"a" * BODY_BYTES_MAX + b'"}', 413, None),
    ("/v1/nowhere", b"{}", 404, None),
]


async def test_bad_input_is_a_problem_that_names_field_and_fix(start_replica: Callable[..., Any]):
    replica = start_replica()
    async with replica.client() as client:
        for path, body, status, field in BAD:
            answer = await client.post(path, content=body)
            problem = Problem.model_validate(answer.json())
            assert (answer.status_code, problem.status, problem.field) == (status, status, field), body[:40]
            assert answer.headers["content-type"] == "application/problem+json"
            assert problem.fix
    assert replica.counter("tts_rejected_total", reason="invalid") == sum(bad[2] == 422 for bad in BAD)
    assert replica.counter("tts_rejected_total", reason="too_large") == 1
    assert replica.counter("tts_admitted_total") == 0


async def test_a_megabyte_is_refused_without_being_read(start_replica: Callable[..., Any]):
    replica = start_replica()
    reader, writer = await asyncio.open_connection("127.0.0.1", int(replica.url.rpartition(":")[2]))
    writer.write(b"POST /tts HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n{")
    answer = await asyncio.wait_for(reader.readline(), 2)
    writer.close()
    assert b" 413 " in answer, "answered although 999,999 bytes never came"


async def test_control_is_refused_through_a_proxy(start_replica: Callable[..., Any]):
    replica = start_replica()
    async with replica.client() as client:
        answer = await client.post(
            "/v1/control/drain", json={"draining": True}, headers={"x-forwarded-for": "203.0.113.9"}
        )
        assert answer.status_code == 403
        unknown = await client.post("/v1/control/profile", json={"profile": "full-int8-onnx"})
        assert (unknown.status_code, unknown.json()["field"]) == (422, "profile")
        assert (await client.get("/readyz")).status_code == 200


async def test_switching_under_load_drops_nothing(start_replica: Callable[..., Any]):
    replica = start_replica(workers=2, total_budget_s=60, first_audio_budget_s=60)
    done: list[tuple[int, str, int]] = []
    over = asyncio.Event()

    async def speak(client: httpx.AsyncClient) -> None:
        while not over.is_set():
            answer = await client.post("/tts", json={"text": FOX})
            done.append((answer.status_code, answer.headers.get("x-tts-profile", ""), len(answer.content)))

    async with replica.client() as client, asyncio.TaskGroup() as group:
        for _ in range(4):
            group.create_task(speak(client))
        for generation, profile in enumerate([LIGHT_INT8, FULL_FP32, LIGHT_INT8, FULL_FP32, LIGHT_INT8], start=2):
            await asyncio.sleep(0.6)
            switched = (await client.post("/v1/control/profile", json={"profile": profile.id})).json()
            assert (switched["outcome"], switched["generation"]) == ("committed", generation)
            again = (await client.post("/v1/control/profile", json={"profile": profile.id})).json()
            assert again["outcome"] == "unchanged"
        await asyncio.sleep(0.6)
        over.set()
    assert {status for status, _, _ in done} == {200}
    assert {profile for _, profile, _ in done} == {FULL_FP32.id, LIGHT_INT8.id}
    assert min(size for _, _, size in done) > 100_000
    assert replica.counter("tts_requests_total", outcome="ok") == len(done)
    assert replica.counter("tts_profile_switches_total", outcome="committed") == 5


async def test_a_client_that_leaves_stops_the_work(start_replica: Callable[..., Any], wait_until: Callable[..., None]):
    replica = start_replica(total_budget_s=60)
    async with replica.client() as client:
        async with client.stream("POST", "/v1/audio/speech", json={"input": LONG}) as streaming:
            async for _ in streaming.aiter_bytes():
                break
        with pytest.raises(httpx.ReadTimeout):  # leaves before the first byte, too
            await client.post("/tts", json={"text": LONG}, timeout=0.3)
    wait_until(
        lambda: replica.counter("tts_requests_total", outcome="cancelled") == 2, within_s=3, what="both are cancelled"
    )
    settled = replica.counter("tts_audio_seconds_total")
    await asyncio.sleep(0.5)
    assert replica.counter("tts_audio_seconds_total") == settled < 40, "a full text is over 60 s"
    assert replica.counter("tts_in_flight") == 0


async def test_overload_is_refused_quickly_and_counts_are_exact(start_replica: Callable[..., Any]):
    replica = start_replica(first_audio_budget_s=0.6, total_budget_s=2)
    thresholds = {
        "revision": 3,
        "thresholds": [
            {"slo": "first", "sli": "first_audio", "threshold_s": 30},
            {"slo": "never", "sli": "total", "threshold_s": 0.001},
        ],
    }
    outcomes: list[tuple[int, float]] = []

    async def speak(client: httpx.AsyncClient) -> None:
        began_s = time.monotonic()
        answer = await client.post("/v1/audio/speech", json={"input": FOX})
        outcomes.append((answer.status_code, time.monotonic() - began_s))
        if answer.status_code == 503:
            assert int(answer.headers["retry-after"]) >= 1
            assert Problem.model_validate(answer.json()).fix

    async with replica.client() as client:
        assert (await client.put("/v1/control/slos", json=thresholds)).json()["slo_revision"] == 3
        assert replica.counter("slo_events_total") == 0
        await client.post("/tts", json={"text": "\x00"})  # an invalid request breaks no promise
        async with asyncio.TaskGroup() as group:
            for _ in range(40):
                group.create_task(speak(client))
                await asyncio.sleep(0.03)
        stale = await client.put("/v1/control/slos", json={"revision": 2, "thresholds": []})
        assert (stale.status_code, stale.json()["field"]) == (409, "revision")
        kept = {"revision": 4, "thresholds": thresholds["thresholds"][:1]}
        before = replica.counter("slo_events_total", slo="first")
        await client.put("/v1/control/slos", json=kept)

    spoken = sum(status == 200 for status, _ in outcomes)
    refused = [took for status, took in outcomes if status == 503]
    assert spoken + len(refused) == len(outcomes) == 40
    assert spoken >= 3
    assert len(refused) >= 5, "40 sentences in 1.2 s are more than one worker can speak"
    assert sorted(refused)[len(refused) // 2] < 0.1
    assert replica.counter("slo_events_total", slo="first", outcome="good") == spoken
    assert replica.counter("slo_events_total", slo="first", outcome="bad") == len(refused)
    assert before == 40
    assert replica.counter("slo_events_total", slo="never") == 0, "gone with its SLO"
    assert replica.counter("tts_rejected_total", reason="overload") == len(refused)


async def test_sigterm_finishes_what_is_in_flight_and_refuses_the_rest(
    start_replica: Callable[..., Any], wait_until: Callable[..., None]
):
    replica = start_replica(total_budget_s=60)
    async with replica.client() as client:
        async with asyncio.TaskGroup() as group:
            speech = group.create_task(client.post("/tts", json={"text": " ".join([FOX] * 4)}))
            await asyncio.sleep(0.3)
            replica.process.send_signal(signal.SIGTERM)
            await asyncio.sleep(0.1)
            refused = await client.post("/tts", json={"text": FOX})
            ready = await client.get("/readyz")
        assert refused.status_code == ready.status_code == 503
        assert "draining" in refused.json()["title"]
        assert ready.json()["reason"] == "draining"
        answer = speech.result()
        assert answer.status_code == 200
        assert wav_seconds(answer.content) > 10
    wait_until(lambda: replica.process.poll() is not None, within_s=15, what="the process ended")
    assert replica.process.returncode == 0


def test_a_spare_becomes_the_replica_it_is_told_to_be(
    serving_env: dict[str, str], free_port: Callable[..., int], wait_until: Callable[..., None]
):
    port = free_port()
    identity = (
        f'{{"replica": "a-0", "region": "eu", "host_id": "a", "address": "127.0.0.1", "port": {port},'
        f' "profile": "{LIGHT_INT8.id}"}}\n'
    )
    spare = subprocess.Popen(
        [sys.executable, "-m", "serving", "spare"],
        env=serving_env,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        assert spare.stdout is not None
        assert spare.stdin is not None
        assert spare.stdout.readline() == "spare ready\n"
        began_s = time.monotonic()
        spare.stdin.write(identity)
        spare.stdin.flush()
        wait_until(lambda: _is_ready(port), within_s=3, what="the spare serves")
        took_s = time.monotonic() - began_s
        status = httpx.get(f"http://127.0.0.1:{port}/livez").json()
        assert (status["replica"], status["profile"]) == ("a-0", LIGHT_INT8.id)
        assert took_s < 1.0, "well under 0.3 s on an idle machine"
    finally:
        spare.terminate()
        assert spare.wait(15) == 0
        for pipe in (spare.stdin, spare.stdout):
            if pipe is not None:
                pipe.close()


def test_a_spare_whose_agent_is_gone_ends_by_itself(serving_env: dict[str, str]):
    ended = subprocess.run(
        [sys.executable, "-m", "serving", "spare"],
        env=serving_env,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=20,
        check=False,
    )
    assert (ended.returncode, ended.stdout) == (0, b"spare ready\n")


def _is_ready(port: int) -> bool:
    try:
        return httpx.get(f"http://127.0.0.1:{port}/readyz", timeout=1).status_code == 200
    except httpx.HTTPError:
        return False
