"""Stand-ins around the real Prometheus and Alertmanager: a fleet that is scraped, and everybody who is told something."""

import json
import shutil
import socketserver
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from email import message_from_bytes, policy
from email.message import EmailMessage
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import pytest

from alerts.channels import Email, PagerDuty, Slack, Smtp, Webhook
from alerts.config import rendered_files
from alerts.settings import AlertmanagerSettings, Audience, ControllerWebhook, Links, Pace, Paces, Team


@dataclass
class FakeFleet:
    """What it exposes can be changed while it runs; what it was told is kept."""

    pages: dict[str, str] = field(default_factory=dict)
    """What it answers to a GET, by path."""
    posts: list[tuple[str, str, dict]] = field(default_factory=list)
    """(path, Authorization header, body) of every POST."""
    port: int = 0

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.port}{path}"

    def told(self, path: str) -> list[dict]:
        """Bodies that were posted to one path, in order."""
        return [body for at, _, body in list(self.posts) if at == path]


@contextmanager
def served(server: socketserver.BaseServer) -> Iterator[int]:
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        server.server_close()
        thread.join(timeout=5)


@contextmanager
def fake_fleet() -> Iterator[FakeFleet]:
    fake = FakeFleet()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._answer(200, fake.pages.get(self.path, "").encode(), "text/plain; version=0.0.4")

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            fake.posts.append((self.path, self.headers.get("Authorization", ""), body))
            self._answer(202, b"ok", "text/plain")

        def _answer(self, status: int, body: bytes, content_type: str) -> None:
            self.send_response(status)
            self.send_header("Content-Type", content_type)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the base class's name
            """Be quiet."""

    with served(ThreadingHTTPServer(("127.0.0.1", 0), Handler)) as port:
        fake.port = port
        yield fake


@dataclass
class FakeMailServer:
    """Takes mail from whoever logs in; enough of SMTP for Alertmanager."""

    port: int = 0
    logins: list[str] = field(default_factory=list)
    """The arguments of every AUTH."""
    recipients: list[str] = field(default_factory=list)
    messages: list[EmailMessage] = field(default_factory=list)


@contextmanager
def fake_mail_server() -> Iterator[FakeMailServer]:
    fake = FakeMailServer()

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            self._say("220 ready")
            while line := self.rfile.readline().decode().strip():
                verb, _, rest = line.partition(" ")
                if verb == "EHLO":
                    self._say("250-here\r\n250 AUTH PLAIN")
                elif verb == "AUTH":
                    fake.logins.append(rest)
                    self._say("235 welcome")
                elif verb == "DATA":
                    self._say("354 go on")
                    fake.messages.append(self._message())
                    self._say("250 taken")
                elif verb == "QUIT":
                    self._say("221 bye")
                    return
                else:
                    fake.recipients += [rest] if verb == "RCPT" else []
                    self._say("250 ok")

        def _message(self) -> EmailMessage:
            lines = []
            while (line := self.rfile.readline()) != b".\r\n":
                lines.append(line)
            return message_from_bytes(b"".join(lines), policy=policy.default)

        def _say(self, text: str) -> None:
            self.wfile.write(f"{text}\r\n".encode())

    with served(socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler)) as port:
        fake.port = port
        yield fake


@dataclass(frozen=True)
class Alertmanager:
    """The real one, running with our configuration."""

    url: str

    def is_ready(self) -> bool:
        try:
            return httpx.get(f"{self.url}/-/ready", timeout=1).is_success
        except httpx.HTTPError:
            return False

    def fire(self, *alerts: dict) -> None:
        """Post alerts, as Prometheus does."""
        httpx.post(f"{self.url}/api/v2/alerts", json=list(alerts), timeout=5).raise_for_status()

    def alerts(self, **labels: str) -> list[dict]:
        """What it knows of alerts with these labels."""
        query = [("filter", f'{label}="{value}"') for label, value in labels.items()]
        return httpx.get(f"{self.url}/api/v2/alerts", params=query, timeout=5).json()


