"""Facts from real files, sockets and programs, and the bounds on asking for them."""

import os
import signal
import socket
import ssl
import sys
import tempfile
import threading
from contextlib import closing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import pytest

from agent.line.tokens import CREDENTIAL_FILE, Credential, write_credential
from agent.settings import AgentSettings
from chassis.clock import SystemClock
from trimtab.host.facts import CREDENTIAL, JOIN_TOKEN, Identity, NoAnswer
from trimtab.host.gather.controller import controller_facts, why_no_answer
from trimtab.host.gather.host import clock_facts, gateway_facts, kernel_facts
from trimtab.host.gather.identity import READ, WRITE, may_use
from trimtab.host.gather.setup import files_facts, port_facts, settings_facts, state_facts
from trimtab.host.gather.side_by_side import Missed, side_by_side
from trimtab.host.programs import NotRun, Ran, run_program

NOBODY = Identity(exists=True, user="nobody", user_id=65_534, group_ids=frozenset({65_534}))
MEMBER = Identity(exists=True, user="trimtab", user_id=65_533, group_ids=frozenset({os.getegid()}))


def settings(tmp_path: Path, **others: object) -> AgentSettings:
    given = {"host_id": "a", "region": "eu", "controller_url": "http://127.0.0.1:1", "state_dir": tmp_path}
    return AgentSettings.model_validate({**given, **others})


# ── the file ──────────────────────────────────────────────────────────────────────────────────────────────────────────
def test_the_file_is_read_as_the_service_would_read_it(tmp_path):
    file = tmp_path / "agent.env"
    file.write_text(
        "TRIMTAB_AGENT_HOST_ID='gpu-1'\nTRIMTAB_AGENT_REGION=eu\nTRIMTAB_AGENT_CONTROLLER_URL=https://c\n"
        "TRIMTAB_AGENT_STATE_DIR=/s\nTRIMTAB_AGENT_TOKEN=x\nTRIMTAB_AGENT_SPRES=2\nCUDA_HOME=/c\n"
    )
    file.chmod(0o604)
    facts = settings_facts(file)
    assert facts.settings is not None
    assert facts.settings.host_id == "gpu-1"
    assert (facts.mode, facts.has_secret) == (0o604, True)
    assert facts.unknown == {"TRIMTAB_AGENT_SPRES": "TRIMTAB_AGENT_SPARES"}


@pytest.mark.parametrize(
    ("text", "faults", "trouble"),
    [
        ("TRIMTAB_AGENT_PORT=x\n", {"TRIMTAB_AGENT_PORT", "TRIMTAB_AGENT_REGION"}, ""),
        ("TRIMTAB_AGENT_GATEWAYS=us\n", {"TRIMTAB_AGENT_GATEWAYS"}, ""),
        ("nonsense\n", set(), "line 1: no `=`"),
        (None, set(), "no such file"),
    ],
)
def test_what_is_wrong_is_named(tmp_path, text, faults, trouble):
    file = tmp_path / "agent.env"
    if text is not None:
        file.write_text(text)
    facts = settings_facts(file)
    assert facts.settings is None
    assert faults <= set(facts.faults)
    assert trouble in facts.trouble


def test_settings_that_do_not_go_together_are_told_without_a_variable(tmp_path):
    file = tmp_path / "agent.env"
    file.write_text(
        "TRIMTAB_AGENT_HOST_ID=a\nTRIMTAB_AGENT_REGION=eu\nTRIMTAB_AGENT_CONTROLLER_URL=https://c\nTRIMTAB_AGENT_STATE_DIR=/s\n"
        "TRIMTAB_AGENT_TOKEN=x\nTRIMTAB_AGENT_TOKEN_FILE=/y\n"
    )
    assert settings_facts(file).faults == {"": "token and token_file are both set: keep one"}


