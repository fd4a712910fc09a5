"""Every error as an RFC 9457 problem that names the field and the fix.

A caller who gets an error should not have to read our source: what is wrong, where, and what to do instead. Handlers
raise `ProblemError`; the framework's own errors are translated to the same shape.
"""

import asyncio
from http import HTTPStatus

from fastapi import FastAPI, Request, Response
from pydantic import ValidationError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.types import Receive, Scope, Send

from contracts.serving_api import Problem

MEDIA_TYPE = "application/problem+json"
CLIENT_CLOSED_REQUEST = 499
"""nginx's code for a client that left before the answer; nobody is there to read it."""
LINGER_S_MAX = 2.0
LINGER_BYTES_MAX = 1_048_576
"""What a client may still send before it is cut off: most have sent everything before they read."""


class ProblemError(Exception):
    """Answer this request with a problem."""

    def __init__(self, problem: Problem, headers: dict[str, str] | None = None) -> None:
        super().__init__(problem.title)
        self.problem = problem
        self.headers = headers or {}


def problem(status: HTTPStatus, title: str, *, detail: str = "", field: str | None = None, fix: str) -> Problem:
    """A problem with a remedy."""
    return Problem(title=title, status=status.value, detail=detail, field=field, fix=fix)


def from_validation(error: ValidationError, example: str) -> ProblemError:
    """The first fault of a body that does not fit its model."""
    fault = error.errors(include_url=False, include_context=False, include_input=False)[0]
    if fault["type"] == "json_invalid":
        return ProblemError(
            problem(HTTPStatus.UNPROCESSABLE_ENTITY, "the body is not JSON", detail=fault["msg"], fix=f"send {example}")
        )
    field = ".".join(str(part) for part in fault["loc"]) or None
    return ProblemError(
        problem(
            HTTPStatus.UNPROCESSABLE_ENTITY,
            "a field is not valid",
            detail=f"{field or 'body'}: {fault['msg']}",
            field=field,
            fix=f"send {example}",
        )
    )


class LingeringResponse(Response):
    """A response to a request whose body was not read, for a connection that ends with it.

    To close a socket with bytes unread is to reset it, and a reset takes the response with it before the client has seen
    it (RFC 9112, section 9.6). So the response goes out whole, and what still comes is thrown away for a moment.
    """

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002  # ASGI's signature
        """Answer, then read to the end of the body, within `LINGER_S_MAX` and `LINGER_BYTES_MAX`."""
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        await send({"type": "http.response.body", "body": self.body, "more_body": True})
        try:
            async with asyncio.timeout(LINGER_S_MAX):
                await _throw_away(receive)
        except TimeoutError:
            pass  # it had its moment
        await send({"type": "http.response.body", "body": b""})


async def _throw_away(receive: Receive) -> None:
    left = LINGER_BYTES_MAX
    while left > 0:
        message = await receive()
        if not message.get("more_body", False):  # the end of the body, or of the client
            return
        left -= len(message.get("body", b""))


def answer(problem_: Problem, headers: dict[str, str] | None = None) -> Response:
    """A problem as a response; one that ends the connection lets the client finish first."""
    closes = (headers or {}).get("connection") == "close"
    return (LingeringResponse if closes else Response)(
        problem_.model_dump_json(exclude_none=True), problem_.status, headers=headers, media_type=MEDIA_TYPE
    )


def install(app: FastAPI) -> None:
    """Give every error of `app` this shape."""

    @app.exception_handler(ProblemError)
    async def _ours(_request: Request, error: ProblemError) -> Response:
        return answer(error.problem, error.headers)

    @app.exception_handler(HTTPException)
    async def _framework(_request: Request, error: HTTPException) -> Response:
        fix = "see GET /openapi.json for the routes and their methods"
        shaped = Problem(title=str(error.detail), status=error.status_code, fix=fix)
        return answer(shaped, dict(error.headers or {}))

    @app.exception_handler(ClientDisconnect)
    async def _gone(_request: Request, _error: ClientDisconnect) -> Response:
        return Response(status_code=CLIENT_CLOSED_REQUEST)
