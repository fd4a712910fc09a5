"""The real voice, derived once per machine, and real replica processes."""

import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from serving.prepare import prepare

FOX = "The quick brown fox jumps over the lazy dog near the river."


@dataclass(frozen=True, slots=True)
class RunningReplica:
    """A replica in a process of its own."""

    process: subprocess.Popen[bytes]
    url: str

    def client(self) -> httpx.AsyncClient:
        limits = httpx.Limits(max_connections=200)
        return httpx.AsyncClient(base_url=self.url, timeout=30, limits=limits)

    def counter(self, name: str, **labels: str) -> float:
        """Sum of the samples of a metric that carry `labels`."""
        families = text_string_to_metric_families(httpx.get(f"{self.url}/metrics", timeout=5).text)
        return sum(
            sample.value
            for family in families
            for sample in family.samples
            if sample.name == name and labels.items() <= sample.labels.items()
        )


@pytest.fixture(scope="session")
def voice_dir() -> Path:
    """Derived under the system's temporary directory and kept there: 3 s once, 0.1 s afterwards."""
    where = Path(tempfile.gettempdir()) / "trimtab-test-voice"
    prepare(where)
    return where


@pytest.fixture
def serving_env(voice_dir: Path) -> dict[str, str]:
    return {"TRIMTAB_SERVING_VOICE_DIR": str(voice_dir), "PYTHONPATH": str(Path.cwd())}


@pytest.fixture
def start_replica(
    serving_env: dict[str, str],
    start_program: Callable[..., subprocess.Popen[bytes]],
    free_port: Callable[..., int],
    wait_until: Callable[..., None],
    answers: Callable[[str], bool],
) -> Callable[..., RunningReplica]:
    def start(**settings: object) -> RunningReplica:
        port = free_port()
        env = serving_env | {f"TRIMTAB_SERVING_{name.upper()}": str(value) for name, value in settings.items()}
        env["TRIMTAB_SERVING_PORT"] = str(port)
        process = start_program([sys.executable, "-m", "serving"], env=env, name=f"replica-{port}")
        url = f"http://127.0.0.1:{port}"
        wait_until(lambda: answers(f"{url}/readyz"), within_s=20, what="the replica is ready")
        return RunningReplica(process, url)

    return start
