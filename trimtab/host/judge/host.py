"""The host itself: driver and GPUs, engine, kernel, clock, unit and the way to other regions."""

from collections.abc import Sequence

from trimtab.host.facts import (
    ClockFacts,
    DriverFacts,
    EngineFacts,
    GatewayFacts,
    GpuFacts,
    Identity,
    KernelFacts,
    UnitFacts,
)
from trimtab.host.findings import Finding, Level, blocks, note, ok, unknown, warning
from trimtab.host.units import AGENT_UNIT

SIMULATED = "simulated"
"""Part of every version and model name of the GPU simulator, and of no real driver's."""
DRIVER_MAJOR_RECOVERY = 570
"""The first whose driver itself says what a GPU needs to recover (NVML field 230)."""
PID_MAX_LOW = 32_768
FILES_MAX_LOW = 4_096
"""Replicas, probes and scrapes together use hundreds; below this, a busy host runs out."""
MAP_COUNT_LOW = 65_530
"""The kernel's default; CUDA maps many regions."""
OVERCOMMIT_NEVER = 2
CLOCK_ERROR_S_MAX = 1.0


# ── driver and GPUs ───────────────────────────────────────────────────────────────────────────────────────────────────
def judge_driver(facts: DriverFacts, *, gpus_required: bool) -> list[Finding]:
    """From the bus up to the library: the first layer that is missing is the one to mend."""
    if not facts.answered:
        evidence = f"a call into the driver does not return ({facts.trouble})"
        return [
            blocks(
                "driver", evidence, "reboot this host: a call into a wedged driver never returns, not even by kill -9"
            )
        ]
    if not facts.up:
        return [_judge_absence(facts, gpus_required=gpus_required)]
    found = [_judge_version(facts)] if SIMULATED not in facts.version else [_simulated(facts)]
    if facts.unreadable:
        fix = "chmod 0666, or add the owning group to SupplementaryGroups= of the unit"
        found.append(blocks("driver", f"the agent may not open {', '.join(facts.unreadable)}", fix))
    found += [finding for gpu in facts.gpus if (finding := _judge_gpu(gpu))]
    if SIMULATED not in facts.version and facts.devices_on_bus > len(facts.gpus):
        missing = f"{facts.devices_on_bus} NVIDIA GPUs are on the PCI bus and the driver has {len(facts.gpus)}"
        found.append(warning("gpus", missing, "read the kernel log for NVRM lines: dmesg | grep NVRM"))
    return [*found, *_judge_persistence(facts.gpus)]


def _judge_absence(facts: DriverFacts, *, gpus_required: bool) -> Finding:
    if facts.devices_on_bus and not facts.module_version:
        evidence = f"{facts.devices_on_bus} NVIDIA GPUs are on the PCI bus, but no driver is loaded ({facts.trouble})"
        return blocks("driver", evidence, "install NVIDIA's driver, or load it: modprobe nvidia; dmesg | grep NVRM")
    if facts.module_version and facts.trouble == "driver_library_mismatch":
        evidence = f"kernel module {facts.module_version} and library {facts.library} are of different versions"
        return blocks("driver", evidence, "reboot this host: the driver was upgraded under the loaded module")
    if facts.module_version and not facts.library:
        evidence = f"kernel module {facts.module_version} is loaded, but libnvidia-ml.so.1 is not installed"
        return blocks("driver", evidence, "install the driver's library of the same version (Debian: libnvidia-ml1)")
    if facts.module_version:
        evidence = f"kernel module {facts.module_version} is loaded, but NVML says: {facts.trouble}"
        return blocks("driver", evidence, "read the kernel log: dmesg | grep NVRM; then reload the driver or reboot")
    evidence = f"no NVIDIA GPU on this host: none on the PCI bus, no kernel module, no device files ({facts.trouble})"
    if gpus_required:
        return blocks("driver", evidence, "run this on a GPU host")
    return note("driver", f"{evidence}; the agent watches CPU, memory and pressure instead")


