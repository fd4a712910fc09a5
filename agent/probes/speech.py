"""Asks one replica to speak, over HTTP, within bounds of time and size."""

import asyncio
from dataclasses import dataclass

import httpx

from agent.core.canary import SENTENCE, CanaryOutcome, Verdict, judge_answer
from agent.ports import ReplicaSpec
from contracts.serving_api import CANARY_HEADER, SpeechRequest

DEADLINE_S = 10.0
"""A hundred times what an idle replica needs."""
ANSWER_BYTES_MAX = 2_097_152
"""Ten seconds of 16-bit stereo at 48 kHz are 1.9 MB; more is not the sentence."""


@dataclass(frozen=True, slots=True)
class HttpSpeaker:
    """`Speaker` over one shared client; a failure is a verdict, never an error."""

    client: httpx.AsyncClient
    deadline_s: float = DEADLINE_S

    async def speak(self, spec: ReplicaSpec) -> Verdict:
        """Have it speak the canary sentence."""
        try:
            async with asyncio.timeout(self.deadline_s):
                return await self._ask(f"http://{spec.address}:{spec.port}/v1/audio/speech")
        except TimeoutError:
            return Verdict(CanaryOutcome.FAILED, f"no sound within {self.deadline_s:g} s")
        except (
            httpx.ConnectError,
            httpx.PoolTimeout,
        ) as error:  # as likely our own lack of sockets; the probes will tell
            return Verdict(CanaryOutcome.REFUSED, f"no connection: {error!r}"[:200])
        except httpx.HTTPError as error:
            return Verdict(CanaryOutcome.FAILED, f"no answer: {error!r}"[:200])

    async def _ask(self, url: str) -> Verdict:
        body = SpeechRequest(input=SENTENCE, response_format="wav", stream=False).model_dump(mode="json")
        heard = bytearray()
        async with self.client.stream(
            "POST", url, json=body, headers={CANARY_HEADER: "1"}, timeout=self.deadline_s
        ) as answer:
            async for piece in answer.aiter_bytes():
                heard += piece
                if len(heard) > ANSWER_BYTES_MAX:
                    return Verdict(CanaryOutcome.FAILED, f"more than {ANSWER_BYTES_MAX} bytes")
        return judge_answer(answer.status_code, bytes(heard))
