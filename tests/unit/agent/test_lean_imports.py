"""What an agent process has in memory before it does anything, asked of a fresh interpreter."""

import json
import subprocess
import sys

import pytest

from agent.lean import UNUSED

AGENT = "from agent.lean import UNUSED, leave_out; leave_out(UNUSED); import agent.command"
WORKER = "from agent.probes.nvml.__main__ import prepare; prepare(); import agent.probes.nvml.life"
TELL = "; import json, sys; print(json.dumps([name for name, module in sys.modules.items() if module is not None]))"


def loaded_by(program: str) -> set[str]:
    done = subprocess.run(
        [sys.executable, "-c", program + TELL], capture_output=True, text=True, timeout=60, check=True
    )
    return set(json.loads(done.stdout))


@pytest.fixture(scope="module")
def modules():
    return loaded_by(AGENT)


def test_the_worker_reads_gpus_without_what_only_windows_needs():
    modules = loaded_by(WORKER)
    assert {"pynvml", "agent.probes.nvml.device"} <= modules
    assert not modules & {"asyncio", "subprocess", "tempfile", "pydantic", "structlog", "traceback"}


def test_the_agent_does_without_what_is_optional_and_unused(modules):
    assert "agent.command" in modules
    assert not {name for name in modules if name.startswith(UNUSED)}


@pytest.mark.parametrize("sdk", ["docker", "pynvml", "requests", "prometheus_client"])
def test_what_few_hosts_or_only_the_worker_need_is_not_loaded(modules, sdk):
    assert sdk not in modules


def test_the_program_starts_and_explains_itself():
    done = subprocess.run([sys.executable, "-m", "agent", "--help"], capture_output=True, timeout=60, check=True)
    assert b"TRIMTAB_AGENT_HOST_ID" in done.stdout
