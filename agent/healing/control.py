"""The control calls of a replica over HTTP, each bounded in time and size: healing waits behind them."""

import asyncio
from http import HTTPStatus

import httpx
from pydantic import BaseModel, ValidationError

from agent.errors import ReplicaControlError
from agent.ports import ReplicaSpec
from contracts.serving_api import SloThresholds, SwitchProfileRequest, SwitchProfileResponse
from contracts.vocabulary import ProfileId

SLOS_TIMEOUT_S = 1.0
"""Storing a few thresholds takes a millisecond; a second means the replica is not well, which the probe will tell."""
SWITCH_TIMEOUT_S = 60.0
"""Loading a profile beside the old one and testing it takes seconds on a CPU, half a minute for a cold engine."""
ANSWER_BYTES_MAX = 65_536
"""A status or the result of a switch is under 1 kB; more is neither."""
SAID_CHARS_MAX = 200
"""Of what a replica says about a refusal: enough for its reason."""


class HttpReplicaControl:
    """`ReplicaControl` over one shared client."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        self._client = client

    async def put_slos(self, spec: ReplicaSpec, thresholds: SloThresholds) -> None:
        """`PUT /v1/control/slos`."""
        await self._call(spec, "PUT", "/v1/control/slos", thresholds, timeout_s=SLOS_TIMEOUT_S)

    async def switch_profile(self, spec: ReplicaSpec, profile: ProfileId) -> SwitchProfileResponse:
        """`POST /v1/control/profile`."""
        wanted = SwitchProfileRequest(profile=profile)
        answer = await self._call(spec, "POST", "/v1/control/profile", wanted, timeout_s=SWITCH_TIMEOUT_S)
        try:
            return SwitchProfileResponse.model_validate_json(answer)
        except ValidationError as error:
            msg = f"{spec.replica} answered a profile switch with an unknown body"
            raise ReplicaControlError(msg) from error

    async def _call(self, spec: ReplicaSpec, method: str, path: str, body: BaseModel, *, timeout_s: float) -> bytes:
        """The body of a good answer, which must be complete within `timeout_s`."""
        call = f"{method} {path} of {spec.replica}"
        request = self._client.build_request(
            method, f"http://{spec.address}:{spec.port}{path}", json=body.model_dump(mode="json"), timeout=timeout_s
        )
        try:
            async with asyncio.timeout(timeout_s):  # the client's own limit is for each step by itself
                status, said = await self._ask(request)
        except (httpx.HTTPError, TimeoutError) as error:
            msg = f"{call} got no answer"
            raise ReplicaControlError(msg) from error
        if len(said) > ANSWER_BYTES_MAX:
            msg = f"{call} was answered {status}, and too long to be read"
            raise ReplicaControlError(msg)
        if not HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES:
            msg = f"{call} was answered {status}: {said.decode(errors='replace')[:SAID_CHARS_MAX]}"
            raise ReplicaControlError(msg)
        return said

    async def _ask(self, request: httpx.Request) -> tuple[int, bytes]:
        """Status and body, of which no more is read than shows that it is too long."""
        answer, said = await self._client.send(request, stream=True), bytearray()
        try:
            async for piece in answer.aiter_bytes():
                said += piece
                if len(said) > ANSWER_BYTES_MAX:
                    break
        finally:
            await answer.aclose()
        return answer.status_code, bytes(said)
