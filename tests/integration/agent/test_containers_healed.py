"""A real agent process over real containers: what it heals, what it gives up, and what it leaves alone."""

import json
import os
import signal
import uuid
from contextlib import suppress
from pathlib import Path

import docker
import httpx
import pytest

from agent.runtimes.vitals import first_child
from bench.containerlab.bare_image import IMAGE, PYTHON, binds, ensure_image
from bench.containerlab.socket_proxy import SocketProxy
from contracts.vocabulary import ReflexKind, ReplicaState

pytestmark = pytest.mark.docker
CODE = Path(__file__).parent
ENGINE = "/var/run/docker.sock"


@pytest.fixture
def label():
    return f"trimtab.test.{uuid.uuid4().hex}"


@pytest.fixture
def engine(engine_alone, label, wait_until):
    """The engine's own view; whatever carries our label is gone afterwards."""
    ensure_image()
    client = docker.from_env()
    yield client
    with suppress(docker.errors.APIError):  # the engine is in no swarm
        for service in client.services.list(filters={"label": label}):
            service.remove()

    def gone():
        left = client.containers.list(all=True, ignore_removed=True, filters={"label": label})
        for container in left:
            with suppress(docker.errors.APIError):  # Swarm removes it, too
                container.remove(force=True)
        return not left

    wait_until(gone, within_s=15, what="the test's containers are gone")
    client.close()


@pytest.fixture(params=["docker", "swarm"])
def runtime(request):
    if request.param == "swarm":
        request.getfixturevalue("swarm_cluster")
    return request.param


@pytest.fixture
def make_container_host(make_host, engine, label):
    """Hosts whose agents end before what they keep alive is cleared away."""
    hosts = []

    def make(runtime, *options, **settings):
        host = make_host(
            runtime=runtime,
            docker_label=label,
            docker_image=IMAGE,
            docker_binds=json.dumps(binds(CODE)),
            serving_command=json.dumps([PYTHON, "-SE", "/app/fake_replica.py", *options]),
            restart_backoff_s=0.2,
            **settings,
        )
        hosts.append(host)
        return host

    yield make
    for agent in [agent for host in hosts for agent in host.agents]:
        agent.kill()
        agent.wait(timeout=5)


@pytest.fixture
def pid_of_replica(engine, label):
    """Process id, on the host, of the first replica itself, behind its container's init."""

    def find() -> int:
        (container,) = engine.containers.list(ignore_removed=True, filters={"label": f"{label}=eu-west-a-0"})
        return first_child(engine.api.inspect_container(container.id)["State"]["Pid"])

    return find


@pytest.mark.parametrize(
    "fault",
    [(signal.SIGSTOP, ReflexKind.RESTART_HUNG), (signal.SIGKILL, ReflexKind.RESTART_CRASHED)],
    ids=["frozen", "killed"],
)
def test_a_broken_replica_is_restarted(make_container_host, pid_of_replica, runtime, wait_until, fault):
    number, kind = fault
    host = make_container_host(runtime)
    host.boot()
    os.kill(pid_of_replica(), number)
    wait_until(lambda: host.generation(0) == 2 and host.is_ready(0), within_s=15, what="ready again")
    wait_until(lambda: host.reflexes(kind), within_s=5, what="the reflex is reported")


def test_a_replica_that_eats_its_memory_is_restarted_and_the_reason_is_told(make_container_host, runtime, wait_until):
    host = make_container_host(runtime, docker_memory_mib=64)
    host.boot()
    with suppress(httpx.HTTPError):
        httpx.post(f"http://127.0.0.1:{host.port_base}/eat", json={"mib": 300}, timeout=5)
    wait_until(lambda: host.generation(0) == 2 and host.is_ready(0), within_s=15, what="ready again")
    wait_until(lambda: host.reflexes(ReflexKind.RESTART_CRASHED), within_s=5, what="the reflex is reported")
    assert "out of memory" in host.reflexes(ReflexKind.RESTART_CRASHED)[0].evidence["reason"]


def test_a_crash_loop_ends_in_quarantine_with_the_log_as_evidence(make_container_host, runtime, wait_until):
    host = make_container_host(runtime, "--crash-after-s", "0.2")
    host.boot(ready=())
    wait_until(lambda: host.state(0) is ReplicaState.QUARANTINED, within_s=60, what="quarantine")
    report = host.controller.replica(0)
    assert report.restarts_total == 7  # the first start, three immediate restarts and three delayed ones
    assert any("RuntimeError: told to crash" in line for line in report.log_tail), report.log_tail
    assert "exit code 3" in report.reason


def test_a_new_agent_adopts_what_runs_and_reports_it_from_its_first_word(
    make_container_host, pid_of_replica, runtime, wait_until
):
    host = make_container_host(runtime)
    host.boot()
    before = pid_of_replica()
    host.agent.kill()
    host.agent.wait(timeout=5)
    seen, boot = len(host.controller.requests), host.controller.requests[-1].report.boot_id
    host.boot(ready=())

    def reports():
        return [request.report for request in host.controller.requests[seen:] if request.report.boot_id != boot]

    wait_until(lambda: len(reports()) > 5 and host.is_ready(0), within_s=15, what="reports of the new agent")
    assert all(report.replicas for report in reports())
    assert {report.replicas[0].generation for report in reports()} == {1}
    assert pid_of_replica() == before
    assert host.generation(0) == 1
    assert host.controller.requests[-1].report.reflexes == ()


def test_an_engine_that_is_away_is_a_degraded_state_and_its_return_is_noticed(
    make_container_host, pid_of_replica, wait_until, monkeypatch, tmp_path
):
    proxy = SocketProxy(tmp_path / "engine.sock", ENGINE)
    monkeypatch.setenv("DOCKER_HOST", proxy.url)
    host = make_container_host("docker")
    host.boot(ready=())
    wait_until(lambda: "docker" in degraded(host), within_s=15, what="the engine is reported as away")
    assert httpx.get(f"{host.agent_url}/livez", timeout=2).status_code == 200
    assert host.controller.requests[-1].report.free_slots == ()
    proxy.open()
    wait_until(lambda: host.is_ready(0), within_s=15, what="started once the engine is there")
    wait_until(lambda: degraded(host) == {}, within_s=10, what="nothing is degraded")
    proxy.cut()
    wait_until(lambda: "docker" in degraded(host), within_s=15, what="reported as away again")
    assert host.is_ready(0)
    assert host.agent.poll() is None
    os.kill(pid_of_replica(), signal.SIGKILL)
    wait_until(lambda: host.state(0) is not ReplicaState.READY, within_s=15, what="seen by the probes alone")
    proxy.open()
    wait_until(lambda: host.generation(0) == 2 and host.is_ready(0), within_s=45, what="healed after its return")
    wait_until(lambda: degraded(host) == {}, within_s=45, what="nothing is degraded")
    proxy.cut()


def degraded(host) -> dict[str, str]:
    if not host.controller.requests:
        return {}
    return {part.part: part.reason for part in host.controller.requests[-1].report.degraded}
