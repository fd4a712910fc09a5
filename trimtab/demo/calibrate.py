"""Measuring the machine before pushing it: unloaded latency, then closed-loop throughput, both through the gateways."""

import asyncio

from chassis.clock import Clock
from contracts.vocabulary import Region
from trimtab.demo.sizing import Measured
from trimtab.load.generator import LoadGenerator
from trimtab.load.records import Fate, quantile

WARM_UP = 4
"""Requests per gateway that are not counted: first touches of every path."""
UNLOADED = 12
"""Sentences per gateway for the latency: enough for a p95 that means something, a few seconds on two slow cores."""
CLOSED_LOOP_S = 6.0
CLIENTS_PER_REPLICA = 2
"""One speaking, one waiting: a replica never rests, and admission control has nothing to refuse."""
REFUSED_PAUSE_S = 0.2
"""A refused client that came back at once would measure how fast refusals are."""
SPOKEN_MIN = 8
"""Fewer answers than this in the closed loop measure nothing."""


class CalibrationError(Exception):
    """The machine, or the stack on it, cannot even do this little."""


async def measure(load: LoadGenerator, gateways: tuple[Region, ...], *, replicas: int, clock: Clock) -> Measured:
    """Take both measurements; about ten seconds. Raises `CalibrationError` when nearly nothing is answered."""
    for gateway in gateways:
        for _ in range(WARM_UP):
            await load.speak_once("warm-up", gateway)
    latencies = [
        record.latency_s
        for _ in range(UNLOADED)
        for gateway in gateways
        if (record := await load.speak_once("unloaded", gateway)).fate is Fate.SPOKEN
    ]
    if len(latencies) < UNLOADED:
        msg = f"only {len(latencies)} of {UNLOADED * len(gateways)} single sentences were spoken"
        raise CalibrationError(msg)
    full_rps = await _closed_loop_rps(load, gateways, clients=CLIENTS_PER_REPLICA * replicas, clock=clock)
    return Measured(p50_s=quantile(latencies, 0.5), p95_s=quantile(latencies, 0.95), full_rps=full_rps)


async def _closed_loop_rps(load: LoadGenerator, gateways: tuple[Region, ...], *, clients: int, clock: Clock) -> float:
    started_s = clock.monotonic_s()
    ends_s = started_s + CLOSED_LOOP_S

    async def client(gateway: Region) -> int:
        spoken = 0
        while clock.monotonic_s() < ends_s:
            record = await load.speak_once("closed-loop", gateway)
            spoken += record.fate is Fate.SPOKEN
            if record.fate is not Fate.SPOKEN:
                await clock.sleep(REFUSED_PAUSE_S)
        return spoken

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(client(gateways[number % len(gateways)])) for number in range(clients)]
    spoken = sum(task.result() for task in tasks)
    if spoken < SPOKEN_MIN:
        msg = f"only {spoken} sentences in {CLOSED_LOOP_S:g} s with {clients} clients"
        raise CalibrationError(msg)
    return spoken / (clock.monotonic_s() - started_s)
