"""Starting and stopping a stack: in this terminal, or as a daemon that outlives it.

The daemon is this same command, started in a session of its own; the parent watches its state file until it is ready or
has failed, so that `--detach` returns with the truth.
"""

import asyncio
import os
import random
import signal
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

import psutil

from chassis.clock import Clock, SystemClock, blocking_sleep
from trimtab.stack.model import StackPlan
from trimtab.supervisor.errors import StackError
from trimtab.supervisor.home_lock import is_alive, is_owned, owned_home, running_state
from trimtab.supervisor.preflight import last_lines, refuse_busy_listeners
from trimtab.supervisor.run import StackSupervisor
from trimtab.supervisor.state import (
    EndpointRow,
    GatewayRow,
    Part,
    Phase,
    SimulatedGpusRow,
    StackState,
    read_state,
    write_state,
)

POLL_S = 0.1
DETACHED_READY_WITHIN_S = 240.0
"""Every wave of the plan has its own deadline; this only bounds the sum, should the supervisor itself hang."""
STOP_WITHIN_S = 60.0
"""Longest orderly stop: every wave's grace, one after the other, with room. Past it the supervisor is killed, and the
kernel takes its children."""

Watch = Callable[[StackState], None]


def run_here(plan: StackPlan, home: Path, watch: Watch) -> None:
    """Own `home`, run `plan` until a signal arrives, stop everything. Raises `StackError`."""
    with owned_home(home):
        refuse_busy_listeners(plan)
        asyncio.run(_run_until_signal(plan, home, watch))


async def run_until(plan: StackPlan, home: Path, stop: asyncio.Event, watch: Watch) -> None:
    """Run `plan` in this event loop until `stop` is set; the caller owns `home`."""
    await _supervisor(plan, home, watch).run(stop)


def start_detached(argv: Sequence[str], home: Path) -> StackState:
    """Run `argv` (an `up` in the foreground) as a daemon, and return its state once it is ready. Raises `StackError`."""
    if is_owned(home):
        with owned_home(home):  # raises, and names the owner
            pass
    log = home / "logs" / "supervisor.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("wb") as output:
        daemon = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True)
    for _ in range(int(DETACHED_READY_WITHIN_S / POLL_S)):
        state = read_state(home)
        if state is not None and state.supervisor_pid == daemon.pid and state.phase is Phase.READY:
            return state
        if daemon.poll() is not None:
            raise StackError(_last_words(daemon.pid, home, log))
        blocking_sleep(POLL_S)
    daemon.terminate()
    msg = f"the stack was not ready within {DETACHED_READY_WITHIN_S:g} s; see {log}"
    raise StackError(msg)


def stop_running(home: Path) -> bool:
    """Stop the stack that runs in `home` and wait until it is gone; False when none runs."""
    state = running_state(home)
    if state is None:
        return False
    os.kill(state.supervisor_pid, signal.SIGTERM)
    for _ in range(int(STOP_WITHIN_S / POLL_S)):
        if not is_alive(state.supervisor_pid, state.supervisor_started_unix_s):
            return True
        blocking_sleep(POLL_S)
    os.kill(state.supervisor_pid, signal.SIGKILL)
    return True


async def _run_until_signal(plan: StackPlan, home: Path, watch: Watch) -> None:
    stop = asyncio.Event()
    supervisor = _supervisor(plan, home, watch)

    def asked_to_stop() -> None:
        if stop.is_set():
            supervisor.hurry()
        stop.set()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, asked_to_stop)
    await supervisor.run(stop)


def _supervisor(plan: StackPlan, home: Path, watch: Watch) -> StackSupervisor:
    clock: Clock = SystemClock()
    me = psutil.Process()
    born_unix_s = me.create_time()

    def announce(phase: Phase, detail: str, parts: tuple[Part, ...]) -> None:
        state = StackState(
            supervisor_pid=me.pid,
            supervisor_started_unix_s=born_unix_s,
            phase=phase,
            detail=detail,
            controller_url=plan.controller.url,
            endpoints=tuple(EndpointRow(name=e.name, url=e.url, purpose=e.purpose) for e in plan.endpoints),
            gateways=tuple(
                GatewayRow(region=g.region, address=g.listener.address, port=g.listener.port) for g in plan.gateways
            ),
            simulated_gpus=tuple(
                SimulatedGpusRow(host=s.host, directory=s.directory, gpus=s.gpus) for s in plan.simulated_gpus
            ),
            parts=parts,
        )
        write_state(home, state)
        watch(state)

    return StackSupervisor(plan=plan, clock=clock, rng=random.Random(), announce=announce)  # noqa: S311  # spreads restarts, guards nothing


def _last_words(pid: int, home: Path, log: Path) -> str:
    """Why the daemon ended: by its own account, else the end of what it printed."""
    state = read_state(home)
    if state is not None and state.supervisor_pid == pid and state.detail:
        return state.detail
    return "\n".join(["the stack did not start:", *last_lines(log)])
