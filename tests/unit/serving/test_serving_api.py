"""The HTTP surface on the simulated voice: failures, draining, and the contract of metric names."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from chassis.clock import SystemClock, blocking_sleep
from contracts import metric_names
from contracts.serving_api import Problem
from contracts.vocabulary import FULL_FP32, LIGHT_INT8, ProfileId
from serving.api import create_app
from serving.app import Loaded, build
from serving.core.profiles import Steady
from serving.engines.simulated import SimulatedPhonemizer, SimulatedVoice
from serving.ports import EngineError, Golden, Latent, Samples, Vocoder
from serving.replica import Replica
from serving.settings import ServingSettings
from serving.switching import open_stage

THRESHOLDS = {"revision": 1, "thresholds": [{"slo": "total", "sli": "total", "threshold_s": 60}]}


class BreakingVocoder:
    """A vocoder that works `chunks` times after its self-test and its proof, then fails."""

    def __init__(self, inner: Vocoder, chunks: int) -> None:
        self._inner = inner
        self._left = chunks + 2

    def samples(self, window: Latent) -> Samples:
        self._left -= 1
        if self._left < 0:
            raise EngineError("out of memory")
        return self._inner.samples(window)


class BreakingVoice(SimulatedVoice):
    """The simulated voice, with a vocoder that breaks."""

    def __init__(self, chunks: int) -> None:
        super().__init__(sleep=lambda _: None)
        self._chunks = chunks

    def open_vocoder(self, profile: ProfileId) -> tuple[Vocoder, Golden]:
        vocoder, golden = super().open_vocoder(profile)
        return BreakingVocoder(vocoder, self._chunks), golden


@asynccontextmanager
async def running(voice: SimulatedVoice) -> AsyncIterator[tuple[Replica, httpx.AsyncClient]]:
    stage = open_stage(voice, Steady(FULL_FP32.id, 1))
    replica = build(ServingSettings(), Loaded(voice, SimulatedPhonemizer(), stage), SystemClock())
    replica.pool.start()
    transport = httpx.ASGITransport(create_app(replica), client=("127.0.0.1", 1))
    try:
        async with httpx.AsyncClient(transport=transport, base_url="http://replica") as client:
            async with asyncio.timeout(5):
                await asyncio.to_thread(_wait_for_proof, replica)
            yield replica, client
    finally:
        await asyncio.to_thread(replica.pool.stop)
        replica.desk.close()


def _wait_for_proof(replica: Replica) -> None:
    while replica.why_unready():
        blocking_sleep(0.005)


async def samples(client: httpx.AsyncClient, name: str) -> dict[Sequence[str], float]:
    families = text_string_to_metric_families((await client.get("/metrics")).text)
    return {
        tuple(value for _, value in sorted(sample.labels.items())): sample.value
        for family in families
        for sample in family.samples
        if sample.name == name
    }


async def test_a_failure_before_the_first_chunk_is_still_a_status_code():
    async with running(BreakingVoice(chunks=0)) as (_, client):
        await client.put("/v1/control/slos", json=THRESHOLDS)
        answer = await client.post("/v1/audio/speech", json={"input": "Hello there."})
        assert answer.status_code == 500
        assert Problem.model_validate(answer.json()).detail == "out of memory"
        assert await samples(client, "slo_events_total") == {("good", "total"): 0, ("bad", "total"): 1}
        assert (await samples(client, "tts_requests_total"))[("failed",)] == 1


async def test_a_failure_in_mid_stream_cuts_the_stream_and_counts_as_bad():
    async with running(BreakingVoice(chunks=1)) as (_, client):
        await client.put("/v1/control/slos", json=THRESHOLDS)
        with pytest.raises(BaseException, match=r"out of memory|unhandled errors"):
            await client.post("/v1/audio/speech", json={"input": "Hello there, this takes several chunks."})
        assert await samples(client, "slo_events_total") == {("good", "total"): 0, ("bad", "total"): 1}


async def test_a_draining_replica_refuses_new_work_without_breaking_a_promise():
    async with running(SimulatedVoice(sleep=lambda _: None)) as (_, client):
        await client.put("/v1/control/slos", json=THRESHOLDS)
        assert (await client.post("/v1/control/drain", json={"draining": True})).json()["reason"] == "draining"
        refused = await client.post("/tts", json={"text": "Hello."})
        assert (refused.status_code, refused.headers["retry-after"]) == (503, "1")
        assert (await client.get("/readyz")).status_code == 503
        assert (await client.get("/livez")).status_code == 200
        assert await samples(client, "slo_events_total") == {("good", "total"): 0, ("bad", "total"): 0}
        await client.post("/v1/control/drain", json={"draining": False})
        assert (await client.post("/tts", json={"text": "Hello."})).status_code == 200


async def test_a_text_too_long_for_a_whole_response_is_sent_to_the_stream():
    async with running(SimulatedVoice(sleep=lambda _: None)) as (replica, client):
        replica.desk._limits = replace(replica.desk._limits, whole_work_s_max=1.0)
        long = "A sentence of a very long story. " * 120
        refused = await client.post("/tts", json={"text": long})
        assert (refused.status_code, refused.json()["field"]) == (413, "text")
        assert "stream" in refused.json()["fix"]
        assert (await samples(client, "tts_rejected_total"))[("too_large",)] == 1
        assert (await client.post("/tts", json={"text": long, "stream": True})).status_code == 200


async def test_control_is_refused_from_another_machine():
    async with running(SimulatedVoice(sleep=lambda _: None)) as (replica, _):
        stranger = httpx.ASGITransport(create_app(replica), client=("192.168.7.7", 1))
        async with httpx.AsyncClient(transport=stranger, base_url="http://replica") as client:
            assert (await client.put("/v1/control/slos", json=THRESHOLDS)).status_code == 403
            assert (await client.post("/tts", json={"text": "Hello."})).status_code == 200


@pytest.mark.parametrize(
    "thresholds", [[{"slo": "a", "sli": "total", "threshold_s": 1}] * 2, [{"slo": "a", "sli": "p95", "threshold_s": 1}]]
)
async def test_unusable_thresholds_are_refused(thresholds: list[dict[str, object]]):
    async with running(SimulatedVoice(sleep=lambda _: None)) as (_, client):
        answer = await client.put("/v1/control/slos", json={"revision": 1, "thresholds": thresholds})
        assert answer.status_code == 422
        assert str(answer.json()["field"]).startswith("thresholds")


async def test_exactly_the_names_of_the_contract_are_exported_and_exist_before_the_first_event():
    promised = {
        value for name, value in vars(metric_names).items() if name.startswith("TTS_") or name == "SLO_EVENTS_TOTAL"
    }
    async with running(SimulatedVoice(sleep=lambda _: None)) as (_, client):
        await client.put("/v1/control/slos", json=THRESHOLDS)
        families = text_string_to_metric_families((await client.get("/metrics")).text)
        exported = {
            sample.name.removesuffix("_bucket").removesuffix("_count").removesuffix("_sum")
            for family in families
            for sample in family.samples
        }
        assert exported == promised
        assert set(await samples(client, metric_names.TTS_PROFILE_INFO)) == {(FULL_FP32.id,), (LIGHT_INT8.id,)}
        assert len(await samples(client, metric_names.TTS_REJECTED_TOTAL)) == 4
