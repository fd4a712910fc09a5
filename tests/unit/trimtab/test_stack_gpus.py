"""Simulated GPUs of an embedded stack: planned, made before the agents start, broken on purpose, and shown for what they are."""

import asyncio
import io
import random
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console
from typer.testing import CliRunner

from agent.settings import AgentSettings
from agent.simulated_gpus.directory import STATE, open_directory
from agent.simulated_gpus.state import create
from chassis.clock import SystemClock
from contracts.agent_api import GpuReport
from contracts.vocabulary import GpuAction
from trimtab.api_bodies import Fleet
from trimtab.chaos.faults import FAULTS, FaultName
from trimtab.chaos.gpus import SIMULATED, GpuTarget, break_gpu
from trimtab.chaos.processes import NoSuchTargetError
from trimtab.cli.app import app
from trimtab.cli.options import Session
from trimtab.cli.story_render import gpus_table
from trimtab.stack.assemble import assemble
from trimtab.stack.blueprint import Blueprint
from trimtab.stack.model import Listener, ProcessPlan, SimulatedGpus, StackPlan
from trimtab.stack.plan import plan_stack
from trimtab.stack.programs import MissingProgramsError, Programs
from trimtab.stack.secrets import Tokens
from trimtab.stack.settings import Layout, StackSettings, StackSettingsError
from trimtab.supervisor.errors import StackError
from trimtab.supervisor.launch import run_until
from trimtab.supervisor.run import StackSupervisor
from trimtab.supervisor.state import Phase, SimulatedGpusRow, StackState, read_state

PROGRAMS = Programs("/bin/redis-server", "/bin/prometheus", "/bin/alertmanager", "/bin/envoy", "/bin/python")
SETTINGS = StackSettings(home=Path("/home/of/stack"), voice_dir=Path("/voice"), gpus=2)


def plan_of(settings: StackSettings) -> StackPlan:
    return plan_stack(Blueprint(Layout(settings), PROGRAMS, Tokens("agent", "operator", "viewer"), {}))


def agent_env(plan: StackPlan, region: str) -> dict[str, str]:
    return dict(next(process.env for process in plan.processes if process.name == f"agent-{region}"))


# ── the plan ──────────────────────────────────────────────────────────────────────────────────────────────────────────
def test_every_host_has_gpus_of_its_own_below_the_home() -> None:
    plan = plan_of(SETTINGS)
    assert plan.simulated_gpus == (
        SimulatedGpus("eu-west-a", Path("/home/of/stack/simulated-gpus/eu-west-a"), 2),
        SimulatedGpus("us-east-a", Path("/home/of/stack/simulated-gpus/us-east-a"), 2),
    )
    for simulated, region in zip(plan.simulated_gpus, ("eu-west", "us-east"), strict=True):
        assert agent_env(plan, region)["TRIMTAB_AGENT_SIMULATED_GPUS"] == str(simulated.directory)


def test_an_agent_understands_what_it_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in agent_env(plan_of(SETTINGS), "eu-west").items():
        monkeypatch.setenv(name, value)
    settings = AgentSettings.read()
    assert settings.simulated_gpus == Path("/home/of/stack/simulated-gpus/eu-west-a")
    assert settings.allow_gpu_reset
    assert settings.allow_reboot


def test_without_gpus_nothing_is_simulated_and_nothing_permitted() -> None:
    plan = plan_of(replace(SETTINGS, gpus=0))
    assert plan.simulated_gpus == ()
    assert not [name for name in agent_env(plan, "eu-west") if "SIMULATED" in name or "ALLOW" in name]
    assert "simulated" not in str(plan.endpoints)


def test_the_table_of_endpoints_says_that_they_are_simulated() -> None:
    told = {endpoint.name: endpoint.purpose for endpoint in plan_of(SETTINGS).endpoints}
    assert "2 simulated GPUs" in told["agent eu-west-a"]


@pytest.mark.parametrize("gpus", [-1, 17])
def test_an_impossible_number_is_refused(gpus: int) -> None:
    with pytest.raises(StackSettingsError, match=r"gpus is .*: choose 0 to 16"):
        replace(SETTINGS, gpus=gpus)


