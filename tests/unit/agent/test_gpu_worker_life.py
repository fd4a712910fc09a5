"""The life of NVML workers, where it is decided in an instant."""

import asyncio
import random
from contextlib import suppress

from agent.probes.gpu_worker import WorkerLife
from chassis.clock import SystemClock


async def test_a_worker_can_be_renewed_in_the_very_instant_in_which_it_was_silent_for_too_long(tmp_path):
    life = WorkerLife(
        clock=SystemClock(),
        rng=random.Random(1),
        env={},
        log_path=tmp_path / "log",
        take=lambda line: None,
        ended=lambda end: None,
        is_absent=lambda: False,
    )
    loop, failures = asyncio.get_running_loop(), []
    loop.set_exception_handler(lambda loop, context: failures.append(context["exception"]))
    with suppress(TimeoutError):
        async with asyncio.timeout(0) as life._deadline:
            loop.call_soon(life.renew)
            await asyncio.Event().wait()
    assert failures == []
