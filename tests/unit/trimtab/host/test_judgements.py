"""Facts → findings, as tables: what each look at a host is worth, and that every fault comes with something to do."""

from dataclasses import replace

import pytest

from trimtab.host.facts import (
    CREDENTIAL,
    JOIN_TOKEN,
    ClockFacts,
    ControllerFacts,
    DriverFacts,
    EngineFacts,
    FilesFacts,
    GatewayFacts,
    GpuFacts,
    Identity,
    KernelFacts,
    NoAnswer,
    PortFacts,
    SettingsFacts,
    StateFacts,
    UnitFacts,
)
from trimtab.host.findings import Finding, Level, is_blocked
from trimtab.host.judge.host import (
    judge_clock,
    judge_driver,
    judge_engine,
    judge_gateways,
    judge_kernel,
    judge_unit,
)
from trimtab.host.judge.setup import (
    judge_controller,
    judge_files,
    judge_port,
    judge_scraping,
    judge_settings,
    judge_state,
)

OK, NOTE, WARNING, UNKNOWN, BLOCKS = Level.OK, Level.NOTE, Level.WARNING, Level.UNKNOWN, Level.BLOCKS
AGENT = Identity(exists=True, user="trimtab", user_id=999, group_ids=frozenset({999}))


def worst(findings: list[Finding]) -> Level:
    """The gravest, which is what a person looks at first; every fault must say what to do."""
    assert all(finding.fix for finding in findings if finding.level in {WARNING, BLOCKS})
    order = list(Level)
    return max((finding.level for finding in findings), key=order.index)


def told(findings: list[Finding]) -> str:
    return " | ".join(f"{finding.evidence} → {finding.fix}" for finding in findings)


# ── settings, port, state ─────────────────────────────────────────────────────────────────────────────────────────────
SETTINGS = SettingsFacts("/etc/trimtab/agent.env", mode=0o640, has_secret=True)


@pytest.mark.parametrize(
    ("facts", "level", "words"),
    [
        (SETTINGS, OK, "can be used"),
        (replace(SETTINGS, trouble="no such file"), BLOCKS, "trimtab agent install"),
        (replace(SETTINGS, faults={"": "a and b do not go together"}), BLOCKS, "→ correct /etc/trimtab/agent.env"),
        (replace(SETTINGS, faults={"TRIMTAB_AGENT_PORT": "too big"}), BLOCKS, "TRIMTAB_AGENT_PORT: too big"),
        (replace(SETTINGS, unknown={"TRIMTAB_AGENT_PRT": "TRIMTAB_AGENT_PORT"}), WARNING, "did you mean TRIMTAB_AGENT_PORT"),
        (replace(SETTINGS, unknown={"TRIMTAB_AGENT_X": ""}), WARNING, "remove it"),
        (replace(SETTINGS, mode=0o644), BLOCKS, "holds a token and has mode 0644"),
        (replace(SETTINGS, mode=0o644, has_secret=False), WARNING, "chmod 0640"),
    ],
)  # fmt: skip
def test_settings(facts, level, words):
    assert worst(judge_settings(facts)) is level
    assert words in told(judge_settings(facts))


@pytest.mark.parametrize(
    ("facts", "words"),
    [
        (FilesFacts(unreadable={"A_TOKEN_FILE": "/t"}), "trimtab cannot read /t (A_TOKEN_FILE)"),
        (FilesFacts(too_open={"A_TOKEN_FILE": "/t"}), "chmod o= /t"),
    ],
)
def test_files_that_settings_name(facts, words):
    assert worst(judge_files(facts, AGENT)) is BLOCKS
    assert words in told(judge_files(facts, AGENT))
    assert judge_files(FilesFacts(), AGENT) == []


PORT = PortFacts("10.0.0.5", 9300, bound_here=True, free=True)


@pytest.mark.parametrize(
    ("facts", "level", "words"),
    [
        (PORT, OK, "is free"),
        (replace(PORT, free=False, agent_answers=True), OK, "an agent listens"),
        (replace(PORT, free=False, owner="process 7 (nginx)"), BLOCKS, "used by process 7 (nginx)"),
        (replace(PORT, bound_here=False), BLOCKS, "no address of this host"),
    ],
)
def test_port(facts, level, words):
    assert worst(judge_port(facts)) is level
    assert words in told(judge_port(facts))


