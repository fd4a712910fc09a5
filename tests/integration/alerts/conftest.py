"""A stand-in for the fleet: one small HTTP server that is scraped like a replica, agent and controller, and is posted alerts."""

import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest


@dataclass
class FakeFleet:
    """What it exposes can be changed while it runs; what it was told is kept."""

    metrics: str = ""
    posts: list[tuple[str, str, dict]] = field(default_factory=list)
    """(path, Authorization header, body) of every POST."""
    port: int = 0


@pytest.fixture
def fleet() -> Iterator[FakeFleet]:
    fake = FakeFleet()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = fake.metrics.encode()
            self.send_response(200)
            self.send_header("Content-Type", "text/plain; version=0.0.4")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            fake.posts.append((self.path, self.headers.get("Authorization", ""), body))
            self.send_response(202)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the base class's name
            """Be quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    fake.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    yield fake
    server.shutdown()
    server.server_close()
    thread.join(timeout=5)
