"""Who may speak for a host: over the real API, a real database and every kind of token."""

import json
from pathlib import Path

import pytest

from tests.unit.controller.api.rig import TOKENS, Rig, sync_body

HOST = "eu-west-a"
SYNC, CREDENTIALS = f"/api/v1/agents/{HOST}/sync", f"/api/v1/agents/{HOST}/credentials"
JOIN, OPERATOR, VIEWER = "agent-secret", "operator-secret", "viewer-secret"


@pytest.fixture
def guarded(tmp_path: Path):
    rig = Rig(tmp_path, TOKENS, required=True)
    yield rig
    rig.database.close()


async def join(rig: Rig, token: str = JOIN, host: str = HOST):
    async with rig.client(token=token, address="10.0.0.3") as client:
        return await client.post(f"/api/v1/agents/{host}/credentials")


async def sync(rig: Rig, token: str):
    async with rig.client(token=token, address="10.0.0.3") as client:
        return await client.post(SYNC, json=sync_body())


async def test_a_host_joins_and_syncs_as_itself(guarded: Rig) -> None:
    grant = await join(guarded)
    assert grant.status_code == 201
    assert len(grant.json()["token"]) >= 43  # 256 bits in base64
    assert (await sync(guarded, grant.json()["token"])).status_code == 200


async def test_the_join_token_alone_does_not_sync_where_credentials_are_required(guarded: Rig) -> None:
    refused = await sync(guarded, JOIN)
    assert refused.status_code == 403
    assert CREDENTIALS in refused.json()["fix"]


async def test_a_credential_of_another_host_is_refused(guarded: Rig) -> None:
    theirs = (await join(guarded, host="us-east-a")).json()["token"]
    assert (await sync(guarded, theirs)).status_code == 403
    assert (await join(guarded, theirs)).status_code == 403


async def test_a_credential_is_renewed_with_itself_and_opens_nothing_else(guarded: Rig) -> None:
    token = (await join(guarded)).json()["token"]
    renewed = await join(guarded, token)
    assert renewed.status_code == 201
    assert (await sync(guarded, renewed.json()["token"])).status_code == 200
    assert (await sync(guarded, token)).status_code == 401
    async with guarded.client(token=renewed.json()["token"], address="10.0.0.3") as client:
        assert (await client.get("/api/v1/fleet")).status_code == 401
        assert (await client.delete(CREDENTIALS)).status_code == 401


@pytest.mark.parametrize(("token", "status"), [("", 401), ("nonsense", 401), (VIEWER, 403)])
async def test_others_get_no_credential(guarded: Rig, token: str, status: int) -> None:
    assert (await join(guarded, token)).status_code == status


async def test_a_revoked_host_is_shut_out_until_an_operator_lets_it_in(guarded: Rig) -> None:
    token = (await join(guarded)).json()["token"]
    async with guarded.client(token=OPERATOR, address="10.0.0.3") as client:
        assert (await client.delete(CREDENTIALS)).status_code == 204
    assert (await sync(guarded, token)).status_code == 401
    refused = await join(guarded)
    assert (refused.status_code, "operator" in refused.json()["fix"]) == (403, True)
    assert (await join(guarded, OPERATOR)).status_code == 201
    assert (await join(guarded)).status_code == 201


async def test_a_revoked_host_is_refused_with_the_join_token_too_where_that_would_do(tmp_path: Path) -> None:
    rig = Rig(tmp_path, TOKENS, required=False)
    assert (await sync(rig, JOIN)).status_code == 200
    async with rig.client(token=OPERATOR) as client:
        await client.delete(CREDENTIALS)
    assert (await sync(rig, JOIN)).status_code == 403
    rig.database.close()


async def test_the_story_tells_who_joined_from_where_and_who_was_shut_out_but_no_token(guarded: Rig) -> None:
    token = (await join(guarded)).json()["token"]
    async with guarded.client(token=OPERATOR) as client:
        await client.delete(CREDENTIALS)
        told = (await client.get("/api/v1/decisions", params={"subject": HOST})).json()["items"]
    assert [line["kind"] for line in told] == ["signal", "operator"]
    assert told[0]["evidence"]["address"] == "10.0.0.3"
    assert told[0]["evidence"]["proof"] == "the join token"
    assert token not in json.dumps(told)


async def test_the_database_holds_no_token(guarded: Rig, tmp_path: Path) -> None:
    token = (await join(guarded)).json()["token"]
    assert (await sync(guarded, token)).status_code == 200
    raw = b"".join((tmp_path / name).read_bytes() for name in ("journal.db", "journal.db-wal"))
    assert b"eu-west-a" in raw
    assert token.encode() not in raw


@pytest.mark.parametrize("host", ["UPPER", "a" * 64, "a_b", "-a"])
async def test_a_host_id_that_no_agent_can_have_is_refused(guarded: Rig, host: str) -> None:
    assert (await join(guarded, host=host)).status_code == 422


async def test_on_an_open_loopback_listener_nothing_is_asked(tmp_path: Path) -> None:
    rig = Rig(tmp_path, {})
    async with rig.client() as client:
        assert (await client.post(SYNC, json=sync_body())).status_code == 200
    rig.database.close()
