"""A real agent's line to the real API over real TLS: who is trusted, who is not, and what people are told."""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import trustme
from typer.testing import CliRunner

from agent.degradation import Degradations
from agent.line.call import ControllerLine, Failed, Reply
from agent.line.credentials import Credentials
from agent.line.record import SyncFailure
from agent.line.tokens import JoinToken
from agent.orders.desk import ControllerTime
from chassis.clock import SystemClock
from chassis.tls import KeyPair, RenewingContext, TlsFiles
from contracts.agent_api import SyncRequest
from contracts.vocabulary import HostId
from controller.listener import Certificate, build_server, listen
from tests.unit.controller.api.rig import TOKENS, Rig, sync_body
from trimtab.cli.app import app
from trimtab.cli.options import Session

HOST = HostId("eu-west-a")
SYNC = f"/api/v1/agents/{HOST}/sync"
LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)


class Pki:
    """A throw-away authority and what it issues."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.authority = trustme.CA()
        self.authorities = directory / "ca.pem"
        self.authority.cert_pem.write_to_path(str(self.authorities))

    def issue(self, name: str, *identities: str, until: datetime | None = None) -> KeyPair:
        start = None if until is None else until - timedelta(days=1)
        made = self.authority.issue_cert(*identities, not_before=start, not_after=until)
        pair = KeyPair(self.directory / f"{name}.pem", self.directory / f"{name}.key")
        made.cert_chain_pems[0].write_to_path(str(pair.certificate))
        made.private_key_pem.write_to_path(str(pair.key))
        return pair


@pytest.fixture
def pki(tmp_path: Path) -> Pki:
    return Pki(tmp_path)


@asynccontextmanager
async def serving(directory: Path, context: RenewingContext) -> AsyncIterator[tuple[str, Rig]]:
    rig = Rig(directory, TOKENS, required=True)
    with listen("127.0.0.1", 0) as listener:
        server = build_server(rig.app, Certificate(context))
        task = asyncio.ensure_future(server.serve(sockets=[listener]))
        yield f"https://127.0.0.1:{listener.getsockname()[1]}", rig
        server.should_exit = True
        await task
    rig.database.close()


@asynccontextmanager
async def line_to(url: str, files: TlsFiles) -> AsyncIterator[ControllerLine]:
    line = ControllerLine(url, files)
    yield line
    await line.aclose()


async def asked(line: ControllerLine, token: str = TOKENS["agent"]) -> Reply | Failed:
    return await line.post(f"/api/v1/agents/{HOST}/credentials", "", token=token, timeout_s=5.0)


async def test_an_agent_joins_and_syncs_over_tls(pki: Pki, tmp_path: Path) -> None:
    async with (
        serving(tmp_path, RenewingContext.of(pki.issue("controller", "127.0.0.1"))) as (url, _),
        line_to(url, TlsFiles(pki.authorities)) as line,
    ):
        credentials = Credentials(
            host=HOST,
            line=line,
            join=JoinToken(TOKENS["agent"]),
            path=tmp_path / "credential.json",
            controller_time=ControllerTime(SystemClock()),
            degradations=Degradations(lambda: None),
            rng=random.Random(1),
        )
        token = await credentials.token()
        assert isinstance(token, str)
        body = SyncRequest.model_validate(sync_body()).model_dump_json()
        assert isinstance(await line.post(SYNC, body, token=token, timeout_s=5.0), Reply)


async def test_an_authority_that_is_not_ours_is_refused_in_words(pki: Pki, tmp_path: Path) -> None:
    async with serving(tmp_path, RenewingContext.of(pki.issue("controller", "127.0.0.1"))) as (url, _):
        (tmp_path / "other").mkdir()
        async with line_to(url, TlsFiles(Pki(tmp_path / "other").authorities)) as line:
            failed = await asked(line)
        assert (failed.why, "unable to get local issuer" in failed.detail) == (SyncFailure.TLS, True)
        async with line_to(url, TlsFiles()) as line:  # the system's authorities have never heard of it
            assert (await asked(line)).why is SyncFailure.TLS


@pytest.mark.parametrize(
    ("identity", "until", "words"),
    [("127.0.0.1", LONG_AGO, "expired"), ("controller.example", None, "IP address mismatch")],
)
async def test_a_certificate_that_ended_or_names_another_is_refused_in_words(
    pki: Pki, tmp_path: Path, identity: str, until: datetime | None, words: str
) -> None:
    pair = pki.issue("controller", identity, until=until)
    async with serving(tmp_path, RenewingContext.of(pair)) as (url, _), line_to(url, TlsFiles(pki.authorities)) as line:
        failed = await asked(line)
    assert (failed.why, failed.status) == (SyncFailure.TLS, None)
    assert words in failed.detail


async def test_where_client_certificates_are_asked_for_nobody_comes_in_without_one(pki: Pki, tmp_path: Path) -> None:
    context = RenewingContext.of(pki.issue("controller", "127.0.0.1"), pki.authorities)
    async with serving(tmp_path, context) as (url, _):
        async with line_to(url, TlsFiles(pki.authorities)) as line:
            failed = await asked(line)
        assert failed.status is None
        assert failed.why in {
            SyncFailure.TLS,
            SyncFailure.CONNECTION,
        }  # the alert may arrive after our first bytes broke
        async with line_to(url, TlsFiles(pki.authorities, pki.issue("host", "eu-west-a.example"))) as line:
            assert isinstance(await asked(line), Reply)


async def test_renewed_certificates_of_both_ends_are_taken_up_while_running(pki: Pki, tmp_path: Path) -> None:
    """The authority itself is replaced: the listener, then the agent's file, and no process is restarted."""
    context = RenewingContext.of(pki.issue("controller", "127.0.0.1"))
    async with serving(tmp_path, context) as (url, _), line_to(url, TlsFiles(pki.authorities)) as line:
        assert isinstance(await asked(line), Reply)
        pki.authority = trustme.CA()
        pki.issue("controller", "127.0.0.1")
        await Certificate(context).renew()
        async with line_to(url, TlsFiles(pki.authorities)) as newcomer:
            assert (await asked(newcomer)).why is SyncFailure.TLS
        pki.authority.cert_pem.write_to_path(str(pki.authorities))
        assert isinstance(await asked(line), Reply)


