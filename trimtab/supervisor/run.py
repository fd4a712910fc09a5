"""The supervisor: starts every part when its dependencies are ready, restarts what dies, stops in reverse order.

One task per part. A part that cannot start fails the whole start, with the end of its log; a part that dies later comes
back, at once the first time and then after growing pauses. Whatever ends the run (a signal, a failure, a bug), every
child is stopped before `run` returns; if the supervisor itself is killed, the kernel kills the children
(`chassis.processes`).
"""

import asyncio
import random
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field

from chassis.clock import Clock
from chassis.logs import logger
from chassis.processes import kill_group, spawn_child, stop_child
from chassis.retry import Backoff
from trimtab.stack.model import ProcessPlan, StackPlan
from trimtab.supervisor.errors import GivenUpError, StackError, StartFailedError, first_cause
from trimtab.supervisor.preflight import last_lines, make_simulated_gpus, prepare, set_aside
from trimtab.supervisor.readiness import wait_ready
from trimtab.supervisor.state import Part, PartState, Phase

log = logger(__name__)
STEADY_S = 30.0
"""A part that ran this long was healthy: its next death counts as the first again."""


@dataclass(slots=True)
class _Running:
    """What the supervisor knows about one part."""

    plan: ProcessPlan
    state: PartState = PartState.WAITING
    child: asyncio.subprocess.Process | None = None
    restarts: int = 0
    ready: asyncio.Event = field(default_factory=asyncio.Event)
    """Set at the first readiness and never cleared: dependants wait for a start, not for health."""

    def part(self) -> Part:
        """As other commands see it."""
        alive = self.child is not None and self.child.returncode is None
        pid = self.child.pid if self.child is not None and alive else None
        return Part(name=self.plan.name, state=self.state, pid=pid, restarts=self.restarts, log=self.plan.log)


