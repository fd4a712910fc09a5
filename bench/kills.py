"""Kill agents and their controller at random moments, and prove that every order was executed at most once.

    python -m bench.kills [--kills N] [--seed N] [--hosts N]

Real processes, SIGKILL, a real file journal with fsync, a real SQLite journal, the real API over loopback with credentials.
Only replicas are simulated. Processes are forked from one that has imported everything, so that a life costs milliseconds.
Some controllers are *deposed*: they lead with an epoch that is over. At the end everybody may finish in peace. Then:

- no order was executed twice, as witnessed outside of the agents, durably, before each execution;
- no order was lost: each has a final receipt in the controller's journal, and what it says agrees with the witness;
- nothing that a deposed leader ordered was executed, and nothing that it wrote was kept.

Prints a summary; the exit code is 1 when a promise is broken.
"""

import argparse
import asyncio
import gc
import json
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import structlog

from agent.line.call import ControllerLine
from agent.line.sync import SyncPace
from bench.killing.evidence import Evidence, gather
from bench.killing.host import HostPlan, build_host
from bench.killing.leader import JOIN_TOKEN, LeaderPlan, build_leader, draining
from bench.ports import free_port
from chassis.clock import SystemClock
from chassis.processes import die_with_parent
from chassis.retry import Backoff
from contracts.vocabulary import HostId

PACE = SyncPace(
    hold_s=0.5,
    spacing_s=0.005,
    first_within_s=0.01,
    soon=Backoff(base_s=0.01, cap_s=0.1),
    for_a_person=Backoff(base_s=0.05, cap_s=0.5),
)
"""Everything as in production, only faster."""
BETWEEN_KILLS_S = 0.12
"""Mean; a life starts within tens of milliseconds and then works on several orders at a time."""
DEPOSED_SHARE, SAME_HOLDER_SHARE = 0.15, 0.5
DRAIN_S_MAX = 60.0


@dataclass
class Massacre:
    """The parent: forks, kills, forks again."""

    home: Path
    hosts: tuple[HostId, ...]
    rng: random.Random
    port: int
    lives: Counter[str] = field(default_factory=Counter)
    kills: Counter[str] = field(default_factory=Counter)
    died: Counter[str] = field(default_factory=Counter)
    """Ended by themselves with an error: none should."""
    _children: dict[str, int] = field(default_factory=dict)

    def run(self, kills_wanted: int) -> None:
        """Kill until it is enough, then let everybody finish."""
        self._everybody(self._controller)
        while self.kills.total() < kills_wanted:
            time.sleep(self.rng.expovariate(1.0 / BETWEEN_KILLS_S))
            self._bury_dead()
            name = self.rng.choice(sorted(self._children))
            self._kill(name)
            self.kills["controller" if name == "controller" else "agent"] += 1
            self._start(name, self._controller)
        for name in list(self._children):
            self._kill(name)

    def drain(self, is_done: Callable[[], bool]) -> bool:
        """Let everybody work undisturbed until `is_done`; False when it took too long."""
        self._everybody(lambda: draining(self._controller()))
        until_s = time.monotonic() + DRAIN_S_MAX
        while not is_done() and time.monotonic() < until_s:
            time.sleep(0.1)
            self._bury_dead()
        for name in list(self._children):
            self._kill(name)
        return is_done()

    def _everybody(self, controller: Callable[[], LeaderPlan]) -> None:
        for name in ("controller", *self.hosts):
            self._start(name, controller)

    def _start(self, name: str, controller: Callable[[], LeaderPlan]) -> None:
        seed = self.rng.getrandbits(64)
        if name == "controller":
            plan = controller()
            self.lives["deposed controller" if plan.deposed else "controller"] += 1
            self._children[name] = fork(lambda: _control(plan, seed))
        else:
            self.lives["agent"] += 1
            self._children[name] = fork(lambda: _host(self._host(HostId(name)), seed))

    def _kill(self, name: str) -> None:
        pid = self._children.pop(name)
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)

    def _bury_dead(self) -> None:
        """A deposed controller may have nobody to deceive; anything else that ends by itself is counted."""
        for name, pid in list(self._children.items()):
            done, status = os.waitpid(pid, os.WNOHANG)
            if done:
                del self._children[name]
                if os.waitstatus_to_exitcode(status) != 0:
                    self.died[name] += 1
                self._start(name, self._controller)

    def _controller(self) -> LeaderPlan:
        draw = self.rng.random()
        return LeaderPlan(
            port=self.port,
            database_url=f"sqlite:///{self.home / 'controller.db'}",
            hosts=self.hosts,
            heard=self.home / "heard",
            deposed_says=self.home / "deposed",
            holder="same" if self.rng.random() < SAME_HOLDER_SHARE else f"life-{self.lives.total()}",
            deposed=draw < DEPOSED_SHARE,
            issues=True,
        )

    def _host(self, host: HostId) -> HostPlan:
        return HostPlan(
            host=host,
            directory=self.home / host,
            witness=self.home / "executed",
            line=ControllerLine(f"http://127.0.0.1:{self.port}"),
            pace=PACE,
            join_token=JOIN_TOKEN,
        )


