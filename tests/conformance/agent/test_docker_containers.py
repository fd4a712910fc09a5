"""Containers as they are made, replaced, brought back, and left alone, on a real engine."""

import asyncio
import time
from contextlib import asynccontextmanager
from dataclasses import replace

import docker as sdk
import pytest

from agent.core.health import Answered
from agent.errors import ReplicaRuntimeError
from agent.runtimes.docker_containers import SWARM_TASK_LABEL, name_of
from bench.containerlab.bare_image import IMAGE, binds
from contracts.vocabulary import ProfileId
from tests.conformance.agent.conftest import CONTAINER_COMMAND, FAKE_REPLICA, LABEL, docker

pytestmark = pytest.mark.docker
LIGHT, STILLBORN = ProfileId("light-int8-onnx"), ProfileId("stillborn")


@pytest.fixture
async def bench(replica_specs, tmp_path):
    async with docker(replica_specs, tmp_path) as made:
        yield made
        made.prober.forget(replica_specs[0].replica)


@pytest.fixture
def client():
    made = sdk.from_env()
    yield made
    made.close()


async def ready(bench, spec):
    bench.prober.forget(spec.replica)
    async with asyncio.timeout(10.0):
        while not isinstance(probe := await bench.prober.probe(spec), Answered):  # noqa: ASYNC110  # the level is another's
            await asyncio.sleep(0.05)
    return probe.pulse


def names(client, spec):
    found = client.api.containers(all=True, filters={"label": f"{LABEL}={spec.replica}"})
    return sorted(name.lstrip("/") for container in found for name in container["Names"])


def identifier(instance):
    return instance.token.split("@")[0]


@asynccontextmanager
async def foreign(client, spec, **more):
    """A container that somebody else made, with our label."""
    identity = {"REPLICA": spec.replica, "REGION": "r", "HOST_ID": "h", "ADDRESS": "127.0.0.1", "PROFILE": spec.profile}
    environment = {f"TRIMTAB_SERVING_{name}": value for name, value in {**identity, "PORT": str(spec.port)}.items()}
    container = await asyncio.to_thread(
        lambda: client.containers.run(
            IMAGE,
            list(CONTAINER_COMMAND),
            environment=environment,
            labels={LABEL: spec.replica, **more.pop("labels", {})},
            volumes=list(binds(FAKE_REPLICA.parent)),
            network_mode="host",
            detach=True,
            **more,
        )
    )
    try:
        yield container
    finally:
        await asyncio.to_thread(container.remove, force=True)


async def test_a_container_is_made_for_an_agent_that_heals(bench, client):
    bench.runtime.template = replace(bench.runtime.template, cpus=0.5, memory_bytes=96 << 20)
    instance = await bench.runtime.start(bench.spec)
    made = client.api.inspect_container(identifier(instance))["HostConfig"]
    assert made["RestartPolicy"]["Name"] == "no"
    assert made["Init"] is True
    assert made["NetworkMode"] == "host"
    assert (made["NanoCpus"], made["Memory"], made["MemorySwap"]) == (500_000_000, 96 << 20, 96 << 20)
    assert made["LogConfig"]["Config"] == {"max-size": "10000000", "max-file": "2"}


async def test_a_foreign_container_is_managed_and_never_made_anew(bench, client):
    async with foreign(client, bench.spec) as container:
        (found,) = await bench.runtime.running()
        assert container.id.startswith(identifier(found))
        restarted = await bench.runtime.restart(replace(bench.spec, profile=LIGHT), 0.0)
        assert identifier(restarted) == identifier(found)
        await bench.runtime.stop(bench.spec.replica, 0.0)
        started = await bench.runtime.start(replace(bench.spec, profile=LIGHT))
        assert identifier(started) == identifier(found)


async def test_a_task_of_a_swarm_is_left_to_swarm(bench, client):
    async with foreign(client, bench.spec, labels={SWARM_TASK_LABEL: "t"}):
        assert await bench.runtime.running() == ()


