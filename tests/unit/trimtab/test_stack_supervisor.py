"""The supervisor with tiny real programs: order, restarts, failures that explain themselves, and no orphan ever."""

import asyncio
import os
import random
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from chassis.clock import SystemClock
from trimtab.stack.model import Gateway, Listener, ProcessPlan, ReadyHttp, ReadyTcp, RestartPolicy, StackPlan
from trimtab.supervisor.errors import GivenUpError, HomeInUseError, PortBusyError, StackError, StartFailedError
from trimtab.supervisor.home_lock import is_owned, owned_home, running_state
from trimtab.supervisor.launch import run_until
from trimtab.supervisor.preflight import is_free, prepare, refuse_busy_listeners
from trimtab.supervisor.run import StackSupervisor
from trimtab.supervisor.state import Part, PartState, Phase, StackState, read_state

SERVER = """
import http.server, sys, time
delay_s, address, port = float(sys.argv[1]), sys.argv[2], int(sys.argv[3])
time.sleep(delay_s)
class Fine(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200); self.send_header("Content-Length", "0"); self.end_headers()
http.server.HTTPServer((address, port), Fine).serve_forever()
"""
QUICK = RestartPolicy(base_s=0.05, cap_s=0.1, attempts_max=2)


@pytest.fixture
def server(tmp_path: Path, free_port: Callable[..., int]) -> Callable[..., ProcessPlan]:
    def plan(name: str, *, delay_s: float = 0.0, depends_on: tuple[str, ...] = ()) -> ProcessPlan:
        listener = Listener("127.0.0.1", free_port())
        return ProcessPlan(
            name=name,
            argv=(sys.executable, "-c", SERVER, str(delay_s), listener.address, str(listener.port)),
            log=tmp_path / f"{name}.log",
            listeners=(listener,),
            ready=(ReadyTcp(listener), ReadyHttp(listener.url)),
            depends_on=depends_on,
            restart=QUICK,
        )

    return plan


def script(tmp_path: Path, name: str, code: str, **rest: object) -> ProcessPlan:
    return ProcessPlan(
        name=name,
        argv=(sys.executable, "-c", code),
        log=tmp_path / f"{name}.log",
        listeners=(),
        ready=(),
        restart=QUICK,
        **rest,
    )


def stack(*processes: ProcessPlan, scratch: tuple[Path, ...] = ()) -> StackPlan:
    somewhere = Listener("127.0.0.1", 1)
    return StackPlan(processes, (), (Gateway("eu-west", somewhere),), somewhere, scratch)


class Run:
    """A supervisor in a background task, and everything it announced."""

    def __init__(self, plan: StackPlan) -> None:
        self.seen: list[tuple[Phase, str, tuple[Part, ...]]] = []
        self.stop = asyncio.Event()
        self.supervisor = StackSupervisor(
            plan=plan, clock=SystemClock(), rng=random.Random(1), announce=lambda *news: self.seen.append(news)
        )

    async def __aenter__(self) -> "Run":
        self.task = asyncio.create_task(self.supervisor.run(self.stop))
        return self

    async def __aexit__(self, *_: object) -> None:
        self.stop.set()
        await asyncio.wait({self.task})

    def part(self, name: str) -> Part:
        return next(part for part in self.seen[-1][2] if part.name == name)

    @property
    def phase(self) -> Phase:
        return self.seen[-1][0] if self.seen else Phase.STARTING


async def test_a_part_starts_only_when_what_it_needs_is_ready(server, wait_until_async) -> None:
    slow = server("slow", delay_s=0.4)
    quick = server("quick", depends_on=("slow",))
    async with Run(stack(quick, slow)) as run:
        await wait_until_async(lambda: run.phase is Phase.READY, within_s=10, what="the stack is ready")
    states = [{part.name: part.state for part in parts} for _, _, parts in run.seen]
    first_start_of_quick = next(s for s in states if s["quick"] is PartState.STARTING)
    assert first_start_of_quick["slow"] is PartState.READY


