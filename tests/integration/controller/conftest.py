"""A real Envoy in front of four small replicas in two regions, and an open-loop client that counts every loss."""

import asyncio
import json
import os
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import envoy
import httpx
import pytest

from chassis.clock import SystemClock
from contracts.vocabulary import Region
from controller.drivers.envoy import EnvoyTraffic, Gateway
from controller.drivers.envoy_bootstrap import GatewaySettings, render_bootstrap
from controller.ports import Applied, Endpoint, GatewayPlan

HERE = Path(__file__).parent
ENVOY = str(Path(next(iter(envoy.__path__))) / "_bin" / "envoy")
SHARED_MEMORY = "/dev/shm"  # noqa: S108  # a tmpfs, which is where gateways watch in production
EU, US = Region("eu-west"), Region("us-east")
REPLICAS = {
    "eu-west-a-0": (EU, "127.0.1.1"),
    "eu-west-a-1": (EU, "127.0.1.2"),
    "us-east-a-0": (US, "127.0.2.1"),
    "us-east-a-1": (US, "127.0.2.2"),
}


@dataclass
class Load:
    """Open loop: a request every 1/rate seconds, whatever became of the former ones. Connections are kept."""

    port: int
    rate: float = 100.0
    path: str = "/tts"
    outcomes: Counter[str] = field(default_factory=Counter)
    slowest_s: float = 0.0
    _idle: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = field(default_factory=list)

    async def run(self, seconds: float) -> None:
        loop = asyncio.get_running_loop()
        start = loop.time()
        async with asyncio.TaskGroup() as group:
            for number in range(int(seconds * self.rate)):
                await asyncio.sleep(max(0.0, start + number / self.rate - loop.time()))
                group.create_task(self._count())
        for _reader, writer in self._idle:
            writer.close()
        self._idle.clear()

    async def _count(self) -> None:
        start = asyncio.get_running_loop().time()
        try:
            self.outcomes[await asyncio.wait_for(self._one(), 10.0)] += 1
        except (OSError, EOFError, TimeoutError) as error:
            self.outcomes[type(error).__name__] += 1
        self.slowest_s = max(self.slowest_s, asyncio.get_running_loop().time() - start)

    async def _one(self) -> str:
        reader, writer = self._idle.pop() if self._idle else await asyncio.open_connection("127.0.0.1", self.port)
        writer.write(f"POST {self.path} HTTP/1.1\r\nhost: gw\r\ncontent-length: 2\r\n\r\n{{}}".encode())
        head = await reader.readuntil(b"\r\n\r\n")
        length = next(int(h.split(b":")[1]) for h in head.lower().split(b"\r\n") if h.startswith(b"content-length"))
        body = await reader.readexactly(length)
        if b"connection: close" in head.lower():
            writer.close()
        else:
            self._idle.append((reader, writer))
        status = int(head[9:12])
        return body.decode().strip() if status == 200 else str(status)

    @property
    def lost(self) -> dict[str, int]:
        return {outcome: count for outcome, count in self.outcomes.items() if outcome not in REPLICAS}

    def share(self, region: Region) -> float:
        served = sum(count for outcome, count in self.outcomes.items() if outcome in REPLICAS)
        there = sum(count for name, count in self.outcomes.items() if name in REPLICAS and REPLICAS[name][0] == region)
        return there / max(1, served)


