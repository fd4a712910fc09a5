"""One look at the controller that changes nothing there.

The token is shown with an empty report: the controller judges the token before the body, so 422 means that the token is
good, 401 or 403 that it is not, and in no case is anything heard about this host. A host that has joined shows its own
credential, as the agent does; the join token is not exchanged here, for that would make a credential.
"""

import socket
import ssl
from collections.abc import Mapping
from contextlib import closing
from email.utils import parsedate_to_datetime
from urllib.parse import urlsplit

import httpx

from agent.line.tokens import CREDENTIAL_FILE, JoinToken, read_credential
from agent.settings import AgentSettings
from chassis.clock import Clock
from chassis.tls import KeyPair, TlsFiles, client_context
from chassis.version import program_version
from trimtab.host.facts import CREDENTIAL, JOIN_TOKEN, ControllerFacts, NoAnswer

TIMEOUT_S = 3.0
HTTPS_PORT = 443


def controller_facts(settings: AgentSettings, clock: Clock) -> ControllerFacts:
    """Reachability, identity, token, time and certificate."""
    url = str(settings.controller_url).rstrip("/")
    shown = ""
    try:
        token, shown = _token(settings)
        context = client_context(_tls_files(settings))
        days = _certificate_days(url, context, clock)
        with httpx.Client(timeout=TIMEOUT_S, trust_env=False, verify=context) as client:
            asked_s = clock.now_unix_s()
            live = client.get(f"{url}/livez")
            offset_s = _offset_s(live.headers, (asked_s + clock.now_unix_s()) / 2)
            headers = {"Authorization": f"Bearer {token}"} if token else {}
            judged = client.post(f"{url}/api/v1/agents/{settings.host_id}/sync", json={}, headers=headers)
    except (httpx.HTTPError, OSError, ValueError) as error:
        why, detail = why_no_answer(error)
        return ControllerFacts(url, shown, no_answer=why, detail=detail)
    said, refusal = _json_of(live), _json_of(judged)
    return ControllerFacts(
        url=url,
        shown=shown,
        status=judged.status_code,
        refusal=str(refusal.get("title", "")),
        remedy=str(refusal.get("fix") or ""),
        is_ours=live.is_success and said.get("live") is True,
        version=str(said.get("version", "")),
        own_version=program_version(),
        clock_offset_s=offset_s,
        certificate_days=days,
    )


def _json_of(answer: httpx.Response) -> dict[str, object]:
    try:
        said = answer.json()
    except ValueError:
        return {}
    return said if isinstance(said, dict) else {}


def _offset_s(headers: Mapping[str, str], now_unix_s: float) -> float | None:
    """The middle of the header's second, less our middle of the exchange."""
    try:
        return parsedate_to_datetime(headers["date"]).timestamp() + 0.5 - now_unix_s
    except (KeyError, ValueError):
        return None


def _token(settings: AgentSettings) -> tuple[str, str]:
    """What the agent would show, and its name. Raises `OSError` or `ValueError` for a file that cannot be read."""
    credential = read_credential(settings.state_dir / CREDENTIAL_FILE, settings.host_id)
    if credential is not None:
        return credential.token, CREDENTIAL
    join = JoinToken(settings.token.get_secret_value(), settings.token_file).read()
    return join, JOIN_TOKEN if join else ""


def _tls_files(settings: AgentSettings) -> TlsFiles:
    certificate, key = settings.client_cert_file, settings.client_key_file
    return TlsFiles(settings.ca_file, KeyPair(certificate, key) if certificate and key else None)


def _certificate_days(url: str, context: ssl.SSLContext, clock: Clock) -> float | None:
    """Days until it expires; None without TLS. Raises `OSError` (`ssl.SSLError` is one) when it is not to be trusted."""
    parts = urlsplit(url)
    if parts.scheme != "https" or parts.hostname is None:
        return None
    with (
        closing(socket.create_connection((parts.hostname, parts.port or HTTPS_PORT), timeout=TIMEOUT_S)) as plain,
        closing(context.wrap_socket(plain, server_hostname=parts.hostname)) as wrapped,
    ):
        certificate = wrapped.getpeercert() or {}
    expires = certificate.get("notAfter")
    return None if not isinstance(expires, str) else (ssl.cert_time_to_seconds(expires) - clock.now_unix_s()) / 86_400


def why_no_answer(error: Exception) -> tuple[NoAnswer, str]:
    """The kind, by whichever cause in the chain says it, and the words of the error itself."""
    chain: list[BaseException] = [error]
    while (cause := chain[-1].__cause__ or chain[-1].__context__) is not None and cause not in chain:
        chain.append(cause)
    detail = str(error) or type(error).__name__
    kinds: list[tuple[tuple[type[BaseException], ...], NoAnswer]] = [
        ((ssl.SSLError,), NoAnswer.TLS),
        ((socket.gaierror,), NoAnswer.NAME),
        ((ConnectionRefusedError,), NoAnswer.REFUSED),
        ((TimeoutError, httpx.TimeoutException), NoAnswer.TIMEOUT),
    ]
    for types, why in kinds:
        if any(isinstance(link, types) for link in chain):
            return why, detail
    return NoAnswer.OTHER, detail
