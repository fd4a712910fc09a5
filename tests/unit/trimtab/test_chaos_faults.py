"""Faults against tiny real processes: they hit what they name, nothing else, and let go in the end."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator

import psutil
import pytest

from chassis.clock import SystemClock
from trimtab.chaos.faults import SlowRegion, freeze, kill
from trimtab.chaos.processes import NoSuchTargetError, ProcessTree, send_signal
from trimtab.stack.model import Listener

LISTEN = """
import socket, sys, time
server = socket.create_server((sys.argv[1], int(sys.argv[2])))
time.sleep(60)
"""


@pytest.fixture
def replica(free_port: Callable[..., int], wait_until) -> Iterator[tuple[Listener, subprocess.Popen[bytes]]]:
    listener = Listener("127.0.0.1", free_port())
    child = subprocess.Popen([sys.executable, "-c", LISTEN, listener.address, str(listener.port)])
    tree = ProcessTree(os.getpid())

    def listens() -> bool:
        try:
            return tree.listening_on(listener) == child.pid
        except NoSuchTargetError:
            return False

    wait_until(listens, within_s=10, what="the replica listens")
    yield listener, child
    send_signal((child.pid,), signal.SIGCONT)
    child.kill()
    child.wait(5)


def status(child: subprocess.Popen[bytes]) -> str:
    return str(psutil.Process(child.pid).status())


def test_freezing_stops_the_process_that_listens_there(replica, wait_until) -> None:
    listener, child = replica
    assert freeze(ProcessTree(os.getpid()), listener) == child.pid
    wait_until(lambda: status(child) == psutil.STATUS_STOPPED, within_s=2, what="it is stopped")


def test_killing_ends_it(replica) -> None:
    listener, child = replica
    assert kill(ProcessTree(os.getpid()), listener) == child.pid
    assert child.wait(5) == -signal.SIGKILL


def test_nothing_outside_the_own_tree_is_ever_hit(replica) -> None:
    listener, child = replica
    stranger = ProcessTree(child.pid)  # it has no children
    with pytest.raises(NoSuchTargetError, match="listens on"):
        freeze(stranger, listener)
    assert status(child) != psutil.STATUS_STOPPED


async def test_a_slow_region_is_stopped_most_of_the_time_and_always_let_go(replica) -> None:
    listener, child = replica
    fault = SlowRegion(ProcessTree(os.getpid()), lambda: (listener,), SystemClock())
    stop = asyncio.Event()
    task = asyncio.create_task(fault.run(duration_s=30, stop=stop))
    await asyncio.sleep(0.3)
    seen = []
    for _ in range(60):
        seen.append(status(child) == psutil.STATUS_STOPPED)
        await asyncio.sleep(0.007)
    stop.set()
    await task
    assert 0.5 < sum(seen) / len(seen) < 1.0, "stopped most of the time, never all of it"
    assert status(child) != psutil.STATUS_STOPPED


async def test_a_cancelled_fault_lets_go_too(replica) -> None:
    listener, child = replica
    fault = SlowRegion(ProcessTree(os.getpid()), lambda: (listener,), SystemClock())
    task = asyncio.create_task(fault.run(duration_s=30, stop=asyncio.Event()))
    await asyncio.sleep(0.3)
    task.cancel()
    await asyncio.wait({task})
    assert status(child) != psutil.STATUS_STOPPED


async def test_a_fault_that_nobody_ends_ends_itself(replica) -> None:
    listener, child = replica
    fault = SlowRegion(ProcessTree(os.getpid()), lambda: (listener,), SystemClock())
    async with asyncio.timeout(5):
        await fault.run(duration_s=0.2, stop=asyncio.Event())
    assert status(child) != psutil.STATUS_STOPPED


def test_a_full_stop_is_not_called_slow() -> None:
    with pytest.raises(ValueError, match="more is a freeze"):
        SlowRegion(ProcessTree(1), tuple, SystemClock(), stopped_ratio=1.0)
