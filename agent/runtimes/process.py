"""Replicas as child processes, with warm spares.

Loading a model takes seconds; a hung replica should be back sooner. So a few *spares* sit ready: processes that have
loaded everything but are nobody yet. A (re)start hands one of them the replica's identity over stdin and lets a new
spare warm up in the background; without a ready spare the replica starts cold. Children die with the agent, even after
`kill -9` (chassis.processes), so no replica runs that no agent watches.
"""

import asyncio
import json
import random
import signal
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

from agent.core.health import Vitals
from agent.core.owners import Footprint
from agent.errors import ReplicaRuntimeError
from agent.ports import Exit, Instance, ReplicaSpec
from agent.runtimes.log_files import LogFiles
from agent.runtimes.logs import file_tail
from agent.runtimes.vitals import read_vitals
from chassis.clock import Clock
from chassis.logs import logger
from chassis.processes import kill_group, spawn_child, stop_child
from chassis.retry import Backoff
from contracts.vocabulary import GpuUuid, ReplicaId

log = logger(__name__)
SPARE_READY_LINE = "spare ready"
SPARE_POLL_S = 0.1
"""How often the log of a warming spare is read: a spare takes a second or more to warm."""
SPARE_WARM_S_MAX = 120.0
"""Longest warm-up; one that takes longer is replaced."""
REFILL_AFTER_S = 1.0
"""A new spare warms up after the replica that took the last one had the processors to itself."""
HANDOVER_S_MAX = 1.0
"""Writing one line into a pipe takes microseconds; a spare that does not read it is no spare."""
END_S_MAX = 5.0
"""After SIGKILL a process is gone in milliseconds. One that is not sits in the GPU driver, and cannot be replaced."""
EXITS_MAX = 256
"""Undelivered exit notices; the reader takes them at once, and each replica ends at most a few times a second."""


@dataclass(frozen=True, slots=True)
class ProcessPlan:
    """How to start replicas on this host."""

    argv: tuple[str, ...]
    """Cold start of a replica; its settings come as environment."""
    spare_argv: tuple[str, ...]
    environment: Mapping[str, str]
    """What every replica gets besides its identity."""
    log_directory: Path
    spares: int = 1
    binds_gpu_at_load: bool = False
    """The engine takes its device while it loads, and a spare loads before anybody knows whose GPUs it will need: such a
    spare would serve on the wrong device, so replicas with GPUs start cold."""
    stop_grace_s: float = 5.0
    """At the agent's own end: how long all replicas together may finish their work."""


@dataclass(slots=True)
class _Child:
    process: asyncio.subprocess.Process
    instance: Instance
    gpus: tuple[GpuUuid, ...]


@dataclass(slots=True)
class _Spare:
    process: asyncio.subprocess.Process
    log_path: Path
    ready: bool = False


