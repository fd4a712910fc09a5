"""What carries machine orders out on a real host: the tools are run as told, in time, and quoted when they fail."""

import asyncio
import sys
from dataclasses import replace

import pytest

from agent.errors import MachineError
from agent.orders.switches import HostMachine, RehearsedMachine, kernel_boot_id
from contracts.vocabulary import GpuUuid

A = GpuUuid("GPU-a")


def host_machine(tmp_path, script: str, **limits: float) -> HostMachine:
    argv = (sys.executable, "-SEc", script)
    log_path = tmp_path / "machine.log"
    return HostMachine(environment={}, log_path=log_path, reset_argv=(*argv, "{gpu}"), reboot_argv=argv, **limits)


async def test_the_tool_is_run_with_the_uuid(tmp_path):
    machine = host_machine(tmp_path, "import sys; print('resetting', sys.argv[1])")
    await machine.reset_gpu(A)
    assert (tmp_path / "machine.log").read_text() == f"resetting {A}\n"


async def test_an_agent_without_root_asks_for_the_same_through_its_own_command():
    machine = RehearsedMachine(("systemctl", "start", "trimtab-gpu-reset@{gpu}.service"))
    with pytest.raises(MachineError, match=f"systemctl start trimtab-gpu-reset@{A}.service"):
        await machine.reset_gpu(A)


async def test_a_tool_that_fails_is_quoted(tmp_path):
    machine = host_machine(tmp_path, "print('GPU is in use by 2 clients'); raise SystemExit(4)")
    with pytest.raises(MachineError, match=r"code 4: GPU is in use by 2 clients"):
        await machine.reset_gpu(A)


async def test_a_tool_that_hangs_is_ended_in_time(tmp_path):
    machine = host_machine(tmp_path, "import time; time.sleep(600)", reset_s_max=0.2)
    with pytest.raises(MachineError, match=r"did not end within 0.2 s"):
        await asyncio.wait_for(machine.reset_gpu(A), 5)


async def test_a_tool_that_hangs_and_runs_as_somebody_else_is_left_alone(tmp_path, monkeypatch):
    def forbidden(pid):
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr("agent.orders.switches.kill_group", forbidden)  # as of a `sudo` that belongs to root
    machine = host_machine(tmp_path, "import time; time.sleep(0.5)", reset_s_max=0.1)
    with pytest.raises(MachineError, match=r"did not end within 0.1 s"):
        await asyncio.wait_for(machine.reset_gpu(A), 5)


async def test_a_host_without_the_tool_says_so(tmp_path):
    machine = replace(host_machine(tmp_path, ""), reboot_argv=("no-such-program-here", "reboot"))
    with pytest.raises(MachineError, match="cannot run no-such-program-here reboot"):
        await machine.reboot()


def test_the_kernel_names_its_boot_and_a_host_that_does_not_has_none(tmp_path):
    assert kernel_boot_id() == kernel_boot_id()
    assert kernel_boot_id(tmp_path / "nothing") == ""
