"""One sentence through a gateway, into a WAV file: proof that there is a voice before anything is broken."""

import asyncio
import io
import wave
from pathlib import Path

from trimtab.load.generator import HTTP_OK, NO_CACHE, REQUEST_TIMEOUT_S
from trimtab.load.http1 import HttpError, Target

SENTENCE = "Hello. I am the voice of Trimtab, and I intend to keep talking."


class SpeechError(Exception):
    """The gateway did not speak."""


async def speak_into(path: Path, gateway: Target) -> float:
    """Write the WAV; returns its seconds of audio. Raises `SpeechError`."""
    try:
        async with asyncio.timeout(REQUEST_TIMEOUT_S):
            answer = await gateway.post("/tts", {"text": SENTENCE}, NO_CACHE)
    except (OSError, HttpError, TimeoutError) as error:
        msg = f"no speech from {gateway.address}:{gateway.port}"
        raise SpeechError(msg) from error
    if answer.status != HTTP_OK:
        msg = f"{gateway.address}:{gateway.port} answered {answer.status}: {answer.body[:200].decode(errors='replace')}"
        raise SpeechError(msg)
    await asyncio.to_thread(path.write_bytes, answer.body)
    with wave.open(io.BytesIO(answer.body)) as sound:
        return float(sound.getnframes() / sound.getframerate())
