"""The demo from start to end: bring the stack up, speak, measure, load, break and heal, report, take everything down.

Everything lives in one process: should it be killed, the stack goes with it. Each run begins with an empty home, so that
no earlier run can help or harm.
"""

import asyncio
import os
import random
import shutil
import signal
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from chassis.clock import Clock, isoformat
from trimtab.api_client import ControllerApi
from trimtab.chaos.processes import ProcessTree
from trimtab.demo.calibrate import measure
from trimtab.demo.narrator import Narrator
from trimtab.demo.policy import DEMO_POLICY
from trimtab.demo.report import DemoReport, ScenarioReport, as_table, write_report
from trimtab.demo.scenarios import SCENARIOS
from trimtab.demo.sizing import Measured, Sizing, size
from trimtab.demo.speak import SENTENCE, speak_into
from trimtab.demo.tail import StoryTail
from trimtab.demo.world import World
from trimtab.load.generator import LoadGenerator, Stream
from trimtab.load.http1 import Target
from trimtab.load.records import tally
from trimtab.stack.assemble import assemble
from trimtab.stack.model import StackPlan
from trimtab.stack.secrets import read_tokens
from trimtab.stack.settings import StackSettings
from trimtab.supervisor.errors import StackError, first_cause
from trimtab.supervisor.home_lock import lock_path, owned_home
from trimtab.supervisor.launch import run_until
from trimtab.supervisor.preflight import refuse_busy_listeners
from trimtab.supervisor.state import Phase, StackState

SLO_ID = "sentence-in-time"
LOAD_S_MAX = 900.0
"""The base load ends with the demo; this only bounds a demo that hangs."""
KNOWN_WITHIN_S = 30.0
"""Objective stored → every replica counts against it: one sync of the agents."""
BASELINE_S = 8.0
"""Undisturbed load before the first fault: two blocks and more, so that verdicts have a before."""
BETWEEN_S = 3.0
"""One block between two faults, so that the first is not blamed for the second."""
HOME_WITHIN_S = 60.0
LOAD_LINE_EVERY_S = 5.0


@dataclass(frozen=True, slots=True)
class DemoChoices:
    """What may be chosen about a demo."""

    settings: StackSettings
    scenarios: tuple[str, ...] = tuple(SCENARIOS)


def demo_settings(home: Path, voice_dir: Path, port_offset: int) -> StackSettings:
    """The stack of a demo: two regions with two replicas each, and the loop at a demo's pace."""
    return StackSettings(
        home=home,
        voice_dir=voice_dir,
        port_offset=port_offset,
        total_budget_s=2.5,  # who would wait longer is refused at once: a backlog may not outlive its cause by much
        controller_env=tuple(DEMO_POLICY.items()),
    )


def run_demo(choices: DemoChoices, environment: Mapping[str, str], out: Console, clock: Clock) -> DemoReport:
    """Live through the chosen faults. Raises `StackError` and the like when the stage cannot even be set."""
    settings = choices.settings
    with owned_home(settings.home):
        _empty(settings.home)
        plan = assemble(settings, environment)
        refuse_busy_listeners(plan)
        return asyncio.run(_perform(choices, plan, Narrator(out, clock), clock))


async def _perform(choices: DemoChoices, plan: StackPlan, narrator: Narrator, clock: Clock) -> DemoReport:
    me = asyncio.current_task()
    if me is not None:  # Ctrl-C cancels by itself; a polite kill should do the same
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, me.cancel)
    try:
        narrator.chapter("Setting the stage")
        async with _running(plan, choices.settings.home, narrator):
            return await _play(choices, plan, narrator, clock)
    except BaseExceptionGroup as failures:
        raise first_cause(failures) from failures


@asynccontextmanager
async def _running(plan: StackPlan, home: Path, narrator: Narrator) -> AsyncIterator[None]:
    stop, ready = asyncio.Event(), asyncio.Event()

    restarts: dict[str, int] = {}

    def watch(state: StackState) -> None:
        if state.phase is Phase.READY and not ready.is_set():
            narrator.say(f"{len(state.parts)} processes are ready; their logs are in {home / 'logs'}")
            ready.set()
        for part in state.parts:
            if part.pid and part.restarts > restarts.get(part.name, 0):
                restarts[part.name] = part.restarts
                narrator.supervisor(f"started {part.name} again, as process {part.pid}")

    async with asyncio.TaskGroup() as group:
        group.create_task(run_until(plan, home, stop, watch))
        narrator.say("starting gateways, agents, replicas, controller, Prometheus, Alertmanager and Redis …")
        await ready.wait()
        try:
            yield
        finally:
            narrator.say("stopping everything that was started")
            stop.set()