async def test_a_certificate_file_that_is_gone_is_said_and_tried_again(pki: Pki, tmp_path: Path) -> None:
    async with serving(tmp_path, RenewingContext.of(pki.issue("controller", "127.0.0.1"))) as (url, _):
        away = tmp_path / "away.pem"
        async with line_to(url, TlsFiles(away)) as line:
            failed = await asked(line)
            assert (failed.why, "certificate files" in failed.detail) == (SyncFailure.TLS, True)
            pki.authority.cert_pem.write_to_path(str(away))
            assert isinstance(await asked(line), Reply)


async def test_plain_http_to_a_tls_listener_is_no_answer(pki: Pki, tmp_path: Path) -> None:
    async with (
        serving(tmp_path, RenewingContext.of(pki.issue("controller", "127.0.0.1"))) as (url, _),
        line_to(url.replace("https", "http"), TlsFiles()) as line,
    ):
        assert (await asked(line)).status is None


def command(url: str, pki: Pki, *words: str) -> tuple[int, str]:
    options = ["--url", url, "--token", TOKENS["operator"], "--ca-file", str(pki.authorities)]
    result = CliRunner().invoke(app, [*options, *words], obj=Session(environment={}), env={"COLUMNS": "200"})
    return result.exit_code, result.output


async def test_an_operator_shuts_a_host_out_and_lets_it_in_again_by_command_over_tls(pki: Pki, tmp_path: Path) -> None:
    async with (
        serving(tmp_path, RenewingContext.of(pki.issue("controller", "127.0.0.1"))) as (url, rig),
        line_to(url, TlsFiles(pki.authorities)) as line,
    ):
        assert isinstance(await asked(line), Reply)
        code, words = await asyncio.to_thread(command, url, pki, "host", "revoke", HOST)
        assert (code, "shut out" in words, rig.office.is_revoked(HOST)) == (0, True, True)
        assert (await asked(line)).why is SyncFailure.FORBIDDEN
        assert (await asyncio.to_thread(command, url, pki, "host", "readmit", HOST))[0] == 0
        assert isinstance(await asked(line), Reply)
