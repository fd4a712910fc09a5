"""Four runtimes behind one face, each with a way to break its replicas as the world would."""

import asyncio
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, closing, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

import docker as sdk
import pytest

from agent.ports import HostRuntime, Instance, ReplicaSpec
from agent.probes.process import HttpProber
from agent.probes.simulated import SimulatedProber
from agent.runtimes.containers import ContainerTemplate
from agent.runtimes.docker import DockerRuntime
from agent.runtimes.docker_engine import DockerEngine
from agent.runtimes.process import ProcessPlan, ProcessRuntime
from agent.runtimes.simulated import SimulatedRuntime
from agent.runtimes.swarm import SwarmRuntime
from agent.runtimes.swarm_services import SwarmTemplate
from agent.runtimes.vitals import first_child
from bench.containerlab.bare_image import IMAGE, PYTHON, binds, ensure_image
from chassis.clock import SystemClock
from contracts.vocabulary import HostId, ProfileId, Region, ReplicaId

FAKE_REPLICA = Path(__file__).resolve().parents[2] / "integration" / "agent" / "fake_replica.py"
CONTAINER_COMMAND = (PYTHON, "-SE", f"/app/{FAKE_REPLICA.name}")
LABEL = "trimtab.test.replica"
PORTS = 3
"""Replicas of one test, at most."""


@dataclass
class Bench:
    """One runtime under test."""

    runtime: HostRuntime
    prober: object
    spec: ReplicaSpec
    freeze: Callable[[Instance], None]
    crash: Callable[[Instance], None]
    neighbours: tuple[ReplicaSpec, ...] = ()
    another: Callable[[], AbstractAsyncContextManager[HostRuntime]] | None = None
    """The same replicas through a new runtime object, as after a restart of the agent; None where they end with it."""
    cannot_start: Callable[[], None] = field(default=lambda: None)
    """From now on starts are refused."""


# ── the simulation ────────────────────────────────────────────────────────────────────────────────────────────────────
@asynccontextmanager
async def simulated(specs: list[ReplicaSpec], directory: Path) -> AsyncIterator[Bench]:
    runtime = SimulatedRuntime()
    yield Bench(
        runtime=runtime,
        prober=SimulatedProber(runtime),
        spec=specs[0],
        neighbours=tuple(specs[1:]),
        freeze=lambda instance: runtime.freeze(instance.replica),
        crash=lambda instance: runtime.crash(instance.replica),
        cannot_start=lambda: runtime.fail_next_starts(1),
    )


# ── child processes ───────────────────────────────────────────────────────────────────────────────────────────────────
@asynccontextmanager
async def process(specs: list[ReplicaSpec], directory: Path, spares: int = 0) -> AsyncIterator[Bench]:
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

    def kill(instance: Instance, number: int) -> None:
        os.kill(int(instance.token.split("-")[1]), number)

    async with ProcessRuntime(plan=plan, clock=clock, rng=random.Random(1)) as runtime:
        yield Bench(
            runtime=runtime,
            prober=HttpProber(view=runtime, clock=clock),
            spec=specs[0],
            neighbours=tuple(specs[1:]),
            freeze=lambda instance: kill(instance, signal.SIGSTOP),
            crash=lambda instance: kill(instance, signal.SIGKILL),
            cannot_start=lambda: setattr(runtime, "plan", replace(plan, argv=("/nowhere",))),
        )


@asynccontextmanager
async def process_with_spares(specs: list[ReplicaSpec], directory: Path) -> AsyncIterator[Bench]:
    async with process(specs, directory, spares=1) as bench:
        async with asyncio.timeout(10.0):
            while not [spare for spare in bench.runtime._spares if spare.ready]:  # noqa: ASYNC110  # no event to wait for
                await asyncio.sleep(0.05)
        yield bench


# ── an engine ─────────────────────────────────────────────────────────────────────────────────────────────────────────
@asynccontextmanager
async def watched(runtime: HostRuntime) -> AsyncIterator[HostRuntime]:
    """The runtime with everything beside it that its agent keeps alive."""
    async with runtime:
        tasks = [asyncio.ensure_future(run()) for run in runtime.watchers().values()]
        try:
            yield runtime
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


