"""The HTTP surface of a replica: speech for clients, health for probes, control for the agent.

Handlers translate: bytes to an order, an outcome to a response. A streamed response starts only when its first chunk
exists, so that a gateway may still send a failed request elsewhere.
"""

from http import HTTPStatus
from typing import assert_never

from fastapi import FastAPI, Request, Response
from pydantic import BaseModel, ConfigDict

from contracts.serving_api import (
    BODY_BYTES_MAX,
    CANARY_HEADER,
    ReplicaStatus,
    SloThresholds,
    SpeechRequest,
    SwitchProfileRequest,
    SwitchProfileResponse,
    TtsRequest,
)
from serving.audio import OPENAI_RATE_HZ
from serving.core.admission import Refuse, TooLong
from serving.core.profiles import UnknownProfile
from serving.metrics import Rejection
from serving.problems import ProblemError, install, problem
from serving.replica import Replica
from serving.requests import CONTROL_BODY_BYTES_MAX, Body, is_neighbour, read, refuse_strangers
from serving.responses import Shape, complete, spoken
from serving.speech import Cached, Draining, NothingToSpeak, Order, Speech

SPEECH_EXAMPLE = '{"input": "Hello there.", "response_format": "wav"}'
TTS_EXAMPLE = '{"text": "Hello there."}'
THRESHOLDS_MAX = 512
"""Each is two series on every replica; more is a mistake, not a plan."""


class Drain(BaseModel):
    """`POST /v1/control/drain`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    draining: bool


def create_app(replica: Replica) -> FastAPI:
    """Every route of one replica."""
    app = FastAPI(title="Trimtab replica", version="1", docs_url=None, redoc_url=None)
    install(app)
    _add_speech(app, replica)
    _add_health(app, replica)
    _add_control(app, replica)
    return app


def _add_speech(app: FastAPI, replica: Replica) -> None:
    native_hz = replica.facts.sample_rate_hz

    async def speech(request: Request) -> Response:
        """Speak `input`: OpenAI's `POST /v1/audio/speech`."""
        body = await _read_counted(request, replica, SpeechRequest, SPEECH_EXAMPLE)
        rate_hz = OPENAI_RATE_HZ if body.response_format == "pcm" else native_hz
        shape = Shape(wav=body.response_format == "wav", rate_hz=rate_hz, streaming=body.stream, field="input")
        return await _speak(request, replica, body.input, body.speed, shape)

    async def tts(request: Request) -> Response:
        """Speak `text`: a whole WAV unless `stream` is asked for."""
        body = await _read_counted(request, replica, TtsRequest, TTS_EXAMPLE)
        shape = Shape(wav=body.format == "wav", rate_hz=native_hz, streaming=body.stream, field="text")
        return await _speak(request, replica, body.text, body.speed, shape)

    app.post("/v1/audio/speech", response_class=Response, openapi_extra=_body_of(SpeechRequest))(speech)
    app.post("/tts", response_class=Response, openapi_extra=_body_of(TtsRequest))(tts)

    @app.get("/v1/models")
    async def models() -> dict[str, object]:
        """The one voice as OpenAI lists models; any other name is accepted and means this one."""
        model = {"id": replica.facts.name, "object": "model", "owned_by": "trimtab"}
        return {"object": "list", "data": [model]}

    @app.get("/v1/audio/voices")
    async def voices() -> dict[str, object]:
        """The voice and the profiles it can speak in."""
        voice = {"id": replica.facts.name, "sample_rate_hz": native_hz, "profiles": replica.facts.profiles}
        return {"voices": [voice]}


def _add_health(app: FastAPI, replica: Replica) -> None:
    @app.get("/livez")
    async def livez() -> ReplicaStatus:
        """200 while the event loop turns; the body says how it goes."""
        return replica.status()

    @app.get("/readyz")
    async def readyz(response: Response) -> ReplicaStatus:
        """200 when every worker has just made sound and work is welcome, else 503; the body says why."""
        status = replica.status()
        response.status_code = HTTPStatus.OK if status.ready else HTTPStatus.SERVICE_UNAVAILABLE
        return status

    @app.get("/metrics", response_class=Response)
    async def metrics() -> Response:
        """Prometheus exposition."""
        return Response(replica.score.scrape(), media_type="text/plain; version=0.0.4; charset=utf-8")


