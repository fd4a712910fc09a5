"""The controller's HTTP API as typed calls: what every command and the demo talk through.

Trouble is one exception with a readable message: the controller's own words when it answered, ours when it did not.
"""

import ssl
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

import httpx
from pydantic import BaseModel, ValidationError

from chassis.tls import TlsFiles, client_context
from contracts.serving_api import Problem
from trimtab.api_bodies import (
    Action,
    ActionList,
    DecisionPage,
    Fleet,
    IntentReceipt,
    Status,
)
from trimtab.slo_bodies import Admission, AppliedSlos, Slo, SloList

TIMEOUT_S = 5.0
"""The API answers from memory and one small database: five seconds mean that something is wrong."""
CHECK_TIMEOUT_S = 70.0
"""Per objective of a dry run: the controller gives up on Prometheus after a minute."""
APPLY_TIMEOUT_S = 60.0
"""A thousand objectives are compiled, each with those that it names, before one is stored."""
NOT_FOUND = 404
Answer = TypeVar("Answer", bound=BaseModel)


class ApiError(Exception):
    """A call did not work; `status` is None when there was no answer at all."""

    def __init__(self, message: str, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status


class ControllerApi:
    """One controller; an async context manager that owns its connections. Every call may raise `ApiError`."""

    def __init__(
        self, base_url: str, *, token: str = "", ca_file: Path | None = None, timeout_s: float = TIMEOUT_S
    ) -> None:
        """`ca_file`: who may have signed the controller's certificate, instead of the system's authorities."""
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        self.url = base_url
        self._client = httpx.AsyncClient(
            base_url=f"{base_url}/api/v1",
            headers=headers,
            timeout=timeout_s,
            trust_env=False,
            verify=_trust(base_url, ca_file),
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._client.aclose()

    # ── looking ───────────────────────────────────────────────────────────────────────────────────────────────────────
    async def status(self) -> Status:
        """The controller in one glance."""
        return _parsed(Status, await self._send("GET", "/status"))

    async def fleet(self) -> Fleet:
        """Hosts, replicas, wanted traffic and what the gateways say."""
        return _parsed(Fleet, await self._send("GET", "/fleet"))

    async def decisions(self, **query: str | int | None) -> DecisionPage:
        """Lines of the story: `limit`, `after`, `kind`, `subject`, `action_id`; those that are None are not asked for."""
        given = {name: value for name, value in query.items() if value is not None}
        return _parsed(DecisionPage, await self._send("GET", "/decisions", query=given))

    async def actions(self, *, open_only: bool = False, limit: int = 100) -> tuple[Action, ...]:
        """Actions, newest first."""
        query: dict[str, str | int] = {"open": str(open_only).lower(), "limit": limit}
        return _parsed(ActionList, await self._send("GET", "/actions", query=query)).items

    async def action(self, action_id: str) -> Action:
        """One action."""
        return _parsed(Action, await self._send("GET", f"/actions/{action_id}"))

    async def slos(self) -> SloList:
        """All objectives."""
        return _parsed(SloList, await self._send("GET", "/slos"))

    async def slo(self, slo: str) -> Slo:
        """One objective."""
        return _parsed(Slo, await self._send("GET", f"/slos/{slo}"))

    async def slo_document(self, slo: str) -> str:
        """One objective as an OpenSLO document."""
        return (await self._send("GET", f"/slos/{slo}/openslo")).text

    async def check_slos(self, documents: str, *, days: int, objectives: int) -> Admission:
        """What the OpenSLO documents would do; nothing is stored. The answer may take a minute per objective."""
        query: dict[str, str | int] = {"dry_run": "true", "days": days}
        timeout_s = CHECK_TIMEOUT_S * max(objectives, 1)
        return _parsed(
            Admission, await self._send("POST", "/slos", query=query, document=documents, timeout_s=timeout_s)
        )

    # ── asking ────────────────────────────────────────────────────────────────────────────────────────────────────────
    async def ask(self, verb: str, arguments: Mapping[str, str | float] | None = None) -> IntentReceipt:
        """Record an intent; the loop judges it."""
        body = {"verb": verb, "arguments": dict(arguments or {})}
        return _parsed(IntentReceipt, await self._send("POST", "/intents", body=body))

    async def apply_slo(self, slo: str, fields: Mapping[str, object]) -> Slo:
        """Replace the objective, or create it when there is none of that id."""
        try:
            return _parsed(Slo, await self._send("PUT", f"/slos/{slo}", body=fields))
        except ApiError as error:
            if error.status != NOT_FOUND:
                raise
        return _parsed(Slo, await self._send("POST", "/slos", body={"id": slo, **fields}))

    async def apply_slo_documents(self, documents: str) -> AppliedSlos:
        """Create or replace every objective of the OpenSLO documents, or none."""
        answer = await self._send("PATCH", "/slos", document=documents, timeout_s=APPLY_TIMEOUT_S)
        return _parsed(AppliedSlos, answer)

    async def delete_slo(self, slo: str) -> None:
        """Delete the objective."""
        await self._send("DELETE", f"/slos/{slo}")

    async def revoke_host(self, host: str) -> None:
        """Shut a host out: its credentials end, and it gets no other."""
        await self._send("DELETE", f"/agents/{host}/credentials")

    async def readmit_host(self, host: str) -> None:
        """Let a host join again. The credential that this also grants is dropped: the agent gets one for itself."""
        await self._send("POST", f"/agents/{host}/credentials")

    async def _send(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str | int] | None = None,
        body: Mapping[str, object] | None = None,
        document: str | None = None,
        timeout_s: float | None = None,
    ) -> httpx.Response:
        """`body` goes as JSON, `document` as YAML; `timeout_s` when the answer may take longer than usual."""
        headers = {} if document is None else {"Content-Type": "application/yaml"}
        timeout = httpx.USE_CLIENT_DEFAULT if timeout_s is None else timeout_s
        try:
            response = await self._client.request(
                method, path, params=dict(query or {}), json=body, content=document, headers=headers, timeout=timeout
            )
        except httpx.HTTPError as error:
            msg = f"no answer from the controller at {self.url} ({type(error).__name__}). Is it up? Try `trimtab up`."
            raise ApiError(msg) from error
        if response.is_error:
            raise ApiError(_explained(response), response.status_code)
        return response


def _trust(base_url: str, ca_file: Path | None) -> ssl.SSLContext | bool:
    if not base_url.startswith("https:"):
        return False
    try:
        return client_context(TlsFiles(authorities=ca_file))
    except OSError as error:
        msg = f"cannot use {ca_file} to check the controller's certificate: {error}"
        raise ApiError(msg) from error


def _parsed(kind: type[Answer], response: httpx.Response) -> Answer:
    try:
        return kind.model_validate_json(response.content)
    except ValidationError as error:
        msg = f"the controller's answer to {response.request.method} {response.request.url.path} is not what we know"
        raise ApiError(msg, response.status_code) from error


def _explained(response: httpx.Response) -> str:
    """A problem as a sentence: what, why, and what to do about it."""
    try:
        problem = Problem.model_validate_json(response.content)
    except ValidationError:
        return f"{response.request.method} {response.request.url.path} was answered {response.status_code}"
    told = problem.fix is None or problem.fix in problem.detail
    parts = [problem.title, problem.detail, "" if told else f"Fix: {problem.fix}."]
    return " — ".join(part for part in parts if part)
