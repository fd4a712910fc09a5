"""Speech on its way to the client, and what happens when the client leaves.

Until the first chunk exists nothing is sent, so that failure is still a status code. After that a failure can only cut
the stream short, which every HTTP client notices. A client that leaves, at any time, stops the work behind it.
"""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from http import HTTPStatus

from fastapi import Request, Response
from fastapi.responses import StreamingResponse
from starlette.background import BackgroundTask
from starlette.types import Receive, Scope, Send

from contracts.vocabulary import ProfileId
from serving.audio import wav_header
from serving.jobs import Audio
from serving.problems import CLIENT_CLOSED_REQUEST, ProblemError, problem
from serving.speech import Speech, SpeechError

PROFILE_HEADER = "x-tts-profile"


@dataclass(frozen=True, slots=True)
class Shape:
    """What the client wants its sound to look like."""

    wav: bool
    rate_hz: int
    streaming: bool
    field: str
    """Name of the text's field, for problems."""

    @property
    def media_type(self) -> str:
        """Content type."""
        return "audio/wav" if self.wav else "audio/pcm"

    def header(self, pcm_bytes: int | None) -> bytes:
        """What precedes the samples."""
        return wav_header(self.rate_hz, pcm_bytes) if self.wav else b""


def complete(sound: bytes, profile: ProfileId, shape: Shape) -> Response:
    """Sound that is all there: true sizes, one write."""
    body = shape.header(len(sound)) + sound
    return Response(body, media_type=shape.media_type, headers={PROFILE_HEADER: profile})


async def spoken(request: Request, speech: Speech, shape: Shape) -> Response:
    """The response to an accepted request, streamed or whole. Raises `ProblemError` when no sound could be made."""
    chunks = speech.chunks()
    ready = await _while_connected(request, speech, chunks, until_end=not shape.streaming)
    if not ready:
        return Response(status_code=CLIENT_CLOSED_REQUEST)
    if shape.streaming:
        return _SpeechStream(speech, ready[0], chunks, shape)
    response = complete(b"".join(chunk.sent for chunk in ready), ready[0].profile, shape)
    response.background = BackgroundTask(speech.keep)
    return response


async def _while_connected(
    request: Request, speech: Speech, chunks: AsyncIterator[Audio], *, until_end: bool
) -> list[Audio]:
    """The first chunk, or all of them; empty when the client left before."""
    ready: list[Audio] = []
    failure: SpeechError | None = None
    async with asyncio.TaskGroup() as group:
        watch = group.create_task(_cancel_when_gone(request, speech))
        try:
            async for chunk in chunks:
                ready.append(chunk)
                if not until_end:
                    break
        except SpeechError as error:  # a task group would wrap it
            failure = error
        finally:
            watch.cancel()
    if failure is not None:
        fix = "try again; if it fails again, report the text"
        raise ProblemError(
            problem(HTTPStatus.INTERNAL_SERVER_ERROR, "the text could not be spoken", detail=str(failure), fix=fix)
        )
    return [] if speech.was_cancelled else ready


async def _cancel_when_gone(request: Request, speech: Speech) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
    speech.cancel()


class _SpeechStream(StreamingResponse):
    """Chunks as they come; whatever ends the response also ends the work."""

    def __init__(self, speech: Speech, first: Audio, rest: AsyncIterator[Audio], shape: Shape) -> None:
        self._speech = speech
        super().__init__(
            _bytes(first, rest, shape),
            media_type=shape.media_type,
            headers={PROFILE_HEADER: first.profile},
            background=BackgroundTask(speech.keep),
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._speech.cancel()


async def _bytes(first: Audio, rest: AsyncIterator[Audio], shape: Shape) -> AsyncIterator[bytes]:
    yield shape.header(None) + first.sent
    async for chunk in rest:
        yield chunk.sent
