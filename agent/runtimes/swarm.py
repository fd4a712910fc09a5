"""Replicas as services of a Docker Swarm, one service per replica (docs/adr/0008).

One agent with a manager of the cluster in reach looks after replicas on every machine of it: Swarm chooses the machine,
the agent decides when a replica starts, stops and restarts. An incarnation is a task. Ends are seen once a second in the
list of tasks, and, for tasks of the engine that we talk to, heard at once from its events.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self, TypeVar, assert_never

from docker import APIClient
from docker.errors import NotFound

from agent.core.health import Vitals
from agent.core.owners import Footprint
from agent.errors import ReplicaRuntimeError
from agent.ports import Exit, Instance, ReplicaSpec
from agent.runtimes.docker_containers import SWARM_TASK_LABEL, end_of, exit_reason
from agent.runtimes.docker_engine import CALL_S_MAX, DockerEngine
from agent.runtimes.docker_events import ContainerEvent, Died, EventStream, Opened, OutOfMemory
from agent.runtimes.docker_gpus import gpu_references, resolved
from agent.runtimes.docker_times import unix_ns
from agent.runtimes.incarnations import Incarnation, Incarnations
from agent.runtimes.swarm_services import Services, SwarmTemplate, Task
from agent.runtimes.swarm_tasks import PLACE_S_MAX, SWARM_STOP_S, is_over, is_wanted, restart, start, stop
from agent.runtimes.vitals import first_child, read_vitals
from chassis.clock import Clock
from chassis.logs import logger
from contracts.vocabulary import GpuUuid, ReplicaId

log = logger(__name__)
POLL_S = 1.0
"""Between two lists of tasks: what an end on another machine may stay unseen. One call, 2 ms, whatever the replicas."""
EXITS_MAX = 256
EVENTS_MAX = 256
T = TypeVar("T")


def _no_gpus() -> tuple[GpuUuid, ...]:
    return ()


def _tell_nobody(_: str | None) -> None:
    return


@dataclass(slots=True)
class SwarmRuntime:
    """`HostRuntime` over one Swarm, through one of its managers. Leaving it lets the services run on."""

    label: str
    template: SwarmTemplate
    clock: Clock
    engine: DockerEngine = field(default_factory=DockerEngine)
    gpus_present: Callable[[], tuple[GpuUuid, ...]] = _no_gpus
    on_trouble: Callable[[str | None], None] = _tell_nobody
    """Told why the cluster cannot be managed, say that the engine is no manager; None once it can."""
    _node: str = ""
    """Of the engine that we talk to."""
    _addresses: dict[str, str | None] = field(default_factory=dict)
    _exits: asyncio.Queue[Exit] = field(default_factory=lambda: asyncio.Queue(EXITS_MAX))
    _incarnations: Incarnations = field(default_factory=Incarnations)
    _pids: dict[ReplicaId, int] = field(default_factory=dict)
    _gpus: dict[ReplicaId, tuple[str, ...]] = field(default_factory=dict)
    _oom: set[str] = field(default_factory=set)
    """Local containers that ran out of memory and whose end is still to be told."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.engine.close()

    # ── the port ──────────────────────────────────────────────────────────────────────────────────────────────────────
    async def start(self, spec: ReplicaSpec) -> Instance:
        """Ask for a task and wait until it runs; one that runs is returned as it is."""
        within_s = self.template.stop_grace_s + SWARM_STOP_S + PLACE_S_MAX
        return await self._began(
            await self._alone(spec.replica, "start", lambda all_: start(all_, spec, self._was_told), within_s)
        )

    async def restart(self, spec: ReplicaSpec, grace_s: float) -> Instance:
        """A new version of the service. On our machine the old task is ended by the engine, with exactly this grace."""
        within_s = grace_s + self.template.stop_grace_s + SWARM_STOP_S + PLACE_S_MAX
        node = await self._our_node()
        task = await self._alone(spec.replica, "restart", lambda all_: restart(all_, spec, node, grace_s), within_s)
        return await self._began(task)

    async def stop(self, replica: ReplicaId, grace_s: float) -> None:
        """Ask for no task, and wait until none runs; the service is kept for its log and its next start."""
        within_s = grace_s + self.template.stop_grace_s + SWARM_STOP_S
        node = await self._our_node()
        await self._alone(replica, "stop", lambda all_: stop(all_, replica, node, grace_s), within_s)

    async def running(self) -> tuple[Instance, ...]:
        """Tasks that run, on any machine."""
        tasks = await self._tasks()
        return tuple([await self._learn(task) for task in tasks if is_wanted(task) and not self._was_told(task)])

    async def next_exit(self) -> Exit:
        """Wait for the next task to end; the watchers must run."""
        return await self._exits.get()

    def vitals(self, replica: ReplicaId) -> Vitals | None:
        """Of a replica on our machine; None on any other."""
        pid = self._pids.get(replica)
        return None if not pid else read_vitals(pid)

    async def log_tail(self, replica: ReplicaId) -> tuple[str, ...]:
        """From the service's log, wherever its tasks ran; empty when Swarm cannot say."""
        try:
            node = await self._our_node()
            return await self._services(f"read the log of {replica}", lambda all_: all_.log_tail(replica, node))
        except ReplicaRuntimeError:
            return ()

    def watchers(self) -> Mapping[str, Callable[[], Awaitable[None]]]:
        """The list of tasks, and the events of our own engine."""
        return {"swarm_tasks": self.poll, "swarm_events": self.follow}

    def gpus_of(self, replica: ReplicaId) -> tuple[GpuUuid, ...]:
        """From the environment that its service gives to the NVIDIA runtime."""
        return resolved(self._gpus.get(replica, ()), self.gpus_present())

    def footprints(self) -> tuple[Footprint, ...]:
        """Containers of our own machine; those of others match nothing here."""
        return tuple(
            Footprint(
                replica=each.instance.replica, pid=self._pids.get(each.instance.replica), container=each.container
            )
            for each in self._incarnations.newest()
            if not self._incarnations.was_told(each.instance)
        )

    # ── watching ──────────────────────────────────────────────────────────────────────────────────────────────────────
    async def poll(self) -> None:
        """Look at every task once a second, for ever, and tell the ends of those that ran."""
        while True:
            try:
                await self._look_at_everything()
            except ReplicaRuntimeError as error:
                self.on_trouble(str(error))
            else:
                self.on_trouble(None)
            await self.clock.sleep(POLL_S)

    async def follow(self) -> None:
        """Hear the ends of our own engine's tasks at once, for ever."""
        events: asyncio.Queue[ContainerEvent] = asyncio.Queue(EVENTS_MAX)
        stream = EventStream(engine=self.engine, label=self.label, clock=self.clock, into=events)
        async with asyncio.TaskGroup() as group:
            group.create_task(stream.follow())
            while True:
                await self._take(await events.get())

    async def _take(self, event: ContainerEvent) -> None:
        match event:
            case Opened():
                return  # what it missed shows in the list of tasks within a second
            case OutOfMemory(container, _):
                self._oom.add(container)
            case Died(container, labels, _, exit_code):
                starved = container in self._oom
                self._oom.discard(container)
                for each in self._incarnations.newest():
                    if each.instance.token == labels.get(SWARM_TASK_LABEL):
                        await self._tell(each.instance, exit_reason(exit_code, out_of_memory=starved))
            case _:
                assert_never(event)

    async def _look_at_everything(self) -> None:
        before = self._incarnations.newest()
        tasks = {str(task["ID"]): task for task in await self._tasks()}
        for task in tasks.values():
            if is_wanted(task):
                await self._learn(task)
        for each in before:
            if self._incarnations.was_told(each.instance):
                continue
            ended = tasks.get(each.instance.token)
            if ended is None:
                await self._tell(each.instance, "its task is gone")
            elif is_over(ended):
                await self._tell(each.instance, await self._why_ended(ended))

    async def _why_ended(self, task: Task) -> str:
        """What our own engine knows about the container, or, of another machine's, what Swarm says."""
        status = task["Status"]
        container = str((status.get("ContainerStatus") or {}).get("ContainerID", ""))

        def ask_engine(client: APIClient) -> str:
            try:
                return end_of(client.inspect_container(container))
            except NotFound:
                return ""

        known = ""
        if container and task.get("NodeID") == self._node:
            known = await self.engine.call("inspect a task's container", ask_engine)
        return known or str(status.get("Err") or f"task {status['State']}")

    async def _tell(self, instance: Instance, reason: str) -> None:
        if self._incarnations.tell(instance):
            await self._exits.put(Exit(instance=instance, reason=reason))

    def _was_told(self, task: Task) -> bool:
        """Our own engine told its end, which Swarm's list shows a moment later."""
        replica = ReplicaId(task["Spec"]["ContainerSpec"]["Labels"][self.label])
        return self._incarnations.was_told(Instance(replica=replica, token=str(task["ID"])))

    # ── bookkeeping ───────────────────────────────────────────────────────────────────────────────────────────────────
    async def _began(self, task: Task) -> Instance:
        """Learn a new task; one that ended already had no name when its end was heard."""
        instance = await self._learn(task)
        if is_over(task):
            await self._tell(instance, f"ended as soon as it was started: {await self._why_ended(task)}")
        return instance

    async def _learn(self, task: Task) -> Instance:
        """Its incarnation; the machine's address is asked for once per machine."""
        spec, status = task["Spec"]["ContainerSpec"], task["Status"]
        replica, node = ReplicaId(spec["Labels"][self.label]), str(task.get("NodeID", ""))
        if node not in self._addresses:
            self._addresses[node] = await self._services("inspect a node", lambda all_: all_.address_of(node))
        instance = Instance(replica=replica, token=str(task["ID"]), address=self._addresses[node])
        container = status.get("ContainerStatus") or {}
        self._incarnations.learn(
            Incarnation(instance, str(container.get("ContainerID", "")), unix_ns(str(task["CreatedAt"])))
        )
        pid = int(container.get("PID", 0)) if node == self._node else 0
        self._pids[replica] = (first_child(pid) or pid) if pid else 0
        self._gpus[replica] = gpu_references({"Config": spec}, self.label)
        return instance

    # ── calling ───────────────────────────────────────────────────────────────────────────────────────────────────────
    async def _our_node(self) -> str:
        if not self._node:
            self._node = await self._services("ask for our node", Services.local_node)
        return self._node

    async def _tasks(self) -> list[Task]:
        await self._our_node()
        return await self._services("list tasks", Services.tasks)

    async def _alone(self, replica: ReplicaId, verb: str, work: Callable[[Services], T], within_s: float) -> T:
        """One operation on a replica's service at a time, whoever asks."""
        return await self.engine.call(
            f"{verb} {replica}",
            lambda client: work(Services(client, self.label, self.template)),
            within_s=within_s + CALL_S_MAX,
            alone=replica,
        )

    async def _services(self, what: str, work: Callable[[Services], T]) -> T:
        return await self.engine.call(what, lambda client: work(Services(client, self.label, self.template)))
