"""Steady load, open loop: a request every 1/rate seconds whatever became of the former ones, counted per phase."""

import asyncio
from collections import Counter, defaultdict
from dataclasses import dataclass, field

import httpx

GATEWAY_RPS, DIRECT_RPS = 24.0, 4.0
"""Through the gateway, and past it to each replica: far below what three replicas can do, so every failure is the fault's."""
PATIENCE_S = 10.0
"""A caller of speech waits no longer; a request without an answer by then has failed."""
CONNECTIONS_MAX = 400
"""All that can be open at once: the rate times the patience, and the same again."""


@dataclass(slots=True)
class Counted:
    """Requests of one phase."""

    sent: int = 0
    failed: int = 0
    slowest_s: float = 0.0
    why: Counter[str] = field(default_factory=Counter)


@dataclass(slots=True)
class Load:
    """One open loop through the gateway, and one to each replica past it."""

    gateway_url: str
    replica_urls: tuple[str, ...]
    phase: str = "warm-up"
    over: bool = False
    """No more requests are sent; those on their way are waited for."""
    counted: dict[tuple[str, str], Counted] = field(default_factory=lambda: defaultdict(Counted))

    async def run(self) -> None:
        """Until `over`, and until the last request has its answer or has waited for `PATIENCE_S`."""
        limits = httpx.Limits(max_connections=CONNECTIONS_MAX, max_keepalive_connections=CONNECTIONS_MAX)
        patient = httpx.AsyncClient(limits=limits, timeout=PATIENCE_S, trust_env=False)
        async with patient as client, asyncio.TaskGroup() as group:
            group.create_task(self._loop(group, client, "gateway", self.gateway_url, GATEWAY_RPS))
            for url in self.replica_urls:
                group.create_task(self._loop(group, client, "direct", url, DIRECT_RPS))

    async def _loop(self, group: asyncio.TaskGroup, client: httpx.AsyncClient, way: str, url: str, rate: float) -> None:
        loop = asyncio.get_running_loop()
        started, number = loop.time(), 0
        while not self.over:
            group.create_task(self._one(client, self.counted[way, self.phase], url))
            number += 1
            await asyncio.sleep(max(0.0, started + number / rate - loop.time()))

    async def _one(self, client: httpx.AsyncClient, counted: Counted, url: str) -> None:
        loop = asyncio.get_running_loop()
        started = loop.time()
        counted.sent += 1
        try:
            async with asyncio.timeout(PATIENCE_S):
                status = (await client.post(f"{url}/tts", json={"text": "hello"})).status_code
            why = "" if status == 200 else str(status)
        except (httpx.HTTPError, TimeoutError) as error:
            why = type(error).__name__
        counted.slowest_s = max(counted.slowest_s, loop.time() - started)
        if why:
            counted.failed += 1
            counted.why[why] += 1
