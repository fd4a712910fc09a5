"""The agent's own utterances: real sound, and no trace in anything that counts requests."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from agent.core.canary import SENTENCE, CanaryOutcome, judge_answer
from chassis.clock import SystemClock, blocking_sleep
from contracts.serving_api import CANARY_HEADER
from contracts.vocabulary import FULL_FP32
from serving.api import create_app
from serving.app import Loaded, build
from serving.core.profiles import Steady
from serving.engines.simulated import SimulatedPhonemizer, SimulatedVoice
from serving.replica import Replica
from serving.settings import ServingSettings
from serving.switching import open_stage

THRESHOLDS = {"revision": 1, "thresholds": [{"slo": "total", "sli": "total", "threshold_s": 60}]}
CANARY = {CANARY_HEADER: "1"}
BODY = {"input": SENTENCE, "response_format": "wav", "stream": False}


@asynccontextmanager
async def running(
    *, s_per_step: float = 0.0, peer: str = "127.0.0.1"
) -> AsyncIterator[tuple[Replica, httpx.AsyncClient]]:
    voice = SimulatedVoice(sleep=lambda _: blocking_sleep(s_per_step))
    stage = open_stage(voice, Steady(FULL_FP32.id, 1))
    replica = build(ServingSettings(), Loaded(voice, SimulatedPhonemizer(), stage), SystemClock())
    replica.pool.start()
    transport = httpx.ASGITransport(create_app(replica), client=(peer, 1))
    try:
        async with httpx.AsyncClient(transport=transport, base_url="http://replica") as client:
            async with asyncio.timeout(5):
                await asyncio.to_thread(_wait_for_proof, replica)
            await client.put("/v1/control/slos", json=THRESHOLDS)
            yield replica, client
    finally:
        await asyncio.to_thread(replica.pool.stop)
        replica.desk.close()


def _wait_for_proof(replica: Replica) -> None:
    while replica.why_unready():
        blocking_sleep(0.005)


async def counts(client: httpx.AsyncClient) -> dict[str, float]:
    """Every sample that could be taken for a client's request, by name and labels, when it is not zero."""
    families = text_string_to_metric_families((await client.get("/metrics")).text)
    counted = (
        "tts_requests",
        "tts_request_seconds",
        "tts_rejected",
        "tts_cache",
        "tts_canaries",
        "tts_admitted",
        "slo_",
    )
    return {
        f"{sample.name}{sorted(sample.labels.values())}": sample.value
        for family in families
        for sample in family.samples
        if sample.name.startswith(counted) and sample.value
    }


async def test_a_canary_is_spoken_and_counts_only_as_a_canary():
    async with running() as (replica, client):
        progress = replica.status().progress_total
        answer = await client.post("/v1/audio/speech", json=BODY, headers=CANARY)
        assert judge_answer(answer.status_code, answer.content).outcome is CanaryOutcome.OK
        assert await counts(client) == {"tts_canaries_total['ok']": 1.0}
        assert replica.status().progress_total > progress


async def test_a_canary_is_refused_while_there_is_real_work(wait_until_async):
    async with running(s_per_step=0.3) as (replica, client):
        working = asyncio.ensure_future(client.post("/v1/audio/speech", json=BODY))
        await wait_until_async(lambda: replica.pool.load().in_flight > 0, within_s=2, what="work in flight")
        refused = await client.post("/v1/audio/speech", json=BODY, headers=CANARY)
        assert refused.status_code == 503
        assert judge_answer(refused.status_code, refused.content).outcome is CanaryOutcome.REFUSED
        assert (await working).status_code == 200
        seen = await counts(client)
        assert seen["tts_canaries_total['refused']"] == 1.0
        assert seen["tts_requests_total['ok']"] == 1.0
        assert "tts_rejected_total['overload']" not in seen
        assert "slo_events_total['bad', 'total']" not in seen


async def test_a_draining_replica_refuses_a_canary_as_a_canary():
    async with running() as (_, client):
        await client.post("/v1/control/drain", json={"draining": True})
        assert (await client.post("/v1/audio/speech", json=BODY, headers=CANARY)).status_code == 503
        assert await counts(client) == {"tts_canaries_total['refused']": 1.0}


@pytest.mark.parametrize(
    ("peer", "headers"), [("10.0.0.9", {}), ("127.0.0.1", {"x-forwarded-for": "10.0.0.9"})], ids=["remote", "gateway"]
)
async def test_nobody_else_escapes_the_count_by_calling_himself_a_canary(peer, headers):
    async with running() as (_, client):
        client._transport = httpx.ASGITransport(client._transport.app, client=(peer, 1))
        answer = await client.post("/v1/audio/speech", json=BODY, headers={**CANARY, **headers})
        assert answer.status_code == 200
        seen = await counts(client)
        assert seen["slo_events_total['good', 'total']"] == 1.0
        assert "tts_canaries_total['ok']" not in seen