async def test_stopping_goes_in_reverse_order_and_leaves_no_process_and_no_scratch(
    server, wait_until_async, tmp_path
) -> None:
    scratch = tmp_path / "shm"
    scratch.mkdir()
    async with Run(stack(server("first"), server("second", depends_on=("first",)), scratch=(scratch,))) as run:
        await wait_until_async(lambda: run.phase is Phase.READY, within_s=10, what="the stack is ready")
        pids = [part.pid for part in run.seen[-1][2]]
    stopped = [[p.name for p in parts if p.state is PartState.STOPPED] for _, _, parts in run.seen]
    assert next(names for names in stopped if names) == ["second"]
    assert not any(psutil.pid_exists(pid) for pid in pids)
    assert not scratch.exists()


async def test_a_killed_part_comes_back_at_once_with_a_new_process(server, wait_until_async) -> None:
    async with Run(stack(server("only"))) as run:
        await wait_until_async(lambda: run.phase is Phase.READY, within_s=10, what="the stack is ready")
        first = run.part("only").pid
        os.kill(first, signal.SIGKILL)
        await wait_until_async(
            lambda: run.part("only").state is PartState.READY and run.part("only").pid != first,
            within_s=5,
            what="the part is back",
        )
        assert run.part("only").restarts == 1


async def test_a_part_that_ends_before_it_is_ready_fails_the_start_with_its_last_words(tmp_path, free_port) -> None:
    never = ReadyTcp(Listener("127.0.0.1", free_port()))
    broken = ProcessPlan(
        name="broken",
        argv=(sys.executable, "-c", "print('no such voice', flush=True); raise SystemExit(3)"),
        log=tmp_path / "broken.log",
        listeners=(),
        ready=(never,),
    )
    run = Run(stack(broken))
    with pytest.raises(StartFailedError, match=r"broken ended with exit code 3.*\n.*no such voice"):
        await run.supervisor.run(run.stop)
    assert run.phase is Phase.FAILED
    assert "no such voice" in run.seen[-1][1]


async def test_a_part_that_never_gets_ready_fails_the_start_and_the_others_are_stopped(
    server, tmp_path, free_port
) -> None:
    fine = server("fine")
    lazy = ProcessPlan(
        name="lazy",
        argv=(sys.executable, "-c", "import time; time.sleep(60)"),
        log=tmp_path / "lazy.log",
        listeners=(),
        ready=(ReadyTcp(Listener("127.0.0.1", free_port())),),
        depends_on=("fine",),
        ready_within_s=0.5,
    )
    run = Run(stack(fine, lazy))
    with pytest.raises(StartFailedError, match=r"lazy was not ready within 0\.5 s"):
        await run.supervisor.run(run.stop)
    assert all(part.pid is None for part in run.seen[-1][2])


async def test_a_missing_program_is_named(tmp_path) -> None:
    ghost = ProcessPlan(name="ghost", argv=("/nowhere/ghost",), log=tmp_path / "g.log", listeners=(), ready=())
    run = Run(stack(ghost))
    with pytest.raises(StartFailedError, match="ghost cannot be started"):
        await run.supervisor.run(run.stop)


async def test_a_critical_part_that_keeps_dying_ends_the_stack(tmp_path) -> None:
    run = Run(stack(script(tmp_path, "moth", "import time; time.sleep(0.3)")))
    async with asyncio.timeout(20):
        with pytest.raises(GivenUpError, match="moth failed 3 times in a row"):
            await run.supervisor.run(run.stop)


async def test_a_part_that_is_not_critical_is_given_up_alone(server, tmp_path, wait_until_async) -> None:
    moth = script(tmp_path, "moth", "import time; time.sleep(0.3)", critical=False)
    async with Run(stack(server("fine"), moth)) as run:
        await wait_until_async(
            lambda: run.seen and run.part("moth").state is PartState.GIVEN_UP, within_s=20, what="moth is given up"
        )
        assert run.part("fine").state is PartState.READY


def test_a_busy_port_is_refused_with_its_owner(server, wait_until) -> None:
    plan = server("mine")
    listener = plan.listeners[0]
    squatter = subprocess.Popen([sys.executable, "-c", SERVER, "0", listener.address, str(listener.port)])
    try:
        wait_until(lambda: not is_free(listener), within_s=10, what="the squatter listens")
        with pytest.raises(PortBusyError, match=rf"\(for mine\) is used by process {squatter.pid} \("):
            refuse_busy_listeners(stack(plan))
    finally:
        squatter.kill()
        squatter.wait(5)


