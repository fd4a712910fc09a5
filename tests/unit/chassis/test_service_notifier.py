"""Readiness and watchdog beats over a real datagram socket, as systemd would hear them."""

import asyncio
import os
import socket
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path

import pytest

from chassis.clock import ManualClock, SystemClock, blocking_sleep
from chassis.notify import BEAT_S_DEFAULT, BEATS_PER_WATCHDOG, ServiceNotifier, build_notifier


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[socket.socket]:
    with closing(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)) as listener:
        listener.bind(str(tmp_path / "notify"))
        listener.settimeout(5.0)
        yield listener


def heard(manager: socket.socket) -> list[str]:
    manager.setblocking(False)
    facts = []
    with suppress(BlockingIOError):
        while True:
            facts.append(manager.recv(4096).decode())
    return facts


async def run_for(notifier: ServiceNotifier, turns: int) -> None:
    async with notifier.speaking():
        for _ in range(turns):
            await asyncio.sleep(0)


async def test_a_service_is_ready_then_beats_and_says_when_it_ends(manager):
    notifier = build_notifier(
        {"NOTIFY_SOCKET": manager.getsockname(), "WATCHDOG_USEC": "30000000"}, clock=ManualClock()
    )
    await run_for(notifier, turns=5)
    facts = heard(manager)
    assert facts[0] == "READY=1"
    assert facts[-1] == "STOPPING=1"
    assert len(facts[1:-1]) >= 2
    assert set(facts[1:-1]) == {"WATCHDOG=1"}


def test_beats_come_several_times_per_watchdog():
    assert build_notifier({"WATCHDOG_USEC": "30000000"}, clock=ManualClock()).beat_s == 30 / BEATS_PER_WATCHDOG
    assert build_notifier({"WATCHDOG_USEC": "soon"}, clock=ManualClock()).beat_s == BEAT_S_DEFAULT


async def test_without_a_manager_the_task_ends_at_once_and_tells_nobody():
    await asyncio.wait_for(build_notifier({}, clock=ManualClock()).run(), 1.0)


async def test_a_manager_that_went_away_or_does_not_read_stops_nothing(tmp_path, manager):
    gone = ServiceNotifier(address=str(tmp_path / "nobody"), beat_s=1.0, clock=ManualClock())
    await run_for(gone, turns=3)
    deaf = ServiceNotifier(address=manager.getsockname(), beat_s=1.0, clock=ManualClock())
    await asyncio.wait_for(run_for(deaf, turns=5_000), 10.0)  # far more datagrams than the socket holds
    assert heard(manager)[0] == "READY=1"


async def test_an_abstract_address_is_understood():
    with closing(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)) as listener:
        name = f"trimtab-test-{os.getpid()}"
        listener.bind(f"\0{name}")
        await run_for(ServiceNotifier(address=f"@{name}", beat_s=1.0, clock=ManualClock()), turns=2)
        assert heard(listener)[0] == "READY=1"


async def test_a_stalled_event_loop_stops_beating(manager):
    """What the watchdog is for: the loop is blocked, so no beat comes, although the process lives."""
    notifier = ServiceNotifier(address=manager.getsockname(), beat_s=0.01, clock=SystemClock())
    async with notifier.speaking():
        await asyncio.sleep(0.05)
        assert "WATCHDOG=1" in heard(manager)
        blocking_sleep(0.1)  # ten beats long: blocks the loop on purpose
        assert heard(manager) == []