@contextmanager
def alertmanager(settings: AlertmanagerSettings, folder: Path, port: int) -> Iterator[Alertmanager]:
    """Started; whoever uses it waits until it is ready."""
    for name, text in rendered_files(settings).items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    program = shutil.which("prometheus-alertmanager") or shutil.which("alertmanager")
    url = f"http://127.0.0.1:{port}"
    argv = [
        str(program),
        f"--config.file={folder / 'alertmanager.yml'}",
        f"--storage.path={folder / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}",
        f"--web.external-url={url}",
        "--cluster.listen-address=",
    ]
    with (folder / "alertmanager.log").open("wb") as log:
        child = subprocess.Popen(argv, stdout=log, stderr=log)
        try:
            yield Alertmanager(url)
        finally:
            child.terminate()
            child.wait(timeout=10)


@dataclass(frozen=True)
class People:
    """Everybody who may be told something, and the Alertmanager that tells them."""

    alertmanager: Alertmanager
    fleet: FakeFleet
    mail: FakeMailServer


HURRY = Pace(group_wait_s=1, group_interval_s=1, repeat_interval_s=3_600)
PACES = Paces(
    controller=HURRY, urgent=replace(HURRY, group_wait_s=0), page=HURRY, ticket=HURRY, heartbeat=Pace(0, 2, 1)
)
"""The order of things, without the patience."""


def with_secrets(folder: Path, fleet: FakeFleet, mail: FakeMailServer) -> AlertmanagerSettings:
    """Every channel, with its secret in a file."""
    secrets = {"slack.url": fleet.url("/slack"), "pagerduty.key": "k" * 32, "team.key": "t" * 32, "word": "open sesame"}
    for name, secret in {**secrets, "controller.token": "for-the-controller", "chat.token": "for-the-chat"}.items():
        (folder / name).write_text(secret)
    events = fleet.url("/pagerduty")
    return AlertmanagerSettings(
        controller=ControllerWebhook(fleet.url("/api/v1/alerts"), str(folder / "controller.token")),
        people=Audience(
            page=(Slack("#pages", str(folder / "slack.url")), PagerDuty(str(folder / "pagerduty.key"), events)),
            ticket=(
                Email(("tts@example.org", "ops@example.org")),
                Webhook(fleet.url("/chat"), str(folder / "chat.token")),
            ),
        ),
        teams=(Team("us-east", Audience(page=(PagerDuty(str(folder / "team.key"), events),))),),
        smtp=Smtp(f"127.0.0.1:{mail.port}", "trimtab@example.org", "trimtab", str(folder / "word"), require_tls=False),
        links=Links(dashboards="https://grafana.example", runbooks="https://git.example/trimtab/blob/main"),
        heartbeat=Webhook(fleet.url("/heartbeat")),
        paces=PACES,
    )


@pytest.fixture(scope="module")
def adjust() -> Callable[[AlertmanagerSettings], AlertmanagerSettings]:
    """What a file changes about the settings; nothing, unless it has a fixture of this name."""
    return lambda settings: settings


@pytest.fixture(scope="module")
def _told(
    tmp_path_factory: pytest.TempPathFactory,
    ports: Iterator[int],
    adjust: Callable[[AlertmanagerSettings], AlertmanagerSettings],
) -> Iterator[People]:
    folder = tmp_path_factory.mktemp("alertmanager")
    with fake_fleet() as fleet, fake_mail_server() as mail:
        settings = adjust(with_secrets(folder, fleet, mail))
        with alertmanager(settings, folder, next(ports)) as server:
            yield People(server, fleet, mail)


@pytest.fixture
def people(_told: People, wait_until: Callable[..., None]) -> People:
    """One Alertmanager for the tests of a file; each test speaks about regions of its own."""
    wait_until(_told.alertmanager.is_ready, within_s=20, what="Alertmanager ready")
    return _told
