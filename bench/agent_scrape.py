"""What a scrape of the agent costs, beside nvitop-exporter on the same simulated GPUs, and what each says in every fault.

    python -m bench.agent_scrape --nvitop PATH/bin/nvitop-exporter [--gpus 8 16] [--scrapes 150] [--only cost|faults]

Both run at the same time and are scraped in turn, as Prometheus scrapes: a connection each time, gzip asked for. CPU per
scrape is the CPU time of all processes of an exporter, less what the same processes use in an equal time without scrapes.
Prints Markdown; the exit code is 1 when the agent misses a target.
"""

import argparse
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from agent.simulated_gpus.directory import create_directory
from agent.simulated_gpus.state import SimulatedHost, SimulatedProcess
from bench.agentlab.controller import QuietController
from bench.agentlab.exporters import Exporter, nvitop_exporter, our_agent
from bench.agentlab.faults import Case, cases, heal_all
from bench.agentlab.machine import load_line, machine_line
from bench.agentlab.observing import Observer, Pulse
from bench.agentlab.processes import cpu_s, memory
from bench.agentlab.report import Cost, Result, Seen, cost_table, fault_table, missed_targets
from bench.agentlab.scraping import Scrape

SCRAPE_SPACING_S = 0.3
"""Beyond the agent's page cache of 0.2 s: every scrape is rendered."""
ROUNDS = 5
"""Of idling and scraping in turn: what else the machine does changes over minutes."""
IDLE_S = 8.0
WARM_UP_S = 6.0
FAULT_GPUS = 8
BEFORE_FAULT_S = 2.0
RECOVERY_S_MAX = 20.0


@contextmanager
def host_with(gpus: int, scratch: Path) -> Iterator[tuple[Path, SimulatedHost]]:
    """A fresh simulated host with one process on every GPU."""
    directory = scratch / f"gpus-{gpus}"
    shutil.rmtree(directory, ignore_errors=True)
    host = create_directory(directory, gpus)
    for gpu in range(gpus):
        host.run_processes(gpu, [SimulatedProcess(pid=os.getpid(), memory_bytes=20 << 30)])
    try:
        yield directory, host
    finally:
        heal_all(host)