def _add_control(app: FastAPI, replica: Replica) -> None:
    async def slos(request: Request) -> ReplicaStatus:
        """Count by these thresholds from now on."""
        refuse_strangers(request)
        example = '{"revision": 1, "thresholds": [{"slo": "tts-total", "sli": "total", "threshold_s": 0.2}]}'
        body = await read(request, SloThresholds, bytes_max=CONTROL_BODY_BYTES_MAX, example=example)
        _refuse_unusable(body)
        stale = replica.take_thresholds(body)
        if stale is not None:
            detail = f"offered {stale.offered}, in use {stale.in_use}"
            fix = "send a revision at least as large as slo_revision in GET /livez"
            raise ProblemError(
                problem(HTTPStatus.CONFLICT, "older thresholds than in use", detail=detail, field="revision", fix=fix)
            )
        return replica.status()

    async def switch(request: Request) -> SwitchProfileResponse:
        """Prepare, self-test and commit a profile, or roll back; no request is dropped either way."""
        refuse_strangers(request)
        example = '{"profile": "light-int8-onnx"}'
        body = await read(request, SwitchProfileRequest, bytes_max=BODY_BYTES_MAX, example=example)
        result = await replica.switchboard.switch(body.profile)
        if isinstance(result, UnknownProfile):
            raise _invalid("profile", f"this voice has no profile {result.wanted}", f"one of {', '.join(result.known)}")
        return SwitchProfileResponse(
            profile=result.profile, generation=result.generation, outcome=result.outcome, detail=result.detail
        )

    async def drain(request: Request) -> ReplicaStatus:
        """Take no new work, or take it again."""
        refuse_strangers(request)
        body = await read(request, Drain, bytes_max=BODY_BYTES_MAX, example='{"draining": true}')
        replica.desk.draining = body.draining
        return replica.status()

    app.put("/v1/control/slos", openapi_extra=_body_of(SloThresholds))(slos)
    app.post("/v1/control/profile", openapi_extra=_body_of(SwitchProfileRequest))(switch)
    app.post("/v1/control/drain", openapi_extra=_body_of(Drain))(drain)


async def _read_counted(request: Request, replica: Replica, model: type[Body], example: str) -> Body:
    try:
        return await read(request, model, bytes_max=BODY_BYTES_MAX, example=example)
    except ProblemError as error:
        too_large = error.problem.status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE
        replica.score.rejected(Rejection.TOO_LARGE if too_large else Rejection.INVALID)
        raise


async def _speak(request: Request, replica: Replica, said: str, speed: float, shape: Shape) -> Response:
    no_store = "no-store" in request.headers.get("cache-control", "").lower()
    canary = CANARY_HEADER in request.headers and is_neighbour(request)  # anybody else's is a request like any other
    order = Order(said, speed, shape.streaming, shape.rate_hz, no_store, canary)
    outcome = await replica.desk.order(order)
    match outcome:
        case Speech():
            return await spoken(request, outcome, shape)
        case Cached(sound=sound, profile=profile):
            return complete(sound, profile, shape)
        case NothingToSpeak():
            replica.score.rejected(Rejection.INVALID)
            raise _invalid(shape.field, "the text holds nothing to speak", "send at least one letter or digit")
        case Refuse(reason=reason, retry_after_s=retry_after_s):
            raise _busy("too much work waits", reason, retry_after_s)
        case TooLong(work_s=work_s, work_s_max=work_s_max):
            raise _too_long(shape.field, work_s, work_s_max)
        case Draining():
            raise _busy("this replica is draining", "it takes no new work", 1.0)
        case _:
            assert_never(outcome)


def _busy(title: str, detail: str, retry_after_s: float) -> ProblemError:
    fix = f"try again after {retry_after_s:.0f} s, or at another replica"
    busy = problem(HTTPStatus.SERVICE_UNAVAILABLE, title, detail=detail, fix=fix)
    return ProblemError(busy, {"retry-after": f"{retry_after_s:.0f}"})


def _too_long(field: str, work_s: float, work_s_max: float) -> ProblemError:
    detail = f"speaking it takes about {work_s:.0f} s, and a response that is sent whole may take {work_s_max:.0f} s"
    return ProblemError(
        problem(
            HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
            "the text is too long for a whole response",
            detail=detail,
            field=field,
            fix='send "stream": true, or a shorter text',
        )
    )


def _invalid(field: str, detail: str, fix: str) -> ProblemError:
    return ProblemError(
        problem(HTTPStatus.UNPROCESSABLE_ENTITY, "a field is not valid", detail=detail, field=field, fix=fix)
    )


def _refuse_unusable(body: SloThresholds) -> None:
    ids = [threshold.slo for threshold in body.thresholds]
    if len(ids) > THRESHOLDS_MAX:
        raise _invalid("thresholds", f"{len(ids)} thresholds", f"send at most {THRESHOLDS_MAX}")
    if len(set(ids)) < len(ids):
        raise _invalid("thresholds", "an SLO is named twice", "send each SLO once")


def _body_of(model: type[BaseModel]) -> dict[str, object]:
    """What a hand-read body looks like, for /openapi.json."""
    schema = model.model_json_schema()
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": schema}}}}
