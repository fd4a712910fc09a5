"""Three replicas in real containers, and the four ways in which they are broken."""

import os
import signal
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import docker
import httpx

from agent.runtimes.vitals import first_child
from bench.containerlab.bare_image import IMAGE, PYTHON, binds
from bench.healing.waiting import born, until

SIZE = 3
MEMORY_MIB = 64
LOOP_CRASHES = 2
"""How often a looping replica ends again right after its start, after the crash that begins it."""
HERE = Path(__file__).parent
COMMAND = [PYTHON, "-SE", "/app/replica.py"]
LABEL = "trimtab.bench.replica"
UP_S_MAX = 30.0
FAULTS = ("SIGSTOP", "SIGKILL", "out of memory", "crash loop")


@dataclass(frozen=True, slots=True)
class Fleet:
    """Where the replicas of one healer are."""

    name: str
    port_base: int
    faults: Path
    """Directory that the containers see as /faults."""

    @property
    def ports(self) -> tuple[int, ...]:
        return tuple(range(self.port_base, self.port_base + SIZE))

    @property
    def binds(self) -> tuple[str, ...]:
        return (*binds(HERE), f"{self.faults}:/faults")

    def replica(self, slot: int) -> str:
        return f"{self.name}-{slot}"

    def environment(self, slot: int) -> dict[str, str]:
        return {"TRIMTAB_SERVING_REPLICA": self.replica(slot), "TRIMTAB_SERVING_PORT": str(self.ports[slot])}

    def wait(self) -> None:
        """Until every replica serves."""
        for port in self.ports:
            until(lambda port=port: born(port) is not None, UP_S_MAX, f"the replica on port {port} serves")

    def break_(self, slot: int, fault: str, engine: docker.DockerClient) -> None:
        """Do it; returns at once."""
        match fault:
            case "SIGSTOP":
                os.kill(self._pid(slot, engine), signal.SIGSTOP)
            case "SIGKILL":
                os.kill(self._pid(slot, engine), signal.SIGKILL)
            case "out of memory":
                try:
                    httpx.post(f"http://127.0.0.1:{self.ports[slot]}/eat", content=str(4 * MEMORY_MIB), timeout=2.0)
                except httpx.HTTPError:
                    return  # it died of it
            case "crash loop":
                (self.faults / self.replica(slot)).write_text(str(LOOP_CRASHES))
                os.kill(self._pid(slot, engine), signal.SIGKILL)

    def mend(self, slot: int, engine: docker.DockerClient) -> None:
        """Thaw what nobody healed, so that the next fault is counted by itself."""
        os.kill(self._pid(slot, engine), signal.SIGCONT)

    def _pid(self, slot: int, engine: docker.DockerClient) -> int:
        (container,) = engine.containers.list(
            ignore_removed=True, filters={"label": f"{LABEL}={self.replica(slot)}", "status": "running"}
        )
        init = int(engine.api.inspect_container(container.id)["State"]["Pid"])
        return first_child(init) or init


def container_options(fleet: Fleet, slot: int) -> dict[str, Any]:
    """The same container for every healer that does not make its own."""
    return {
        "image": IMAGE,
        "command": COMMAND,
        "name": f"bench-{fleet.replica(slot)}",
        "environment": fleet.environment(slot),
        "labels": {LABEL: fleet.replica(slot)},
        "volumes": list(fleet.binds),
        "network_mode": "host",
        "init": True,
        "mem_limit": MEMORY_MIB << 20,
        "memswap_limit": MEMORY_MIB << 20,
        "detach": True,
    }


def clear(engine: docker.DockerClient) -> None:
    """Remove every container of this benchmark."""
    for container in engine.containers.list(all=True, ignore_removed=True, filters={"label": LABEL}):
        try:
            container.remove(force=True)
        except docker.errors.APIError:
            continue  # Swarm removes it, too
