"""One Swarm service per replica: reading and changing it, as blocking calls made in a thread.

A service of one task is the unit that can be restarted, stopped and fenced by itself, while Swarm chooses the machine.
Swarm is told never to restart a task (the agent heals, within its budgets), so a new task comes only with a new version
of the service: every start raises its `ForceUpdate` counter.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from docker import APIClient
from docker.errors import APIError, NotFound

from agent.ports import LOG_TAIL_LINES_MAX, ReplicaSpec
from agent.runtimes.containers import LOG_BYTES_MAX, ContainerTemplate, Recipe, recipe_of
from agent.runtimes.docker_containers import FINGERPRINT_LABEL_SUFFIX, NANO_CPUS, name_of
from agent.runtimes.docker_gpus import VISIBLE_DEVICES
from agent.runtimes.logs import last_lines
from contracts.vocabulary import ReplicaId

Service = Mapping[str, Any]
Task = Mapping[str, Any]
NANO = 1_000_000_000
UPDATES_MAX = 5
"""Tries to change a service: Swarm's own bookkeeping changes its version, and then a change is refused as out of sequence."""
OUT_OF_SEQUENCE = "out of sequence"


@dataclass(frozen=True, slots=True)
class SwarmTemplate:
    """How a replica's service is made."""

    container: ContainerTemplate
    stop_grace_s: float
    """Between SIGTERM and SIGKILL on other machines, where only Swarm can end a task."""
    bind_address: str
    """Where replicas listen on whatever machine they get: that machine's address is not known before."""
    constraints: tuple[str, ...] = ()
    """Placement, as Swarm writes it: `node.labels.gpu==true`."""


