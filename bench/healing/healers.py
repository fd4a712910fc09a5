"""The healers that are compared, each given what it needs and nothing else.

- `ours`: `python -m agent` with the Docker runtime. It makes the containers.
- `docker-autoheal`: its algorithm (github.com/willfarrell/docker-autoheal, docker-entrypoint): every 5 s, restart with ten
  seconds of grace, one after the other, each container that is unhealthy and labelled. It restarts nothing that ended, so
  its users set a restart policy; the containers get `always`. Twice: with a health check quick enough to favour it (each
  second, two failures), and with an ordinary one (each five seconds, three failures).
- `restart policy`: Docker's `always`, alone.
- `Swarm`: one service per replica, the quick health check, tasks replaced without delay after one second of grace.
"""

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import docker

from bench.agentlab.controller import QuietController
from bench.containerlab.bare_image import IMAGE, PYTHON
from bench.containerlab.swarm_of_one import swarm_of_one
from bench.healing.fleet import COMMAND, FAULTS, LABEL, MEMORY_MIB, SIZE, Fleet, clear, container_options
from bench.healing.waiting import end, free_ports

REPOSITORY = Path(__file__).resolve().parents[2]
AUTOHEAL_INTERVAL_S, AUTOHEAL_STOP_S = 5.0, 10
NANO = 1_000_000_000


class Healing(Protocol):
    """Runs a fleet and whoever heals it, for one round."""

    def __call__(self, fleet: Fleet, engine: docker.DockerClient, _: Path, /) -> AbstractContextManager[None]: ...


@dataclass(frozen=True, slots=True)
class Healer:
    name: str
    run: Healing
    faults: tuple[str, ...]
    """What it is measured in: each fault where its answer differs from the others' measured here."""
    rounds: int
    patience_s: float
    """After this a replica counts as not healed."""


@contextmanager
def ours(fleet: Fleet, engine: docker.DockerClient, directory: Path) -> Iterator[None]:
    """A fresh agent each round: its restart budget counts five minutes, and three rounds of faults come in one."""
    controller = QuietController()
    settings = {
        "HOST_ID": fleet.name,
        "REGION": "bench",
        "CONTROLLER_URL": controller.url,
        "STATE_DIR": str(directory / "state"),
        "PORT": str(free_ports(1)),
        "RUNTIME": "docker",
        "SLOTS": str(SIZE),
        "REPLICAS": str(SIZE),
        "REPLICA_PORT_BASE": str(fleet.port_base),
        "SERVING_COMMAND": json.dumps(COMMAND),
        "DOCKER_LABEL": LABEL,
        "DOCKER_IMAGE": IMAGE,
        "DOCKER_BINDS": json.dumps(fleet.binds),
        "DOCKER_MEMORY_MIB": str(MEMORY_MIB),
    }
    environment = {**os.environ, **{f"TRIMTAB_AGENT_{name}": value for name, value in settings.items()}}
    with controller.running(), (directory / "agent.log").open("ab") as log:
        agent = subprocess.Popen(
            [sys.executable, "-m", "agent"], env=environment, cwd=REPOSITORY, stdout=log, stderr=log
        )
        try:
            fleet.wait()
            yield
        finally:
            end(agent)
            clear(engine)


def health_check(port: int, interval_s: float, timeout_s: float, retries: int) -> dict[str, Any]:
    return {
        "test": ["CMD", PYTHON, "-SE", "/app/healthcheck.py", str(port)],
        "interval": round(interval_s * NANO),
        "timeout": round(timeout_s * NANO),
        "retries": retries,
    }


@contextmanager
def policy_alone(fleet: Fleet, engine: docker.DockerClient, _: Path) -> Iterator[None]:
    with containers(fleet, engine, None):
        yield


def autoheal(interval_s: float, timeout_s: float, retries: int) -> Healing:
    @contextmanager
    def run(fleet: Fleet, engine: docker.DockerClient, _: Path) -> Iterator[None]:
        over = threading.Event()
        with containers(fleet, engine, (interval_s, timeout_s, retries)):
            watcher = threading.Thread(target=_autoheal, args=(over,))
            watcher.start()
            try:
                yield
            finally:
                over.set()
                watcher.join()

    return run


def _autoheal(over: threading.Event) -> None:
    client = docker.from_env(timeout=60)
    try:
        while not over.wait(AUTOHEAL_INTERVAL_S):
            for container in client.api.containers(filters={"health": "unhealthy", "label": LABEL}):
                client.api.restart(container["Id"], timeout=AUTOHEAL_STOP_S)
    finally:
        client.close()


@contextmanager
def containers(fleet: Fleet, engine: docker.DockerClient, check: tuple[float, float, int] | None) -> Iterator[None]:
    try:
        for slot, port in enumerate(fleet.ports):
            options = container_options(fleet, slot)
            engine.containers.run(
                **options,
                restart_policy={"Name": "always"},
                healthcheck=None if check is None else health_check(port, *check),
            )
        fleet.wait()
        yield
    finally:
        clear(engine)


@contextmanager
def swarm(fleet: Fleet, engine: docker.DockerClient, _: Path) -> Iterator[None]:
    with swarm_of_one():
        try:
            for slot, port in enumerate(fleet.ports):
                engine.api.create_service(_service(fleet, slot, port), name=f"bench-{fleet.replica(slot)}")
            fleet.wait()
            yield
        finally:
            for service in engine.services.list(filters={"name": f"bench-{fleet.name}"}):
                service.remove()
            while engine.containers.list(filters={"label": LABEL}):
                time.sleep(0.2)
            clear(engine)


def _service(fleet: Fleet, slot: int, port: int) -> dict[str, Any]:
    check = health_check(port, 1.0, 1.0, 2)
    mounts = [bind.split(":") for bind in fleet.binds]
    return {
        "ContainerSpec": {
            "Image": IMAGE,
            "Command": COMMAND,
            "Env": [f"{name}={value}" for name, value in fleet.environment(slot).items()],
            "Labels": {LABEL: fleet.replica(slot)},
            "Mounts": [{"Type": "bind", "Source": m[0], "Target": m[1], "ReadOnly": m[2:] == ["ro"]} for m in mounts],
            "Init": True,
            "StopGracePeriod": NANO,
            "Healthcheck": {name.title(): value for name, value in check.items()},
        },
        "Resources": {"Limits": {"MemoryBytes": MEMORY_MIB << 20}},
        "RestartPolicy": {"Condition": "any", "Delay": 0},
        "Networks": [{"Target": "host"}],
    }


OURS = "Trimtab's agent"
HEALERS = (
    Healer(OURS, ours, FAULTS, rounds=3, patience_s=20.0),
    Healer("docker-autoheal, check 1 s × 2", autoheal(1.0, 1.0, 2), ("SIGSTOP",), rounds=3, patience_s=40.0),
    Healer("docker-autoheal, check 5 s × 3", autoheal(5.0, 2.0, 3), ("SIGSTOP",), rounds=3, patience_s=60.0),
    Healer("restart policy `always`", policy_alone, FAULTS, rounds=3, patience_s=10.0),
    Healer("Swarm, check 1 s × 2", swarm, FAULTS, rounds=3, patience_s=40.0),
)
"""docker-autoheal's containers restart by policy when they end, so its other three rows are the policy's."""
