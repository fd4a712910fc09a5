"""Replicas as Docker containers.

A container belongs to us when it carries our label, whose value is the replica's id. Containers outlive the agent, which
takes over those it finds; those that somebody else made are managed as they are. A hung one is restarted with timeout 0
(SIGTERM cannot reach a frozen process, and Docker's ten seconds of waiting for it are the longest part of most
recoveries). Ends are heard from the engine's events, and, for what no event tells, seen in a look at everything.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from types import TracebackType
from typing import Self, TypeVar, assert_never

from docker import APIClient
from docker.errors import NotFound

from agent.core.health import Vitals
from agent.core.owners import Footprint
from agent.errors import ReplicaRuntimeError
from agent.ports import Exit, Instance, ReplicaSpec
from agent.runtimes.containers import ContainerTemplate, recipe_of
from agent.runtimes.docker_containers import (
    FINGERPRINT_LABEL_SUFFIX,
    Containers,
    Inspected,
    end_of,
    exit_reason,
    labels_of,
)
from agent.runtimes.docker_engine import CALL_S_MAX, DockerEngine
from agent.runtimes.docker_events import ContainerEvent, Died, EventStream, Opened, OutOfMemory
from agent.runtimes.docker_gpus import gpu_references, resolved
from agent.runtimes.docker_times import unix_ns
from agent.runtimes.incarnations import Incarnation, Incarnations
from agent.runtimes.vitals import first_child, read_vitals
from chassis.clock import Clock
from chassis.logs import logger
from contracts.vocabulary import GpuUuid, ReplicaId

log = logger(__name__)
RESYNC_S = 30.0
"""Between two looks at everything: how long an end that no event told may stay unseen. It costs 2 ms per container."""
REPLAY_S = 0.3
"""From a stream's opening to a look at everything: what the engine replays in a millisecond tells more than a look."""
SETTLE_S = 1.0
"""Between two looks whether a successor is ready, while a former container waits."""
REFUSED_S = 600.0
"""How long a recipe that did not become ready is not tried again: every restart for another reason would repeat it."""
EXITS_MAX = 256
EVENTS_MAX = 256
OOM_BEFORE_DEATH_NS = 5_000_000_000
"""A death this soon after the kernel ran out of memory is its doing; normally they are 40 ms apart."""
T = TypeVar("T")


def _no_gpus() -> tuple[GpuUuid, ...]:
    return ()


