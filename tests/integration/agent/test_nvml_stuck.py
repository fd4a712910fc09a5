"""Threads that even SIGKILL does not end: a file system is frozen under the simulated driver. Needs root and a loop device."""

import asyncio
import os
import random
import shutil
import subprocess
from contextlib import ExitStack

import pytest

from agent.degradation import Degradations
from agent.probes.gpu import GpuSources, GpuWatch
from agent.probes.gpu_memory import GpuMemoryFile
from agent.probes.gpu_worker import ABANDONED_MAX, Patience
from agent.simulated_gpus.layout import Hang
from agent.xid_table import shipped_table
from chassis.clock import SystemClock
from chassis.retry import Backoff

TOOLS = ("mkfs.ext4", "mount", "umount", "fsfreeze")
IMAGE_BYTES = 8 << 20
THAW_S_MAX = 90
"""Whatever becomes of this test, the file system is thawed by then: nobody else's work may hang on it."""
CLOCK = SystemClock()

pytestmark = pytest.mark.skipif(
    os.geteuid() != 0 or not all(shutil.which(tool) for tool in TOOLS), reason="needs root, and tools to freeze a disk"
)


def run(*argv):
    return subprocess.run(argv, capture_output=True, timeout=30, check=False).returncode == 0


@pytest.fixture
def freezable(tmp_path):
    """A small file system of its own that can be frozen; thawed and unmounted in any case."""
    image, mount = tmp_path / "image", tmp_path / "mount"
    mount.mkdir()
    image.write_bytes(b"\0" * IMAGE_BYTES)
    with ExitStack() as stack:
        if not run("mkfs.ext4", "-q", "-F", str(image)) or not run("mount", "-o", "loop", str(image), str(mount)):
            pytest.skip("this machine lets nobody mount a loop device")
        stack.callback(run, "umount", "--lazy", str(mount))
        thaw = subprocess.Popen(["sh", "-c", f"sleep {THAW_S_MAX}; fsfreeze -u '{mount}'"], start_new_session=True)
        stack.callback(thaw.wait, timeout=10)
        stack.callback(thaw.kill)
        stack.callback(run, "fsfreeze", "-u", str(mount))
        yield mount


async def test_stuck_workers_are_abandoned_counted_and_bounded_and_end_when_the_driver_does(
    simulated_gpus, freezable, tmp_path, wait_until_async
):
    host = simulated_gpus(2)
    watch = GpuWatch(
        sources=GpuSources(
            env=host.environment,
            log_path=tmp_path / "nvml.log",
            memory=GpuMemoryFile(tmp_path / "gpus.json"),
            boot_id=lambda: "boot",
            kernel_log=None,
        ),
        table=shipped_table(),
        clock=CLOCK,
        rng=random.Random(1),
        degradations=Degradations(lambda: None),
    )
    workers = watch.workers
    workers.patience = Patience(first_line_s=4.0, silence_s=2.0, grace_s=0.5, kill_s=0.3, stuck_s=0.2)
    workers.backoff = Backoff(base_s=0.1, cap_s=0.2)

    def up():
        return [gpu.up for gpu in watch.newest(CLOCK.monotonic_s())]

    task = asyncio.ensure_future(watch.run())
    try:
        await wait_until_async(lambda: up() == [True, True], within_s=20, what="both are up")
        host.state.words.hang_path = str(freezable / "hang").encode()
        assert run("fsfreeze", "-f", str(freezable))
        for gpu in host.state.gpus:
            gpu.hang = Hang.FROZEN_WRITE
        await wait_until_async(lambda: up() == [False, False], within_s=20, what="both are stale")
        await wait_until_async(lambda: workers.abandoned == ABANDONED_MAX, within_s=40, what="all were given up")
        ends = workers.ends_total.total()
        await asyncio.sleep(1)
        assert (workers.abandoned, workers.ends_total.total(), workers.pid) == (ABANDONED_MAX, ends, None)
        assert watch.driver.reason == "workers_stuck"
        for gpu in host.state.gpus:
            gpu.hang = Hang.NONE
        assert run("fsfreeze", "-u", str(freezable))
        await wait_until_async(lambda: workers.abandoned == 0, within_s=20, what="the stuck ones ended")
        await wait_until_async(lambda: up() == [True, True], within_s=20, what="both are back")
    finally:
        run("fsfreeze", "-u", str(freezable))
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