@dataclass(frozen=True, slots=True)
class Services:
    """The services that carry one label, through one manager of the cluster."""

    client: APIClient
    label: str
    template: SwarmTemplate

    # ── reading ───────────────────────────────────────────────────────────────────────────────────────────────────────
    def find(self, replica: ReplicaId) -> Service | None:
        """The replica's service; None where there is none, or one of that name that is not ours."""
        try:
            service: Service = self.client.inspect_service(name_of(replica))  # type: ignore[no-untyped-call]  # as stubbed
        except NotFound:
            return None
        return service if service["Spec"].get("Labels", {}).get(self.label) == replica else None

    def tasks(self) -> list[Task]:
        """Every task of ours that Swarm remembers, a few per replica; one call, whatever their number."""
        return self._tasks({"label": self.label})

    def tasks_of(self, replica: ReplicaId) -> list[Task]:
        """The same of one replica."""
        return self._tasks({"label": f"{self.label}={replica}"})

    def _tasks(self, filters: dict[str, str]) -> list[Task]:
        return list(self.client.tasks(filters=filters))  # type: ignore[no-untyped-call]  # as stubbed

    def local_node(self) -> str:
        """Id of the engine that we talk to; empty outside a swarm."""
        return str(self.client.info().get("Swarm", {}).get("NodeID", ""))

    def address_of(self, node: str) -> str | None:
        """Where the machine of a task can be reached; None when it does not say."""
        try:
            address = str(self.client.inspect_node(node).get("Status", {}).get("Addr", ""))
        except NotFound:
            return None
        return address if address not in {"", "0.0.0.0"} else None  # noqa: S104  # compared, not bound

    def log_tail(self, replica: ReplicaId, node: str) -> tuple[str, ...]:
        """Last lines of its newest task: of one on our machine from the engine itself, which answers sooner than Swarm."""
        newest = max(self.tasks_of(replica), key=lambda task: str(task["CreatedAt"]), default=None)
        if newest is None:
            return ()
        container = (newest["Status"].get("ContainerStatus") or {}).get("ContainerID")
        if container and newest.get("NodeID") == node:
            try:
                return last_lines(self.client.logs(container, tail=LOG_TAIL_LINES_MAX))
            except NotFound:
                return ()
        chunks = self.client.service_logs(name_of(replica), stdout=True, stderr=True, tail=str(LOG_TAIL_LINES_MAX))
        return last_lines(chunks if isinstance(chunks, bytes) else b"".join(chunks))

    # ── changing ──────────────────────────────────────────────────────────────────────────────────────────────────────
    def run_anew(self, spec: ReplicaSpec) -> None:
        """Ask for one new task of this spec; what ran before is ended by Swarm."""
        self._change(spec.replica, spec, replicas=1)

    def stop(self, replica: ReplicaId) -> None:
        """Ask for no task."""
        self._change(replica, None, replicas=0)

    def end_here(self, task: Task, node: str, grace_s: float) -> None:
        """End a task's container by the engine itself, when it runs on our machine: at once, or with this very grace.

        Swarm ends tasks with the grace they were created with, which a frozen process would sit out, and two seconds more.
        """
        status = task["Status"]
        if task.get("NodeID") != node:
            return
        try:
            self.client.stop(status["ContainerStatus"]["ContainerID"], timeout=round(grace_s))
        except NotFound:
            return

    def _change(self, replica: ReplicaId, spec: ReplicaSpec | None, *, replicas: int) -> None:
        for attempt in range(UPDATES_MAX):
            service = self.find(replica)
            if service is None and spec is None:
                return
            try:
                if service is None and spec is not None:
                    self.client.create_service(**self._wanted(spec, 0, replicas))  # type: ignore[no-untyped-call]  # as stubbed
                elif service is not None:
                    self._update(service, spec, replicas)
            except APIError as error:
                if OUT_OF_SEQUENCE not in str(error) or attempt == UPDATES_MAX - 1:
                    raise
            else:
                return

    def _update(self, service: Service, spec: ReplicaSpec | None, replicas: int) -> None:
        now = service["Spec"]
        if spec is None:
            wanted = {
                "name": now["Name"],
                "labels": now["Labels"],
                "task_template": now["TaskTemplate"],
                "mode": _replicated(replicas),
            }
        else:
            wanted = self._wanted(spec, int(now["TaskTemplate"].get("ForceUpdate", 0)) + 1, replicas)
        self.client.update_service(service["ID"], service["Version"]["Index"], **wanted)

    def _wanted(self, spec: ReplicaSpec, force_update: int, replicas: int) -> dict[str, Any]:
        recipe = recipe_of(self.template.container, replace(spec, address=self.template.bind_address))
        return {
            "name": name_of(spec.replica),
            "labels": {self.label: spec.replica},
            "mode": _replicated(replicas),
            "task_template": {
                "ContainerSpec": self._container_spec(spec.replica, recipe),
                "Resources": {"Limits": _limits(recipe)},
                "RestartPolicy": {"Condition": "none"},
                "Placement": {"Constraints": list(self.template.constraints)},
                "Networks": [{"Target": "host"}],
                "LogDriver": {"Name": "json-file", "Options": {"max-size": str(LOG_BYTES_MAX), "max-file": "2"}},
                "ForceUpdate": force_update,
            },
        }

    def _container_spec(self, replica: ReplicaId, recipe: Recipe) -> dict[str, Any]:
        """Services know no device requests: the NVIDIA runtime, as a node's default, reads the variable instead."""
        visible = ((VISIBLE_DEVICES, ",".join(recipe.gpus)),) if recipe.gpus else ()
        return {
            "Image": recipe.image,
            "Command": list(recipe.command),
            "Env": [f"{name}={value}" for name, value in (*recipe.environment, *visible)],
            "Mounts": [_mount(bind) for bind in recipe.binds],
            "Labels": {
                self.label: replica,
                self.label + FINGERPRINT_LABEL_SUFFIX: recipe.fingerprint,
            },
            "Init": True,
            "StopGracePeriod": round(self.template.stop_grace_s * NANO),
        }


def _replicated(replicas: int) -> dict[str, Any]:
    return {"Replicated": {"Replicas": replicas}}


def _limits(recipe: Recipe) -> dict[str, int]:
    limits = {}
    if recipe.cpus is not None:
        limits["NanoCPUs"] = round(recipe.cpus * NANO_CPUS)
    if recipe.memory_bytes is not None:
        limits["MemoryBytes"] = recipe.memory_bytes
    return limits


def _mount(bind: str) -> dict[str, Any]:
    source, target, *mode = bind.split(":")
    return {"Type": "bind", "Source": source, "Target": target, "ReadOnly": "ro" in mode}
