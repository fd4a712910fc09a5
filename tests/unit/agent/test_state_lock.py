"""Two agents never share a state directory, and a dead one leaves no lock behind."""

import os
import signal
import subprocess
import sys

import pytest

from agent.memory.lock import StateInUseError, only_agent_of

HOLDER = """
import sys, time
from pathlib import Path
from agent.memory.lock import only_agent_of
with only_agent_of(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


def test_a_second_agent_is_refused_and_told_who_is_first(tmp_path):
    with (
        only_agent_of(tmp_path / "state"),
        pytest.raises(StateInUseError, match=rf"in use by another agent \(process {os.getpid()}\)"),
        only_agent_of(tmp_path / "state"),
    ):
        pass
    with only_agent_of(tmp_path / "state"):
        assert (tmp_path / "state" / "agent.lock").exists()


def test_the_kernel_lets_go_of_a_killed_agents_lock(tmp_path):
    holder = subprocess.Popen([sys.executable, "-c", HOLDER, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert holder.stdout is not None
    assert holder.stdout.readline() == "held\n"
    with pytest.raises(StateInUseError, match=str(holder.pid)), only_agent_of(tmp_path):
        pass
    holder.send_signal(signal.SIGKILL)
    holder.wait(timeout=10)
    holder.stdout.close()
    with only_agent_of(tmp_path):
        pass


def test_a_directory_that_cannot_be_written_costs_the_lock_not_the_agent(tmp_path):
    (tmp_path / "file").write_text("")
    with only_agent_of(tmp_path / "file" / "state"):
        pass