def _judge_version(facts: DriverFacts) -> Finding:
    evidence = f"NVIDIA driver {facts.version}, CUDA {facts.cuda}, {len(facts.gpus)} GPUs"
    major = facts.version.partition(".")[0]
    if major.isdecimal() and int(major) < DRIVER_MAJOR_RECOVERY:
        return note("driver", f"{evidence}; from {DRIVER_MAJOR_RECOVERY} on the driver itself says how a GPU recovers")
    return ok("driver", evidence)


def _simulated(facts: DriverFacts) -> Finding:
    return note("driver", f"SIMULATED GPUs ({len(facts.gpus)}, version {facts.version}): no real device is read here")


def _judge_gpu(gpu: GpuFacts) -> Finding | None:
    if not gpu.trouble:
        return None
    evidence = f"GPU {gpu.index} ({gpu.uuid or 'no UUID'}): {gpu.trouble}"
    return warning("gpus", evidence, "docs/runbooks/GpuUnfit.md; the others are not affected")


def _judge_persistence(gpus: Sequence[GpuFacts]) -> list[Finding]:
    off = [str(gpu.index) for gpu in gpus if gpu.persistence is False]
    if not off:
        return []
    fix = "systemctl enable --now nvidia-persistenced"
    return [warning("gpus", f"persistence mode is off on GPU {', '.join(off)}: an idle one takes seconds to wake", fix)]


# ── engine ────────────────────────────────────────────────────────────────────────────────────────────────────────────
def judge_engine(facts: EngineFacts, identity: Identity, *, has_gpus: bool) -> list[Finding]:
    """Judged in full only where the agent is to use it."""
    if not facts.wanted:
        seen = f"Docker {facts.version} is there" if facts.answered else "no Docker engine answers"
        return [note("docker", f"{seen}; the agent's runtime is another")]
    if not facts.exists:
        fix = "install Docker, or set TRIMTAB_AGENT_RUNTIME=process"
        return [blocks("docker", f"there is no socket {facts.socket}", fix)]
    if not facts.agent_may_use:
        fix = "trimtab agent install (adds SupplementaryGroups=docker); systemctl restart trimtab-agent"
        return [blocks("docker", f"{identity.user} may not use {facts.socket}", fix)]
    if not facts.answered:
        fix = "systemctl status docker; its replicas run on, but nobody can heal them"
        return [blocks("docker", f"{facts.socket} gives no answer: {facts.trouble}", fix)]
    swarm = f", swarm {facts.swarm}" if facts.swarm else ""
    found = [ok("docker", f"engine {facts.version}{swarm} answers on {facts.socket}")]
    if has_gpus and "nvidia" not in facts.runtimes and not facts.cdi_specs:
        fix = (
            "install nvidia-container-toolkit; nvidia-ctk runtime configure --runtime=docker; systemctl restart docker"
        )
        found.append(blocks("docker", "containers get no GPU: neither an nvidia runtime nor a CDI specification", fix))
    elif has_gpus:
        by = "the nvidia runtime" if "nvidia" in facts.runtimes else f"CDI ({', '.join(facts.cdi_specs)})"
        found.append(ok("docker", f"containers get GPUs through {by}"))
    return found


