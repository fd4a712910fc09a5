"""One suite for every runtime: what the healer and the order desk rely on, whatever replicas are made of."""

import asyncio
import time
from dataclasses import replace

import pytest

from agent.core.health import Answered
from contracts.vocabulary import ProfileId, ReplicaId


async def serving(bench, spec=None):
    """Probe until the replica answers; returns its pulse."""
    spec = spec or bench.spec
    deadline_s = time.monotonic() + 10.0
    while time.monotonic() < deadline_s:
        probe = await bench.prober.probe(spec)
        if isinstance(probe, Answered):
            return probe.pulse
        await asyncio.sleep(0.05)
    pytest.fail("the replica does not answer")


async def exit_of(bench, instance):
    """The exit notice about `instance`; others are passed over."""
    async with asyncio.timeout(10.0):
        while True:
            notice = await bench.runtime.next_exit()
            if notice.instance == instance:
                return notice


async def test_a_started_replica_serves_as_the_one_it_was_told_to_be(bench):
    instance = await bench.runtime.start(bench.spec)
    pulse = await serving(bench)
    assert pulse.profile == bench.spec.profile
    assert instance.replica == bench.spec.replica
    assert instance in await bench.runtime.running()


async def test_starting_what_runs_changes_nothing(bench):
    first = await bench.runtime.start(bench.spec)
    assert await bench.runtime.start(bench.spec) == first


async def test_a_stopped_replica_does_not_run_and_stopping_again_is_fine(bench):
    await bench.runtime.start(bench.spec)
    await serving(bench)
    await bench.runtime.stop(bench.spec.replica, 1.0)
    await bench.runtime.stop(bench.spec.replica, 1.0)
    running = {instance.replica for instance in await bench.runtime.running()}
    assert bench.spec.replica not in running


async def test_stopping_an_unknown_replica_is_fine(bench):
    await bench.runtime.stop(ReplicaId("never-heard-of"), 0.0)


@pytest.mark.parametrize("grace_s", [0.0, 1.0])
async def test_a_restart_yields_another_incarnation_that_serves(bench, grace_s):
    former = await bench.runtime.start(bench.spec)
    await serving(bench)
    successor = await bench.runtime.restart(bench.spec, grace_s)
    bench.prober.forget(bench.spec.replica)
    assert successor.token != former.token
    await serving(bench)
    running = [instance for instance in await bench.runtime.running() if instance.replica == bench.spec.replica]
    assert running == [successor]


async def test_a_stopped_replica_can_be_started_on_another_profile(bench):
    await bench.runtime.start(bench.spec)
    await serving(bench)
    await bench.runtime.stop(bench.spec.replica, 0.0)
    bench.prober.forget(bench.spec.replica)
    light = replace(bench.spec, profile=ProfileId("light-int8-onnx"))
    await bench.runtime.start(light)
    assert (await serving(bench, light)).profile == "light-int8-onnx"


async def test_a_restart_can_change_the_profile(bench):
    await bench.runtime.start(bench.spec)
    await serving(bench)
    light = replace(bench.spec, profile=ProfileId("light-int8-onnx"))
    await bench.runtime.restart(light, 0.0)
    bench.prober.forget(bench.spec.replica)
    assert (await serving(bench, light)).profile == "light-int8-onnx"


async def test_a_crash_is_told_at_once_about_the_incarnation_that_crashed(bench):
    instance = await bench.runtime.start(bench.spec)
    await serving(bench)
    crashed_s = time.monotonic()
    bench.crash(instance)
    notice = await exit_of(bench, instance)
    assert time.monotonic() - crashed_s < 1.0
    assert notice.reason


async def test_a_crashed_replica_can_be_started_again(bench):
    former = await bench.runtime.start(bench.spec)
    await serving(bench)
    bench.crash(former)
    await exit_of(bench, former)
    bench.prober.forget(bench.spec.replica)
    successor = await bench.runtime.start(bench.spec)
    assert successor.token != former.token
    await serving(bench)


async def test_a_frozen_replica_shows_no_life_and_is_restarted_in_under_two_seconds(bench):
    former = await bench.runtime.start(bench.spec)
    await serving(bench)
    bench.freeze(former)
    assert not isinstance(await bench.prober.probe(bench.spec), Answered)
    vitals = bench.runtime.vitals(bench.spec.replica)
    assert vitals is not None
    assert not vitals.runnable
    began_s = time.monotonic()
    successor = await bench.runtime.restart(bench.spec, 0.0)
    bench.prober.forget(bench.spec.replica)
    await serving(bench)
    assert time.monotonic() - began_s < 2.0
    assert successor.token != former.token


async def test_the_log_tail_is_there_after_a_start_and_empty_for_strangers(bench):
    await bench.runtime.start(bench.spec)
    await serving(bench)
    assert str(bench.spec.replica) in " ".join(await bench.runtime.log_tail(bench.spec.replica))
