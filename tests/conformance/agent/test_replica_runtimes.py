"""One suite for every runtime: what the healer and the order desk rely on, whatever replicas are made of."""

import asyncio
import time
from dataclasses import replace

import httpx
import pytest

from agent.core.health import Answered
from agent.errors import ReplicaRuntimeError
from contracts.vocabulary import GpuUuid, ProfileId, ReplicaId
from tests.conformance.agent.conftest import runtime_params


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
    bench.crash(instance)
    notice = await exit_of(bench, instance)
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


async def test_a_frozen_replica_shows_no_life_and_is_restarted(bench):
    former = await bench.runtime.start(bench.spec)
    await serving(bench)
    bench.freeze(former)
    assert not isinstance(await bench.prober.probe(bench.spec), Answered)
    vitals = bench.runtime.vitals(bench.spec.replica)
    assert vitals is not None
    assert not vitals.runnable
    successor = await bench.runtime.restart(bench.spec, 0.0)
    bench.prober.forget(bench.spec.replica)
    await serving(bench)
    assert successor.token != former.token


async def test_the_log_tail_is_there_after_a_start_and_empty_for_strangers(bench):
    await bench.runtime.start(bench.spec)
    await serving(bench)
    assert str(bench.spec.replica) in " ".join(await bench.runtime.log_tail(bench.spec.replica))


async def test_an_end_is_told_once(bench):
    instance = await bench.runtime.start(bench.spec)
    await serving(bench)
    bench.crash(instance)
    await exit_of(bench, instance)
    again = []
    try:
        async with asyncio.timeout(2.5):  # more than two rounds of the slowest watcher
            while True:
                again.append(await bench.runtime.next_exit())
    except TimeoutError:
        assert again == []


async def test_two_starts_at_once_make_one_replica(bench):
    first, second = await asyncio.gather(bench.runtime.start(bench.spec), bench.runtime.start(bench.spec))
    assert first == second
    assert await bench.runtime.running() == (first,)


async def test_replicas_are_restarted_side_by_side_without_mixing_them_up(bench):
    specs = (bench.spec, *bench.neighbours)
    former = await asyncio.gather(*(bench.runtime.start(spec) for spec in specs))
    await asyncio.gather(*(serving(bench, spec) for spec in specs))
    successors = await asyncio.gather(*(bench.runtime.restart(spec, 0.0) for spec in specs))
    assert [instance.replica for instance in successors] == [spec.replica for spec in specs]
    assert not {instance.token for instance in former} & {instance.token for instance in successors}
    assert set(await bench.runtime.running()) == set(successors)


@pytest.mark.parametrize("bench", runtime_params("simulated", "process", "docker", "swarm"), indirect=True)
async def test_a_start_that_cannot_be_is_refused_in_one_kind_of_error(bench):
    bench.cannot_start()
    with pytest.raises(ReplicaRuntimeError, match=str(bench.spec.replica)):
        await bench.runtime.start(bench.spec)
    assert await bench.runtime.running() == ()


async def test_work_in_flight_is_finished_within_the_grace(real_bench):
    former = await real_bench.runtime.start(real_bench.spec)
    await serving(real_bench)
    url = f"http://127.0.0.1:{real_bench.spec.port}"
    async with httpx.AsyncClient() as client, asyncio.TaskGroup() as group:
        answer = group.create_task(client.get(f"{url}/slow", timeout=5.0))
        await asyncio.sleep(0.3)
        successor = await real_bench.runtime.restart(real_bench.spec, 3.0)
    assert answer.result().status_code == 200
    assert successor != former


async def test_a_stillborn_replica_is_told_as_an_end_with_its_last_words(real_bench):
    stillborn = replace(real_bench.spec, profile=ProfileId("stillborn"))
    instance = await real_bench.runtime.start(stillborn)
    notice = await exit_of(real_bench, instance)
    assert "exit code 3" in notice.reason
    assert any("no such profile" in line for line in await real_bench.runtime.log_tail(stillborn.replica))


@pytest.mark.parametrize("real_bench", runtime_params("process", "swarm"), indirect=True)
async def test_the_given_gpus_are_all_that_a_replica_is_told_to_see(real_bench):
    gpus = (GpuUuid("GPU-aa"), GpuUuid("GPU-bb"))
    spec = replace(real_bench.spec, gpus=gpus)
    await real_bench.runtime.start(spec)
    await serving(real_bench, spec)
    async with httpx.AsyncClient() as client:
        seen = (await client.get(f"http://127.0.0.1:{spec.port}/gpus")).json()
    assert "GPU-aa,GPU-bb" in seen.values()
    assert real_bench.runtime.gpus_of(spec.replica) == gpus


async def test_a_new_agent_finds_what_runs_and_hears_its_end(outliving_bench):
    instance = await outliving_bench.runtime.start(outliving_bench.spec)
    await serving(outliving_bench)
    async with outliving_bench.another() as successor:
        assert await successor.running() == (instance,)
        assert await successor.start(outliving_bench.spec) == instance
        assert successor.vitals(instance.replica) is not None
        assert [footprint.replica for footprint in successor.footprints()] == [instance.replica]
        await asyncio.sleep(1.2)  # until its watchers have begun
        outliving_bench.crash(instance)
        async with asyncio.timeout(5.0):
            assert (await successor.next_exit()).instance == instance