# ── kernel, clock, unit ───────────────────────────────────────────────────────────────────────────────────────────────
def judge_kernel(facts: KernelFacts) -> list[Finding]:
    """What the agent reads, and limits that it or its replicas run into."""
    found = []
    if not facts.cgroup_v2:
        fix = "boot with systemd.unified_cgroup_hierarchy=1"
        found.append(
            warning("kernel", "control groups are version 1: memory and pressure of replicas are less exact", fix)
        )
    if not facts.pressure:
        fix = "boot with psi=1 (the kernel needs CONFIG_PSI)"
        found.append(warning("kernel", "no pressure figures (/proc/pressure): a starved host is seen late", fix))
    if not facts.kernel_log:
        found.append(note("kernel", "no /dev/kmsg: Xids from before the agent started are not seen"))
    if facts.pid_max < PID_MAX_LOW:
        found.append(warning("kernel", f"kernel.pid_max is {facts.pid_max}", f"sysctl kernel.pid_max={PID_MAX_LOW}"))
    if facts.files_max < FILES_MAX_LOW:
        found.append(warning("kernel", f"at most {facts.files_max} open files", "LimitNOFILE=65536 in the unit"))
    if facts.overcommit == OVERCOMMIT_NEVER:
        fix = "sysctl vm.overcommit_memory=0"
        found.append(
            warning("kernel", "vm.overcommit_memory is 2: CUDA reserves far more than it uses, and is refused", fix)
        )
    if facts.max_map_count < MAP_COUNT_LOW:
        fix = f"sysctl vm.max_map_count={MAP_COUNT_LOW}"
        found.append(warning("kernel", f"vm.max_map_count is {facts.max_map_count}", fix))
    return found or [ok("kernel", f"cgroup v2, pressure figures, {facts.files_max} files")]


def judge_clock(facts: ClockFacts) -> list[Finding]:
    """Whether the kernel's clock is disciplined."""
    if facts.synchronised is None:
        return [unknown("clock", "the kernel was not asked whether its clock is synchronised")]
    if not facts.synchronised:
        fix = "run chrony or systemd-timesyncd: timedatectl set-ntp true"
        return [warning("clock", "no time service keeps this host's clock", fix)]
    error = "" if facts.error_s is None else f", within {facts.error_s * 1000:.0f} ms"
    if facts.error_s is not None and facts.error_s > CLOCK_ERROR_S_MAX:
        return [warning("clock", f"synchronised, but only{error[1:]}", "look at the time service's sources")]
    return [ok("clock", f"synchronised{error}")]


def judge_unit(facts: UnitFacts) -> list[Finding]:
    """The service, as systemd sees it."""
    if not facts.systemd:
        return [note("unit", "systemd does not run this machine: a container, or another init keeps the agent alive")]
    if not facts.installed:
        return [blocks("unit", f"{AGENT_UNIT} is not installed", "trimtab agent install")]
    found = []
    if not facts.current:
        found.append(warning("unit", f"{AGENT_UNIT} is of another version", "trimtab agent install"))
    if facts.needs_reload:
        found.append(warning("unit", "the unit's files changed after systemd read them", "systemctl daemon-reload"))
    if facts.enabled not in {"enabled", "enabled-runtime", "static", "generated"}:
        found.append(warning("unit", f"not started at boot ({facts.enabled})", f"systemctl enable {AGENT_UNIT}"))
    return [*found, _judge_activity(facts)]


def _judge_activity(facts: UnitFacts) -> Finding:
    state = f"{facts.active} ({facts.sub}), {facts.restarts} restarts since it was started by hand"
    if facts.active == "active":
        level = Level.NOTE if facts.restarts else Level.OK
        return Finding("unit", level, state)
    if facts.result == "start-limit-hit":
        fix = f"journalctl -u {AGENT_UNIT} -n 50; then systemctl reset-failed {AGENT_UNIT}"
        return blocks("unit", f"{state}: too many starts in five minutes, systemd tries no more", fix)
    if facts.active == "failed":
        return blocks("unit", f"{state}: {facts.result}", f"journalctl -u {AGENT_UNIT} -n 50")
    return blocks("unit", state, f"systemctl enable --now {AGENT_UNIT}")


# ── other regions ─────────────────────────────────────────────────────────────────────────────────────────────────────
def judge_gateways(facts: Sequence[GatewayFacts]) -> list[Finding]:
    """Reached or not; a region that is away is no fault of this host."""
    return [
        ok("gateways", f"{gateway.region} at {gateway.address} connects in {gateway.seconds * 1000:.0f} ms")
        if gateway.connected
        else warning(
            "gateways",
            f"{gateway.region} at {gateway.address}: {gateway.trouble}",
            "look at that region's gateway, or at the way there",
        )
        for gateway in facts
    ]
