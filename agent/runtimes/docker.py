"""Replicas as Docker containers.

A container belongs to us when it carries our label, whose value is the replica's id. Containers outlive the agent, which
takes over those it finds. A hung one is restarted with timeout 0 (SIGTERM cannot reach a frozen process, and Docker's
ten seconds of waiting for it are the longest part of most recoveries). Every SDK call blocks, so it runs in a thread
and under a timeout.
"""

import asyncio
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self, TypeVar

import docker
import requests.exceptions
from docker.errors import DockerException, NotFound
from docker.models.containers import Container

from agent.core.health import Vitals
from agent.errors import ReplicaRuntimeError
from agent.ports import LOG_TAIL_LINES_MAX, Exit, Instance, ReplicaSpec
from agent.runtimes.docker_events import DieEvent, follow_die_events
from agent.runtimes.logs import last_lines
from agent.runtimes.process import identity_of
from agent.runtimes.vitals import read_vitals
from chassis.clock import Clock
from contracts.vocabulary import ReplicaId

PROFILE_LABEL_SUFFIX = ".profile"
CALL_S_MAX = 10.0
"""On top of the grace: create and start take 0.2 s, a restart 0.4 s; an engine that needs ten seconds is stuck."""
EXITS_MAX = 256
TROUBLE = (DockerException, requests.exceptions.RequestException)
"""What the SDK raises, its transport included."""
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class ContainerTemplate:
    """How a replica's container is made. The host's network is used: each replica has a port of its own."""

    image: str
    command: tuple[str, ...]
    environment: Mapping[str, str]
    binds: tuple[str, ...] = ()
    """`source:target:ro`, as Docker writes them."""


