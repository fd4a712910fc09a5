"""A host's life on a fast clock: an agent with replicas, GPUs, a controller and a Prometheus, and things that go wrong.

What is sampled is the agent's own process and its NVML worker, never the replicas: their memory, and their open files.
"""

import json
import os
import random
import signal
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from agent.simulated_gpus.directory import create_directory
from agent.simulated_gpus.state import SimulatedHost, SimulatedProcess
from bench.agentlab.controller import QuietController
from bench.agentlab.exporters import REPOSITORY, Exporter
from bench.agentlab.scraping import samples
from bench.ports import free_port

FAKE_REPLICA = REPOSITORY / "tests" / "integration" / "agent" / "fake_replica.py"
SCRAPE_INTERVAL_S = 5.0
MISHAP_INTERVAL_S = 600.0
"""Simulated: every ten minutes something breaks."""
MISHAPS = ("kill", "freeze", "xid", "worker")
WORKER_WORDS = "agent.probes.nvml", "bench.agentlab.fast_worker"
REPLICAS = 2


@dataclass(frozen=True, slots=True)
class Plan:
    """How long, how fast, how big."""

    hours: float
    """Simulated."""
    factor: float
    gpus: int = 8
    sample_every_s: float = 60.0
    """Simulated."""
    seed: int = 1


@dataclass(frozen=True, slots=True)
class Sample:
    """One look at one process."""

    at_h: float
    """Simulated hours since the start."""
    process: str
    pid: int
    rss_bytes: int
    pss_bytes: int
    fds: int


@dataclass(slots=True)
class Diary:
    """What was seen and done."""

    samples: list[Sample] = field(default_factory=list)
    mishaps: dict[str, int] = field(default_factory=lambda: dict.fromkeys(MISHAPS, 0))
    scrapes: int = 0
    scrapes_unanswered: int = 0
    last_page: str = ""
    syncs: int = 0

    def of(self, process: str) -> list[Sample]:
        return [sample for sample in self.samples if sample.process == process]

    def total(self, metric: str) -> float:
        """Sum over all series of a metric on the last page; a histogram's `_count` counts events."""
        return sum(value for _, value in samples(self.last_page, metric))


def soak(plan: Plan, scratch: Path) -> Diary:
    """Live through the plan."""
    diary, rng = Diary(), random.Random(plan.seed)
    controller = QuietController(factor=plan.factor)
    with controller.running(), ExitStack() as stack:
        host = create_directory(scratch / "gpus", plan.gpus)
        agent = stack.enter_context(_running_agent(plan, controller.url, scratch))
        agent.wait_for(plan.gpus)
        began, steps = time.monotonic(), 0
        step_s = SCRAPE_INTERVAL_S / plan.factor
        while (lived_s := (time.monotonic() - began) * plan.factor) < plan.hours * 3600.0:
            _warm(host, steps)
            _scrape(agent, diary)
            if len(diary.samples) < 2 * lived_s / plan.sample_every_s:
                diary.samples += _looks(agent.pid, lived_s / 3600.0)
            if sum(diary.mishaps.values()) < lived_s / MISHAP_INTERVAL_S - 0.5:
                _break_something(rng, host, agent, diary)
            steps += 1
            time.sleep(max(0.0, began + steps * step_s - time.monotonic()))
        diary.syncs = controller.syncs
    return diary


@contextmanager
def _running_agent(plan: Plan, controller_url: str, scratch: Path) -> Iterator[Exporter]:
    port, port_base = free_port(), _free_ports_in_a_row(REPLICAS + 1)
    told = {
        "HOST_ID": "soak",
        "REGION": "eu-west",
        "CONTROLLER_URL": controller_url,
        "STATE_DIR": str(scratch / "agent"),
        "PORT": str(port),
        "SLOTS": str(REPLICAS + 1),
        "REPLICAS": str(REPLICAS),
        "SPARES": "1",
        "REPLICA_PORT_BASE": str(port_base),
        "STOP_GRACE_S": "0.5",
        "SIMULATED_GPUS": str(scratch / "gpus"),
        "SERVING_COMMAND": json.dumps([sys.executable, "-SE", str(FAKE_REPLICA)]),
        "LOG_LEVEL": "WARNING",
    }
    agent = Exporter(
        name="agent",
        argv=(sys.executable, "-m", "bench.agentlab.fast_agent", str(plan.factor)),
        environment={**os.environ, **{f"TRIMTAB_AGENT_{name}": value for name, value in told.items()}},
        port=port,
        log=scratch / "agent.log",
        temperature_metric="gpu_temperature_celsius",
        index_label="gpu",
    )
    agent.start()
    try:
        yield agent
    finally:
        agent.stop()


def _warm(host: SimulatedHost, step: int) -> None:
    """Figures that move, and a process on every GPU that comes and goes."""
    for index, gpu in enumerate(host.gpus):
        gpu.temperature_c = 50 + (step + index) % 30
        gpu.gpu_percent = (step * 7 + index) % 101
    host.run_processes(step % len(host.gpus), [SimulatedProcess(pid=os.getpid(), memory_bytes=step << 20)])


def _scrape(agent: Exporter, diary: Diary) -> None:
    page = agent.scrape()
    diary.scrapes += 1
    if page.answered:
        diary.last_page = page.text
    else:
        diary.scrapes_unanswered += 1


def _looks(pid: int, at_h: float) -> list[Sample]:
    """The agent and, if one runs just now, its worker."""
    found = []
    with suppress(psutil.NoSuchProcess):
        leader = psutil.Process(pid)
        found.append(_look("agent", leader, at_h))
        found += [_look("worker", child, at_h) for child in leader.children() if _is_worker(child)][:1]
    return found


def _look(name: str, process: psutil.Process, at_h: float) -> Sample:
    memory = process.memory_full_info()
    return Sample(at_h, name, process.pid, memory.rss, memory.pss, process.num_fds())


def _is_worker(process: psutil.Process) -> bool:
    with suppress(psutil.NoSuchProcess, psutil.ZombieProcess):
        return any(word in WORKER_WORDS for word in process.cmdline())
    return False


def _is_replica(process: psutil.Process) -> bool:
    """A spare runs the same program, but listens nowhere."""
    with suppress(psutil.NoSuchProcess, psutil.ZombieProcess):
        return str(FAKE_REPLICA) in process.cmdline() and bool(process.net_connections("tcp"))
    return False


def _break_something(rng: random.Random, host: SimulatedHost, agent: Exporter, diary: Diary) -> None:
    mishap = rng.choice(MISHAPS)
    children = psutil.Process(agent.pid).children()
    replicas = [child for child in children if _is_replica(child)]
    with suppress(psutil.NoSuchProcess):
        match mishap:
            case "kill" if replicas:
                rng.choice(replicas).send_signal(signal.SIGKILL)
            case "freeze" if replicas:
                rng.choice(replicas).send_signal(signal.SIGSTOP)
            case "worker":
                for child in (child for child in children if _is_worker(child)):
                    child.send_signal(signal.SIGKILL)
            case _:
                mishap = "xid"
                host.emit_xid(rng.randrange(len(host.gpus)), 31)
    diary.mishaps[mishap] += 1


def _free_ports_in_a_row(count: int) -> int:
    while True:
        base = free_port()
        with suppress(OSError), ExitStack() as stack:
            for port in range(base, base + count):
                stack.enter_context(closing(socket.socket())).bind(("127.0.0.1", port))
            return base
