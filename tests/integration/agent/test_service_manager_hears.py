"""The agent and the controller as services: systemd hears that they are ready, that their loops turn, and that they end."""

import signal
import socket
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

WATCHDOG_S = 0.6
"""Far below a unit's 30 s, so that silence shows soon."""


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[socket.socket]:
    with closing(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)) as listener:
        listener.bind(str(tmp_path / "notify"))
        listener.settimeout(30.0)
        yield listener


def hear(manager: socket.socket, fact: str) -> None:
    """Read until `fact` comes; a silence of half a minute is a failure."""
    while manager.recv(256).decode() != fact:
        pass


def drain(manager: socket.socket, quiet_s: float) -> int:
    """Facts that come before a silence of `quiet_s`."""
    manager.settimeout(quiet_s)
    count = 0
    try:
        while True:
            manager.recv(256)
            count += 1
    except TimeoutError:
        return count
    finally:
        manager.settimeout(30.0)


def environment(process: str, tmp_path: Path, port: int) -> dict[str, str]:
    told = {"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": str(int(WATCHDOG_S * 1e6))}
    agent = {
        "TRIMTAB_AGENT_HOST_ID": "gpu-1",
        "TRIMTAB_AGENT_REGION": "eu-west",
        "TRIMTAB_AGENT_CONTROLLER_URL": "http://127.0.0.1:1",
        "TRIMTAB_AGENT_STATE_DIR": str(tmp_path / "state"),
        "TRIMTAB_AGENT_PORT": str(port),
        "TRIMTAB_AGENT_REPLICAS": "0",
        "TRIMTAB_AGENT_SPARES": "0",
    }
    controller = {
        "TRIMTAB_CONTROLLER_PORT": str(port),
        "TRIMTAB_CONTROLLER_DATABASE_URL": f"sqlite:///{tmp_path}/journal.db",
        "TRIMTAB_CONTROLLER_PROMETHEUS_URL": "http://127.0.0.1:1",
    }
    return {**told, **(agent if process == "agent" else controller)}


@pytest.mark.parametrize("process", ["agent", "controller"])
def test_a_service_is_heard_from_its_readiness_to_its_end(process, manager, tmp_path, free_port, start_program):
    env = environment(process, tmp_path, free_port())
    child = start_program([sys.executable, "-m", process], env=env, name=process)
    hear(manager, "READY=1")
    hear(manager, "WATCHDOG=1")
    hear(manager, "WATCHDOG=1")
    child.send_signal(signal.SIGTERM)
    hear(manager, "STOPPING=1")
    assert child.wait(timeout=20) == 0


def test_a_frozen_agent_falls_silent_and_a_thawed_one_is_heard_again(manager, tmp_path, free_port, start_program):
    child = start_program(
        [sys.executable, "-m", "agent"], env=environment("agent", tmp_path, free_port()), name="agent"
    )
    hear(manager, "WATCHDOG=1")
    child.send_signal(signal.SIGSTOP)
    drain(manager, quiet_s=3 * WATCHDOG_S)  # comes back only because nothing is said any more
    child.send_signal(signal.SIGCONT)
    hear(manager, "WATCHDOG=1")


def test_children_cannot_speak_for_the_agent(manager, tmp_path, free_port, start_program, wait_until):
    """A replica must not inherit the socket: systemd would take its word for the agent's."""
    env = environment("agent", tmp_path, free_port())
    shows = tmp_path / "child.env"
    script = f"import os, time; open({str(shows)!r}, 'w').write(repr(sorted(os.environ))); time.sleep(60)"
    command = f'["{sys.executable}", "-c", "{script}"]'
    start_program(
        [sys.executable, "-m", "agent"],
        env={**env, "TRIMTAB_AGENT_REPLICAS": "1", "TRIMTAB_AGENT_SERVING_COMMAND": command},
        name="agent",
    )
    wait_until(lambda: shows.exists() and shows.read_text(), within_s=30, what="the child ran")
    assert "NOTIFY_SOCKET" not in shows.read_text()
    assert "WATCHDOG_USEC" not in shows.read_text()
