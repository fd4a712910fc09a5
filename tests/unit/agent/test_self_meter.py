"""What the agent's own processes cost, and how late its event loop is."""

import asyncio
import os

import pytest

from agent.core.usage import Usage, parse_usage
from agent.probes.itself import SelfMeter
from chassis.clock import ManualClock, SystemClock


@pytest.mark.parametrize(
    ("text", "usage"),
    [
        (f"7 (a) b) S {'0 ' * 10}150 50 {'0 ' * 8}256 0\n", Usage(cpu_s=2.0, resident_bytes=1 << 20)),
        ("", None),
        ("7 (a) Z 1 2", None),
    ],
)
def test_a_stat_line_tells_cpu_and_memory(text, usage):
    assert parse_usage(text, ticks_per_s=100, page_bytes=4096) == usage


async def test_this_very_process_is_measured_and_one_that_does_not_run_is_absent(wait_until_async):
    meter = SelfMeter(clock=SystemClock(), pids={"agent": os.getpid, "nvml_worker": lambda: None})
    running = asyncio.ensure_future(meter.run())
    try:
        await wait_until_async(lambda: bool(meter.newest), within_s=5, what="a measurement")
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
    assert set(meter.newest) == {"agent"}
    used = meter.newest["agent"]
    assert used.cpu_s > 0
    assert used.resident_bytes > 1 << 20
    assert used.open_fds >= 3


class LateClock(ManualClock):
    """Wakes every sleeper 0.3 s after it wanted to be woken."""

    async def sleep(self, seconds: float) -> None:
        await super().sleep(seconds + 0.3)


async def test_a_sleeper_that_is_woken_late_shows_as_lag(wait_until_async):
    meter = SelfMeter(clock=LateClock(), pids={})
    running = asyncio.ensure_future(meter.run())
    try:
        await wait_until_async(lambda: meter.lag_s.count >= 3, within_s=5, what="three measures")
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
    within = dict(meter.lag_s.cumulative())
    assert within[0.25] == 0
    assert within[0.5] == meter.lag_s.count