@dataclass(slots=True)
class DockerRuntime:
    """`HostRuntime` over one Docker engine. Leaving it lets the containers run on."""

    label: str
    template: ContainerTemplate | None
    """None: only containers that somebody else made can be started and restarted."""
    clock: Clock
    engine: DockerEngine = field(default_factory=DockerEngine)
    gpus_present: Callable[[], tuple[GpuUuid, ...]] = _no_gpus
    """Every GPU of the host in PCI order: what an index in a device request means."""
    settle_s: float = SETTLE_S
    _exits: asyncio.Queue[Exit] = field(default_factory=lambda: asyncio.Queue(EXITS_MAX))
    _incarnations: Incarnations = field(default_factory=Incarnations)
    _pids: dict[ReplicaId, int] = field(default_factory=dict)
    """Of the replica's own process; 0 when it ended before it was looked at."""
    _gpus: dict[ReplicaId, tuple[str, ...]] = field(default_factory=dict)
    _unsettled: set[ReplicaId] = field(default_factory=set)
    """Whose former container may still wait for a verdict on its successor."""
    _refused: dict[ReplicaId, tuple[str, float]] = field(default_factory=dict)
    """Fingerprint that did not become ready, and until when (monotonic) it is not tried again."""
    _oom_ns: dict[str, int] = field(default_factory=dict)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.engine.close()

    # ── the port ──────────────────────────────────────────────────────────────────────────────────────────────────────
    async def start(self, spec: ReplicaSpec) -> Instance:
        """Start the replica's container, or make it; one that runs is returned as it is."""
        refused = self._refused_now(spec.replica)
        return await self._began(
            spec, await self._alone(spec.replica, "start", lambda all_: all_.start(spec, refused=refused))
        )

    async def restart(self, spec: ReplicaSpec, grace_s: float) -> Instance:
        """End it and start anew: the same container, or, for another recipe, a new one that replaces it."""
        refused = self._refused_now(spec.replica)
        return await self._began(
            spec,
            await self._alone(
                spec.replica, "restart", lambda all_: all_.restart(spec, grace_s, refused=refused), grace_s=grace_s
            ),
        )

    async def stop(self, replica: ReplicaId, grace_s: float) -> None:
        """Stop it; the container is kept for its log and its next start."""
        await self._alone(replica, "stop", lambda all_: all_.stop(replica, grace_s), grace_s=grace_s)

    async def running(self) -> tuple[Instance, ...]:
        """Labelled containers that run."""
        found = await self.engine.call("list containers", lambda client: self._containers(client).running())
        return tuple(self._learn(container) for container in found)

    async def next_exit(self) -> Exit:
        """Wait for the next container to die; the watchers must run."""
        return await self._exits.get()

    def vitals(self, replica: ReplicaId) -> Vitals | None:
        """Of the replica's own process; None when the agent does not share the host's process ids."""
        pid = self._pids.get(replica)
        return None if not pid else read_vitals(pid)

    async def log_tail(self, replica: ReplicaId) -> tuple[str, ...]:
        """From the engine; empty when it cannot say."""
        try:
            return await self.engine.call(
                f"read the log of {replica}", lambda client: self._containers(client).log_tail(replica)
            )
        except ReplicaRuntimeError:
            return ()

    def footprints(self) -> tuple[Footprint, ...]:
        """A container's id is enough: everything in it is the replica's."""
        return tuple(
            Footprint(
                replica=each.instance.replica, pid=self._pids.get(each.instance.replica), container=each.container
            )
            for each in self._incarnations.newest()
            if not self._incarnations.was_told(each.instance)
        )

    def watchers(self) -> Mapping[str, Callable[[], Awaitable[None]]]:
        """The engine's events, and the verdicts on successors."""
        return {"docker_events": self.follow, "docker_successors": self.settle}

    def gpus_of(self, replica: ReplicaId) -> tuple[GpuUuid, ...]:
        """From the container's device requests, environment or label."""
        return resolved(self._gpus.get(replica, ()), self.gpus_present())

    # ── watching ──────────────────────────────────────────────────────────────────────────────────────────────────────
    async def follow(self) -> None:
        """Turn the engine's events into exits, for ever; an engine that is away is waited for."""
        events: asyncio.Queue[ContainerEvent] = asyncio.Queue(EVENTS_MAX)
        stream = EventStream(engine=self.engine, label=self.label, clock=self.clock, into=events)
        async with asyncio.TaskGroup() as group:
            group.create_task(stream.follow())
            look_s = self.clock.monotonic_s() + RESYNC_S
            while True:
                try:
                    async with asyncio.timeout(max(0.0, look_s - self.clock.monotonic_s())):
                        event = await events.get()
                except TimeoutError:
                    await self._look_at_everything()
                    look_s = self.clock.monotonic_s() + RESYNC_S
                    continue
                if isinstance(event, Opened):
                    look_s = self.clock.monotonic_s() + REPLAY_S
                else:
                    await self._take(event)

    async def settle(self) -> None:
        """Remove each former container once its successor is ready, for ever."""
        while True:
            await self.clock.sleep(self.settle_s)
            for replica in sorted(self._unsettled):
                try:
                    if await self._alone(replica, "settle", partial(Containers.settle, replica=replica)):
                        self._unsettled.discard(replica)
                except ReplicaRuntimeError as error:
                    log.debug("successor_not_settled", replica=replica, error=str(error))

    async def _take(self, event: Died | OutOfMemory) -> None:
        match event:
            case OutOfMemory(container, at_ns):
                self._oom_ns[container] = at_ns
            case Died(container, _, at_ns, exit_code):
                instance = self._incarnations.who_died(container, at_ns)
                starved = at_ns - self._oom_ns.pop(container, 0) < OOM_BEFORE_DEATH_NS
                if instance is not None:
                    await self._tell(instance, exit_reason(exit_code, out_of_memory=starved))
            case _:
                assert_never(event)

    async def _look_at_everything(self) -> None:
        """Tell the ends that no event told; a container that runs again ended, too."""
        before = self._incarnations.newest()
        try:
            alive = set(await self.running())
            for incarnation in before:
                if incarnation.instance not in alive and not self._incarnations.was_told(incarnation.instance):
                    await self._tell(incarnation.instance, await self._end_of(incarnation))
        except ReplicaRuntimeError as error:
            log.debug("containers_not_seen", error=str(error))

    async def _end_of(self, incarnation: Incarnation) -> str:
        def inspect(client: APIClient) -> str:
            try:
                container = client.inspect_container(incarnation.container)
            except NotFound:
                return "its container was removed"
            if unix_ns(container["State"]["StartedAt"]) != incarnation.started_ns:
                return "ended unseen, and was started again"
            return end_of(container)

        return await self.engine.call("inspect a container that ended", inspect)

    async def _tell(self, instance: Instance, reason: str) -> None:
        if self._incarnations.tell(instance):
            await self._exits.put(Exit(instance=instance, reason=reason))

    # ── bookkeeping ───────────────────────────────────────────────────────────────────────────────────────────────────
    async def _began(self, spec: ReplicaSpec, container: Inspected) -> Instance:
        """Learn what runs now. One that ended before it could be looked at had no name when its death was told."""
        instance = self._learn(container)
        self._remember_what_failed(spec, container)
        if not container["State"]["Running"]:
            await self._tell(instance, f"ended as soon as it was started: {end_of(container)}")
        return instance

    def _remember_what_failed(self, spec: ReplicaSpec, container: Inspected) -> None:
        """A container made for something else than what was asked for: its successor failed, and it was brought back."""
        if self.template is None or self._refused_now(spec.replica) is not None:
            return
        wanted = recipe_of(self.template, spec).fingerprint
        if labels_of(container).get(self.label + FINGERPRINT_LABEL_SUFFIX, wanted) != wanted:
            self._refused[spec.replica] = (wanted, self.clock.monotonic_s() + REFUSED_S)
            log.warning("replica_rolled_back", replica=spec.replica, refused=wanted, profile=spec.profile)

    def _refused_now(self, replica: ReplicaId) -> str | None:
        fingerprint, until_s = self._refused.get(replica, ("", 0.0))
        return fingerprint if self.clock.monotonic_s() < until_s else None

    def _learn(self, container: Inspected) -> Instance:
        """The incarnation that runs now: a container's id stays the same across restarts, its start time does not."""
        state, replica = container["State"], ReplicaId(labels_of(container)[self.label])
        identifier, started = str(container["Id"]), str(state["StartedAt"])
        instance = Instance(replica=replica, token=f"{identifier[:12]}@{started}")
        if self._incarnations.learn(Incarnation(instance, identifier, unix_ns(started))):
            self._unsettled.add(replica)  # also one whose replacement a former agent began
        pid = int(state["Pid"])
        self._pids[replica] = first_child(pid) or pid if container["HostConfig"].get("Init") else pid
        self._gpus[replica] = gpu_references(container, self.label)
        return instance

    # ── calling ───────────────────────────────────────────────────────────────────────────────────────────────────────
    async def _alone(
        self, replica: ReplicaId, verb: str, work: Callable[[Containers], T], *, grace_s: float = 0.0
    ) -> T:
        """One operation on a replica's containers at a time, whoever asks."""
        return await self.engine.call(
            f"{verb} {replica}",
            lambda client: work(self._containers(client)),
            within_s=grace_s + CALL_S_MAX,
            alone=replica,
        )

    def _containers(self, client: APIClient) -> Containers:
        return Containers(client, self.label, self.template)