@asynccontextmanager
async def docker(specs: list[ReplicaSpec], directory: Path, base_url: str | None = None) -> AsyncIterator[Bench]:
    ensure_image(base_url)
    template = ContainerTemplate(
        image=IMAGE, command=CONTAINER_COMMAND, environment={}, binds=binds(FAKE_REPLICA.parent)
    )
    clock = SystemClock()
    client = sdk.DockerClient(base_url=base_url) if base_url else sdk.from_env()

    def kill(instance: Instance, number: int) -> None:
        init = int(client.api.inspect_container(instance.token.split("@")[0])["State"]["Pid"])
        os.kill(first_child(init), number)

    def another() -> AbstractAsyncContextManager[HostRuntime]:
        return watched(DockerRuntime(LABEL, template, clock, DockerEngine(base_url)))

    try:
        async with another() as runtime:
            yield Bench(
                runtime=runtime,
                prober=HttpProber(view=runtime, clock=clock),
                spec=specs[0],
                neighbours=tuple(specs[1:]),
                freeze=lambda instance: kill(instance, signal.SIGSTOP),
                crash=lambda instance: kill(instance, signal.SIGKILL),
                another=another,
                cannot_start=lambda: setattr(runtime, "template", replace(template, image="trimtab-nowhere:0")),
            )
    finally:
        for spec in specs:
            for container in client.containers.list(
                all=True, ignore_removed=True, filters={"label": f"{LABEL}={spec.replica}"}
            ):
                container.remove(force=True)
        client.close()


@asynccontextmanager
async def swarm(specs: list[ReplicaSpec], directory: Path) -> AsyncIterator[Bench]:
    container = ContainerTemplate(
        image=IMAGE, command=CONTAINER_COMMAND, environment={}, binds=binds(FAKE_REPLICA.parent)
    )
    template = SwarmTemplate(container=container, stop_grace_s=2.0, bind_address="127.0.0.1")
    clock = SystemClock()
    client = sdk.APIClient(version="auto")

    def kill(instance: Instance, number: int) -> None:
        (task,) = client.tasks(filters={"id": instance.token})
        os.kill(first_child(task["Status"]["ContainerStatus"]["PID"]), number)

    def another() -> AbstractAsyncContextManager[HostRuntime]:
        return watched(SwarmRuntime(LABEL, template, clock))

    nowhere = replace(template, container=replace(container, image="trimtab-nowhere:0"))
    try:
        async with another() as runtime:
            yield Bench(
                runtime=runtime,
                prober=HttpProber(view=runtime, clock=clock),
                spec=specs[0],
                neighbours=tuple(specs[1:]),
                freeze=lambda instance: kill(instance, signal.SIGSTOP),
                crash=lambda instance: kill(instance, signal.SIGKILL),
                another=another,
                cannot_start=lambda: setattr(runtime, "template", nowhere),
            )
    finally:
        for service in client.services(filters={"label": LABEL}):
            client.remove_service(service["ID"])
        await asyncio.to_thread(until_ports_are_free, specs)
        client.close()


def until_ports_are_free(specs: list[ReplicaSpec]) -> None:
    """A removed service ends its tasks in the background; the next test shall not meet them."""
    client = sdk.from_env()
    try:
        for spec in specs:
            for container in client.containers.list(
                all=True, ignore_removed=True, filters={"label": f"{LABEL}={spec.replica}"}
            ):
                with suppress(sdk.errors.APIError):
                    container.remove(force=True)
    finally:
        client.close()


# ── an engine of our own ──────────────────────────────────────────────────────────────────────────────────────────────
NVIDIA_HOOK = "nvidia-container-runtime-hook"
"""An engine offers GPUs when it finds this program at its start; ours has one that does nothing."""