@pytest.mark.parametrize(
    ("address", "controller_is_local", "level"),
    [
        ("10.0.0.5", False, OK), ("127.0.0.1", True, OK), ("127.0.0.1", False, WARNING), ("::", True, BLOCKS),
        ("0.0.0.0", False, BLOCKS),  # noqa: S104  # judged, never bound
    ],
)  # fmt: skip
def test_prometheus_must_reach_the_address_it_is_told(address, controller_is_local, level):
    assert worst(judge_scraping(replace(PORT, address=address), controller_is_local)) is level


STATE = StateFacts("/var/lib/trimtab", exists=True, made_by_unit=True, writable=True, free_bytes=50 * 1024**3)


@pytest.mark.parametrize(
    ("facts", "level", "words"),
    [
        (STATE, OK, "50.0 GiB free"),
        (replace(STATE, exists=False), NOTE, "made when the service starts"),
        (replace(STATE, exists=False, made_by_unit=False), BLOCKS, "install -d -o trimtab"),
        (replace(STATE, writable=False, owner_id=0, mode=0o755), BLOCKS, "owner 0, mode 0755"),
        (replace(STATE, read_only=True, writable=False), BLOCKS, "read-only file system"),
        (replace(STATE, free_bytes=10 * 1024**2), BLOCKS, "no order can be journaled"),
        (replace(STATE, free_bytes=500 * 1024**2), WARNING, "0.5 GiB free"),
        (replace(STATE, free_files_ratio=0.01), WARNING, "1% of the file entries"),
    ],
)
def test_state_directory(facts, level, words):
    assert worst(judge_state(facts, AGENT)) is level
    assert words in told(judge_state(facts, AGENT))


# ── controller ────────────────────────────────────────────────────────────────────────────────────────────────────────
CONTROLLER = ControllerFacts(
    "https://c:8700", shown=CREDENTIAL, status=422, is_ours=True, version="1.0", own_version="1.0", clock_offset_s=0.4,
    certificate_days=80.0,
)  # fmt: skip


@pytest.mark.parametrize(
    ("facts", "level", "words"),
    [
        (CONTROLLER, OK, "takes its credential"),
        (replace(CONTROLLER, shown=JOIN_TOKEN), OK, "takes the join token"),
        (replace(CONTROLLER, shown=""), OK, "asks for no token"),
        (
            replace(CONTROLLER, shown=JOIN_TOKEN, status=403, refusal="the join token opens nothing but a credential"),
            OK,
            "gets a cred",
        ),
        (replace(CONTROLLER, shown=JOIN_TOKEN, status=401), BLOCKS, "does not take the join token (401)"),
        (
            replace(CONTROLLER, shown=JOIN_TOKEN, status=403, refusal="revoked", remedy="ask"),
            BLOCKS,
            "(403: revoked) → ask",
        ),
        (replace(CONTROLLER, status=401), WARNING, "joins again"),
        (
            replace(CONTROLLER, status=403, refusal="not yours", remedy="do not copy"),
            WARNING,
            "(403: not yours) → do not copy",
        ),
        (replace(CONTROLLER, status=401, shown=""), BLOCKS, "asks for a token, and none is set"),
        (replace(CONTROLLER, status=404, is_ours=False), BLOCKS, "not a controller"),
        (replace(CONTROLLER, status=200, is_ours=False), BLOCKS, "not a controller"),
        (replace(CONTROLLER, status=503), WARNING, "busy (503)"),
        (replace(CONTROLLER, status=500), UNKNOWN, "unexpected status 500"),
        (replace(CONTROLLER, version="1.1"), NOTE, "this host has version 1.0, the controller 1.1"),
        (replace(CONTROLLER, certificate_days=3.0), WARNING, "valid for 3 more days"),
        (replace(CONTROLLER, certificate_days=None, url="http://c"), WARNING, "travels unencrypted"),
        (replace(CONTROLLER, certificate_days=None, shown=""), OK, "asks for no token"),
        (replace(CONTROLLER, clock_offset_s=-1.4), OK, "the same time"),
        (replace(CONTROLLER, clock_offset_s=-4.0), WARNING, "4 s behind"),
        (replace(CONTROLLER, clock_offset_s=95.0), BLOCKS, "95 s ahead"),
        (replace(CONTROLLER, no_answer=NoAnswer.NAME, detail="x"), BLOCKS, "name service"),
        (replace(CONTROLLER, no_answer=NoAnswer.REFUSED, detail="x"), BLOCKS, "start the controller"),
        (replace(CONTROLLER, no_answer=NoAnswer.TIMEOUT, detail="x"), BLOCKS, "firewall"),
        (replace(CONTROLLER, no_answer=NoAnswer.TLS, detail="x"), BLOCKS, "authority"),
        (replace(CONTROLLER, no_answer=NoAnswer.OTHER, detail="x"), BLOCKS, "log"),
    ],
)
def test_controller(facts, level, words):
    assert worst(judge_controller(facts, is_local=False)) is level
    assert words in told(judge_controller(facts, is_local=False))


