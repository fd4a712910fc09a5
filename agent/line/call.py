"""One request to the controller and what came of it, as a value: an answer, or why there is none in words for people.

Certificates are read again when their files changed, by making a new client: the old one keeps the connections, and the
trust, that it was made with.
"""

import asyncio
import ssl
from dataclasses import dataclass, field

import httpx
from pydantic import ValidationError

from agent.line.record import SyncFailure, failure_of_status
from chassis.logs import logger
from chassis.tls import TlsFiles, client_context
from contracts.serving_api import Problem

log = logger(__name__)
CONNECTIONS_MAX = 4
"""A poll, its successor while it is given up, and a request for a credential."""
RETRY_AFTER_S_MAX = 10.0
"""A controller that asks for a longer pause is not waited for: its successor may lead by then."""
ANSWER_BYTES_MAX = 4 * 1024 * 1024
"""An answer has orders for one host and a few thresholds: kilobytes. More is not from our controller."""
DETAIL_CHARS_MAX = 200


@dataclass(frozen=True, slots=True)
class Reply:
    """The controller did what was asked."""

    content: bytes


@dataclass(frozen=True, slots=True)
class Failed:
    """It did not, or nobody knows."""

    why: SyncFailure
    detail: str
    """For people: what is wrong, and what to do about it where that is known."""
    retry_after_s: float = 0.0
    """Least pause that the controller asked for."""
    status: int | None = None
    """None when no answer came."""


@dataclass(slots=True)
class ControllerLine:
    """Requests to one controller over HTTP or HTTPS."""

    base_url: str
    """Without a slash at its end."""
    tls: TlsFiles = field(default_factory=TlsFiles)
    _client: httpx.AsyncClient | None = None
    _stamp: tuple[tuple[int, int, int], ...] = ()

    async def post(self, path: str, content: str, *, token: str, timeout_s: float) -> Reply | Failed:
        """POST a JSON body; `token` empty: without one. Never raises for what the other end or the network does."""
        if not _is_one_word(token):
            return Failed(SyncFailure.UNAUTHORIZED, "the token holds blanks or letters that no header can carry")
        headers = {"Content-Type": "application/json"}
        if token:
            headers["Authorization"] = f"Bearer {token}"
        try:
            client = await self._current_client()
        except OSError as error:
            return Failed(SyncFailure.TLS, f"cannot use the certificate files: {_words(error)}")
        try:
            async with (
                asyncio.timeout(timeout_s),
                client.stream("POST", self.base_url + path, content=content, headers=headers, timeout=None) as answer,
            ):
                return await _read(answer)
        except TimeoutError:
            return Failed(SyncFailure.TIMEOUT, f"no answer within {timeout_s:g} s")
        except (httpx.HTTPError, OSError) as error:
            return _unreached(error)

    async def aclose(self) -> None:
        """Let go of every connection."""
        client, self._client = self._client, None
        if client is not None:
            await client.aclose()

    async def _current_client(self) -> httpx.AsyncClient:
        """Raises `OSError` while the files cannot be used."""
        if self.base_url.startswith("http:"):
            self._client = self._client or _client(False)
            return self._client
        stamp = await asyncio.to_thread(self.tls.stamp)
        if self._client is None or stamp != self._stamp:
            context = await asyncio.to_thread(client_context, self.tls)
            if self._client is not None:
                log.info("certificates_reread")
            await self.aclose()
            self._client, self._stamp = _client(context), stamp
        return self._client


def _is_one_word(token: str) -> bool:
    """What a header cannot carry would end the process, or be told as a broken connection."""
    return token.isascii() and token.isprintable() and " " not in token


def _client(verify: ssl.SSLContext | bool) -> httpx.AsyncClient:
    limits = httpx.Limits(max_connections=CONNECTIONS_MAX)
    return httpx.AsyncClient(verify=verify, limits=limits, trust_env=False)


async def _read(answer: httpx.Response) -> Reply | Failed:
    content = bytearray()
    async for chunk in answer.aiter_bytes():
        content += chunk
        if len(content) > ANSWER_BYTES_MAX:
            return Failed(SyncFailure.INVALID, f"the answer is longer than {ANSWER_BYTES_MAX} bytes")
    return Reply(bytes(content)) if answer.is_success else _refused(answer, bytes(content))


def _unreached(error: Exception) -> Failed:
    refusal = _in_chain(error)
    if refusal is None:
        return Failed(SyncFailure.CONNECTION, _words(error))
    if isinstance(refusal, ssl.SSLCertVerificationError):
        return Failed(SyncFailure.TLS, f"the controller's certificate is not accepted: {refusal.verify_message}")
    return Failed(SyncFailure.TLS, f"TLS failed: {_words(refusal)}")


def _in_chain(error: BaseException | None) -> ssl.SSLError | None:
    """The library wraps errors several times over; what TLS said is inside."""
    while error is not None:
        if isinstance(error, ssl.SSLError):
            return error
        error = error.__cause__ or error.__context__
    return None


def _refused(answer: httpx.Response, content: bytes) -> Failed:
    """The controller explains itself as a problem (RFC 9457); a proxy in between may not."""
    try:
        problem = Problem.model_validate_json(content)
        said = "; ".join(part for part in (problem.title, problem.detail, problem.fix) if part)
    except ValidationError:
        said = answer.reason_phrase
    return Failed(
        failure_of_status(answer.status_code),
        f"{answer.status_code}: {said}"[:DETAIL_CHARS_MAX],
        retry_after_s=_seconds(answer.headers.get("retry-after", "")),
        status=answer.status_code,
    )


def _seconds(retry_after: str) -> float:
    """Zero for none, and for the date that the header may also hold."""
    return min(float(retry_after), RETRY_AFTER_S_MAX) if retry_after.isdecimal() else 0.0


def _words(error: BaseException) -> str:
    return (str(error) or type(error).__name__)[:DETAIL_CHARS_MAX]
