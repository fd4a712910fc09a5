"""A bound on every request body, counted while it arrives: a length header may lie, or be missing."""

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from slo_rules.openslo.reader import TEXT_BYTES_MAX

BODY_BYTES_MAX = 64 * 1024
"""Intents are a few hundred bytes."""
SLOS_PATH = "/api/v1/slos"
SLOS_BYTES_MAX = TEXT_BYTES_MAX
"""A file of objectives, as large as anybody may read one."""
BULK_BYTES_MAX = 4 * 1024 * 1024
"""A host report with 64 replicas and their log tails, or a webhook with a thousand alerts."""
BULK_PREFIXES = ("/api/v1/agents/", "/api/v1/alerts")


class BodyLimit:
    """ASGI middleware: 413 as soon as a body is larger than its path allows."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, with a counting `receive`."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        limit = _limit_of(scope["path"])
        declared = Headers(scope=scope).get("content-length", "")
        received = int(declared) if declared.isdecimal() and int(declared) > limit else 0

        async def count() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > limit:
                raise HTTPException(status_code=413, detail=f"the body is larger than {limit} bytes")
            return message

        await self._app(scope, count, send)


def _limit_of(path: str) -> int:
    if path.startswith(BULK_PREFIXES):
        return BULK_BYTES_MAX
    return SLOS_BYTES_MAX if path.startswith(SLOS_PATH) else BODY_BYTES_MAX