def test_a_token_on_loopback_needs_no_tls():
    assert worst(judge_controller(replace(CONTROLLER, certificate_days=None), is_local=True)) is OK


# ── driver ────────────────────────────────────────────────────────────────────────────────────────────────────────────
GPU = GpuFacts(0, "GPU-a", "H100", persistence=True, trouble="")
DRIVER = DriverFacts(
    devices_on_bus=1, module_version="570.1", device_files=("/dev/nvidia0",), unreadable=(), library="/usr/lib/x",
    answered=True, up=True, version="570.1", cuda="12.8", gpus=(GPU,),
)  # fmt: skip
ABSENT = DriverFacts(0, "", (), (), "", answered=True, trouble="library_not_found")


@pytest.mark.parametrize(
    ("facts", "level", "words"),
    [
        (DRIVER, OK, "NVIDIA driver 570.1, CUDA 12.8, 1 GPUs"),
        (replace(DRIVER, version="535.2"), NOTE, "from 570 on"),
        (replace(DRIVER, version="570.1-simulated"), NOTE, "SIMULATED GPUs (1, version 570.1-simulated)"),
        (replace(DRIVER, answered=False, trouble="hangs"), BLOCKS, "reboot this host"),
        (replace(DRIVER, unreadable=("/dev/nvidia0",)), BLOCKS, "may not open /dev/nvidia0"),
        (replace(DRIVER, devices_on_bus=2), WARNING, "2 NVIDIA GPUs are on the PCI bus and the driver has 1"),
        (replace(DRIVER, gpus=(replace(GPU, trouble="gpu_lost"),)), WARNING, "GPU 0 (GPU-a): gpu_lost"),
        (replace(DRIVER, gpus=(replace(GPU, persistence=False),)), WARNING, "persistence mode is off on GPU 0"),
        (replace(DRIVER, gpus=(replace(GPU, persistence=None),)), OK, "1 GPUs"),
        (ABSENT, NOTE, "no NVIDIA GPU on this host"),
        (replace(ABSENT, devices_on_bus=4), BLOCKS, "4 NVIDIA GPUs are on the PCI bus, but no driver is loaded"),
        (replace(ABSENT, devices_on_bus=4, module_version="570.1"), BLOCKS, "libnvidia-ml.so.1 is not installed"),
        (
            replace(ABSENT, module_version="570.1", library="/l", trouble="driver_library_mismatch"),
            BLOCKS,
            "different versions → reboot",
        ),
        (replace(ABSENT, module_version="570.1", library="/l", trouble="no_permission"), BLOCKS, "no_permission"),
    ],
)
def test_driver(facts, level, words):
    assert worst(judge_driver(facts, gpus_required=False)) is level
    assert words in told(judge_driver(facts, gpus_required=False))


def test_a_host_without_gpus_is_a_fault_where_one_is_required():
    assert is_blocked(judge_driver(ABSENT, gpus_required=True))


# ── engine ────────────────────────────────────────────────────────────────────────────────────────────────────────────
ENGINE = EngineFacts(
    wanted=True, socket="/var/run/docker.sock", exists=True, agent_may_use=True, answered=True, version="27.1",
    runtimes=("nvidia", "runc"),
)  # fmt: skip