def test_a_missing_compiler_is_told_before_anything_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    programs = tmp_path / "bin"
    programs.mkdir()
    for name in ("redis-server", "prometheus", "prometheus-alertmanager"):
        (programs / name).write_text("#!/bin/sh\n")
        (programs / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(programs))
    monkeypatch.setattr("trimtab.stack.programs._envoy_binary", lambda: "/bin/envoy")
    with pytest.raises(MissingProgramsError, match="apt-get install -y gcc libc6-dev"):
        assemble(replace(SETTINGS, home=tmp_path / "home"), {})
    assert not (tmp_path / "home").exists()


# ── the start ─────────────────────────────────────────────────────────────────────────────────────────────────────────
def small_plan(directory: Path, look: str) -> StackPlan:
    """One process that looks at its host when it starts, and then stays."""
    process = ProcessPlan(
        name="agent",
        argv=(sys.executable, "-c", f"{look}; import time; time.sleep(60)"),
        log=directory / "agent.log",
        listeners=(),
        ready=(),
    )
    host = SimulatedGpus("eu-west-a", directory / "gpus", 3)
    return StackPlan((process,), (), (), Listener("127.0.0.1", 1), simulated_gpus=(host,))


@pytest.mark.compiler
async def test_gpus_are_there_before_an_agent_starts_and_the_state_names_them(tmp_path: Path, wait_until_async) -> None:
    look = f"assert __import__('pathlib').Path({str(tmp_path / 'gpus' / STATE)!r}).exists()"
    stop = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        group.create_task(run_until(small_plan(tmp_path, look), tmp_path, stop, lambda _: None))

        def is_ready() -> bool:
            state = read_state(tmp_path)
            return state is not None and state.phase is Phase.READY

        await wait_until_async(is_ready, within_s=30, what="the agent found its GPUs")
        stop.set()
    state = read_state(tmp_path)
    assert state.simulated_gpus == (SimulatedGpusRow(host="eu-west-a", directory=tmp_path / "gpus", gpus=3),)
    assert len(open_directory(tmp_path / "gpus").gpus) == 3


async def test_gpus_that_cannot_be_made_fail_the_start_with_the_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    news: list[tuple[Phase, str]] = []
    supervisor = StackSupervisor(
        plan=small_plan(tmp_path, "pass"),
        clock=SystemClock(),
        rng=random.Random(1),
        announce=lambda phase, detail, parts: news.append((phase, detail)),
    )
    with pytest.raises(StackError, match="no simulated GPUs: no C compiler"):
        await supervisor.run(asyncio.Event())
    phase, detail = news[-1]
    assert phase is Phase.FAILED
    assert detail.startswith("no simulated GPUs: no C compiler")


# ── chaos ─────────────────────────────────────────────────────────────────────────────────────────────────────────────
def stack_of(*rows: SimulatedGpusRow) -> StackState:
    return StackState(
        supervisor_pid=1, supervisor_started_unix_s=0, phase=Phase.READY, detail="", controller_url="http://127.0.0.1:1",
        endpoints=(), gateways=(), simulated_gpus=rows, parts=(),
    )  # fmt: skip


@pytest.fixture
def stack(tmp_path: Path) -> StackState:
    for host in ("eu-west-a", "us-east-a"):
        create(tmp_path / host / STATE, 2)
    return stack_of(
        *(SimulatedGpusRow(host=host, directory=tmp_path / host, gpus=2) for host in ("eu-west-a", "us-east-a"))
    )


def errors(stack: StackState) -> list[list[int]]:
    return [[gpu.error for gpu in open_directory(row.directory).gpus] for row in stack.simulated_gpus]


def test_the_first_gpu_of_the_first_host_is_meant_unless_another_is_named(stack: StackState) -> None:
    said = break_gpu(FaultName.XID, GpuTarget("", None), "79", stack)
    assert said == "eu-west-a: simulated GPU 0: xid 79 (fell off the bus: every call answers GPU_IS_LOST)"
    break_gpu(FaultName.GPU_LOST, GpuTarget("us-east-a", 1), "", stack)
    assert errors(stack) == [[15, 0], [0, 15]]


