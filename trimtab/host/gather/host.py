"""Facts about the host itself: bus and driver, engine, kernel, clock, unit, other regions' gateways."""

import ctypes
import json
import os
import resource
import socket
import struct
import sys
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path

import httpx

from agent.settings import AgentSettings, RuntimeKind
from chassis.clock import Clock
from trimtab.host import units
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
from trimtab.host.gather.identity import may_use
from trimtab.host.programs import NotRun, run_program

NVIDIA_VENDOR = "0x10de"
DISPLAY_CLASSES = ("0x0300", "0x0302")
"""VGA and 3D controllers; an NVIDIA card also shows audio and USB functions."""
LIBRARY = "libnvidia-ml.so.1"
LIBRARY_FOLDERS = (
    "/usr/lib/x86_64-linux-gnu",
    "/usr/lib/aarch64-linux-gnu",
    "/usr/lib64",
    "/usr/lib",
    "/usr/local/lib",
)
HANGS = "hangs"
"""The survey's word for a call into the driver that did not return."""
SURVEY_S_MAX = 8.0
"""The survey bounds itself at 6 s; beyond that it cannot end, because it sits in the driver."""
ENGINE_SOCKET = "/var/run/docker.sock"
ENGINE_TIMEOUT_S = 3.0
GATEWAY_TIMEOUT_S = 2.0
CDI_FOLDERS = ("/etc/cdi", "/var/run/cdi")
STA_UNSYNC, TIMEX_BYTES = 0x40, 256
"""From <sys/timex.h>: the status bit, and room for the 208 bytes of the structure."""
UNIT_PROPERTIES = ("LoadState", "ActiveState", "SubState", "Result", "UnitFileState", "NRestarts", "NeedDaemonReload", "FragmentPath")  # fmt: skip


def driver_facts(identity: Identity, environment: Mapping[str, str]) -> DriverFacts:
    """Layer by layer; the library is asked by a child, whose call may never return."""
    files = [path for path in sorted(Path("/dev").glob("nvidia*")) if path.is_char_device()]
    survey = _survey(environment)
    gpus = survey.get("gpus")
    return DriverFacts(
        devices_on_bus=_devices_on_bus(),
        module_version=_first_line(Path("/sys/module/nvidia/version")),
        device_files=tuple(map(str, files)),
        unreadable=tuple(str(path) for path in files if not may_use(path, identity)),
        library=_library(environment),
        answered="up" in survey and survey.get("reason") != HANGS,
        up=survey.get("up") is True,
        trouble=str(survey.get("reason", "")),
        version=str(survey.get("version", "")),
        cuda=str(survey.get("cuda", "")),
        gpus=tuple(GpuFacts(**gpu) for gpu in gpus) if isinstance(gpus, list) else (),
    )


def engine_facts(settings: AgentSettings | None, identity: Identity) -> EngineFacts:
    """The engine behind its socket, whether or not the agent's user may open it."""
    socket_path = Path(ENGINE_SOCKET)
    wanted = settings is not None and settings.runtime is not RuntimeKind.PROCESS
    if not socket_path.exists():
        return EngineFacts(wanted, ENGINE_SOCKET, exists=False)
    may = may_use(socket_path, identity)
    try:
        with httpx.Client(
            transport=httpx.HTTPTransport(uds=ENGINE_SOCKET), timeout=ENGINE_TIMEOUT_S, base_url="http://docker"
        ) as client:
            info = client.get("/info").raise_for_status().json()
    except (httpx.HTTPError, ValueError) as error:
        trouble = str(error) or type(error).__name__
        return EngineFacts(wanted, ENGINE_SOCKET, exists=True, agent_may_use=may, trouble=trouble)
    return EngineFacts(
        wanted=wanted,
        socket=ENGINE_SOCKET,
        exists=True,
        agent_may_use=may,
        answered=True,
        version=str(info.get("ServerVersion", "")),
        runtimes=tuple(sorted(info.get("Runtimes") or ())),
        cdi_specs=tuple(str(path) for folder in CDI_FOLDERS for path in sorted(Path(folder).glob("*nvidia*"))),
        swarm=str((info.get("Swarm") or {}).get("LocalNodeState", "")).replace("inactive", ""),
    )


def kernel_facts() -> KernelFacts:
    """Read from /proc and /sys; a value that is not there counts as its default."""
    return KernelFacts(
        cgroup_v2=Path("/sys/fs/cgroup/cgroup.controllers").exists(),
        pressure=Path("/proc/pressure/cpu").exists(),
        kernel_log=Path("/dev/kmsg").exists(),
        pid_max=_number(Path("/proc/sys/kernel/pid_max"), 32_768),
        files_max=resource.getrlimit(resource.RLIMIT_NOFILE)[1],
        overcommit=_number(Path("/proc/sys/vm/overcommit_memory"), 0),
        max_map_count=_number(Path("/proc/sys/vm/max_map_count"), 65_530),
    )


