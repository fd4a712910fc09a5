"""How far other regions are: one TCP connection to each of their gateways, every few seconds.

Opening a connection takes exactly one round trip, needs no credentials and costs the gateway nothing, so it says what a
request that is sent there would pay. The controller knows from it where traffic can go; a region that does not answer is
absent, never a number.
"""

import asyncio
import random
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from agent.core.histogram import Histogram
from chassis.clock import Clock
from chassis.logs import logger
from contracts.vocabulary import Region

log = logger(__name__)
RTT_BOUNDS_S = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.4, 0.8, 1.6)
"""From the same building to the other side of the world over a bad line."""


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
        began_s = self.clock.monotonic_s()
        outcome = await self._connect(gateway)
        if outcome is RttOutcome.OK:
            took_s = self.clock.monotonic_s() - began_s
            self.newest_s[region] = took_s
            self.seconds[region].observe(took_s)
        elif self.newest_s.pop(region, None) is not None:
            log.warning("region_lost", region=region, outcome=outcome.value)
        self.outcomes[region, outcome] += 1

    async def _connect(self, gateway: Gateway) -> RttOutcome:
        try:
            async with asyncio.timeout(self.pace.deadline_s):
                transport, _ = await asyncio.get_running_loop().create_connection(
                    asyncio.Protocol, gateway.host, gateway.port
                )
        except TimeoutError:
            return RttOutcome.TIMEOUT
        except ConnectionRefusedError:
            return RttOutcome.REFUSED
        except OSError:
            return RttOutcome.FAILED
        transport.abort()
        return RttOutcome.OK
