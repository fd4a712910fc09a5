"""Warm spares: what failed ones leave behind, and where they would be the wrong process."""

import asyncio
import os
import random
import sys
from contextlib import asynccontextmanager
from dataclasses import replace

import httpx
import pytest

from agent.runtimes.process import ProcessPlan, ProcessRuntime
from chassis.clock import SystemClock
from chassis.retry import Backoff
from contracts.vocabulary import GpuUuid
from tests.conformance.agent.conftest import FAKE_REPLICA

GPUS = (GpuUuid("GPU-aa"),)


@asynccontextmanager
async def runtime_with(directory, *, spare_argv=None, binds=False, spares=1):
    argv = (sys.executable, "-SE", str(FAKE_REPLICA))
    plan = ProcessPlan(
        argv=argv,
        spare_argv=spare_argv or (*argv, "spare"),
        environment={"PATH": os.environ["PATH"]},
        log_directory=directory,
        spares=spares,
        binds_gpu_at_load=binds,
        stop_grace_s=0.5,
    )
    quick = Backoff(base_s=0.01, cap_s=0.02)
    async with ProcessRuntime(plan=plan, clock=SystemClock(), rng=random.Random(1), backoff=quick) as runtime:
        yield runtime


async def test_spares_that_fail_again_and_again_leave_one_log(tmp_path, wait_until_async):
    tries = tmp_path / "tries"
    failing = (sys.executable, "-SE", "-c", f"open({str(tries)!r}, 'a').write('x'); raise SystemExit(1)")
    logs = tmp_path / "logs"
    async with runtime_with(logs, spare_argv=failing):
        await wait_until_async(
            lambda: tries.exists() and len(tries.read_text()) >= 6, within_s=20, what="six failed spares"
        )
    assert [path.name for path in logs.glob("spare-*.log")] == ["spare-1.log"]


async def test_the_log_of_a_living_spare_is_not_taken_by_the_next_one(tmp_path, wait_until_async):
    async with runtime_with(tmp_path, spares=2) as runtime:
        await wait_until_async(lambda: runtime.spares_ready == 2, within_s=15, what="two spares")
        assert sorted(path.name for path in tmp_path.glob("spare-*.log")) == ["spare-1.log", "spare-2.log"]


@pytest.mark.parametrize("binds", [False, True])
async def test_an_engine_that_binds_its_gpu_while_loading_starts_cold(binds, tmp_path, replica_specs, wait_until_async):
    spec = replace(replica_specs[0], gpus=GPUS)
    async with runtime_with(tmp_path, binds=binds) as runtime:
        await wait_until_async(lambda: runtime.spares_ready == 1, within_s=15, what="a warm spare")
        spare = runtime._spares[0].process.pid
        instance = await runtime.start(spec)
        from_spare = instance.token.split("-")[1] == str(spare)
        assert from_spare is not binds
        if binds:
            assert await seen_by(spec) == "GPU-aa"
            await asyncio.sleep(1.5)  # longer than the refill waits
            assert runtime.spares_ready == 0


async def test_without_gpus_such_an_engine_keeps_its_spares(tmp_path, replica_specs, wait_until_async):
    async with runtime_with(tmp_path, binds=True) as runtime:
        await wait_until_async(lambda: runtime.spares_ready == 1, within_s=15, what="a warm spare")
        spare = runtime._spares[0].process.pid
        assert (await runtime.start(replica_specs[0])).token.split("-")[1] == str(spare)


async def seen_by(spec):
    async with httpx.AsyncClient() as client:
        for _ in range(100):
            try:
                return (await client.get(f"http://127.0.0.1:{spec.port}/gpus")).json()["CUDA_VISIBLE_DEVICES"]
            except httpx.HTTPError:
                await asyncio.sleep(0.05)
    return pytest.fail("the replica does not answer")
