"""The machine's own switches: reset one GPU, reboot the host.

Nothing here decides: the order desk has checked policy, users and limits before. Three adapters stand behind the port:
the real one, one that only rehearses, and, for simulated GPUs, the simulator's own.

- A reset is `nvidia-smi --gpu-reset`, in a child process: the driver may take a minute, or never answer, and a call that
  hangs must not take the agent along. The tool itself refuses while a program holds the device. It needs root; an agent
  without it is given a command that asks systemd for the same.
- A reboot is `systemctl reboot`: an orderly one, that lets this agent and everything else end first.
- A rehearsal fails each order, and says what it would have run: nothing was done, so nothing may count as done.
"""

import asyncio
import shlex
from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager, nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path

from agent.errors import MachineError
from agent.runtimes.logs import file_tail
from chassis.processes import kill_group, spawn_child
from contracts.vocabulary import GpuUuid

BOOT_ID_PATH = Path("/proc/sys/kernel/random/boot_id")
RESET_S_MAX = 90.0
"""A reset takes 5 to 30 s with NVLink; one that takes longer hangs in the driver."""
REBOOT_S_MAX = 15.0
"""systemd answers at once, or is not there."""
KILL_WAIT_S = 1.0
"""A killed tool is gone in milliseconds, or sits in the driver, where nothing reaches it."""
DETAIL_CHARS_MAX = 300
THE_GPU = "{gpu}"
"""Stands for the UUID in a command."""
RESET_ARGV = ("nvidia-smi", "--gpu-reset", "-i", THE_GPU)
REBOOT_ARGV = ("systemctl", "reboot")


def kernel_boot_id(path: Path = BOOT_ID_PATH) -> str:
    """The kernel's name for its current boot; empty where it gives none."""
    try:
        return path.read_text(encoding="ascii").strip()
    except OSError:
        return ""


@dataclass(frozen=True, slots=True)
class HostMachine:
    """`Machine` over the host's own tools."""

    environment: Mapping[str, str]
    log_path: Path
    """Where the tools' words go; their end is told in the error."""
    reset_argv: tuple[str, ...] = RESET_ARGV
    reboot_argv: tuple[str, ...] = REBOOT_ARGV
    reset_s_max: float = RESET_S_MAX

    def boot_id(self) -> str:
        """From /proc."""
        return kernel_boot_id()

    async def reset_gpu(self, gpu: GpuUuid) -> None:
        """Ask the driver's tool; raises `MachineError` with its last words."""
        await self._run(_about(gpu, self.reset_argv), within_s=self.reset_s_max)

    async def reboot(self) -> None:
        """Ask systemd; raises `MachineError` with its last words."""
        await self._run(self.reboot_argv, within_s=REBOOT_S_MAX)

    async def _run(self, argv: tuple[str, ...], *, within_s: float) -> None:
        try:
            self.log_path.parent.mkdir(parents=True, exist_ok=True)
            self.log_path.write_bytes(b"")
            tool = await spawn_child(argv, env=self.environment, log_path=self.log_path)
        except OSError as error:
            msg = f"cannot run {shlex.join(argv)}"
            raise MachineError(msg) from error
        try:
            async with asyncio.timeout(within_s):
                code = await tool.wait()
        except TimeoutError as error:
            msg = f"{shlex.join(argv)} did not end within {within_s:g} s"
            raise MachineError(msg) from error
        finally:
            await _end(tool)
        if code != 0:
            said = " | ".join(await asyncio.to_thread(file_tail, self.log_path))[-DETAIL_CHARS_MAX:]
            msg = f"{shlex.join(argv)} ended with code {code}: {said}"
            raise MachineError(msg)


@dataclass(frozen=True, slots=True)
class RehearsedMachine:
    """`Machine` that touches nothing: every order fails with the command it would have run."""

    reset_argv: tuple[str, ...] = RESET_ARGV

    def boot_id(self) -> str:
        """From /proc."""
        return kernel_boot_id()

    async def reset_gpu(self, gpu: GpuUuid) -> None:
        """Raises `MachineError` that names the command."""
        raise _rehearsal(_about(gpu, self.reset_argv))

    async def reboot(self) -> None:
        """Raises `MachineError` that names the command."""
        raise _rehearsal(REBOOT_ARGV)


class WatchedDriver:
    """`GpuDriver` of a rehearsal: nothing is reset, so no GPU is let out of sight."""

    def released(self) -> AbstractAsyncContextManager[None]:
        """As if."""
        return nullcontext()

    def reset_done(self, gpu: GpuUuid | None) -> None:
        """Never told: a rehearsed reset fails."""


def _about(gpu: GpuUuid, argv: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(word.replace(THE_GPU, gpu) for word in argv)


def _rehearsal(argv: tuple[str, ...]) -> MachineError:
    return MachineError(f"rehearsal only: would run {shlex.join(argv)}")


async def _end(tool: asyncio.subprocess.Process) -> None:
    """Leave nothing behind, also when the desk was cancelled.

    One that sits in the driver is left to die with us, and one that `sudo` made root's is beyond our reach.
    """
    if tool.returncode is not None:
        return
    with suppress(PermissionError):
        kill_group(tool.pid)
    with suppress(TimeoutError):
        async with asyncio.timeout(KILL_WAIT_S):
            await tool.wait()