@dataclass(slots=True)
class ProcessRuntime:
    """`Runtime` over child processes. Enter it on the main thread's loop; leaving ends every child."""

    plan: ProcessPlan
    clock: Clock
    rng: random.Random
    backoff: Backoff = field(default_factory=lambda: Backoff(base_s=1.0, cap_s=60.0))
    """Between spares that did not become ready: a broken model must not cost a processor."""
    on_log_trouble: Callable[[str | None], None] = lambda _reason: None
    """Told why replicas run without a log; None: they have one again."""
    _logs: LogFiles = field(init=False)
    _children: dict[ReplicaId, _Child] = field(default_factory=dict)
    _spares: list[_Spare] = field(default_factory=list)
    _spares_wanted: int = field(init=False)
    _alone: dict[ReplicaId, asyncio.Lock] = field(default_factory=dict)
    """One operation per replica at a time, whoever asks. Replicas are few and keep their names: it does not grow."""
    _refill: asyncio.Event = field(default_factory=asyncio.Event)
    _exits: asyncio.Queue[Exit] = field(default_factory=lambda: asyncio.Queue(EXITS_MAX))
    _watchers: asyncio.TaskGroup = field(default_factory=asyncio.TaskGroup)
    _stack: AsyncExitStack = field(default_factory=AsyncExitStack)
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)

    def __post_init__(self) -> None:
        self._logs = LogFiles(self.plan.log_directory, self.on_log_trouble)
        self._spares_wanted = self.plan.spares

    async def __aenter__(self) -> Self:
        await self._stack.enter_async_context(self._watchers)
        self._keep_task(self._keep_spares())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        endings = [stop_child(spare.process, grace_s=0.0) for spare in self._spares]
        endings += [stop_child(child.process, grace_s=self.plan.stop_grace_s) for child in self._children.values()]
        try:
            async with asyncio.timeout(self.plan.stop_grace_s + END_S_MAX):
                await asyncio.gather(*endings)
        except TimeoutError:
            log.warning("children_left_behind", reason="killed, but stuck in the kernel")
        for task in self._tasks:
            task.cancel()
        await self._stack.aclose()

    def _keep_task(self, run: Coroutine[None, None, None]) -> None:
        task = self._watchers.create_task(run)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    # ── the port ──────────────────────────────────────────────────────────────────────────────────────────────────────
    async def start(self, spec: ReplicaSpec) -> Instance:
        """Hand the identity to a warm spare, else start cold."""
        async with self._alone.setdefault(spec.replica, asyncio.Lock()):
            return await self._start(spec)

    async def _start(self, spec: ReplicaSpec) -> Instance:
        existing = self._children.get(spec.replica)
        if existing is not None and existing.process.returncode is None:
            return existing.instance
        if spec.gpus and self.plan.binds_gpu_at_load:
            await self._do_without_spares()
        try:
            log_path = self._logs.fresh(spec.replica)
            process = await self._from_spare(spec) or await self._cold(spec, log_path)
        except OSError as error:
            msg = f"cannot start {spec.replica}: {error}"
            raise ReplicaRuntimeError(msg) from error
        instance = Instance(replica=spec.replica, token=f"pid-{process.pid}-{self.clock.now_unix_s():.3f}")
        child = _Child(process, instance, spec.gpus)
        self._children[spec.replica] = child
        self._keep_task(self._watch(child))
        return instance

    async def restart(self, spec: ReplicaSpec, grace_s: float) -> Instance:
        """End it, gracefully or at once, and start anew."""
        async with self._alone.setdefault(spec.replica, asyncio.Lock()):
            await self._stop(spec.replica, grace_s)
            return await self._start(spec)

    async def stop(self, replica: ReplicaId, grace_s: float) -> None:
        """SIGTERM lets the replica drain; SIGKILL after `grace_s`."""
        async with self._alone.setdefault(replica, asyncio.Lock()):
            await self._stop(replica, grace_s)

    async def _stop(self, replica: ReplicaId, grace_s: float) -> None:
        child = self._children.get(replica)
        if child is None:
            return
        try:
            async with asyncio.timeout(grace_s + END_S_MAX):
                await stop_child(child.process, grace_s=grace_s)
        except TimeoutError as error:
            msg = f"process {child.process.pid} of {replica} does not end"
            raise ReplicaRuntimeError(msg) from error
        if self._children.get(replica) is child:
            del self._children[replica]

    async def running(self) -> tuple[Instance, ...]:
        """Children that have not ended."""
        return tuple(child.instance for child in self._children.values() if child.process.returncode is None)

    async def next_exit(self) -> Exit:
        """Wait for the next child to end."""
        return await self._exits.get()

    def vitals(self, replica: ReplicaId) -> Vitals | None:
        """From /proc."""
        child = self._children.get(replica)
        return None if child is None else read_vitals(child.process.pid)

    def footprints(self) -> tuple[Footprint, ...]:
        """Each replica leads a session of its own: its process id is enough."""
        return tuple(
            Footprint(replica=replica, pid=child.process.pid)
            for replica, child in tuple(self._children.items())
            if child.process.returncode is None
        )

    @property
    def spares_ready(self) -> int:
        """Warm spares that could take over now."""
        return sum(spare.ready and spare.process.returncode is None for spare in self._spares)

    async def log_tail(self, replica: ReplicaId) -> tuple[str, ...]:
        """From the replica's log file."""
        return await asyncio.to_thread(file_tail, self._logs.path(replica))

    def watchers(self) -> Mapping[str, Callable[[], Awaitable[None]]]:
        """None: its tasks live and die with it."""
        return {}

    def gpus_of(self, replica: ReplicaId) -> tuple[GpuUuid, ...]:
        """What it was told to use when it was started."""
        child = self._children.get(replica)
        return () if child is None else child.gpus

    # ── starting ──────────────────────────────────────────────────────────────────────────────────────────────────────
    async def _from_spare(self, spec: ReplicaSpec) -> asyncio.subprocess.Process | None:
        """A spare that took the identity; None when none is ready."""
        for spare in [spare for spare in self._spares if spare.ready and spare.process.returncode is None]:
            self._spares.remove(spare)
            self._refill.set()
            try:
                spare.log_path.replace(self._logs.path(spec.replica))  # first: what has the identity must not fail here
                async with asyncio.timeout(HANDOVER_S_MAX):
                    await _hand_over(spare.process, spec)
            except (OSError, TimeoutError) as error:
                log.warning("spare_lost", pid=spare.process.pid, error=repr(error))
                kill_group(spare.process.pid)
                continue
            log.info("spare_took_over", replica=spec.replica, pid=spare.process.pid)
            return spare.process
        return None

    async def _cold(self, spec: ReplicaSpec, log_path: Path) -> asyncio.subprocess.Process:
        identity = {f"TRIMTAB_SERVING_{name.upper()}": str(value) for name, value in identity_of(spec).items()}
        process = await spawn_child(
            self.plan.argv,
            env={**self.plan.environment, **identity, **visible_gpus(spec)},
            log_path=log_path,
        )
        log.info("replica_started_cold", replica=spec.replica, pid=process.pid)
        return process

    async def _watch(self, child: _Child) -> None:
        code = await child.process.wait()
        await self._exits.put(Exit(instance=child.instance, reason=exit_reason(code)))

    # ── spares ────────────────────────────────────────────────────────────────────────────────────────────────────────
    async def _keep_spares(self) -> None:
        failures = 0
        await self.clock.sleep(REFILL_AFTER_S)  # replicas that start with the agent come first
        while True:
            self._spares = [spare for spare in self._spares if spare.process.returncode is None]
            if len(self._spares) >= self._spares_wanted:
                await self._until_needed()
                continue
            if await self._warm_spare():
                failures = 0
            else:
                failures += 1
                await self.clock.sleep(self.backoff.delay_s(failures, self.rng))

    async def _until_needed(self) -> None:
        """Until a spare was used or, checked every minute, died."""
        self._refill.clear()
        try:
            async with asyncio.timeout(self.backoff.cap_s):
                await self._refill.wait()
                await self.clock.sleep(REFILL_AFTER_S)
        except TimeoutError:
            return

    async def _do_without_spares(self) -> None:
        if self._spares_wanted == 0:
            return
        log.info("spares_given_up", reason="the engine binds its GPU while it loads")
        self._spares_wanted = 0
        spares, self._spares = self._spares, []
        for spare in spares:
            await stop_child(spare.process, grace_s=0.0)
            spare.log_path.unlink(missing_ok=True)

    def _spare_log(self) -> Path:
        """The first name that no spare uses: failed ones leave one log behind, however many they were."""
        used = {spare.log_path for spare in self._spares}
        names = (self.plan.log_directory / f"spare-{number}.log" for number in range(1, len(used) + 2))
        return next(path for path in names if path not in used)

    async def _warm_spare(self) -> bool:
        path = self._spare_log()
        try:
            path.unlink(missing_ok=True)
            process = await spawn_child(self.plan.spare_argv, env=self.plan.environment, log_path=path, stdin_pipe=True)
        except OSError as error:
            log.warning("spare_not_started", error=repr(error))
            return False
        spare = _Spare(process, path)
        self._spares.append(spare)
        try:
            async with asyncio.timeout(SPARE_WARM_S_MAX):
                while process.returncode is None and SPARE_READY_LINE not in file_tail(path):
                    await self.clock.sleep(SPARE_POLL_S)
        except TimeoutError:
            kill_group(process.pid)
        spare.ready = process.returncode is None and SPARE_READY_LINE in file_tail(path)
        if not spare.ready:
            log.warning("spare_not_ready", pid=process.pid, log=file_tail(path)[-3:])
            self._spares = [other for other in self._spares if other is not spare]
        return spare.ready


async def _hand_over(process: asyncio.subprocess.Process, spec: ReplicaSpec) -> None:
    if process.stdin is None:
        msg = "the spare has no stdin"
        raise OSError(msg)
    process.stdin.write(json.dumps(identity_of(spec)).encode() + b"\n")
    await process.stdin.drain()
    process.stdin.close()


def identity_of(spec: ReplicaSpec) -> dict[str, str | int]:
    """What makes a process this replica, by the names of the serving process's settings."""
    return {
        "replica": spec.replica,
        "region": spec.region,
        "host_id": spec.host,
        "address": spec.address,
        "port": spec.port,
        "profile": spec.profile,
    }


def visible_gpus(spec: ReplicaSpec) -> dict[str, str]:
    """What makes CUDA, and every library above it, see these devices and no others; empty for a replica without any."""
    return {"CUDA_VISIBLE_DEVICES": ",".join(spec.gpus)} if spec.gpus else {}


def exit_reason(code: int) -> str:
    """`-9` → `signal SIGKILL`, `3` → `exit code 3`."""
    if code >= 0:
        return f"exit code {code}"
    try:
        return f"signal {signal.Signals(-code).name}"
    except ValueError:
        return f"signal {-code}"
