"""What Swarm is told, and what it is left to decide."""

import asyncio

import docker as sdk
import pytest

from agent.errors import ReplicaRuntimeError
from agent.runtimes.containers import ContainerTemplate
from agent.runtimes.docker_containers import name_of
from agent.runtimes.docker_engine import DockerEngine
from agent.runtimes.swarm import SwarmRuntime
from agent.runtimes.swarm_services import Services, SwarmTemplate
from bench.containerlab.bare_image import IMAGE
from chassis.clock import SystemClock
from tests.conformance.agent.conftest import LABEL, swarm, watched

pytestmark = pytest.mark.docker


@pytest.fixture
async def bench(swarm_cluster, replica_specs, tmp_path):
    async with swarm(replica_specs, tmp_path) as made:
        yield made


@pytest.fixture
def client():
    made = sdk.APIClient(version="auto")
    yield made
    made.close()


async def test_swarm_places_one_task_and_never_heals_it(bench, client):
    await bench.runtime.start(bench.spec)
    spec = client.inspect_service(name_of(bench.spec.replica))["Spec"]
    assert spec["Mode"] == {"Replicated": {"Replicas": 1}}
    assert spec["TaskTemplate"]["RestartPolicy"]["Condition"] == "none"
    assert spec["TaskTemplate"]["ContainerSpec"]["StopGracePeriod"] == 2_000_000_000


async def test_a_crashed_replica_stays_down_until_it_is_started(bench, client):
    instance = await bench.runtime.start(bench.spec)
    bench.crash(instance)
    async with asyncio.timeout(5.0):
        assert (await bench.runtime.next_exit()).instance == instance
    await asyncio.sleep(2.0)
    assert await bench.runtime.running() == ()


async def test_the_address_is_that_of_the_machine_that_swarm_chose(bench):
    assert (await bench.runtime.start(bench.spec)).address == "127.0.0.1"


async def test_a_stopped_replica_keeps_its_service_and_its_log(bench, client):
    await bench.runtime.start(bench.spec)
    await asyncio.sleep(0.5)
    await bench.runtime.stop(bench.spec.replica, 1.0)
    assert client.inspect_service(name_of(bench.spec.replica))["Spec"]["Mode"] == {"Replicated": {"Replicas": 0}}
    lines = await bench.runtime.log_tail(bench.spec.replica)
    assert any(bench.spec.replica in line for line in lines)


async def test_the_log_of_a_task_on_another_machine_comes_through_swarm(bench, client):
    await bench.runtime.start(bench.spec)
    services = Services(client, LABEL, bench.runtime.template)
    async with asyncio.timeout(10.0):
        while not services.log_tail(bench.spec.replica, "another node"):  # noqa: ASYNC110  # the level is Swarm's
            await asyncio.sleep(0.2)


async def test_a_service_of_that_name_that_is_not_ours_is_left_alone(bench, client):
    task = {"ContainerSpec": {"Image": IMAGE, "Command": ["/nowhere"]}, "RestartPolicy": {"Condition": "none"}}
    mode = {"Replicated": {"Replicas": 0}}
    client.create_service(task, name=name_of(bench.spec.replica), mode=mode)
    try:
        before = client.inspect_service(name_of(bench.spec.replica))["Version"]
        with pytest.raises(ReplicaRuntimeError, match="already exists"):
            await bench.runtime.start(bench.spec)
        await bench.runtime.stop(bench.spec.replica, 0.0)
        assert client.inspect_service(name_of(bench.spec.replica))["Version"] == before
    finally:
        client.remove_service(name_of(bench.spec.replica))


async def test_an_engine_outside_any_swarm_is_told_as_such(own_engine, replica_specs, wait_until_async):
    told = []
    template = SwarmTemplate(ContainerTemplate(IMAGE, ("serve",), {}), stop_grace_s=1.0, bind_address="127.0.0.1")
    runtime = SwarmRuntime(LABEL, template, SystemClock(), DockerEngine(own_engine.url), on_trouble=told.append)
    async with watched(runtime):
        with pytest.raises(ReplicaRuntimeError, match="swarm manager"):
            await runtime.running()
        await wait_until_async(lambda: told and told[-1] is not None, within_s=10, what="the trouble is told")
        assert "swarm manager" in told[-1]
