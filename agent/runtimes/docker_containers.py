"""Finding, making, replacing and bringing back the container of a replica: blocking calls, made in a thread.

A container is ours to remove only when we made it, which its fingerprint label tells. A new recipe never costs the old
container before the new one proved itself: the new one is created beside it, takes the port over, and the old one waits,
stopped and renamed, until the new one is ready. All of that is written in names and labels, so an agent that starts in
the middle of a replacement finds it.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from typing import Any

from docker import APIClient
from docker.errors import APIError, NotFound
from docker.types import DeviceRequest, LogConfig

from agent.errors import ReplicaRuntimeError
from agent.ports import LOG_TAIL_LINES_MAX, ReplicaSpec
from agent.runtimes.containers import LOG_BYTES_MAX, ContainerTemplate, Recipe, recipe_of
from agent.runtimes.logs import last_lines
from contracts.vocabulary import ReplicaId

Inspected = Mapping[str, Any]
FINGERPRINT_LABEL_SUFFIX = ".fingerprint"
SWARM_TASK_LABEL = "com.docker.swarm.task.id"
"""Swarm replaces its own containers: whoever manages them does it through Swarm."""
FORMER, NEXT = "-former", "-next"
READY_S_MAX = 1.0
"""For one look at /livez of a container that replaced another."""
NANO_CPUS = 1_000_000_000
SIGNAL_BASE = 128


@dataclass(frozen=True, slots=True)
class Family:
    """The containers of one replica: at most one that serves or should, and one that waits to be brought back."""

    current: Inspected | None
    former: Inspected | None


@dataclass(frozen=True, slots=True)
class Containers:
    """The containers that carry one label, on one engine."""

    client: APIClient
    label: str
    template: ContainerTemplate | None

    # ── finding ───────────────────────────────────────────────────────────────────────────────────────────────────────
    def family(self, replica: ReplicaId) -> Family:
        """The replica's containers, inspected; one that was made beside and never used is not among them."""
        found = [each for each in self._inspected(f"{self.label}={replica}") if not self._is(NEXT, each)]
        former = next((each for each in found if self._is(FORMER, each)), None)
        others = sorted(
            (each for each in found if each is not former), key=lambda each: (each["State"]["Running"], each["Created"])
        )
        return Family(others[-1], former) if others else Family(former, None)

    def running(self) -> list[Inspected]:
        """Every labelled container that runs. The list lags an end by a moment, an inspection does not."""
        return [each for each in self._inspected(self.label, every=False) if each["State"]["Running"]]

    def _inspected(self, label: str, *, every: bool = True) -> list[Inspected]:
        listed = self.client.containers(all=every, filters={"label": [label]})
        found = []
        for summary in listed:
            if SWARM_TASK_LABEL in (summary.get("Labels") or {}):
                continue
            try:
                found.append(self._inspect(summary["Id"]))
            except NotFound:
                continue  # removed since it was listed
        return found

    def _is_ours(self, container: Inspected) -> bool:
        return self.label + FINGERPRINT_LABEL_SUFFIX in labels_of(container)

    def _is(self, ending: str, container: Inspected) -> bool:
        return self._is_ours(container) and str(container["Name"]).endswith(ending)

    # ── acting ────────────────────────────────────────────────────────────────────────────────────────────────────────
    def start(self, spec: ReplicaSpec, *, refused: str | None) -> Inspected:
        """Make it run. What runs is returned as it is; a successor that never became ready gives way to the former.

        `refused` is the fingerprint that failed lately and is not tried again now.
        """
        family = self._tidied(spec.replica)
        if family.current is None:
            return self._started(self._create(spec, name_of(spec.replica)))
        if family.current["State"]["Running"]:
            return family.current
        if family.former is not None:
            return self._roll_back(family.current, family.former)
        if self._outdated(family.current, spec, refused):
            return self._replace(family.current, spec, grace_s=0.0)
        return self._started(family.current["Id"])

    def restart(self, spec: ReplicaSpec, grace_s: float, *, refused: str | None) -> Inspected:
        """End what runs and start anew, with the same rules."""
        family = self._tidied(spec.replica)
        if family.current is None:
            return self.start(spec, refused=refused)
        if family.former is not None:
            return self._roll_back(family.current, family.former)
        if self._outdated(family.current, spec, refused):
            return self._replace(family.current, spec, grace_s)
        self.client.restart(family.current["Id"], timeout=round(grace_s))
        return self._inspect(family.current["Id"])

    def stop(self, replica: ReplicaId, grace_s: float) -> None:
        """Stop it; the container is kept for its log and its next start."""
        current = self.family(replica).current
        if current is not None:
            self.client.stop(current["Id"], timeout=round(grace_s))

    def settle(self, replica: ReplicaId) -> bool:
        """Remove the former container once its successor is ready; False while that is open."""
        family = self.family(replica)
        if family.former is None:
            return True
        if family.current is None or not is_ready(family.current):
            return False
        self.client.remove_container(family.former["Id"], force=True)
        return True

    def log_tail(self, replica: ReplicaId) -> tuple[str, ...]:
        """The last lines it wrote, and what its own health check says when that fails."""
        current = self.family(replica).current
        if current is None:
            return ()
        lines = last_lines(self.client.logs(current["Id"], tail=LOG_TAIL_LINES_MAX))
        return (*lines, *_failed_health_check(current))[-LOG_TAIL_LINES_MAX:]

    # ── replacing ─────────────────────────────────────────────────────────────────────────────────────────────────────
    def _outdated(self, container: Inspected, spec: ReplicaSpec, refused: str | None) -> bool:
        """True when we made it for something else than what is wanted, and know how to make that."""
        if self.template is None or not self._is_ours(container):
            return False
        wanted = recipe_of(self.template, spec).fingerprint
        return wanted not in {labels_of(container)[self.label + FINGERPRINT_LABEL_SUFFIX], refused}

    def _tidied(self, replica: ReplicaId) -> Family:
        """The family, after undoing what an agent that ended in the middle of a replacement left behind."""
        for each in self._inspected(f"{self.label}={replica}"):
            if self._is(NEXT, each):
                self.client.remove_container(each["Id"], force=True)
        family = self.family(replica)
        if family.current is not None and self._is(FORMER, family.current):
            self.client.rename(family.current["Id"], name_of(replica))
        return family

    def _replace(self, old: Inspected, spec: ReplicaSpec, grace_s: float) -> Inspected:
        """The port is fixed, so the old one must stop first; but it is stopped only once the new one exists."""
        new = self._create(spec, name_of(spec.replica) + NEXT)
        self.client.stop(old["Id"], timeout=round(grace_s))
        self.client.rename(old["Id"], name_of(spec.replica) + FORMER)
        self.client.rename(new, name_of(spec.replica))
        try:
            return self._started(new)
        except APIError:
            self._roll_back(self._inspect(new), self._inspect(old["Id"]))
            raise

    def _roll_back(self, failed: Inspected, former: Inspected) -> Inspected:
        name = str(failed["Name"]).lstrip("/")
        self.client.remove_container(failed["Id"], force=True)
        self.client.rename(former["Id"], name)
        return self._started(former["Id"])

    def _started(self, container: str) -> Inspected:
        self.client.start(container)
        return self._inspect(container)

    def _inspect(self, container: str) -> Inspected:
        inspected: Inspected = self.client.inspect_container(container)
        return inspected

    def _create(self, spec: ReplicaSpec, name: str) -> str:
        if self.template is None:
            msg = f"no container carries {self.label}={spec.replica}, and no image is set to make one from"
            raise ReplicaRuntimeError(msg)
        recipe = recipe_of(self.template, spec)
        made = self.client.create_container(
            recipe.image,
            list(recipe.command),
            name=name,
            environment=dict(recipe.environment),
            labels={self.label: spec.replica, self.label + FINGERPRINT_LABEL_SUFFIX: recipe.fingerprint},
            host_config=self._host_config(recipe),
        )
        return str(made["Id"])

    def _host_config(self, recipe: Recipe) -> dict[str, Any]:
        limits: dict[str, Any] = {}
        if recipe.cpus is not None:
            limits["nano_cpus"] = round(recipe.cpus * NANO_CPUS)
        if recipe.memory_bytes is not None:
            limits |= {"mem_limit": recipe.memory_bytes, "memswap_limit": recipe.memory_bytes}
        return self.client.create_host_config(
            binds=list(recipe.binds),
            network_mode="host",
            init=True,  # a first process without signal handlers ignores SIGTERM and costs every stop its whole grace
            restart_policy={"Name": "no"},  # the agent heals: two healers restart each other's restarts
            log_config=LogConfig(type="json-file", config={"max-size": str(LOG_BYTES_MAX), "max-file": "2"}),
            device_requests=[DeviceRequest(device_ids=list(recipe.gpus), capabilities=[["gpu"]])]
            if recipe.gpus
            else None,
            **limits,
        )


