"""`trimtab setup`: install the programs this machine lacks, then prepare the voice. Safe to repeat: does what is missing.

Debian starts the services of the packages it installs. We neither need nor want that: they are asked not to start
(RUNLEVEL=1), and should they run anyway, the stack uses other ports than theirs.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from trimtab.stack.programs import COMPILER, REQUIREMENTS, MissingProgramsError, Requirement, missing_of

DEV_REQUIREMENTS = (
    Requirement(("dockerd",), "docker.io"),
    Requirement(("docker-compose",), "docker-compose"),
    Requirement(("systemd-analyze",), "systemd"),
    *COMPILER,
)
"""What only tests and simulated GPUs need; systemd and compose judge what we give to operators, neither has to run."""
APT_TIMEOUT_S = 900.0
"""A slow mirror and a slow disk; past it something hangs, and a person should look."""
PREPARE_TIMEOUT_S = 900.0
"""Cutting, optimising and testing the voice takes about a minute on two cores."""
SUDO_TIMEOUT_S = 10.0
APT = ("env", "RUNLEVEL=1", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-qq", "-o", "Dpkg::Use-Pty=0")

Say = Callable[[str], None]


class SetupError(Exception):
    """A step of the set-up failed; the message names it and what to run by hand."""


def install_programs(*, dev: bool, say: Say) -> None:
    """Install missing Debian packages as root or by password-less sudo; otherwise raise `MissingProgramsError`."""
    missing = missing_of((*REQUIREMENTS, *(DEV_REQUIREMENTS if dev else ())))
    packages = tuple(requirement.debian_package for requirement in missing)
    if not packages:
        say("Debian packages: all there")
        return
    as_root = _root_prefix()
    if as_root is None or shutil.which("apt-get") is None:
        raise MissingProgramsError(packages, ())
    say(f"installing {', '.join(packages)} (about a minute) …")
    _run([*as_root, *APT, "update"], timeout_s=APT_TIMEOUT_S)
    _run([*as_root, *APT, "install", "-y", "--no-install-recommends", *packages], timeout_s=APT_TIMEOUT_S)
    say(f"installed {', '.join(packages)}")


def prepare_voice(voice_dir: Path, *, environment: Mapping[str, str], say: Say) -> None:
    """Derive the voice's artefacts; quick when they are intact."""
    say(f"preparing the voice in {voice_dir} (under a minute the first time) …")
    argv = [sys.executable, "-m", "serving", "prepare", "--voice-dir", str(voice_dir)]
    _run(argv, timeout_s=PREPARE_TIMEOUT_S, environment=environment)
    say("the voice is ready")


def _root_prefix() -> tuple[str, ...] | None:
    """What to put before a command that needs root; None when we may not."""
    if os.geteuid() == 0:
        return ()
    if shutil.which("sudo") is None:
        return None
    allowed = subprocess.run(["sudo", "-n", "true"], capture_output=True, timeout=SUDO_TIMEOUT_S, check=False)
    return ("sudo", "-n") if allowed.returncode == 0 else None


def _run(argv: Sequence[str], *, timeout_s: float, environment: Mapping[str, str] | None = None) -> None:
    """Run with its output shown: progress is the point of a set-up."""
    command = " ".join(argv)
    try:
        subprocess.run(argv, timeout=timeout_s, check=True, env=environment)
    except subprocess.CalledProcessError as error:
        msg = f"exit code {error.returncode} from: {command}"
        raise SetupError(msg) from error
    except subprocess.TimeoutExpired as error:
        msg = f"not done within {timeout_s:g} s: {command}"
        raise SetupError(msg) from error
