"""The control calls of a replica over HTTP."""

import httpx
from pydantic import ValidationError

from agent.errors import ReplicaControlError
from agent.ports import ReplicaSpec
from contracts.serving_api import SloThresholds, SwitchProfileRequest, SwitchProfileResponse
from contracts.vocabulary import ProfileId

SLOS_TIMEOUT_S = 1.0
"""Storing a few thresholds takes a millisecond; a second means the replica is not well, which the probe will tell."""
SWITCH_TIMEOUT_S = 60.0
"""Loading a profile beside the old one and testing it takes seconds on a CPU, half a minute for a cold engine."""


class HttpReplicaControl:
    """`ReplicaControl` over one shared client."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        self._client = client

    async def put_slos(self, spec: ReplicaSpec, thresholds: SloThresholds) -> None:
        """`PUT /v1/control/slos`."""
        await self._call(spec, "PUT", "/v1/control/slos", thresholds.model_dump(mode="json"), timeout_s=SLOS_TIMEOUT_S)

    async def switch_profile(self, spec: ReplicaSpec, profile: ProfileId) -> SwitchProfileResponse:
        """`POST /v1/control/profile`."""
        body = SwitchProfileRequest(profile=profile).model_dump(mode="json")
        answer = await self._call(spec, "POST", "/v1/control/profile", body, timeout_s=SWITCH_TIMEOUT_S)
        try:
            return SwitchProfileResponse.model_validate_json(answer.content)
        except ValidationError as error:
            msg = f"{spec.replica} answered a profile switch with an unknown body"
            raise ReplicaControlError(msg) from error

    async def _call(
        self, spec: ReplicaSpec, method: str, path: str, body: object, *, timeout_s: float
    ) -> httpx.Response:
        url = f"http://{spec.address}:{spec.port}{path}"
        try:
            answer = await self._client.request(method, url, json=body, timeout=timeout_s)
        except httpx.HTTPError as error:
            msg = f"{method} {path} of {spec.replica} got no answer"
            raise ReplicaControlError(msg) from error
        if not answer.is_success:
            msg = f"{method} {path} of {spec.replica} was answered {answer.status_code}: {answer.text[:200]}"
            raise ReplicaControlError(msg)
        return answer