def name_of(replica: ReplicaId) -> str:
    """Of the container that we make for a replica."""
    return f"trimtab-{replica}"


def labels_of(container: Inspected) -> Mapping[str, str]:
    """Labels of an inspected container."""
    return (container.get("Config") or {}).get("Labels") or {}


def end_of(container: Inspected) -> str:
    """Why a container that does not run ended, for people."""
    state = container["State"]
    return exit_reason(str(state.get("ExitCode", "?")), out_of_memory=bool(state.get("OOMKilled")))


def exit_reason(exit_code: str, *, out_of_memory: bool) -> str:
    """Docker adds 128 to the number of a signal, as shells do."""
    number = int(exit_code) - SIGNAL_BASE if exit_code.isdigit() else 0
    signal = f" (signal {number})" if number > 0 else ""
    return f"{'out of memory: ' if out_of_memory else ''}exit code {exit_code}{signal}"


def is_ready(container: Inspected) -> bool:
    """A running container whose own health check passes or, without one, whose replica says so on /livez. Blocks ≤ 1 s."""
    if not container["State"]["Running"]:
        return False
    health = container["State"].get("Health")
    if health is not None:
        return bool(health["Status"] == "healthy")
    told = dict(entry.split("=", 1) for entry in container["Config"].get("Env") or () if "=" in entry)
    try:
        connection = HTTPConnection(
            told["TRIMTAB_SERVING_ADDRESS"], int(told["TRIMTAB_SERVING_PORT"]), timeout=READY_S_MAX
        )
        try:
            connection.request("GET", "/livez")
            return json.loads(connection.getresponse().read()).get("ready") is True
        finally:
            connection.close()
    except (OSError, HTTPException, KeyError, ValueError):
        return False


def _failed_health_check(container: Inspected) -> tuple[str, ...]:
    health = container["State"].get("Health") or {}
    if health.get("Status") != "unhealthy":
        return ()
    outputs = [str(entry.get("Output", "")).strip() for entry in health.get("Log") or ()]
    return last_lines(f"health check failed: {outputs[-1] if outputs else 'no output'}".encode())