def test_a_home_has_one_owner_at_a_time(tmp_path) -> None:
    with owned_home(tmp_path):
        assert is_owned(tmp_path)
        with pytest.raises(HomeInUseError, match="in use"), owned_home(tmp_path):
            pass
    assert not is_owned(tmp_path)


def test_a_leftover_state_is_not_taken_for_a_running_stack(tmp_path) -> None:
    state = StackState(
        supervisor_pid=os.getpid(), supervisor_started_unix_s=1.0, phase=Phase.READY, detail="",
        controller_url="", endpoints=(), gateways=(), parts=(),
    )  # fmt: skip
    (tmp_path / "state.json").write_text(state.model_dump_json())
    assert read_state(tmp_path) == state
    assert running_state(tmp_path) is None
    with owned_home(tmp_path):
        assert running_state(tmp_path) is None, "our pid, but another birth"


SUPERVISOR = """
import asyncio, sys
from pathlib import Path
from trimtab.stack.model import *
from trimtab.supervisor.launch import run_here
home, address, port, redis = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), sys.argv[4]
listener = Listener(address, port)
parts = [
    ProcessPlan(name="redis", argv=(redis, "--bind", address, "--port", str(port), "--save", ""), log=home / "redis.log",
                listeners=(listener,), ready=(ReadyTcp(listener),)),
    ProcessPlan(name="parent", argv=(sys.executable, sys.argv[5], str(home)), log=home / "parent.log", listeners=(), ready=(),
                env=(("PYTHONPATH", sys.argv[6]),)),
]
run_here(StackPlan(tuple(parts), (), (), listener), home, lambda state: None)
"""
NEST = """
import asyncio, pathlib, sys
from chassis.processes import spawn_child
async def main(home):
    child = await spawn_child([sys.executable, "-c", "import time; time.sleep(300)"], env={}, log_path=home / "grandchild.log")
    (home / "grandchild").write_text(str(child.pid))
    await child.wait()
asyncio.run(main(pathlib.Path(sys.argv[1])))
"""


@pytest.mark.redis
def test_kill_9_of_the_supervisor_leaves_no_orphan_not_even_a_grandchild(
    tmp_path, free_port, start_program, wait_until
) -> None:
    repository = str(Path(__file__).parents[3])
    (tmp_path / "supervise.py").write_text(SUPERVISOR)
    (tmp_path / "nest.py").write_text(NEST)
    address, port = "127.0.0.1", str(free_port())
    supervisor = start_program(
        [
            sys.executable,
            str(tmp_path / "supervise.py"),
            str(tmp_path),
            address,
            port,
            "redis-server",
            str(tmp_path / "nest.py"),
            repository,
        ],
        env={"PYTHONPATH": repository},
        name="supervisor",
    )
    wait_until((tmp_path / "grandchild").exists, within_s=15, what="the grandchild runs")
    wait_until(lambda: (s := running_state(tmp_path)) is not None and s.phase is Phase.READY, within_s=15, what="ready")
    state = running_state(tmp_path)
    pids = [part.pid for part in state.parts] + [int((tmp_path / "grandchild").read_text())]
    assert all(psutil.pid_exists(pid) for pid in pids)
    supervisor.kill()
    wait_until(lambda: not any(map(psutil.pid_exists, pids)), within_s=5, what="every descendant is gone")
    assert not is_owned(tmp_path)


async def test_the_state_file_tells_other_commands_what_runs(server, tmp_path, wait_until_async) -> None:
    stop = asyncio.Event()
    states: list[StackState] = []
    task = asyncio.create_task(run_until(stack(server("only")), tmp_path, stop, states.append))
    await wait_until_async(lambda: states and states[-1].phase is Phase.READY, within_s=10, what="ready")
    assert read_state(tmp_path) == states[-1]
    stop.set()
    await task
    assert read_state(tmp_path).phase is Phase.STOPPING


def test_a_directory_of_somebody_else_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plan = script(tmp_path, "mine", "pass", directories=(tmp_path / "watched",))
    prepare(plan)
    assert (tmp_path / "watched").stat().st_mode & 0o077 == 0
    monkeypatch.setattr("os.geteuid", lambda: tmp_path.stat().st_uid + 1)
    with pytest.raises(StackError, match="belongs to another user"):
        prepare(plan)
