"""The cache in a real Redis: hits sound the same, and its death is not noticed."""

import subprocess
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from contracts.vocabulary import LIGHT_INT8

pytestmark = [pytest.mark.voice, pytest.mark.redis]
FOX = "The quick brown fox jumps over the lazy dog near the river."


def test_sound_is_found_again_and_a_dead_cache_costs_nothing(
    start_replica: Callable[..., Any],
    start_program: Callable[..., subprocess.Popen[bytes]],
    free_port: Callable[..., int],
    wait_until: Callable[..., None],
):
    port = free_port()
    redis = start_program(["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--save", ""])
    replica = start_replica(redis_url=f"redis://127.0.0.1:{port}/0", profile=LIGHT_INT8.id)

    def lookups(outcome: str) -> float:
        return replica.counter("tts_cache_lookups_total", outcome=outcome)

    def speak(**headers: str) -> bytes:
        return httpx.post(f"{replica.url}/tts", json={"text": FOX}, headers=headers, timeout=10).content

    first = speak()
    wait_until(lambda: speak() == first, within_s=5, what="the sound was kept: noise makes every new one differ")
    made = replica.counter("tts_audio_seconds_total")
    pcm = httpx.post(
        f"{replica.url}/v1/audio/speech", json={"input": FOX, "response_format": "pcm"}, timeout=10
    ).content
    assert abs(len(pcm) / 48_000 - (len(first) - 44) / 44_100) < 0.001
    assert replica.counter("tts_audio_seconds_total") == made, "no work was done"
    assert speak(**{"cache-control": "no-store"}) != first
    assert lookups("bypass") == 1
    assert lookups("hit") >= 2

    redis.terminate()
    redis.wait(5)
    for _ in range(5):
        assert len(speak()) > 100_000
    assert 1 <= lookups("error") <= 3, "then it is left alone"
    assert lookups("error") + lookups("bypass") == 1 + 5
    assert replica.counter("tts_requests_total", outcome="failed") == 0