async def test_a_failing_health_check_of_its_own_shows_in_the_log_tail(bench, client):
    check = {"test": ["CMD-SHELL", "echo no voice; exit 1"], "interval": 200_000_000, "retries": 1}
    async with foreign(client, bench.spec, healthcheck=check):
        async with asyncio.timeout(15.0):
            while not told(await bench.runtime.log_tail(bench.spec.replica)):  # noqa: ASYNC110  # the level is Docker's
                await asyncio.sleep(0.2)


def told(lines):
    return any("health check failed: no voice" in line for line in lines)


async def test_the_former_container_waits_until_its_successor_is_ready(bench, client, wait_until_async):
    former = await bench.runtime.start(bench.spec)
    await ready(bench, bench.spec)
    light = replace(bench.spec, profile=LIGHT)
    successor = await bench.runtime.restart(light, 1.0)
    assert identifier(successor) != identifier(former)
    assert names(client, light) == [name_of(light.replica), f"{name_of(light.replica)}-former"]
    assert (await ready(bench, light)).profile == LIGHT
    await wait_until_async(
        lambda: names(client, light) == [name_of(light.replica)], within_s=10, what="the former one is removed"
    )
    assert successor in await bench.runtime.running()


async def test_a_successor_that_never_becomes_ready_gives_way_to_the_former(bench, client):
    former = await bench.runtime.start(bench.spec)
    await ready(bench, bench.spec)
    broken = replace(bench.spec, profile=STILLBORN)
    await bench.runtime.restart(broken, 0.0)
    async with asyncio.timeout(10.0):
        while identifier((await bench.runtime.next_exit()).instance) == identifier(former):
            continue
        while await bench.runtime.running():  # the engine tells an end before it shows it
            continue
    healed = await bench.runtime.start(broken)
    assert identifier(healed) == identifier(former)
    assert (await ready(bench, bench.spec)).profile == bench.spec.profile
    assert names(client, broken) == [name_of(broken.replica)]
    again = await bench.runtime.restart(broken, 0.0)
    assert identifier(again) == identifier(former), "what failed is not tried again at the next restart"
    assert (await ready(bench, bench.spec)).profile == bench.spec.profile


async def test_a_successor_that_cannot_even_be_made_costs_the_former_nothing(bench, client):
    former = await bench.runtime.start(bench.spec)
    await ready(bench, bench.spec)
    bench.cannot_start()
    with pytest.raises(ReplicaRuntimeError):
        await bench.runtime.restart(bench.spec, 0.0)
    assert await bench.runtime.running() == (former,)
    assert names(client, bench.spec) == [name_of(bench.spec.replica)]


async def test_a_replacement_that_was_cut_short_is_found_and_undone(bench, client):
    former = await bench.runtime.start(bench.spec)
    await bench.runtime.stop(bench.spec.replica, 0.0)
    client.api.rename(identifier(former), f"{name_of(bench.spec.replica)}-former")
    async with bench.another() as successor:
        healed = await successor.start(bench.spec)
        assert identifier(healed) == identifier(former)
        assert names(client, bench.spec) == [name_of(bench.spec.replica)]


async def test_a_new_agent_settles_what_its_predecessor_began(bench, client, wait_until_async):
    await bench.runtime.start(bench.spec)
    await ready(bench, bench.spec)
    bench.runtime.settle_s = 60.0
    await asyncio.sleep(1.2)  # until the predecessor settles nothing more
    light = replace(bench.spec, profile=LIGHT)
    await bench.runtime.restart(light, 0.0)
    await ready(bench, light)
    assert len(names(client, light)) == 2
    async with bench.another() as successor:
        await successor.running()
        await wait_until_async(
            lambda: names(client, light) == [name_of(light.replica)], within_s=10, what="the former one is removed"
        )


async def test_operations_on_one_container_never_overlap(bench):
    """A second operation waits for the first, also when the first one's caller gave up."""
    running, most = 0, 0

    def work(_):
        nonlocal running, most
        running += 1
        most = max(most, running)
        time.sleep(0.3)
        running -= 1

    engine = bench.runtime.engine
    impatient = asyncio.ensure_future(engine.call("be slow", work, within_s=0.1, alone="a"))
    with pytest.raises(ReplicaRuntimeError, match="within"):
        await impatient
    await asyncio.gather(*(engine.call("be slow", work, alone="a") for _ in range(3)))
    assert most == 1