class OwnEngine:
    """A second engine on a socket of its own, which may be killed and started again."""

    def __init__(self, directory):
        self.url = f"unix://{directory}/docker.sock"
        self._argv = [
            "dockerd",
            *("--bridge=none", "--iptables=false", "--ip6tables=false", f"--host={self.url}"),
            *(f"--data-root={directory}/data", f"--exec-root={directory}/exec", f"--pidfile={directory}/pid"),
        ]
        hooks = directory / "hooks"
        hooks.mkdir()
        (hooks / NVIDIA_HOOK).write_text("#!/bin/sh\nexit 0\n")
        (hooks / NVIDIA_HOOK).chmod(0o755)
        self._environment = {**os.environ, "PATH": f"{hooks}:{os.environ['PATH']}"}
        self._log = directory / "dockerd.log"
        self._directory = directory
        self._child = None

    def start(self):
        with self._log.open("ab") as log:
            self._child = subprocess.Popen(self._argv, env=self._environment, stdout=log, stderr=log)
        deadline_s = time.monotonic() + 40.0
        while time.monotonic() < deadline_s:
            with closing(socket.socket(socket.AF_UNIX)) as door, suppress(OSError):
                door.connect(self.url.removeprefix("unix://"))
                return
            time.sleep(0.1)
        pytest.fail(f"the engine did not start: {self._log.read_text()[-2000:]}")

    def end(self):
        self._child.send_signal(signal.SIGTERM)
        self._child.wait(timeout=30)
        subprocess.run(["umount", str(self._directory / "exec" / "netns" / "default")], check=False)


@pytest.fixture
def own_engine():
    if os.geteuid() != 0 or shutil.which("dockerd") is None:
        pytest.skip("needs root and dockerd to start an engine of its own")
    with tempfile.TemporaryDirectory(prefix="eng-") as directory:  # a socket's path has at most 107 characters
        engine = OwnEngine(Path(directory))
        engine.start()
        yield engine
        engine.end()


# ── fixtures ──────────────────────────────────────────────────────────────────────────────────────────────────────────
RUNTIMES = {
    "simulated": simulated,
    "process": process,
    "process with a spare": process_with_spares,
    "docker": docker,
    "swarm": swarm,
}
ON_AN_ENGINE = ("docker", "swarm")


def runtime_params(*names: str) -> list[object]:
    return [pytest.param(name, marks=pytest.mark.docker if name in ON_AN_ENGINE else ()) for name in names]


@pytest.fixture
def replica_specs(free_port) -> list[ReplicaSpec]:
    return [
        ReplicaSpec(
            replica=ReplicaId(f"conformance-{os.getpid()}-{number}"),
            region=Region("eu-west"),
            host=HostId("conformance"),
            address="127.0.0.1",
            port=free_port(),
            profile=ProfileId("full-fp32-onnx"),
        )
        for number in range(PORTS)
    ]


@asynccontextmanager
async def made(request, specs, directory) -> AsyncIterator[Bench]:
    if request.param == "swarm":
        request.getfixturevalue("swarm_cluster")
    async with RUNTIMES[request.param](specs, directory) as bench:
        yield bench
        for spec in specs:
            bench.prober.forget(spec.replica)  # a connection that outlives its loop is told by the next test


@pytest.fixture(params=runtime_params(*RUNTIMES))
async def bench(request, replica_specs, tmp_path) -> AsyncIterator[Bench]:
    async with made(request, replica_specs, tmp_path) as bench:
        yield bench


@pytest.fixture(params=runtime_params("process", "process with a spare", "docker", "swarm"))
async def real_bench(request, replica_specs, tmp_path) -> AsyncIterator[Bench]:
    """Only runtimes whose replicas are processes that answer HTTP."""
    async with made(request, replica_specs, tmp_path) as bench:
        yield bench


@pytest.fixture(params=runtime_params("docker", "swarm"))
async def outliving_bench(request, replica_specs, tmp_path) -> AsyncIterator[Bench]:
    """Only runtimes whose replicas outlive the agent."""
    async with made(request, replica_specs, tmp_path) as bench:
        yield bench
