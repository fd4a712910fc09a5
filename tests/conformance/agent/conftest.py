"""Three runtimes behind one face, each with a way to break its replicas as the world would."""

import asyncio
import io
import os
import random
import signal
import sys
import tarfile
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import docker as sdk
import pytest

from agent.ports import Instance, ReplicaSpec, Runtime
from agent.probes.process import HttpProber
from agent.probes.simulated import SimulatedProber
from agent.runtimes.containers import ContainerTemplate
from agent.runtimes.docker import DockerRuntime
from agent.runtimes.process import ProcessPlan, ProcessRuntime
from agent.runtimes.simulated import SimulatedRuntime
from agent.runtimes.vitals import first_child
from chassis.clock import SystemClock
from contracts.vocabulary import HostId, ProfileId, Region, ReplicaId

FAKE_REPLICA = Path(__file__).resolve().parents[2] / "integration" / "agent" / "fake_replica.py"
IMAGE = "trimtab-test-python"
LABEL = "trimtab.test.replica"


@dataclass
class Bench:
    """One runtime under test."""

    runtime: Runtime
    prober: object
    spec: ReplicaSpec
    freeze: Callable[[Instance], None]
    crash: Callable[[Instance], None]


@asynccontextmanager
async def simulated(spec: ReplicaSpec, directory: Path) -> AsyncIterator[Bench]:
    runtime = SimulatedRuntime()
    yield Bench(
        runtime=runtime,
        prober=SimulatedProber(runtime),
        spec=spec,
        freeze=lambda instance: runtime.freeze(instance.replica),
        crash=lambda instance: runtime.crash(instance.replica),
    )


@asynccontextmanager
async def process(spec: ReplicaSpec, directory: Path, spares: int = 0) -> AsyncIterator[Bench]:
    argv = (sys.executable, "-SE", str(FAKE_REPLICA))
    plan = ProcessPlan(
        argv=argv,
        spare_argv=(*argv, "spare"),
        environment={"PATH": os.environ["PATH"]},
        log_directory=directory,
        spares=spares,
        stop_grace_s=0.5,
    )
    clock = SystemClock()
    async with ProcessRuntime(plan=plan, clock=clock, rng=random.Random(1)) as runtime:
        yield Bench(
            runtime=runtime,
            prober=HttpProber(view=runtime, clock=clock),
            spec=spec,
            freeze=lambda instance: os.kill(int(instance.token.split("-")[1]), signal.SIGSTOP),
            crash=lambda instance: os.kill(int(instance.token.split("-")[1]), signal.SIGKILL),
        )


@asynccontextmanager
async def process_with_spares(spec: ReplicaSpec, directory: Path) -> AsyncIterator[Bench]:
    async with process(spec, directory, spares=1) as bench:
        async with asyncio.timeout(10.0):
            while not [spare for spare in bench.runtime._spares if spare.ready]:  # noqa: ASYNC110  # no event to wait for
                await asyncio.sleep(0.05)
        yield bench


@asynccontextmanager
async def docker(spec: ReplicaSpec, directory: Path) -> AsyncIterator[Bench]:
    build_image()
    prefix, code = sys.base_prefix, FAKE_REPLICA.parent
    template = ContainerTemplate(
        image=IMAGE,
        command=(f"{prefix}/bin/python3", "-SE", f"/app/{FAKE_REPLICA.name}"),
        environment={},
        binds=("/usr:/usr:ro", f"{prefix}:{prefix}:ro", f"{code}:/app:ro"),
    )
    clock = SystemClock()
    client = sdk.from_env()

    def kill(instance: Instance, number: int) -> None:
        init = int(client.api.inspect_container(instance.token.split("@")[0])["State"]["Pid"])
        os.kill(first_child(init), number)

    try:
        async with DockerRuntime(label=LABEL, template=template, clock=clock) as runtime:
            follower = asyncio.ensure_future(runtime.follow())
            yield Bench(
                runtime=runtime,
                prober=HttpProber(view=runtime, clock=clock),
                spec=spec,
                freeze=lambda instance: kill(instance, signal.SIGSTOP),
                crash=lambda instance: kill(instance, signal.SIGKILL),
            )
            follower.cancel()
            await asyncio.gather(follower, return_exceptions=True)
    finally:
        for container in client.containers.list(all=True, filters={"label": f"{LABEL}={spec.replica}"}):
            container.remove(force=True)
        client.close()


def build_image() -> None:
    """An image of a few links and empty directories; Python and its libraries are mounted from the host."""
    client = sdk.from_env()
    try:
        if client.images.list(name=IMAGE):
            return
        client.api.import_image_from_data(image_tar(), repository=IMAGE, tag="latest")
    finally:
        client.close()


def image_tar() -> bytes:
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w") as tar:
        for name in ("usr", "tmp", "proc", "sys", "dev", "etc", "app", "run", "sbin"):
            directory = tarfile.TarInfo(name)
            directory.type, directory.mode = tarfile.DIRTYPE, 0o755
            tar.addfile(directory)
        for name in ("bin", "lib", "lib64"):
            link = tarfile.TarInfo(name)
            link.type, link.linkname = tarfile.SYMTYPE, f"usr/{name}"
            tar.addfile(link)
        users = b"root:x:0:0::/:/bin/sh\n"
        passwd = tarfile.TarInfo("etc/passwd")
        passwd.size = len(users)
        tar.addfile(passwd, io.BytesIO(users))
    return content.getvalue()


RUNTIMES = {
    "simulated": simulated,
    "process": process,
    "process with a spare": process_with_spares,
    "docker": docker,
}


@pytest.fixture
def replica_spec(free_port) -> ReplicaSpec:
    return ReplicaSpec(
        replica=ReplicaId(f"conformance-{os.getpid()}-0"),
        region=Region("eu-west"),
        host=HostId("conformance"),
        address="127.0.0.1",
        port=free_port(),
        profile=ProfileId("full-fp32-onnx"),
    )


@pytest.fixture(params=[pytest.param(name, marks=pytest.mark.docker if name == "docker" else ()) for name in RUNTIMES])
async def bench(request, replica_spec, tmp_path) -> AsyncIterator[Bench]:
    async with RUNTIMES[request.param](replica_spec, tmp_path) as made:
        yield made


@pytest.fixture
async def docker_bench(replica_spec, tmp_path) -> AsyncIterator[Bench]:
    async with docker(replica_spec, tmp_path) as made:
        yield made