@pytest.fixture
def open_folder():
    """Everybody may go there, which is not so of the folder that tests usually get."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder)
        path.chmod(0o755)
        yield path


def test_files_with_secrets_are_for_the_agent_and_nobody_else(tmp_path, open_folder):
    token, authority = open_folder / "token", open_folder / "ca.pem"
    token.touch(mode=0o644)
    token.chmod(0o644)
    facts = files_facts(settings(tmp_path, token_file=token, ca_file=authority), NOBODY)
    assert facts.too_open == {"TRIMTAB_AGENT_TOKEN_FILE": str(token)}
    assert facts.unreadable == {"TRIMTAB_AGENT_CA_FILE": str(authority)}
    token.chmod(0o640)
    facts = files_facts(settings(tmp_path, token_file=token), NOBODY)
    assert facts.too_open == {}
    assert "TRIMTAB_AGENT_TOKEN_FILE" in facts.unreadable


def test_a_host_that_has_joined_shows_its_own_credential(tmp_path, page):
    write_credential(tmp_path / CREDENTIAL_FILE, Credential("a", "own", 0.0, 0.0))
    url = f"http://127.0.0.1:{page}"
    assert controller_facts(settings(tmp_path, controller_url=url, token="join"), SystemClock()).shown == CREDENTIAL
    assert (
        controller_facts(settings(tmp_path / "x", controller_url=url, token="join"), SystemClock()).shown == JOIN_TOKEN
    )
    assert controller_facts(settings(tmp_path / "x", controller_url=url), SystemClock()).shown == ""


# ── permissions are those of the agent's user, also when root asks ────────────────────────────────────────────────────
@pytest.mark.parametrize(
    ("mode", "identity", "wanted", "may"),
    [
        (0o600, NOBODY, READ, False), (0o604, NOBODY, READ, True), (0o640, MEMBER, READ, True), (0o640, MEMBER, WRITE, False),
        (0o066, Identity(True, "owner", os.geteuid() or 0, frozenset()), READ, os.geteuid() == 0),
    ],
)  # fmt: skip
def test_permissions_are_reckoned_not_tried(open_folder, mode, identity, wanted, may):
    file = open_folder / "device"
    file.touch()
    file.chmod(mode)
    assert may_use(file, identity, wanted) is may


def test_a_file_for_everybody_in_a_folder_for_one_is_for_that_one(open_folder):
    folder = open_folder / "private"
    folder.mkdir(mode=0o700)
    (folder / "token").touch(mode=0o644)
    (open_folder / "link").symlink_to(folder / "token")
    owner = Identity(True, "owner", os.geteuid(), frozenset())
    for path in (folder / "token", open_folder / "link"):
        assert (may_use(path, NOBODY, READ), may_use(path, owner, READ)) == (False, True)


def test_a_state_directory_that_the_agent_may_not_write(tmp_path):
    tmp_path.chmod(0o755)
    facts = state_facts(settings(tmp_path), NOBODY)
    assert (facts.exists, facts.writable, facts.read_only) == (True, False, False)
    assert facts.free_bytes > 0
    assert not state_facts(settings(tmp_path / "missing"), NOBODY).exists


# ── the port ──────────────────────────────────────────────────────────────────────────────────────────────────────────
class Page(BaseHTTPRequestHandler):
    body = b"alive\n"

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(self.body)))
        self.end_headers()
        self.wfile.write(self.body)

    def log_message(self, *_: object) -> None:
        """Silent."""


@pytest.fixture
def page():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Page)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server.server_address[1]
    server.shutdown()
    server.server_close()


def test_a_port_is_free_or_an_agents_or_somebodys(tmp_path, free_port, page):
    assert port_facts(settings(tmp_path, port=free_port())).free
    taken = port_facts(settings(tmp_path, port=page))
    assert (taken.free, taken.agent_answers) == (False, True)
    assert str(os.getpid()) in taken.owner
    with closing(socket.create_server(("127.0.0.1", 0))) as mute:
        other = port_facts(settings(tmp_path, port=mute.getsockname()[1]))
    assert (other.free, other.agent_answers) == (False, False)


def test_an_address_of_another_host_is_told_apart_from_a_taken_port(tmp_path):
    assert not port_facts(settings(tmp_path, address="192.0.2.1")).bound_here


# ── the way out ───────────────────────────────────────────────────────────────────────────────────────────────────────
def test_whatever_answers_is_not_taken_for_a_controller(tmp_path, page):
    facts = controller_facts(settings(tmp_path, controller_url=f"http://127.0.0.1:{page}"), SystemClock())
    assert (facts.no_answer, facts.is_ours, facts.status) == (None, False, 501)
    assert facts.clock_offset_s is not None
    assert abs(facts.clock_offset_s) < 5


def test_a_closed_port_is_told_as_refused(tmp_path, free_port):
    facts = controller_facts(settings(tmp_path, controller_url=f"http://127.0.0.1:{free_port()}"), SystemClock())
    assert facts.no_answer is NoAnswer.REFUSED


@pytest.mark.parametrize(
    ("cause", "why"),
    [
        (socket.gaierror("Name or service not known"), NoAnswer.NAME), (ssl.SSLCertVerificationError("self-signed"), NoAnswer.TLS),
        (httpx.ConnectTimeout("slow"), NoAnswer.TIMEOUT), (OSError("no route"), NoAnswer.OTHER),
    ],
)  # fmt: skip
def test_silence_has_a_kind_by_its_innermost_cause(cause, why):
    error = httpx.ConnectError("all attempts failed")
    error.__cause__ = RuntimeError("wrapped")
    error.__cause__.__cause__ = cause
    assert why_no_answer(error)[0] is why


def test_tls_on_a_port_that_speaks_none_is_a_tls_fault(tmp_path, page):
    facts = controller_facts(settings(tmp_path, controller_url=f"https://127.0.0.1:{page}"), SystemClock())
    assert facts.no_answer is NoAnswer.TLS


def test_gateways_of_other_regions_are_tried(tmp_path, page, free_port):
    gateways = {"eu": "127.0.0.1:1", "us": f"127.0.0.1:{page}", "ap": f"127.0.0.1:{free_port()}"}
    facts = {facts.region: facts for facts in gateway_facts(settings(tmp_path, gateways=gateways), SystemClock())}
    assert {region: facts[region].connected for region in facts} == {"us": True, "ap": False}


# ── this machine ──────────────────────────────────────────────────────────────────────────────────────────────────────
def test_kernel_and_clock_can_be_read_here():
    kernel, clock = kernel_facts(), clock_facts()
    assert kernel.pid_max > 0
    assert kernel.files_max > 0
    assert clock.synchronised in {True, False}
    assert clock.error_s is not None
    assert clock.error_s >= 0


# ── bounds ────────────────────────────────────────────────────────────────────────────────────────────────────────────
def test_a_look_that_never_ends_costs_its_time_and_nothing_else():
    never = threading.Event()

    def broken() -> str:
        raise OSError("no such device")

    answers = side_by_side(
        {"fast": lambda: "seen", "hung": lambda: str(never.wait()), "broken": broken},
        within_s=0.3,
        clock=SystemClock(),
    )
    assert answers["fast"] == "seen"
    assert answers["hung"] == Missed("no answer within 0.3 s")
    assert answers["broken"] == Missed("OSError: no such device")
    never.set()


def test_a_program_that_hangs_is_ended_and_its_name_told():
    answer = run_program([sys.executable, "-S", "-c", "import signal; signal.pause()"], within_s=0.3)
    assert isinstance(answer, NotRun)
    assert "did not end within 0.3 s" in answer.reason


def test_a_programs_words_and_code_are_kept():
    assert run_program(["sh", "-c", "echo out; echo err >&2; exit 3"], within_s=5) == Ran(3, "out\nerr")
    assert run_program(["sh", "-c", "kill -9 $$"], within_s=5) == Ran(-signal.SIGKILL, "")
    assert run_program(["no-such-program-here"], within_s=1) == NotRun("no-such-program-here is not installed")
