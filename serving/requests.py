"""Reading requests safely: a bounded body, parsed once, before anything is spent on it."""

import asyncio
import ipaddress
from http import HTTPStatus
from typing import TypeVar

from fastapi import Request
from pydantic import BaseModel, ValidationError

from serving.problems import ProblemError, from_validation, problem

BODY_S_MAX = 10.0
"""16 kB over a slow line; a client that drips bytes must not hold a connection for ever."""
CONTROL_BODY_BYTES_MAX = 262_144
"""512 SLO thresholds with long names."""
PROXY_HEADERS = ("x-forwarded-for", "forwarded", "x-envoy-internal", "x-envoy-external-address")

Body = TypeVar("Body", bound=BaseModel)


async def read(request: Request, model: type[Body], *, bytes_max: int, example: str) -> Body:
    """The body as `model`. Raises `ProblemError`: 413 unread when it says it is too large, 408, or 422."""
    declared = request.headers.get("content-length", "")
    if declared.isdigit() and int(declared) > bytes_max:
        raise _too_large(bytes_max)
    body = bytearray()
    try:
        async with asyncio.timeout(BODY_S_MAX):
            async for piece in request.stream():
                body += piece
                if len(body) > bytes_max:
                    raise _too_large(bytes_max)
    except TimeoutError as error:
        late = problem(HTTPStatus.REQUEST_TIMEOUT, "the body came too slowly", fix=f"send it within {BODY_S_MAX} s")
        raise ProblemError(late, {"connection": "close"}) from error
    try:
        return model.model_validate_json(bytes(body))
    except ValidationError as error:
        raise from_validation(error, example) from error


def is_neighbour(request: Request) -> bool:
    """Whether it comes from this host, and through no proxy: from the agent beside us, or a person at its shell."""
    peer = request.client.host if request.client else ""
    own_address, _port = request.scope.get("server") or ("", None)
    proxied = any(name in request.headers for name in PROXY_HEADERS)
    return not proxied and (_is_loopback(peer) or peer == own_address)


def refuse_strangers(request: Request) -> None:
    """Control is for the agent beside us: never through a gateway, never from another machine."""
    if not is_neighbour(request):
        raise ProblemError(
            problem(
                HTTPStatus.FORBIDDEN,
                "control is for the agent on the same host",
                fix="ask the controller: trimtab, or POST /api/v1/intents",
            )
        )


def _too_large(bytes_max: int) -> ProblemError:
    too_large = problem(
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
        "the body is too large",
        detail=f"at most {bytes_max} bytes are read",
        fix="split the text at sentences into several requests",
    )
    return ProblemError(too_large, {"connection": "close"})


def _is_loopback(address: str) -> bool:
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return False
