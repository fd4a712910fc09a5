"""The whole system as a user meets it: up, speak, break a replica, ask why, down."""

import io
import json
import threading
import time
import wave
from collections.abc import Callable
from pathlib import Path

import httpx
import psutil
import pytest

from tests.e2e.embedded import EAST, GPUS, REPOSITORY, WEST, Trimtab

pytestmark = [pytest.mark.e2e, pytest.mark.envoy, pytest.mark.redis, pytest.mark.prometheus, pytest.mark.alertmanager, pytest.mark.compiler, pytest.mark.timeout(240)]  # fmt: skip


class Speaking:
    """A client that never pauses for long; every answer that is not a whole WAV is a failure."""

    def __init__(self, gateway: str) -> None:
        self.gateway = gateway
        self.spoken = 0
        self.failures: list[str] = []
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._speak) for _ in range(2)]

    def __enter__(self) -> "Speaking":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(30)

    def _speak(self) -> None:
        with httpx.Client(timeout=20, trust_env=False) as client:
            while not self._stop.wait(0.1):
                try:
                    answer = client.post(f"{self.gateway}/tts", json={"text": "The keys are at the front desk."})
                except httpx.HTTPError as error:
                    self.failures.append(repr(error))
                    continue
                if answer.status_code == 200:
                    self.spoken += 1
                else:
                    self.failures.append(f"{answer.status_code} {answer.text[:100]}")


def replicas(trimtab: Trimtab) -> dict[str, dict[str, object]]:
    status = json.loads(trimtab("status", "--json").stdout)
    return {replica["replica"]: replica for host in status["fleet"]["hosts"] for replica in host["replicas"]}


def signals(trimtab: Trimtab) -> dict[str, int]:
    return dict(json.loads(trimtab("status", "--json").stdout)["status"]["trust"])


@pytest.mark.parametrize("gateway", [WEST, EAST])
def test_every_region_speaks(stack: Trimtab, gateway: str) -> None:
    answer = httpx.post(f"{gateway}/tts", json={"text": "Good morning from the gateway."}, timeout=20, trust_env=False)
    assert answer.status_code == 200
    with wave.open(io.BytesIO(answer.content)) as sound:
        assert sound.getnframes() / sound.getframerate() > 0.8


def test_what_is_not_speech_is_not_reachable_through_a_gateway(stack: Trimtab) -> None:
    assert httpx.post(f"{WEST}/v1/control/drain", json={"draining": True}, trust_env=False).status_code == 404


def test_a_second_up_is_refused_and_names_the_first(stack: Trimtab) -> None:
    second = stack.up()
    owner = json.loads((stack.home / "state.json").read_text())["supervisor_pid"]
    assert second.returncode == 1
    assert f"by process {owner}" in second.stderr


def test_busy_ports_are_refused_and_their_owner_is_named(stack: Trimtab, tmp_path: Path) -> None:
    other = Trimtab(tmp_path / "other", stack.voice_dir).up()
    assert other.returncode == 1
    assert "is used by process" in other.stdout + other.stderr


def test_a_frozen_replica_is_healed_before_anyone_notices(stack: Trimtab, wait_until: Callable[..., None]) -> None:
    before = replicas(stack)["eu-west-a-0"]["generation"]
    with Speaking(WEST) as client:
        wait_until(lambda: client.spoken > 2, within_s=20, what="the client is heard")
        frozen = stack("chaos", "freeze-replica", "eu-west-a-0")
        assert frozen.returncode == 0, frozen.stderr
        wait_until(
            lambda: replicas(stack)["eu-west-a-0"]["generation"] == before + 1, within_s=20, what="it was restarted"
        )
        heard = client.spoken
        wait_until(lambda: client.spoken > heard + 3, within_s=20, what="speech goes on")
    assert client.failures == []
    wait_until(lambda: "serves again" in stack("why", "eu-west-a-0").stdout, within_s=10, what="the story tells it")


def test_an_operator_can_restart_a_replica_and_gets_a_reason_when_not(
    stack: Trimtab, wait_until: Callable[..., None]
) -> None:
    wait_until(lambda: not {"dead", "late"} & signals(stack).keys(), within_s=30, what="the loop sees every region")
    done = stack("restart", "us-east-a-1")
    assert done.returncode == 0, done.stderr
    assert "restart us-east-a-1 after a drain" in done.stdout
    refused = stack("restart", "nobody-a-0")
    assert refused.returncode == 1
    assert "no replica nobody-a-0 is known" in refused.stdout


