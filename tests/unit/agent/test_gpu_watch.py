"""The watch over the GPUs: what it believes of a boot, and what it keeps on disk."""

import asyncio
import random
import threading
from dataclasses import replace

import pytest

from agent.degradation import Degradations
from agent.probes.gpu import GpuSources, GpuWatch
from agent.probes.gpu_memory import GpuMemory, GpuMemoryFile
from agent.xid_table import shipped_table
from chassis.clock import ManualClock, ScaledClock
from contracts.vocabulary import GpuAction

SICK = (
    '{"kind":"driver","up":true,"reason":"","version":"570.1","gpus":1}',
    '{"kind":"gpu","gpu":0,"uuid":"GPU-0","up":true,"reason":""}',
    '{"kind":"xid","gpu":0,"uuid":"GPU-0","xid":95}',
)


class Watched:
    """A watch without a worker, over a GPU that needs a reset, in a boot that the test names."""

    def __init__(self, directory):
        self.boot = "boot-1"
        self.watch = GpuWatch(
            sources=GpuSources(
                env={},
                log_path=directory / "log",
                memory=GpuMemoryFile(directory / "gpus.json"),
                boot_id=lambda: self.boot,
                kernel_log=None,
            ),
            table=shipped_table(),
            clock=ManualClock(),
            rng=random.Random(1),
            degradations=Degradations(lambda: None),
        )
        self.watch.clock.advance(100)
        self.watch.notice_reboot()
        for line in SICK:
            self.watch.take(line.encode())
        self.watch.clock.advance(1)

    def becomes(self, boot):
        self.boot = boot
        self.watch.notice_reboot()
        return self.watch.ledger.gpu("GPU-0").recommended_action


@pytest.fixture
def watched(tmp_path):
    return Watched(tmp_path)


def test_another_boot_ends_what_was_wrong_before(watched):
    assert watched.becomes("boot-1") is GpuAction.RESET_GPU
    assert watched.becomes("boot-2") is GpuAction.NONE


def test_a_boot_that_cannot_be_read_is_no_other_boot(watched):
    assert watched.becomes("") is GpuAction.RESET_GPU
    assert watched.becomes("boot-1") is GpuAction.RESET_GPU


# ── a disk that hangs ─────────────────────────────────────────────────────────────────────────────────────────────────
class HangingMemory:
    """A file whose disk does not answer until it is let go."""

    def __init__(self):
        self.answers = threading.Event()

    def load(self, boot_id):
        return GpuMemory(boot_id=boot_id)

    def save(self, memory):
        assert self.answers.wait(60)


async def test_a_disk_that_hangs_is_told_and_blinds_nobody(watched, wait_until_async):
    memory, watch = HangingMemory(), watched.watch
    watch.clock = ScaledClock(20.0)
    watch.sources = replace(watch.sources, memory=memory)
    watch.workers.argv = ("sleep", "60")
    running = asyncio.ensure_future(watch.run())
    try:
        await wait_until_async(watch.degradations.current, within_s=20, what="it is told")
        assert watch.degradations.current()[0].reason == "cannot be saved: the disk does not answer"
        watched.boot = "boot-2"
        healthy = GpuAction.NONE
        await wait_until_async(
            lambda: watch.ledger.gpu("GPU-0").recommended_action is healthy, within_s=20, what="the reboot is noticed"
        )
        memory.answers.set()
        await wait_until_async(lambda: not watch.degradations.current(), within_s=20, what="it is over")
    finally:
        memory.answers.set()
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
