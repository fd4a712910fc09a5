"""An agent that is pointed at simulated GPUs reads them, and resets and reboots nothing real; any other one never does."""

from pathlib import Path

import pytest

from agent.orders.switches import HostMachine, RehearsedMachine, WatchedDriver
from agent.parts.host import gpu_sources
from agent.parts.machine import build_machine, driver_to_release
from agent.settings import AgentSettings
from agent.simulated_gpus.machine import SimulatedMachine
from chassis.clock import ManualClock

ENVIRONMENT = {"PATH": "/bin", "LD_LIBRARY_PATH": "/cuda"}


def settings(tmp_path: Path, **chosen: object) -> AgentSettings:
    given = {"host_id": "a", "region": "eu", "controller_url": "http://127.0.0.1:1", "state_dir": tmp_path, **chosen}
    return AgentSettings.model_validate(given)


@pytest.mark.parametrize(
    ("chosen", "machine"),
    [
        ({}, HostMachine),
        ({"simulated_gpus": "/sim"}, SimulatedMachine),
        ({"machine_dry_run": True}, RehearsedMachine),
        ({"simulated_gpus": "/sim", "machine_dry_run": True}, RehearsedMachine),
    ],
)
def test_the_machine_is_as_real_as_its_gpus(tmp_path: Path, chosen: dict[str, object], machine: type) -> None:
    assert type(build_machine(settings(tmp_path, **chosen), ENVIRONMENT, ManualClock())) is machine


@pytest.mark.parametrize("rehearsed", [True, False])
def test_a_rehearsal_lets_no_gpu_out_of_sight(tmp_path: Path, rehearsed: bool) -> None:
    watch = WatchedDriver()
    driver = driver_to_release(settings(tmp_path, machine_dry_run=rehearsed), watch)
    assert (driver is watch) is not rehearsed


def test_the_worker_is_shown_the_simulated_library_before_any_other(tmp_path: Path) -> None:
    chosen = settings(tmp_path, simulated_gpus="/sim")
    sources = gpu_sources(chosen, ENVIRONMENT, build_machine(chosen, ENVIRONMENT, ManualClock()))
    assert sources.env["LD_LIBRARY_PATH"] == "/sim:/cuda"
    assert sources.env["TRIMTAB_SIMULATED_GPUS_STATE"] == "/sim/host.state"
    assert sources.kernel_log is None, "Xids of real GPUs are none of the simulated ones"


def test_without_the_setting_the_worker_inherits_what_the_agent_has(tmp_path: Path) -> None:
    chosen = settings(tmp_path)
    sources = gpu_sources(chosen, ENVIRONMENT, build_machine(chosen, ENVIRONMENT, ManualClock()))
    assert dict(sources.env) == ENVIRONMENT
