"""The stream of events across breaks of every kind: no end is missed, and none is told twice."""

import asyncio
import gc
import socket
import time
from contextlib import asynccontextmanager, closing
from dataclasses import replace

import docker as sdk
import pytest

from agent.errors import ReplicaRuntimeError
from agent.runtimes.containers import ContainerTemplate
from agent.runtimes.docker import DockerRuntime
from agent.runtimes.docker_engine import DockerEngine
from bench.containerlab.bare_image import IMAGE, binds, ensure_image
from bench.containerlab.socket_proxy import SocketProxy
from chassis.clock import SystemClock
from tests.conformance.agent.conftest import CONTAINER_COMMAND, FAKE_REPLICA, LABEL, docker, watched

pytestmark = [
    pytest.mark.docker,
    pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning"),
]
"""When an engine goes away between two calls, the SDK leaves the socket of the refused connection to the collector."""
ENGINE = "/var/run/docker.sock"


@pytest.fixture(autouse=True)
def collected():
    """So that such a socket is told here, where it is expected."""
    yield
    gc.collect()


class Told:
    """Everything a runtime told so far."""

    def __init__(self, runtime):
        self.exits = []
        self._task = asyncio.ensure_future(self._listen(runtime))

    async def _listen(self, runtime):
        while True:
            self.exits.append(await runtime.next_exit())

    def tokens(self):
        return [notice.instance.token for notice in self.exits]

    async def close(self):
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)


@asynccontextmanager
async def behind_a_proxy(specs, directory):
    """A runtime that reaches the engine through a socket that can be cut, and the engine's own client."""
    ensure_image()
    proxy = SocketProxy(directory / "engine.sock", ENGINE)
    proxy.open()
    template = ContainerTemplate(
        image=IMAGE, command=CONTAINER_COMMAND, environment={}, binds=binds(FAKE_REPLICA.parent)
    )
    client = sdk.from_env()
    runtime = DockerRuntime(LABEL, template, SystemClock(), DockerEngine(proxy.url))
    try:
        async with watched(runtime):
            told = Told(runtime)
            yield runtime, proxy, client, told
            await told.close()
    finally:
        proxy.cut()
        for spec in specs:
            for container in client.containers.list(
                all=True, ignore_removed=True, filters={"label": f"{LABEL}={spec.replica}"}
            ):
                container.remove(force=True)
        client.close()


async def test_ends_during_a_cut_are_told_once_each_when_the_stream_is_back(replica_specs, tmp_path, wait_until_async):
    async with behind_a_proxy(replica_specs, tmp_path) as (runtime, proxy, client, told):
        instances = [await runtime.start(spec) for spec in replica_specs]
        proxy.cut()
        for instance in instances[:2]:
            await asyncio.to_thread(client.api.kill, instance.token.split("@")[0])
        proxy.open()
        await wait_until_async(lambda: len(told.exits) >= 2, within_s=10, what="both ends are told")
        await asyncio.to_thread(client.api.kill, instances[2].token.split("@")[0])
        await wait_until_async(lambda: len(told.exits) >= 3, within_s=10, what="the stream goes on")
        for _ in range(3):
            proxy.cut()
            await asyncio.sleep(0.1)
            proxy.open()
            await asyncio.sleep(1.0)
        assert sorted(told.tokens()) == sorted(instance.token for instance in instances)


async def test_a_container_that_ended_and_runs_again_during_a_cut_is_told_as_ended(
    replica_specs, tmp_path, wait_until_async
):
    async with behind_a_proxy(replica_specs, tmp_path) as (runtime, proxy, client, told):
        former = await runtime.start(replica_specs[0])
        await asyncio.sleep(1.0)  # until the look that follows every opening is over
        proxy.cut()
        await asyncio.to_thread(client.api.restart, former.token.split("@")[0], timeout=0)
        proxy.open()
        await wait_until_async(lambda: told.exits, within_s=10, what="the end is told")
        (successor,) = await runtime.running()
        assert successor != former
        assert told.tokens() == [former.token]
        assert told.exits[0].reason.startswith("exit code"), "heard in the replay, not guessed from a look"


async def test_calls_fail_quickly_while_the_engine_is_away_and_work_again_by_themselves(replica_specs, tmp_path):
    reasons = []
    async with behind_a_proxy(replica_specs, tmp_path) as (runtime, proxy, _, _):
        runtime.engine.on_trouble = reasons.append
        instance = await runtime.start(replica_specs[0])
        proxy.cut()
        began_s = time.monotonic()
        for _ in range(3):
            with pytest.raises(ReplicaRuntimeError):
                await runtime.restart(replica_specs[0], 0.0)
        assert time.monotonic() - began_s < 5.0
        assert runtime.engine.trouble is not None
        assert await runtime.log_tail(instance.replica) == ()
        proxy.open()
        assert await runtime.start(replica_specs[0]) == instance
        assert runtime.engine.trouble is None
        assert reasons[0] is not None
        assert reasons[-1] is None


async def test_an_engine_that_hangs_is_told_apart_from_one_slow_container(replica_specs, tmp_path):
    """A listener that takes connections and says nothing."""
    with closing(socket.socket(socket.AF_UNIX)) as silent:
        silent.bind(str(tmp_path / "silent.sock"))
        silent.listen(32)
        runtime = DockerRuntime(LABEL, None, SystemClock(), DockerEngine(f"unix://{tmp_path}/silent.sock"))
        with pytest.raises(ReplicaRuntimeError, match="within"):
            await runtime.engine.ping()
        began_s = time.monotonic()
        with pytest.raises(ReplicaRuntimeError):
            await runtime.running()
        assert time.monotonic() - began_s < 5.0
        assert "does not answer" in str(runtime.engine.trouble)
        runtime.engine.close()


async def test_an_engine_that_restarts_forgets_its_events_and_the_ends_are_told_all_the_same(
    own_engine, replica_specs, tmp_path, wait_until_async
):
    async with docker(replica_specs, tmp_path, own_engine.url) as bench:
        told = Told(bench.runtime)
        instances = [await bench.runtime.start(spec) for spec in replica_specs[:2]]
        await asyncio.to_thread(own_engine.end)  # an orderly end takes its containers along
        await asyncio.to_thread(own_engine.start)
        await wait_until_async(lambda: len(told.exits) >= 2, within_s=20, what="both ends are told")
        again = await bench.runtime.start(replica_specs[0])
        assert again not in instances
        await asyncio.sleep(2.0)
        assert sorted(told.tokens()) == sorted(instance.token for instance in instances)
        await told.close()


async def test_a_container_gets_the_gpus_of_its_replica(own_engine, replica_specs, tmp_path, wait_until_async):
    spec = replace(replica_specs[0], gpus=("GPU-aa", "GPU-bb"))
    async with docker([spec], tmp_path, own_engine.url) as bench:
        instance = await bench.runtime.start(spec)
        assert bench.runtime.gpus_of(spec.replica) == spec.gpus
        client = sdk.APIClient(own_engine.url)
        requests = client.inspect_container(instance.token.split("@")[0])["HostConfig"]["DeviceRequests"]
        client.close()
        assert [request["DeviceIDs"] for request in requests] == [["GPU-aa", "GPU-bb"]]
        async with bench.another() as successor:
            await successor.running()
            assert successor.gpus_of(spec.replica) == spec.gpus