@pytest.mark.parametrize(
    ("facts", "has_gpus", "level", "words"),
    [
        (ENGINE, True, OK, "through the nvidia runtime"),
        (replace(ENGINE, runtimes=("runc",)), True, BLOCKS, "nvidia-container-toolkit"),
        (replace(ENGINE, runtimes=("runc",), cdi_specs=("/etc/cdi/nvidia.yaml",)), True, OK, "through CDI"),
        (replace(ENGINE, runtimes=("runc",)), False, OK, "engine 27.1 answers"),
        (replace(ENGINE, swarm="active"), False, OK, "swarm active"),
        (replace(ENGINE, exists=False), False, BLOCKS, "no socket"),
        (replace(ENGINE, agent_may_use=False), False, BLOCKS, "trimtab may not use /var/run/docker.sock"),
        (replace(ENGINE, answered=False, trouble="timed out"), False, BLOCKS, "gives no answer: timed out"),
        (replace(ENGINE, wanted=False), True, NOTE, "runtime is another"),
        (EngineFacts(False, "/s", exists=False), True, NOTE, "no Docker engine answers"),
    ],
)
def test_engine(facts, has_gpus, level, words):
    findings = judge_engine(facts, AGENT, has_gpus=has_gpus)
    assert worst(findings) is level
    assert words in told(findings)


# ── kernel, clock, unit, gateways ─────────────────────────────────────────────────────────────────────────────────────
KERNEL = KernelFacts(
    cgroup_v2=True, pressure=True, kernel_log=True, pid_max=4_194_304, files_max=65_536, overcommit=0, max_map_count=65_530
)  # fmt: skip


@pytest.mark.parametrize(
    ("facts", "level", "words"),
    [
        (KERNEL, OK, "65536 files"),
        (replace(KERNEL, cgroup_v2=False), WARNING, "version 1"),
        (replace(KERNEL, pressure=False), WARNING, "psi=1"),
        (replace(KERNEL, kernel_log=False), NOTE, "/dev/kmsg"),
        (replace(KERNEL, pid_max=4096), WARNING, "kernel.pid_max=32768"),
        (replace(KERNEL, files_max=1024), WARNING, "at most 1024 open files"),
        (replace(KERNEL, overcommit=2), WARNING, "vm.overcommit_memory is 2"),
        (replace(KERNEL, max_map_count=100), WARNING, "vm.max_map_count is 100"),
    ],
)
def test_kernel(facts, level, words):
    assert worst(judge_kernel(facts)) is level
    assert words in told(judge_kernel(facts))


@pytest.mark.parametrize(
    ("facts", "level"),
    [
        (ClockFacts(True, 0.02), OK), (ClockFacts(True, 4.0), WARNING), (ClockFacts(False, 16.0), WARNING), (ClockFacts(None), UNKNOWN),
    ],
)  # fmt: skip
def test_clock(facts, level):
    assert worst(judge_clock(facts)) is level


UNIT = UnitFacts(systemd=True, installed=True, active="active", sub="running", result="success", enabled="enabled")


@pytest.mark.parametrize(
    ("facts", "level", "words"),
    [
        (UNIT, OK, "active (running)"),
        (replace(UNIT, restarts=3), NOTE, "3 restarts"),
        (replace(UNIT, systemd=False), NOTE, "systemd does not run"),
        (replace(UNIT, installed=False), BLOCKS, "trimtab agent install"),
        (replace(UNIT, current=False), WARNING, "of another version"),
        (replace(UNIT, needs_reload=True), WARNING, "daemon-reload"),
        (replace(UNIT, enabled="disabled"), WARNING, "not started at boot"),
        (replace(UNIT, active="failed", sub="failed", result="watchdog"), BLOCKS, "watchdog"),
        (replace(UNIT, active="failed", sub="failed", result="start-limit-hit"), BLOCKS, "reset-failed"),
        (replace(UNIT, active="inactive", sub="dead"), BLOCKS, "enable --now"),
    ],
)
def test_unit(facts, level, words):
    assert worst(judge_unit(facts)) is level
    assert words in told(judge_unit(facts))


def test_another_regions_gateway_is_never_this_hosts_fault():
    away = GatewayFacts("us-east", "gw:443", connected=False, trouble="refused")
    findings = judge_gateways([away, GatewayFacts("ap", "gw2:443", connected=True, seconds=0.08)])
    assert worst(findings) is WARNING
    assert "connects in 80 ms" in told(findings)
