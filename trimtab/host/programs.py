"""Programs of the host, each run with a deadline in a process of its own: one that hangs costs its time and nothing else."""

import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

OUTPUT_CHARS_MAX = 32_000
"""A survey of 64 GPUs has half of that."""
KILL_WAIT_S = 1.0
"""A killed child is gone in milliseconds, or sits in the kernel, where nothing reaches it."""
ENVIRONMENT = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8"}
"""Fixed, so that words are in one language and programs are the system's."""


@dataclass(frozen=True, slots=True)
class Ran:
    """A program that ended."""

    code: int
    output: str


@dataclass(frozen=True, slots=True)
class NotRun:
    """One that is not installed, was not permitted, or did not end in time."""

    reason: str
    output: str = ""
    """What it had said by then."""


class Programs(Protocol):
    """Runs one program."""

    def __call__(self, argv: Sequence[str], *, within_s: float) -> Ran | NotRun:
        """Never raises for what the program does."""
        ...


def run_program(argv: Sequence[str], *, within_s: float, environment: Mapping[str, str] = ENVIRONMENT) -> Ran | NotRun:
    """The real `Programs`. A child stuck in the kernel is abandoned: waiting for it would be waiting for ever."""
    found = shutil.which(argv[0], path=environment.get("PATH"))
    if found is None:
        return NotRun(f"{argv[0]} is not installed")
    try:
        child = subprocess.Popen(
            [found, *argv[1:]], env=dict(environment), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip
    except OSError as error:
        return NotRun(f"{argv[0]} could not be started: {error}")
    return _result_of(child, argv[0], within_s)


def _result_of(child: subprocess.Popen[bytes], name: str, within_s: float) -> Ran | NotRun:
    try:
        output, _ = child.communicate(timeout=within_s)
    except subprocess.TimeoutExpired:
        child.kill()
        try:
            output, _ = child.communicate(timeout=KILL_WAIT_S)
        except subprocess.TimeoutExpired as stuck:
            reason = f"{name} did not end within {within_s:g} s and cannot be killed: it sits in the kernel"
            return NotRun(reason, _text(stuck.output or b""))
        return NotRun(f"{name} did not end within {within_s:g} s", _text(output))
    return Ran(child.returncode, _text(output))


def _text(output: bytes) -> str:
    return output.decode(errors="replace")[:OUTPUT_CHARS_MAX].strip()