async def _play(choices: DemoChoices, plan: StackPlan, narrator: Narrator, clock: Clock) -> DemoReport:
    home, started_unix_s, started_s = choices.settings.home, clock.now_unix_s(), clock.monotonic_s()
    targets = {gateway.region: Target(gateway.listener.address, gateway.listener.port) for gateway in plan.gateways}
    tokens = read_tokens(home)
    load = LoadGenerator(targets=targets, clock=clock, rng=random.Random())  # noqa: S311  # picks sentences
    seconds = await speak_into(home / "demo.wav", targets[plan.gateways[0].region])
    narrator.say(f"“{SENTENCE}” → {home / 'demo.wav'} ({seconds:.1f} s of speech)")
    measured, sizing = await _size_up(choices, load, narrator, clock)
    async with ControllerApi(plan.controller.url, token=tokens.operator if tokens else "") as api:
        story = StoryTail(api, clock, narrator)
        tree, replicas = ProcessTree(os.getpid()), choices.settings.replicas
        world = World(api, load, story, tree, clock, narrator, sizing, plan, home, replicas)
        scenarios = await _live_through(choices.scenarios, world)
    load.close()
    report = DemoReport(
        started_at=isoformat(started_unix_s),
        duration_s=round(clock.monotonic_s() - started_s, 1),
        machine=_machine(measured, sizing),
        scenarios=scenarios,
    )
    write_report(report, home / "demo-report.json")
    narrator.chapter("Report")
    narrator.out.print(as_table(report))
    return report


async def _size_up(
    choices: DemoChoices, load: LoadGenerator, narrator: Narrator, clock: Clock
) -> tuple[Measured, Sizing]:
    narrator.chapter("What can this machine do?")
    settings = choices.settings
    regions = tuple(load.targets)
    measured = await measure(load, regions, replicas=settings.replicas * settings.regions, clock=clock)
    sizing = size(measured)
    narrator.say(
        f"{os.cpu_count()} cores: a sentence takes {measured.p50_s:.2f} s (p95 {measured.p95_s:.2f} s); "
        f"at full quality {measured.full_rps:.1f} sentences per second"
    )
    narrator.say(
        f"so the objective is {sizing.objective:.0%} within {sizing.threshold_s:.2f} s, "
        f"the steady load {sizing.base_rps:.1f}/s, the surge {sizing.base_rps + sizing.surge_rps:.1f}/s"
    )
    return measured, sizing


async def _live_through(names: tuple[str, ...], world: World) -> tuple[ScenarioReport, ...]:
    reports: list[ScenarioReport] = []
    stop = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        followers = [group.create_task(world.story.run()), group.create_task(_tell_load(world))]
        try:
            await _promise(world)
            base = Stream("base", world.regions, world.sizing.base_rps, LOAD_S_MAX)
            group.create_task(world.load.run(base, stop))
            await world.clock.sleep(BASELINE_S)
            for number, name in enumerate(names):
                world.narrator.chapter(f"({chr(ord('a') + number)}) {name}")
                reports.append(await SCENARIOS[name](world))
                await world.until(world.is_home, within_s=HOME_WITHIN_S)
                await world.clock.sleep(BETWEEN_S)
        finally:
            stop.set()
            for follower in followers:
                follower.cancel()
    return tuple(reports)


async def _promise(world: World) -> None:
    """Set the objective, and wait until every replica counts against it."""
    slo = await world.api.apply_slo(
        SLO_ID,
        {
            "objective": world.sizing.objective,
            "threshold_s": world.sizing.threshold_s,
            "sli": "total",
            "description": "Sized by the demo for this machine",
        },
    )

    async def is_known() -> bool:
        return all(replica.slo_revision >= slo.revision for replica in (await world.api.fleet()).replicas())

    if await world.until(is_known, within_s=KNOWN_WITHIN_S) is None:
        msg = f"the replicas did not learn about the objective within {KNOWN_WITHIN_S:g} s"
        raise StackError(msg)
    world.narrator.say(f"every replica counts against the objective {slo.id}")


async def _tell_load(world: World) -> None:
    while True:
        since_s = world.clock.monotonic_s()
        await world.clock.sleep(LOAD_LINE_EVERY_S)
        counts = tally(world.load.since(since_s), world.sizing.threshold_s)
        if counts.sent:
            spoken = ", ".join(f"{number} {profile}" for profile, number in counts.profiles)
            world.narrator.load(
                f"last {LOAD_LINE_EVERY_S:g} s: {counts.sent} answered ({spoken}); "
                f"{counts.late} late, {counts.refused} refused, {counts.failed} failed"
            )


def _machine(measured: Measured, sizing: Sizing) -> dict[str, float | int | str]:
    return {
        "cores": os.cpu_count() or 0,
        "sentence_p50_s": round(measured.p50_s, 3),
        "sentence_p95_s": round(measured.p95_s, 3),
        "full_quality_rps": round(measured.full_rps, 2),
        "objective": sizing.objective,
        "threshold_s": sizing.threshold_s,
        "base_rps": sizing.base_rps,
        "surge_rps": sizing.surge_rps,
    }


def _empty(home: Path) -> None:
    """Everything of an earlier run but the lock, which we hold."""
    for path in home.iterdir():
        if path == lock_path(home):
            continue
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()
