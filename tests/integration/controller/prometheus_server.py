"""A real Prometheus that several tests of a module share."""

import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx


class Server:
    """One Prometheus over a directory; can be ended and started again on its port."""

    def __init__(self, home: Path, port: int, config: str) -> None:
        self.home = home
        self.port = port
        self.url = f"http://127.0.0.1:{port}"
        self.config = home / "prometheus.yml"
        self.config.write_text(config)
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, *flags: str) -> None:
        command = [
            "prometheus",
            f"--config.file={self.config}",
            f"--storage.tsdb.path={self.home / 'data'}",
            f"--web.listen-address=127.0.0.1:{self.port}",
            "--web.enable-lifecycle",
            "--log.level=warn",
            *flags,
        ]
        with (self.home / "prometheus.log").open("ab") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log)
        deadline = time.monotonic() + 20
        while not self._is_ready():
            assert time.monotonic() < deadline, (self.home / "prometheus.log").read_text()
            time.sleep(0.05)

    def stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait(timeout=10)
            self._process = None

    def get(self, path: str, **parameters: str) -> dict:
        return httpx.get(f"{self.url}/api/v1/{path}", params=parameters, timeout=10).json()

    def value(self, query: str) -> float | None:
        found = self.get("query", query=query)["data"]["result"]
        return float(found[0]["value"][1]) if found else None

    def _is_ready(self) -> bool:
        try:
            return httpx.get(f"{self.url}/-/ready", timeout=1).is_success
        except httpx.HTTPError:
            return False


@contextmanager
def prometheus(home: Path, port: int, config: str, *flags: str) -> Iterator[Server]:
    server = Server(home, port, config)
    server.start(*flags)
    try:
        yield server
    finally:
        server.stop()
