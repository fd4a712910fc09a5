"""`trimtab agent check|doctor` as people run them: against a real controller, on this machine, and with simulated GPUs."""

import json
import os
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from agent.simulated_gpus.directory import create_directory, reader_environment
from agent.simulated_gpus.faults import inject, parse_fault

REPOSITORY = Path(__file__).resolve().parents[3]
NEEDS_COMPILER = pytest.mark.compiler
NO_GPU_HERE = pytest.mark.skipif(Path("/dev/nvidiactl").exists(), reason="this machine has an NVIDIA driver")
TOKENS = {
    "TRIMTAB_CONTROLLER_AGENT_TOKEN": "agent-secret",
    "TRIMTAB_CONTROLLER_OPERATOR_TOKEN": "operator-secret",
    "TRIMTAB_CONTROLLER_VIEWER_TOKEN": "viewer-secret",
}


def trimtab(*arguments: str) -> tuple[int, dict[str, list[dict[str, str]]]]:
    """Exit code and findings by subject."""
    ran = subprocess.run(
        [sys.executable, "-m", "trimtab", "agent", *arguments, "--json"],
        cwd=REPOSITORY, env={"PATH": os.environ["PATH"]}, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert ran.stdout, ran.stderr
    found: dict[str, list[dict[str, str]]] = {}
    for finding in json.loads(ran.stdout)["findings"]:
        found.setdefault(finding["subject"], []).append(finding)
    return ran.returncode, found


@pytest.fixture
def env_file(tmp_path, free_port):
    """Writes agent.env for a host beside a controller at `url`."""

    def write(url: str, **others: str) -> str:
        variables = {
            "TRIMTAB_AGENT_HOST_ID": "gpu-1",
            "TRIMTAB_AGENT_REGION": "eu-west",
            "TRIMTAB_AGENT_CONTROLLER_URL": url,
            "TRIMTAB_AGENT_STATE_DIR": str(tmp_path),
            "TRIMTAB_AGENT_PORT": str(free_port()),
            **others,
        }
        file = tmp_path / "agent.env"
        file.write_text("".join(f"{name}={value}\n" for name, value in variables.items()))
        file.chmod(0o600)
        return str(file)

    return write


@pytest.fixture
def controller(start_program, free_port, wait_until, answers, tmp_path):
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    env = {
        **TOKENS,
        "TRIMTAB_CONTROLLER_PORT": str(port),
        "TRIMTAB_CONTROLLER_DATABASE_URL": f"sqlite:///{tmp_path}/journal.db",
        "TRIMTAB_CONTROLLER_PROMETHEUS_URL": f"http://127.0.0.1:{free_port()}",
    }
    start_program([sys.executable, "-m", "controller"], env=env, name="controller")
    wait_until(lambda: answers(f"{url}/livez"), within_s=30, what="the controller answers")
    return url


def test_check_is_content_with_a_controller_that_takes_the_token_and_tells_it_nothing(controller, env_file):
    code, found = trimtab("check", "--env-file", env_file(controller, TRIMTAB_AGENT_TOKEN="agent-secret"))
    assert code == 0, found
    assert "takes the join token" in found["controller"][0]["evidence"]
    assert found["clock"][0]["level"] == "ok"
    assert found["versions"][0]["level"] == "ok"
    fleet = httpx.get(f"{controller}/api/v1/fleet", headers={"Authorization": "Bearer viewer-secret"}, timeout=5).json()
    assert fleet["hosts"] == []


@pytest.mark.parametrize(
    ("others", "told"),
    [
        ({"TRIMTAB_AGENT_TOKEN": "guessed"}, "does not take the join token (401"),
        ({"TRIMTAB_AGENT_TOKEN": "viewer-secret"}, "does not take the join token (403"),
        ({}, "asks for a token, and none is set"),
    ],
)
def test_check_finds_a_token_that_will_not_do(controller, env_file, others, told):
    code, found = trimtab("check", "--env-file", env_file(controller, **others))
    assert code == 1
    assert told in found["controller"][0]["evidence"]


def test_check_tells_unusable_settings_by_its_exit_code(env_file, tmp_path):
    code, found = trimtab("check", "--env-file", env_file("http://127.0.0.1:1", TRIMTAB_AGENT_SLOTS="many"))
    assert code == 2
    assert found["settings"][0]["evidence"].startswith("TRIMTAB_AGENT_SLOTS: ")
    assert trimtab("check", "--env-file", str(tmp_path / "none.env"))[0] == 2


@NO_GPU_HERE
def test_doctor_says_clearly_that_there_is_no_gpu_and_whether_that_matters(controller, env_file):
    file = env_file(controller, TRIMTAB_AGENT_TOKEN="agent-secret")
    code, found = trimtab("doctor", "--env-file", file)
    assert "no NVIDIA GPU on this host" in found["driver"][0]["evidence"]
    assert found["driver"][0]["level"] == "note"
    assert (code == 1) == any(finding["level"] == "blocks" for each in found.values() for finding in each)
    assert {"kernel", "clock", "unit", "docker", "disk", "port", "controller"} <= set(found)
    code, found = trimtab("doctor", "--env-file", file, "--require-gpu")
    assert code == 1
    assert found["driver"][0]["level"] == "blocks"


@NEEDS_COMPILER
@NO_GPU_HERE
def test_doctor_labels_simulated_gpus_and_names_the_one_that_hangs(env_file, tmp_path):
    host = create_directory(tmp_path / "gpus", 3)
    seen = reader_environment(tmp_path / "gpus", {})
    file = env_file("http://127.0.0.1:1", **seen)
    _, found = trimtab("doctor", "--env-file", file)
    assert found["driver"][0]["evidence"].startswith("SIMULATED GPUs (3, ")
    assert "gpus" not in found
    inject(host, 1, parse_fault(["hang"]))
    _, found = trimtab("doctor", "--env-file", file)
    assert found["driver"][0]["evidence"].startswith("SIMULATED GPUs (3, ")
    (hung,) = found["gpus"]
    assert hung["evidence"].startswith("GPU 1 (")
    assert hung["evidence"].endswith(": hangs")


@NEEDS_COMPILER
@NO_GPU_HERE
def test_doctor_comes_back_from_a_driver_that_never_answers(env_file, tmp_path):
    host = create_directory(tmp_path / "gpus", 1)
    file = env_file("http://127.0.0.1:1", **reader_environment(tmp_path / "gpus", {}))
    inject(host, 0, parse_fault(["init-hang"]))
    code, found = trimtab("doctor", "--env-file", file)
    assert code == 1
    assert found["driver"][0]["level"] == "blocks"
    assert "does not return" in found["driver"][0]["evidence"]
    assert "port" in found