def fork(life: Callable[[], None]) -> int:
    """A child that lives `life` and never outlives us; its pid."""
    parent = os.getpid()
    pid = os.fork()
    if pid:
        return pid
    try:
        die_with_parent(parent)
        life()
        os._exit(0)
    except BaseException as error:  # noqa: BLE001  # a child must not go on as a second parent, whatever happened
        sys.stderr.write(f"{error!r}\n")
        os._exit(1)


def _control(plan: LeaderPlan, seed: int) -> None:
    asyncio.run(build_leader(plan, clock=SystemClock(), rng=random.Random(seed)).run())


def _host(plan: HostPlan, seed: int) -> None:
    async def live() -> None:
        await build_host(plan, clock=SystemClock(), rng=random.Random(seed)).run()

    asyncio.run(live())


def kill_many(home: Path, *, kills: int, seed: int, hosts: int) -> tuple[Massacre, Evidence, float]:
    """The whole run in `home`; returns what was done, what came of it, and the seconds that it took."""
    started_s = time.monotonic()
    (home / "heard").mkdir()
    names = tuple(HostId(f"host-{number}") for number in range(hosts))
    massacre = Massacre(home, names, random.Random(seed), free_port())
    gc.freeze()  # children share what was imported
    massacre.run(kills)
    massacre.drain(lambda: gather(home).open == 0)
    return massacre, gather(home), time.monotonic() - started_s


def main(argv: Sequence[str] | None = None) -> int:
    """0 when every promise was kept."""
    parser = argparse.ArgumentParser(prog="python -m bench.kills", description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=1_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--hosts", type=int, default=2)
    parser.add_argument("--json", action="store_true", help="the summary as one JSON object")
    parser.add_argument("--keep", action="store_true", help="keep the journals, and say where they are")
    options = parser.parse_args(argv)
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))
    home = Path(tempfile.mkdtemp(prefix="kills-"))
    try:
        massacre, evidence, took_s = kill_many(home, kills=options.kills, seed=options.seed, hosts=options.hosts)
    finally:
        if options.keep:
            print(f"kept: {home}")
        else:
            shutil.rmtree(home, ignore_errors=True)
    broken = evidence.broken_promises()
    broken += [f"{name} ended by itself {count} times" for name, count in massacre.died.items()]
    if options.json:
        said = {"kills": massacre.kills, "lives": massacre.lives, "broken": broken, **asdict(evidence)}
        print(json.dumps({**said, "took_s": round(took_s, 1)}))
    else:
        print(f"seed {options.seed}, {options.hosts} hosts, {took_s:.0f} s")
        print(f"killed: {massacre.kills['agent']} agents, {massacre.kills['controller']} controllers")
        print("lives: " + ", ".join(f"{count} {name}" for name, count in sorted(massacre.lives.items())))
        print(evidence.summary())
        print("every promise was kept" if not broken else "BROKEN:\n  " + "\n  ".join(broken))
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
