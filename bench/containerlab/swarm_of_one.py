"""A Docker Swarm of the one engine that is here, on loopback, for as long as tests or measurements need it."""

import fcntl
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import docker

LOCK = Path(tempfile.gettempdir()) / "trimtab-test-engine.lock"


@contextmanager
def engine_alone() -> Iterator[None]:
    """One test session at a time uses the engine's names, and its swarm: sessions beside each other would meet in both."""
    with LOCK.open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print(
                "waiting: another session of tests or measurements uses the Docker engine", file=sys.stderr, flush=True
            )
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@contextmanager
def swarm_of_one() -> Iterator[None]:
    """A swarm that is there already is used, and left alone."""
    client = docker.from_env()
    bridges = {network.name for network in client.networks.list()}
    ours = client.info()["Swarm"]["LocalNodeState"] == "inactive"
    if ours:
        client.swarm.init(advertise_addr="127.0.0.1", listen_addr="127.0.0.1:2377")
    try:
        yield
    finally:
        if ours:
            client.swarm.leave(force=True)
            for network in client.networks.list(names=["docker_gwbridge"]):
                if network.name not in bridges:
                    network.remove()
        client.close()
