"""How far other regions are: one TCP connection to each of their gateways, every few seconds.

Opening a connection takes exactly one round trip, needs no credentials and costs the gateway nothing, so it says what a
request that is sent there would pay; looking its name up does not count. The controller knows from it where traffic can go;
a region that does not answer is absent, never a number.
"""

import asyncio
import random
import socket
from collections import Counter
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from enum import StrEnum

from agent.core.histogram import Histogram
from chassis.clock import Clock
from chassis.logs import logger
from contracts.vocabulary import Region

log = logger(__name__)
RTT_BOUNDS_S = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.4, 0.8, 1.6)
"""From the same building to the other side of the world over a bad line."""


NAMES_AT_ONCE = 2
"""Threads that look names up. They are our own: while the name servers are away each sits there for many seconds, and the
threads that everything else shares must stay free for healing."""


class RttOutcome(StrEnum):
    """What came of one try."""

    OK = "ok"
    REFUSED = "refused"
    """Somebody answered: nothing listens there."""
    TIMEOUT = "timeout"
    FAILED = "failed"
    """No way there, or no such name."""


@dataclass(frozen=True, slots=True)
class Gateway:
    """Where a region's gateway listens."""

    host: str
    port: int


@dataclass(frozen=True, slots=True)
class RttPace:
    """How often to look."""

    interval_s: float = 5.0
    jitter: float = 0.2
    """Share by which each wait is shorter or longer, so that a thousand hosts do not knock in step."""
    deadline_s: float = 2.0
    """No place on earth is half as far away; a lost first packet is sent again after one second."""


@dataclass(slots=True)
class RegionRtts:
    """The newest measurement and the history of each region."""

    gateways: Mapping[Region, Gateway]
    clock: Clock
    rng: random.Random
    pace: RttPace = field(default_factory=RttPace)
    newest_s: dict[Region, float] = field(default_factory=dict)
    """Without the regions whose gateway did not answer the last time."""
    outcomes: Counter[tuple[Region, RttOutcome]] = field(default_factory=Counter)
    seconds: dict[Region, Histogram] = field(default_factory=dict)
    _names: ThreadPoolExecutor = field(
        default_factory=lambda: ThreadPoolExecutor(NAMES_AT_ONCE, thread_name_prefix="names")
    )

    def __post_init__(self) -> None:
        self.seconds = {region: Histogram(RTT_BOUNDS_S) for region in self.gateways}

    async def run(self) -> None:
        """Measure for ever; returns at once when there is no other region."""
        while self.gateways:
            await self.measure()
            jitter = self.pace.jitter * (2.0 * self.rng.random() - 1.0)
            await self.clock.sleep(self.pace.interval_s * (1.0 + jitter))

    async def measure(self) -> None:
        """Knock once at every gateway, side by side."""
        async with asyncio.TaskGroup() as group:
            for region, gateway in self.gateways.items():
                group.create_task(self._knock(region, gateway))

    async def _knock(self, region: Region, gateway: Gateway) -> None:
        way = await self._way_to(gateway)
        if isinstance(way, RttOutcome):
            self.outcomes[region, way] += 1
            if self.newest_s.pop(region, None) is not None:
                log.warning("region_lost", region=region, outcome=way.value)
            return
        self.outcomes[region, RttOutcome.OK] += 1
        self.newest_s[region] = way
        self.seconds[region].observe(way)

    async def _way_to(self, gateway: Gateway) -> float | RttOutcome:
        """Seconds that a connection took to open; else what went wrong."""
        try:
            async with asyncio.timeout(self.pace.deadline_s):
                return await self._opened_s(await self._addresses(gateway), gateway.port)
        except TimeoutError:
            return RttOutcome.TIMEOUT
        except ConnectionRefusedError:
            return RttOutcome.REFUSED
        except OSError:
            return RttOutcome.FAILED

    async def _addresses(self, gateway: Gateway) -> list[str]:
        """What its name stands for, best first; an address stands for itself, whatever the name servers do."""
        try:
            return look_up(gateway, socket.AI_NUMERICHOST)
        except socket.gaierror:
            return await asyncio.get_running_loop().run_in_executor(self._names, look_up, gateway, 0)

    async def _opened_s(self, addresses: list[str], port: int) -> float:
        """To the first address that accepts; raises the `OSError` of the last one."""
        *others, last = addresses
        for address in others:
            with suppress(OSError):
                return await self._open_s(address, port)
        return await self._open_s(last, port)

    async def _open_s(self, address: str, port: int) -> float:
        began_s = self.clock.monotonic_s()
        transport, _ = await asyncio.get_running_loop().create_connection(asyncio.Protocol, address, port)
        took_s = self.clock.monotonic_s() - began_s
        transport.abort()
        return took_s


def look_up(gateway: Gateway, flags: int) -> list[str]:
    """Blocks, except with `AI_NUMERICHOST`; raises `socket.gaierror`."""
    found = socket.getaddrinfo(gateway.host, gateway.port, type=socket.SOCK_STREAM, flags=flags)
    return [str(place[0]) for *_, place in found]