@dataclass
class GatewayRig:
    """Everything one test drives."""

    traffic: EnvoyTraffic
    port: int
    replica_port: int
    eds_dir: Path
    admin_url: str
    replicas: dict[str, subprocess.Popen[bytes]]
    client: httpx.AsyncClient
    start_replica: Callable[[str], None]

    def plan(
        self, eu: float, us: float, *, draining: tuple[str, ...] = (), without: tuple[str, ...] = (), shed: float = 0.0
    ) -> GatewayPlan:
        endpoints = tuple(
            Endpoint(name, region, address, self.replica_port, name in draining)
            for name, (region, address) in REPLICAS.items()
            if name not in without
        )
        return GatewayPlan(gateway=EU, shares=((EU, eu), (US, us)), endpoints=endpoints, shed_ratio=shed)

    async def step(self, plan: GatewayPlan) -> None:
        version = await self.traffic.apply((plan,))
        assert await self.traffic.confirm(version, 5.0) == Applied(version=version)

    async def mood(self, name: str, query: str) -> None:
        await self.client.get(f"http://{REPLICAS[name][1]}:{self.replica_port}/mood?{query}")

    async def stat(self, name: str) -> str:
        answer = await self.client.get(f"{self.admin_url}/stats?filter=^{name}$")
        return answer.text.strip().rpartition(": ")[2]

    async def until(self, is_so: Callable[[], Awaitable[bool]]) -> None:
        async with asyncio.timeout(5.0):
            while not await is_so():  # noqa: ASYNC110  # the level is Envoy's, it has no event for us
                await asyncio.sleep(0.02)

    def load(self, rate: float = 100.0) -> Load:
        return Load(port=self.port, rate=rate)


@pytest.fixture
def tmpfs_dir() -> Iterator[Path]:
    """Where gateways watch: shared memory where there is some, as in production."""
    shared = SHARED_MEMORY if os.access(SHARED_MEMORY, os.W_OK) else None
    with tempfile.TemporaryDirectory(dir=shared, prefix="trimtab-test-") as directory:
        yield Path(directory)


@pytest.fixture
async def rig(
    tmp_path: Path,
    tmpfs_dir: Path,
    free_port: Callable[..., int],
    start_program: Callable[..., subprocess.Popen[bytes]],
    wait_until_async: Callable[..., Awaitable[None]],
    answers: Callable[[str], bool],
) -> AsyncIterator[GatewayRig]:
    """A gateway of eu-west that serves its own region and keeps the other on standby."""
    port, admin_port, replica_port = free_port(), free_port(), free_port("127.0.1.1")
    admin_url = f"http://127.0.0.1:{admin_port}"
    replicas: dict[str, subprocess.Popen[bytes]] = {}

    def start_replica(name: str) -> None:
        argv = [sys.executable, str(HERE / "speech_backend.py"), REPLICAS[name][1], str(replica_port), name]
        replicas[name] = start_program(argv, name=name)

    for name in REPLICAS:
        start_replica(name)
    bootstrap = render_bootstrap(
        GatewaySettings(
            region=EU,
            address="127.0.0.1",
            port=port,
            admin_address="127.0.0.1",
            admin_port=admin_port,
            eds_dir=str(tmpfs_dir),
            access_log=str(tmp_path / "access.log"),
        )
    )
    config = tmp_path / "envoy.json"
    config.write_text(json.dumps(bootstrap))
    async with httpx.AsyncClient() as client:
        gateway = Gateway(region=EU, admin_url=admin_url, eds_dir=tmpfs_dir)
        traffic = EnvoyTraffic(gateways=(gateway,), client=client, clock=SystemClock(), boot="test")
        rig = GatewayRig(
            traffic, port, replica_port, tmpfs_dir, admin_url, replicas, client, start_replica=start_replica
        )
        await traffic.seed()
        flags = ["--disable-hot-restart", "--concurrency", "1", "--reject-unknown-dynamic-fields", "-l", "warning"]
        start_program([ENVOY, "-c", str(config), *flags], name="envoy")
        await wait_until_async(lambda: answers(f"{admin_url}/ready"), within_s=20, what="the gateway is ready")
        for name, (_region, address) in REPLICAS.items():
            url = f"http://{address}:{replica_port}/readyz"
            await wait_until_async(lambda url=url: answers(url), within_s=10, what=f"{name} is ready")
        await rig.step(rig.plan(1.0, 0.0))
        models = f"http://127.0.0.1:{port}/v1/models"
        await wait_until_async(lambda: answers(models), within_s=5, what="the gateway serves")
        yield rig