def measure_costs(gpus: int, scrapes: int, nvitop: Path, scratch: Path) -> list[Cost]:
    """Both exporters, side by side."""
    controller = QuietController()
    with controller.running(), host_with(gpus, scratch) as (directory, _), ExitStack() as stack:
        exporters = [our_agent(directory, controller.url, scratch), nvitop_exporter(nvitop, directory, scratch)]
        for exporter in exporters:
            exporter.start()
            stack.callback(exporter.stop)
            exporter.wait_for(gpus)
        time.sleep(WARM_UP_S)
        idle, busy = _Spent.none(exporters), _Spent.none(exporters)
        pages: list[list[Scrape]] = [[] for _ in exporters]
        for _ in range(ROUNDS):
            idle += _spent_by(exporters, lambda: time.sleep(IDLE_S))
            busy += _spent_by(exporters, lambda: _scrape_in_turn(exporters, pages, scrapes // ROUNDS))
        costs = []
        for number, exporter in enumerate(exporters):
            background = idle.cpu_s[number] / idle.lasted_s
            costs.append(
                Cost(
                    exporter=exporter.name,
                    gpus=gpus,
                    page=pages[number][-1],
                    cpu_s_per_scrape=(busy.cpu_s[number] - background * busy.lasted_s) / len(pages[number]),
                    background_ratio=background,
                    took_s=tuple(page.took_s for page in pages[number]),
                    memory=memory(exporter.pid),
                )
            )
        return costs


@dataclass(frozen=True, slots=True)
class _Spent:
    """CPU seconds per exporter during some time."""

    lasted_s: float
    cpu_s: tuple[float, ...]

    @classmethod
    def none(cls, exporters: Sequence[Exporter]) -> "_Spent":
        return cls(0.0, (0.0,) * len(exporters))

    def __add__(self, more: "_Spent") -> "_Spent":
        summed = tuple(one + other for one, other in zip(self.cpu_s, more.cpu_s, strict=True))
        return _Spent(self.lasted_s + more.lasted_s, summed)


def _spent_by(exporters: Sequence[Exporter], work: Callable[[], None]) -> _Spent:
    before, began = [cpu_s(exporter.pid) for exporter in exporters], time.monotonic()
    work()
    after = [cpu_s(exporter.pid) for exporter in exporters]
    return _Spent(time.monotonic() - began, tuple(now - then for now, then in zip(after, before, strict=True)))


def _scrape_in_turn(exporters: Sequence[Exporter], pages: list[list[Scrape]], times: int) -> None:
    for _ in range(times):
        due = time.monotonic() + SCRAPE_SPACING_S
        for exporter, seen in zip(exporters, pages, strict=True):
            seen.append(exporter.scrape())
        time.sleep(max(0.0, due - time.monotonic()))


def measure_fault(case: Case, nvitop: Path, scratch: Path) -> Result:
    """One fault, both exporters fresh; None where nvitop-exporter has nothing that it could strike, or did not start."""
    controller = QuietController()
    with controller.running(), host_with(FAULT_GPUS, scratch) as (directory, host), ExitStack() as stack:
        agent = our_agent(directory, controller.url, scratch)
        exporters = [agent, *([nvitop_exporter(nvitop, directory, scratch)] if case.for_nvitop else [])]
        if case.at_start:
            case.inject(host, agent)
        for exporter in exporters:
            exporter.start()
            stack.callback(exporter.stop)
            if not case.at_start:
                exporter.wait_for(FAULT_GPUS)
        if case.at_start:
            agent.wait_for(0)
        pulse = stack.enter_context(Pulse(host))
        if not case.at_start:
            time.sleep(WARM_UP_S)
        observers = [stack.enter_context(Observer(exporter, pulse, FAULT_GPUS, case.told)) for exporter in exporters]
        time.sleep(0.0 if case.at_start else BEFORE_FAULT_S)
        struck_s = time.monotonic()
        if not case.at_start:
            case.inject(host, agent)
        time.sleep(case.lasts_s)
        healed_s = time.monotonic()
        heal_all(host)
        _wait_for_return(observers[0], healed_s)
        seen = [_seen(case, observer, struck_s, healed_s) for observer in observers]
        theirs = seen[1] if len(seen) > 1 and exporters[1].alive else None
        return Result(case, seen[0], theirs)


def _wait_for_return(observer: Observer, healed_s: float) -> None:
    everything = frozenset(range(FAULT_GPUS))
    while time.monotonic() - healed_s < RECOVERY_S_MAX:
        time.sleep(0.5)
        newest = observer.looks[-1] if observer.looks else None
        if (
            newest is not None
            and newest.at_s > healed_s + 2.0
            and all(newest.words[gpu] == "fresh" for gpu in everything)
        ):
            return


def _seen(case: Case, observer: Observer, struck_s: float, healed_s: float) -> Seen:
    everything = frozenset(range(FAULT_GPUS))
    broken, healthy = case.broken(FAULT_GPUS), everything - case.broken(FAULT_GPUS)
    fresh = observer.always_fresh(healthy, struck_s, healed_s)
    worst = observer.worst(broken, struck_s + case.lasts_s / 2, healed_s)
    return Seen(
        p99_s=observer.p99_s(),
        unanswered=observer.unanswered(),
        scrapes=len(observer.looks),
        healthy=len(healthy),
        fresh=fresh,
        broken="–" if worst is None else worst.value,
        told_s=observer.first(lambda look: look.told, struck_s),
        back_s=observer.first(lambda look: all(word == "fresh" for word in look.words.values()), healed_s),
    )


def main() -> int:
    """Measure, print, judge."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--nvitop", type=Path, required=True)
    options.add_argument("--gpus", type=int, nargs="+", default=[8, 16])
    options.add_argument("--scrapes", type=int, default=150)
    options.add_argument("--only", choices=["cost", "faults"])
    options.add_argument("--case", help="only faults whose name contains this")
    asked = options.parse_args()
    print(f"Machine: {machine_line()}.\n")
    with tempfile.TemporaryDirectory(prefix="agent-scrape-") as folder:
        scratch = Path(folder)
        costs: list[Cost] = []
        if asked.only != "faults":
            for gpus in asked.gpus:
                costs += measure_costs(gpus, asked.scrapes, asked.nvitop, scratch)
            print(cost_table(costs) + "\n", flush=True)
        results: list[Result] = []
        if asked.only != "cost":
            for case in cases():
                if asked.case is None or asked.case in case.name:
                    results.append(measure_fault(case, asked.nvitop, scratch))
                    print(f"measured: {case.name} ({load_line()})", file=sys.stderr, flush=True)
            print(fault_table(results) + "\n")
    print(f"At the end: {load_line()}.")
    missed = missed_targets(costs, results)
    for sentence in missed:
        print(f"MISSED: {sentence}")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