def test_healing_means_every_gpu_of_the_host_unless_one_is_named(stack: StackState) -> None:
    for gpu in (0, 1):
        break_gpu(FaultName.GPU_LOST, GpuTarget("", gpu), "", stack)
    break_gpu(FaultName.GPU_HEAL, GpuTarget("", 1), "", stack)
    assert errors(stack)[0] == [15, 0]
    assert len(break_gpu(FaultName.GPU_HEAL, GpuTarget("", None), "", stack).splitlines()) == 2
    assert errors(stack)[0] == [0, 0]


def test_a_stack_without_simulated_gpus_is_refused() -> None:
    for fault in SIMULATED:
        with pytest.raises(NoSuchTargetError, match="real ones are never broken"):
            break_gpu(fault, GpuTarget("", None), "79" if fault is FaultName.XID else "", stack_of())


@pytest.mark.parametrize(
    ("fault", "target", "code", "message"),
    [
        (FaultName.XID, GpuTarget("", None), "", "takes a code"),
        (FaultName.XID, GpuTarget("", None), "many", "choose from"),
        (FaultName.GPU_HOT, GpuTarget("", None), "3", "takes no code"),
        (FaultName.GPU_HOT, GpuTarget("", 2), "", "no simulated GPU 2: there are 2"),
        (FaultName.GPU_HOT, GpuTarget("mars", None), "", "there are some on eu-west-a, us-east-a"),
    ],
)
def test_what_cannot_be_broken_is_told(
    stack: StackState, fault: FaultName, target: GpuTarget, code: str, message: str
) -> None:
    with pytest.raises(NoSuchTargetError, match=message):
        break_gpu(fault, target, code, stack)
    assert errors(stack) == [[0, 0], [0, 0]]


def test_faults_of_gpus_are_listed_as_simulated() -> None:
    listed = CliRunner().invoke(app, ["chaos", "--list"], obj=Session(environment={})).output.splitlines()
    for name in SIMULATED:
        assert "simulated GPU" in FAULTS[name]
        assert any(line.startswith(f"{name} ") for line in listed)


# ── status ────────────────────────────────────────────────────────────────────────────────────────────────────────────
def shown(*gpus: GpuReport) -> str:
    host = {
        "host": "eu-west-a",
        "region": "eu-west",
        "report_age_s": 0.1,
        "agent_address": "127.0.1.1",
        "agent_port": 1,
    }
    body = {"hosts": [{**host, "gpus": [gpu.model_dump(mode="json") for gpu in gpus], "replicas": []}], "traffic": None}
    table = gpus_table(Fleet.model_validate({**body, "gateways": []}))
    if table is None:
        return ""
    out = io.StringIO()
    Console(width=160, file=out).print(table)
    return out.getvalue()


def test_gpus_are_shown_with_their_trouble_and_what_they_are() -> None:
    text = shown(
        GpuReport(gpu=0, uuid="GPU-a", up=True, temperature_celsius=61.0, model="Simulated H100 80GB", simulated=True),
        GpuReport(gpu=1, uuid="GPU-b", up=False, reason="gpu_lost", recommended_action=GpuAction.REBOOT_HOST,
                  action_source="xid 79", model="Simulated H100 80GB", simulated=True),
        GpuReport(gpu=2, uuid="GPU-c", up=True, temperature_celsius=93.0, slowed=True, model="NVIDIA H200"),
    )  # fmt: skip
    first, lost, hot = (line for line in text.splitlines() if "eu-west-a" in line)
    assert all(words in first for words in ("up", "61 °C", "simulated"))
    assert all(words in lost for words in ("gpu_lost", "reboot_host", "xid 79", "simulated", "–"))
    assert all(words in hot for words in ("slowed", "93 °C", "NVIDIA H200"))
    assert "simulated" not in hot


def test_a_fleet_without_gpus_shows_no_table() -> None:
    assert shown() == ""
    assert shown(GpuReport(gpu=0, uuid="", up=False, reason="library_not_found")) == ""