@dataclass(slots=True)
class DockerRuntime:
    """`Runtime` over one Docker engine. Entering it connects; leaving it lets the containers run on."""

    label: str
    template: ContainerTemplate | None
    """None: only containers that somebody else made can be started and restarted."""
    clock: Clock
    base_url: str | None = None
    """None: the SDK's own choice (DOCKER_HOST, or the default socket)."""
    _client: docker.DockerClient | None = None
    _exits: asyncio.Queue[Exit] = field(default_factory=lambda: asyncio.Queue(EXITS_MAX))
    _pids: dict[ReplicaId, int] = field(default_factory=dict)
    _known: dict[ReplicaId, Instance] = field(default_factory=dict)

    async def __aenter__(self) -> Self:
        self._client = await self._call("connect to Docker", self._connect, within_s=CALL_S_MAX)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._client is not None:
            await asyncio.to_thread(self._client.close)

    # ── the port ──────────────────────────────────────────────────────────────────────────────────────────────────────
    async def start(self, spec: ReplicaSpec) -> Instance:
        """Start the replica's container, or make it; one that runs is returned as it is."""
        instance = await self._call(f"start {spec.replica}", self._start, spec, within_s=CALL_S_MAX)
        return await self._tell_stillborn(instance)

    async def restart(self, spec: ReplicaSpec, grace_s: float) -> Instance:
        """One call of the engine; a changed profile needs a new container, because its environment is fixed."""
        instance = await self._call(
            f"restart {spec.replica}", self._restart, spec, grace_s, within_s=grace_s + CALL_S_MAX
        )
        return await self._tell_stillborn(instance)

    async def stop(self, replica: ReplicaId, grace_s: float) -> None:
        """Stop it; the container is kept for its log and its next start."""
        await self._call(f"stop {replica}", self._stop, replica, grace_s, within_s=grace_s + CALL_S_MAX)

    async def running(self) -> tuple[Instance, ...]:
        """Labelled containers that run."""
        return await self._call("list containers", self._running, within_s=CALL_S_MAX)

    async def next_exit(self) -> Exit:
        """Wait for the next container to die; `follow` must run."""
        return await self._exits.get()

    def vitals(self, replica: ReplicaId) -> Vitals | None:
        """Of the container's first process; None when the agent does not share the host's process ids."""
        pid = self._pids.get(replica)
        return None if pid is None else read_vitals(pid)

    async def log_tail(self, replica: ReplicaId) -> tuple[str, ...]:
        """From the engine; empty when it cannot say."""
        try:
            return await self._call(f"read the log of {replica}", self._log_tail, replica, within_s=CALL_S_MAX)
        except ReplicaRuntimeError:
            return ()

    async def follow(self) -> None:
        """Turn the engine's die events into exits, for ever; raises `ReplicaRuntimeError` when the stream breaks.

        A supervisor calls it again; `follow_die_events` resumes, and what died unseen in between is found by listing.
        """
        events: asyncio.Queue[DieEvent] = asyncio.Queue(EXITS_MAX)
        async with asyncio.TaskGroup() as group:
            group.create_task(
                follow_die_events(self._connect, label=self.label, since_unix_s=self.clock.now_unix_s(), into=events)
            )
            await self._tell_those_that_died_unseen()
            while True:
                event = await events.get()
                await self._tell(ReplicaId(event.replica), event.reason)

    # ── exits ─────────────────────────────────────────────────────────────────────────────────────────────────────────
    async def _tell_stillborn(self, instance: Instance) -> Instance:
        """A container may end before we know its incarnation; then its die event named nobody."""
        if self._pids.get(instance.replica) == 0:
            await self._exits.put(Exit(instance=instance, reason="ended as soon as it was started"))
        return instance

    async def _tell_those_that_died_unseen(self) -> None:
        alive = {instance.replica for instance in await self.running()}
        for replica in sorted(set(self._known) - alive):
            await self._tell(replica, "died unseen")

    async def _tell(self, replica: ReplicaId, reason: str) -> None:
        """Report the end of the incarnation we know, unless the container already runs again as that very one."""
        known = self._known.get(replica)
        if known is not None and known not in await self.running():
            await self._exits.put(Exit(instance=known, reason=reason))

    # ── in a thread ───────────────────────────────────────────────────────────────────────────────────────────────────
    async def _call(self, what: str, work: Callable[..., T], *arguments: Any, within_s: float) -> T:  # noqa: ANN401
        try:
            async with asyncio.timeout(within_s):
                return await asyncio.to_thread(work, *arguments)
        except TimeoutError as error:
            msg = f"could not {what} within {within_s:g} s"
            raise ReplicaRuntimeError(msg) from error
        except TROUBLE as error:
            msg = f"could not {what}"
            raise ReplicaRuntimeError(msg) from error

    def _connect(self) -> docker.DockerClient:
        if self.base_url is None:
            return docker.from_env(timeout=int(CALL_S_MAX))
        return docker.DockerClient(base_url=self.base_url, timeout=int(CALL_S_MAX))

    @property
    def _engine(self) -> docker.DockerClient:
        if self._client is None:
            msg = "the Docker runtime was not entered"
            raise ReplicaRuntimeError(msg)
        return self._client

    def _start(self, spec: ReplicaSpec) -> Instance:
        container = self._find(spec.replica)
        if container is not None and container.status != "running" and self._outdated(container, spec):
            container.remove(force=True)
            container = None
        if container is None:
            container = self._create(spec)
        if container.status != "running":
            container.start()
        return self._instance(container)

    def _restart(self, spec: ReplicaSpec, grace_s: float) -> Instance:
        container = self._find(spec.replica)
        if container is None:
            return self._start(spec)
        if self._outdated(container, spec):
            container.stop(timeout=round(grace_s))
            return self._start(spec)
        container.restart(timeout=round(grace_s))
        return self._instance(container)

    def _stop(self, replica: ReplicaId, grace_s: float) -> None:
        container = self._find(replica)
        if container is not None:
            container.stop(timeout=round(grace_s))

    def _running(self) -> tuple[Instance, ...]:
        found = self._engine.containers.list(filters={"label": self.label})
        alive = []
        for container in found:
            with suppress(NotFound):  # removed since it was listed
                container.reload()
                if container.attrs["State"]["Running"]:  # the list lags a die event by a moment, an inspection does not
                    alive.append(self._known_as(container))
        return tuple(alive)

    def _log_tail(self, replica: ReplicaId) -> tuple[str, ...]:
        container = self._find(replica)
        return () if container is None else last_lines(container.logs(tail=LOG_TAIL_LINES_MAX))

    def _find(self, replica: ReplicaId) -> Container | None:
        found = self._engine.containers.list(all=True, filters={"label": f"{self.label}={replica}"})
        return found[0] if found else None

    def _outdated(self, container: Container, spec: ReplicaSpec) -> bool:
        """True when the container was made for another profile, and we know how to make one."""
        made_for = container.labels.get(self.label + PROFILE_LABEL_SUFFIX, spec.profile)
        return self.template is not None and made_for != spec.profile

    def _create(self, spec: ReplicaSpec) -> Container:
        template = self.template
        if template is None:
            msg = f"no container carries {self.label}={spec.replica}, and no image is set to make one from"
            raise ReplicaRuntimeError(msg)
        identity = {f"TRIMTAB_SERVING_{name.upper()}": str(value) for name, value in identity_of(spec).items()}
        return self._engine.containers.create(
            template.image,
            list(template.command),
            name=f"trimtab-{spec.replica}",
            environment={**template.environment, **identity},
            labels={self.label: spec.replica, self.label + PROFILE_LABEL_SUFFIX: spec.profile},
            volumes=list(template.binds),
            network_mode="host",
        )

    def _instance(self, container: Container) -> Instance:
        """The incarnation that runs now: a container's id stays the same across restarts, its start time does not."""
        container.reload()
        return self._known_as(container)

    def _known_as(self, container: Container) -> Instance:
        state = container.attrs["State"]
        replica = ReplicaId(container.labels[self.label])
        instance = Instance(replica=replica, token=f"{container.short_id}@{state['StartedAt']}")
        self._pids[replica] = int(state["Pid"])
        self._known[replica] = instance
        return instance