def clock_facts() -> ClockFacts:
    """The kernel's own word (adjtimex), which every time service sets."""
    libc = ctypes.CDLL(None, use_errno=True)
    timex = ctypes.create_string_buffer(TIMEX_BYTES)
    if libc.adjtimex(timex) < 0:
        return ClockFacts(None)
    maxerror_us = struct.unpack_from("l", timex, 24)[0]
    status = struct.unpack_from("i", timex, 40)[0]
    return ClockFacts(not status & STA_UNSYNC, maxerror_us / 1e6)


def unit_facts() -> UnitFacts:
    """What systemd says; it is asked even when the unit's file is missing, for an old one may still run."""
    if not Path("/run/systemd/system").is_dir():
        return UnitFacts(systemd=False, installed=False)
    properties = ",".join(UNIT_PROPERTIES)
    answer = run_program(["systemctl", "show", units.AGENT_UNIT, "--property", properties], within_s=ENGINE_TIMEOUT_S)
    if isinstance(answer, NotRun):
        return UnitFacts(systemd=False, installed=False)
    said = dict(line.partition("=")[::2] for line in answer.output.splitlines())
    return UnitFacts(
        systemd=True,
        installed=said.get("LoadState") == "loaded",
        current=_is_current(said.get("FragmentPath", "")),
        active=said.get("ActiveState", ""),
        sub=said.get("SubState", ""),
        result=said.get("Result", ""),
        enabled=said.get("UnitFileState", ""),
        restarts=int(said.get("NRestarts", "0") or 0),
        needs_reload=said.get("NeedDaemonReload") == "yes",
    )


def gateway_facts(settings: AgentSettings, clock: Clock) -> tuple[GatewayFacts, ...]:
    """One connection to each gateway of another region."""
    others = {region: address for region, address in settings.gateways.items() if region != settings.region}
    return tuple(_gateway(region, address, clock) for region, address in sorted(others.items()))


def _gateway(region: str, address: str, clock: Clock) -> GatewayFacts:
    host, _, port = address.rpartition(":")
    began_s = clock.monotonic_s()
    try:
        with closing(socket.create_connection((host.strip("[]"), int(port)), timeout=GATEWAY_TIMEOUT_S)):
            return GatewayFacts(region, address, connected=True, seconds=clock.monotonic_s() - began_s)
    except OSError as error:
        return GatewayFacts(region, address, connected=False, trouble=str(error))


def _survey(environment: Mapping[str, str]) -> dict[str, object]:
    """The child's one line, also of a child that then could not end; `reason` alone when there is none."""
    argv = [sys.executable, "-m", "agent.probes.nvml.survey"]
    answer = run_program(argv, within_s=SURVEY_S_MAX, environment=environment)
    line = next((line for line in reversed(answer.output.splitlines()) if line.startswith("{")), "")
    if line:
        said: dict[str, object] = json.loads(line)
        return said
    if isinstance(answer, NotRun):
        return {"reason": answer.reason}
    return {"reason": f"the survey ended with code {answer.code}: {answer.output[-200:]}"}


def _devices_on_bus() -> int:
    return sum(
        _first_line(device / "vendor") == NVIDIA_VENDOR and _first_line(device / "class").startswith(DISPLAY_CLASSES)
        for device in Path("/sys/bus/pci/devices").glob("*")
    )


def _library(environment: Mapping[str, str]) -> str:
    folders = [folder for folder in environment.get("LD_LIBRARY_PATH", "").split(os.pathsep) if folder]
    found = (Path(folder) / LIBRARY for folder in (*folders, *LIBRARY_FOLDERS))
    return next((str(path) for path in found if path.exists()), "")


def _is_current(fragment: str) -> bool:
    """Apart from the interpreter, which is chosen at the installation."""
    try:
        text = Path(fragment).read_text(encoding="utf-8")
    except OSError:
        return False
    return _without_start(text) == _without_start(units.agent_unit())


def _without_start(unit: str) -> list[str]:
    return [line for line in unit.splitlines() if not line.startswith("ExecStart=")]


def _first_line(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8").strip()
    except OSError:
        return ""


def _number(path: Path, default: int) -> int:
    text = _first_line(path)
    return int(text) if text.isdecimal() else default