class StackSupervisor:
    """Runs one plan once."""

    def __init__(
        self,
        *,
        plan: StackPlan,
        clock: Clock,
        rng: random.Random,
        announce: Callable[[Phase, str, tuple[Part, ...]], None],
    ) -> None:
        """`announce` is told of every change: it writes the state file and draws the table."""
        self._plan = plan
        self._clock = clock
        self._rng = rng
        self._announce = announce
        self._parts = {process.name: _Running(process) for process in plan.processes}
        self._phase = Phase.STARTING
        self._detail = ""
        self._in_a_hurry = False

    async def run(self, stop: asyncio.Event) -> None:
        """Start everything and keep it running until `stop` is set; raises `StackError` when that is impossible."""
        self._tell()
        for process in self._plan.processes:
            set_aside(process.log)  # so that the end of a log is about this run
        try:
            await asyncio.to_thread(make_simulated_gpus, self._plan)  # the first time, a compiler works for a second
            await self._keep_all(stop)
        except StackError as error:
            self._phase, self._detail = Phase.FAILED, str(error)
            raise
        except BaseExceptionGroup as failures:
            first = first_cause(failures)
            self._phase, self._detail = Phase.FAILED, str(first)
            raise first from None
        finally:
            await self._stop_all()

    def hurry(self) -> None:
        """Stop without grace: the second Ctrl-C."""
        self._in_a_hurry = True
        for part in self._parts.values():
            if part.child is not None and part.child.returncode is None:
                kill_group(part.child.pid)

    async def _keep_all(self, stop: asyncio.Event) -> None:
        async with asyncio.TaskGroup() as group:
            keepers = [group.create_task(self._keep(part), name=name) for name, part in self._parts.items()]
            announcer = group.create_task(self._announce_ready())
            await stop.wait()
            for task in (*keepers, announcer):
                task.cancel()

    async def _announce_ready(self) -> None:
        for part in self._parts.values():
            await part.ready.wait()
        self._phase = Phase.READY
        self._tell()

    async def _keep(self, part: _Running) -> None:
        """Start one part when its turn has come, and start it again whenever it ends."""
        for name in part.plan.depends_on:
            await self._parts[name].ready.wait()
        policy = part.plan.restart
        backoff = Backoff(base_s=policy.base_s, cap_s=policy.cap_s)
        failures = 0
        while failures <= policy.attempts_max:
            started_s = self._clock.monotonic_s()
            code = await self._start_and_wait(part)
            lasted_s = self._clock.monotonic_s() - started_s
            failures = 1 if lasted_s > STEADY_S else failures + 1
            log.warning("part_ended", part=part.plan.name, exit_code=code, lasted_s=round(lasted_s, 1))
            part.restarts += 1
            self._set(part, PartState.RESTARTING)
            if failures > 1:  # the first restart comes at once: most deaths are single
                await self._clock.sleep(backoff.delay_s(failures - 1, self._rng))
        self._give_up(part)

    async def _start_and_wait(self, part: _Running) -> int:
        """Start, become ready, run to the end; returns the exit code. Raises only while the first start is under way."""
        prepare(part.plan)
        self._set(part, PartState.STARTING)
        part.child = await self._spawn(part.plan)
        async with asyncio.TaskGroup() as group:
            becoming_ready = group.create_task(self._become_ready(part))
            code = await part.child.wait()
            becoming_ready.cancel()
            if not part.ready.is_set():
                raise StartFailedError(_ended_early(part.plan, code))
        return code

    async def _spawn(self, plan: ProcessPlan) -> asyncio.subprocess.Process:
        try:
            return await spawn_child(plan.argv, env=dict(plan.env), log_path=plan.log)
        except OSError as error:
            msg = f"{plan.name} cannot be started: {error}"
            raise StartFailedError(msg) from error

    async def _become_ready(self, part: _Running) -> None:
        try:
            async with asyncio.timeout(part.plan.ready_within_s):
                await wait_ready(part.plan.ready, self._clock)
        except TimeoutError as error:
            if part.ready.is_set():
                return  # a restarted part that is slow is left to its own health checks
            raise StartFailedError(_too_slow(part.plan)) from error
        part.ready.set()
        self._set(part, PartState.READY)

    def _give_up(self, part: _Running) -> None:
        self._set(part, PartState.GIVEN_UP)
        msg = _with_log(part.plan, f"{part.plan.name} failed {part.plan.restart.attempts_max + 1} times in a row")
        if part.plan.critical:
            raise GivenUpError(msg)
        log.error("part_given_up", part=part.plan.name)

    async def _stop_all(self) -> None:
        if self._phase is not Phase.FAILED:
            self._phase = Phase.STOPPING
            self._tell()
        for wave in reversed(self._plan.waves()):
            await asyncio.gather(*(self._stop(self._parts[process.name]) for process in wave))
        for directory in self._plan.scratch:
            shutil.rmtree(directory, ignore_errors=True)

    async def _stop(self, part: _Running) -> None:
        if part.child is not None:
            grace_s = 0.0 if self._in_a_hurry else part.plan.stop_grace_s
            await stop_child(part.child, grace_s=grace_s)
        self._set(part, PartState.STOPPED)

    def _set(self, part: _Running, state: PartState) -> None:
        part.state = state
        self._tell()

    def _tell(self) -> None:
        self._announce(self._phase, self._detail, tuple(part.part() for part in self._parts.values()))


def _ended_early(plan: ProcessPlan, code: int) -> str:
    return _with_log(plan, f"{plan.name} ended with exit code {code} before it was ready")


def _too_slow(plan: ProcessPlan) -> str:
    return _with_log(plan, f"{plan.name} was not ready within {plan.ready_within_s:g} s")


def _with_log(plan: ProcessPlan, what: str) -> str:
    lines = last_lines(plan.log)
    return "\n".join([f"{what}; the end of {plan.log}:", *(f"  {line}" for line in lines)])
