"""What an operator copies from deploy/: judged by the programs that will read it, and held against the code it names."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from agent.settings import AgentSettings, RuntimeKind
from contracts import metric_names
from serving.settings import ServingSettings
from trimtab.host import units
from trimtab.host.artefacts import golden_files

DEPLOY = Path(__file__).resolve().parents[3] / "deploy"
HOST = {
    "HOST_ID": "gpu-01",
    "REGION": "eu-west",
    "CONTROLLER_URL": "https://controller.example:8700",
    "HOST_ADDRESS": "10.0.0.5",
    "DOCKER_GID": "998",
}


def analyze(*arguments: str | Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    argv = ["systemd-analyze", *map(str, arguments)]
    return subprocess.run(argv, cwd=cwd, capture_output=True, text=True, timeout=60, check=False)


@pytest.fixture(params=[RuntimeKind.DOCKER, RuntimeKind.PROCESS])
def agent_unit(request, tmp_path) -> Path:
    """The unit with the drop-in of one runtime, over an interpreter that exists here."""
    choices = units.HostChoices(request.param, units.groups_of(request.param), stop_grace_s=5.0)
    (tmp_path / units.AGENT_UNIT).write_text(units.agent_unit(sys.executable))
    drop_ins = tmp_path / f"{units.AGENT_UNIT}.d"
    drop_ins.mkdir()
    (drop_ins / "10-runtime.conf").write_text(units.runtime_drop_in(choices))
    return tmp_path / units.AGENT_UNIT


@pytest.fixture
def controller_unit(tmp_path) -> Path:
    unit = tmp_path / units.CONTROLLER_UNIT
    unit.write_text(units.controller_unit(sys.executable))
    return unit


# ── systemd ───────────────────────────────────────────────────────────────────────────────────────────────────────────
@pytest.mark.systemd
def test_systemd_accepts_the_agents_unit(agent_unit):
    verified = analyze("verify", f"./{agent_unit.name}", cwd=agent_unit.parent)
    assert (verified.returncode, verified.stderr) == (0, "")


@pytest.mark.systemd
def test_systemd_accepts_the_controllers_unit(controller_unit):
    verified = analyze("verify", f"./{controller_unit.name}", cwd=controller_unit.parent)
    assert (verified.returncode, verified.stderr) == (0, "")


@pytest.mark.systemd
def test_systemd_accepts_the_reset_unit(tmp_path):
    (tmp_path / units.RESET_UNIT).write_text(units.reset_unit().replace("/usr/bin/nvidia-smi", "/bin/true"))
    instance = tmp_path / units.RESET_UNIT.replace("@", "@GPU-1")
    instance.symlink_to(units.RESET_UNIT)
    verified = analyze("verify", f"./{instance.name}", cwd=tmp_path)
    assert (verified.returncode, verified.stderr) == (0, "")


@pytest.mark.systemd
def test_a_line_that_systemd_does_not_know_is_found(tmp_path):
    unit = tmp_path / units.AGENT_UNIT
    unit.write_text(units.agent_unit(sys.executable).replace("KillMode=mixed", "KillMood=mixed"))
    assert "KillMood" in analyze("verify", f"./{unit.name}", cwd=tmp_path).stderr


def exposure(unit: Path) -> float:
    """Of 10; what is left is network, devices and other processes, which the work is about."""
    judged = analyze("security", "--offline=true", "--no-pager", f"./{unit.name}", cwd=unit.parent)
    return float(re.findall(r"Overall exposure level for \S+: ([0-9.]+)", judged.stdout)[0])


@pytest.mark.systemd
def test_the_agents_unit_stays_as_closed_as_it_is(agent_unit):
    assert exposure(agent_unit) <= 2.5


@pytest.mark.systemd
def test_the_controllers_unit_stays_as_closed_as_it_is(controller_unit):
    assert exposure(controller_unit) <= 1.6


def test_nothing_in_the_agents_unit_hides_devices_that_appear_later():
    """`ProtectClock=` and every `DeviceAllow=` make a device list, and a GPU that is not on it does not exist."""
    text = units.agent_unit() + "".join(golden_files()[name] for name in golden_files() if "runtime-" in name)
    settings = {line.partition("=")[0] for line in text.splitlines() if "=" in line and not line.startswith("#")}
    assert not settings & {
        "ProtectClock",
        "DeviceAllow",
        "DevicePolicy",
        "PrivateDevices",
        "ProtectProc",
        "ProtectKernelLogs",
    }


def test_a_kernel_that_denies_writable_code_still_runs_the_agent():
    """What the Docker drop-in asks for, imposed by the kernel itself (PR_SET_MDWE, Linux 6.3)."""
    script = (
        "import ctypes, runpy, sys\n"
        "libc = ctypes.CDLL(None)\n"
        "if libc.prctl(65, 1, 0, 0, 0): sys.exit(77)\n"
        "sys.argv = ['agent', '--help']\n"
        "import agent.app, pynvml, docker, psutil\n"
        "runpy.run_module('agent', run_name='__main__')\n"
    )
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False)
    if ran.returncode == 77:
        pytest.skip("needs Linux 6.3 or newer")
    assert ran.returncode == 0, ran.stderr
    assert "TRIMTAB_AGENT_HOST_ID" in ran.stdout


# ── Prometheus ────────────────────────────────────────────────────────────────────────────────────────────────────────
@pytest.mark.prometheus
def test_promtool_accepts_the_example(tmp_path):
    text = (DEPLOY / "prometheus/prometheus.yml").read_text()
    (tmp_path / "viewer.token").write_text("t")
    config = tmp_path / "prometheus.yml"
    config.write_text(text.replace("/etc/prometheus/trimtab-viewer.token", str(tmp_path / "viewer.token")))
    checked = subprocess.run(
        ["promtool", "check", "config", config], capture_output=True, text=True, timeout=30, check=False
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_scrape_jobs_have_the_names_that_rules_and_dashboards_expect():
    config = yaml.safe_load((DEPLOY / "prometheus/prometheus.yml").read_text())
    jobs = {job["job_name"]: job for job in config["scrape_configs"]}
    assert set(jobs) == {value for name, value in vars(metric_names).items() if name.startswith("JOB_")}
    for job, what in ((metric_names.JOB_REPLICAS, "replicas"), (metric_names.JOB_AGENTS, "agents")):
        (discovery,) = jobs[job]["http_sd_configs"]
        assert discovery["url"].endswith(f"/api/v1/discovery/{what}")
        assert discovery["authorization"]["credentials_file"]


# ── compose ───────────────────────────────────────────────────────────────────────────────────────────────────────────
def composed() -> dict[str, dict]:
    text = re.sub(
        r"\$\{(\w+)(?::\?[^}]*)?\}", lambda found: HOST[found[1]], (DEPLOY / "compose/compose.yaml").read_text()
    )
    return yaml.safe_load(text)["services"]


def test_the_composed_agent_reads_its_settings_and_finds_its_replicas():
    services = composed()
    image = {"TRIMTAB_AGENT_STATE_DIR": "/var/lib/trimtab"}
    variables = services["agent"]["environment"]
    known = {AgentSettings.variable(name) for name in AgentSettings.model_fields}
    assert set(variables) <= known
    settings = AgentSettings.read_from({**image, **variables})
    replicas = [service for name, service in services.items() if name != "agent"]
    assert [service["labels"][settings.docker_label] for service in replicas] == list(settings.replica_ids)
    for slot, service in enumerate(replicas):
        told = ServingSettings.read_from(service["environment"])
        assert told.replica == settings.replica_ids[slot]
        assert (told.address, told.port) == (str(settings.replica_address), settings.replica_port_base + slot)
        assert (told.region, told.host_id) == (settings.region, settings.host_id)


def test_nobody_else_restarts_what_the_agent_heals_and_no_health_check_runs():
    for name, service in composed().items():
        assert service["restart"] == ("unless-stopped" if name == "agent" else "no")
        assert "healthcheck" not in service
        assert service["cap_drop"] == ["ALL"]


@pytest.mark.compose
def test_compose_itself_accepts_the_file():
    checked = subprocess.run(
        ["docker-compose", "--file", DEPLOY / "compose/compose.yaml", "config", "--quiet"],
        env={**os.environ, **HOST}, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert checked.returncode == 0, checked.stderr


# ── images and locks ──────────────────────────────────────────────────────────────────────────────────────────────────
def pins(path: Path) -> dict[str, str]:
    return dict(re.findall(r"^([a-z0-9][a-z0-9._-]*)==(\S+)", path.read_text(), re.MULTILINE))


@pytest.mark.parametrize("process", ["agent", "controller", "serving"])
def test_what_an_image_installs_is_pinned_as_everywhere(process):
    everything = pins(DEPLOY.parent / "requirements.lock")
    of_process = pins(DEPLOY / f"locks/{process}.txt")
    assert len(of_process) > 10
    assert {name: everything.get(name) for name in of_process} == of_process, "run `make lock`"


@pytest.mark.parametrize("process", ["agent", "controller", "serving"])
def test_images_run_unprivileged_under_an_init_and_without_health_checks(process):
    lines = (DEPLOY / f"images/{process}.Dockerfile").read_text().splitlines()
    words = [line.split() for line in lines if line and not line.startswith((" ", "#"))]
    assert ["USER", next(word[1] for word in words if word[0] == "USER")] in words
    assert not next(word[1] for word in words if word[0] == "USER").startswith("0")
    assert any(word[0] == "ENTRYPOINT" and "/usr/bin/tini" in word[1] for word in words)
    assert not any(word[0] == "HEALTHCHECK" for word in words)