def test_a_killed_controller_is_back_within_seconds(stack: Trimtab, wait_until: Callable[..., None]) -> None:
    assert stack("chaos", "kill-controller").returncode == 0
    wait_until(lambda: stack("status").returncode == 0, within_s=15, what="the controller answers again")


def test_an_objective_can_be_applied_listed_and_deleted(stack: Trimtab, tmp_path: Path) -> None:
    shipped = REPOSITORY / "slo_rules" / "objectives" / "speech-latency.yaml"
    assert stack("slo", "apply", str(shipped)).returncode == 0
    assert "speech-latency" in stack("slo", "list").stdout
    assert stack("slo", "delete", "speech-latency").returncode == 0


def test_a_simulated_gpu_falls_off_the_bus_and_comes_back(stack: Trimtab, wait_until: Callable[..., None]) -> None:
    def idle_gpu() -> dict[str, object]:
        status = json.loads(stack("status", "--json").stdout)
        host = next(host for host in status["fleet"]["hosts"] if host["host"] == "us-east-a")
        return dict(host["gpus"][GPUS - 1]) if len(host["gpus"]) == GPUS else {"up": False}

    where = ("--host", "us-east-a", "--gpu", str(GPUS - 1))
    wait_until(lambda: idle_gpu()["up"], within_s=20, what="the agent sees its GPUs")
    assert idle_gpu()["simulated"]
    assert stack("chaos", "xid", "79", *where).returncode == 0
    wait_until(lambda: idle_gpu()["reason"] == "gpu_lost", within_s=20, what="the agent has lost it")
    assert idle_gpu()["recommended_action"] == "reboot_host"
    shown = next(line for line in stack("status").stdout.splitlines() if "gpu_lost" in line)
    assert "simulated" in shown
    assert stack("chaos", "gpu-heal", *where).returncode == 0
    wait_until(lambda: idle_gpu()["up"], within_s=20, what="it is back")


def test_the_loop_has_a_gpu_reset_that_needs_it(stack: Trimtab, wait_until: Callable[..., None]) -> None:
    def gpu() -> dict[str, object]:
        status = json.loads(stack("status", "--json").stdout)
        return dict(next(host for host in status["fleet"]["hosts"] if host["host"] == "eu-west-a")["gpus"][GPUS - 1])

    def resets() -> list[dict[str, object]]:
        return [action for action in json.loads(stack("actions", "--json").stdout) if action["kind"] == "reset_gpu"]

    wait_until(lambda: gpu()["recommended_action"] == "none", within_s=20, what="the agent sees an idle GPU")
    assert stack("chaos", "xid", "48", "--host", "eu-west-a", "--gpu", str(GPUS - 1)).returncode == 0
    wait_until(lambda: [each["stage"] for each in resets()] == ["verifying"], within_s=60, what="the reset was obeyed")
    wait_until(lambda: gpu()["up"] and gpu()["recommended_action"] == "none", within_s=20, what="the GPU is fit again")
    (reset,) = resets()
    story = stack("why", "--action", str(reset["id"])).stdout
    assert f"So: reset eu-west-a simulated GPU {GPUS - 1}." in story
    assert "its order is out" in story


def test_down_leaves_nothing_behind(voice_dir: Path, stack: Trimtab, wait_until: Callable[..., None]) -> None:
    state = json.loads((stack.home / "state.json").read_text())
    supervisor = psutil.Process(state["supervisor_pid"])
    family = [supervisor, *supervisor.children(recursive=True)]
    assert len(family) > 12, "gateways, agents, replicas, spares and servers"
    started_s = time.monotonic()
    assert stack("down").returncode == 0
    assert time.monotonic() - started_s < 40

    def all_gone() -> bool:
        return not any(process.is_running() and process.status() != psutil.STATUS_ZOMBIE for process in family)

    wait_until(all_gone, within_s=5, what="every process is gone")
    assert stack("status").returncode == 1
    assert "nothing runs" in stack("down").stdout
