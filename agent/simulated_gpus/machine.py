"""What a reset of a GPU and a reboot of the host do to a simulated host.

A reset helps against what a reset helps against: it reaches neither a GPU that fell off the bus nor one whose driver sits
in the kernel, and it cools nothing. A reboot makes everything healthy, and has a boot id of its own.
"""

from dataclasses import dataclass
from pathlib import Path

from agent.errors import MachineError
from agent.simulated_gpus.directory import open_directory
from agent.simulated_gpus.errors import StateError
from agent.simulated_gpus.faults import heal
from agent.simulated_gpus.layout import GpuState, Hang
from agent.simulated_gpus.state import Code, SimulatedHost
from chassis.clock import Clock
from contracts.vocabulary import GpuUuid

RESET_S = 2.0
"""Short of the 5 to 30 s of a real one: long enough to be seen, short enough to wait for."""
CURED_BY_RESET = ("error", "hang", "recovery_action", "remap_pending", "nvlink_down_mask")
VOLATILE_COUNTERS = ("ecc_corrected_volatile", "ecc_uncorrected_volatile")
"""Counted since the last reset of the GPU or load of the driver."""
SINCE_BOOT = ("energy_uj", "power_violation_ns", "thermal_violation_ns", "pcie_replays")


@dataclass(frozen=True, slots=True)
class SimulatedMachine:
    """The port `Machine` over a directory of simulated GPUs: never touches the machine it runs on."""

    directory: Path
    clock: Clock
    reset_s: float = RESET_S

    def boot_id(self) -> str:
        """Another one after each simulated reboot; empty where there is no simulated host."""
        try:
            return f"simulated-{open_directory(self.directory).words.boots}"
        except StateError:
            return ""

    async def reset_gpu(self, gpu: GpuUuid) -> None:
        """Meanwhile every call answers RESET_REQUIRED. Raises `MachineError` when no reset can help."""
        words = self._gpu(gpu)
        if words.error == Code.GPU_IS_LOST:
            msg = f"simulated reset of {gpu}: the GPU is not on the bus"
            raise MachineError(msg)
        if words.hang in {Hang.D_STATE, Hang.FROZEN_WRITE}:
            msg = f"simulated reset of {gpu}: the driver does not answer"
            raise MachineError(msg)
        words.hang = Hang.NONE
        words.error = Code.RESET_REQUIRED
        await self.clock.sleep(self.reset_s)
        for counter in VOLATILE_COUNTERS:
            setattr(words, counter, 0)
        for word in CURED_BY_RESET:
            setattr(words, word, 0)

    async def reboot(self) -> None:
        """At once. Raises `MachineError` where there is no simulated host."""
        host = self._host()
        for index, words in enumerate(host.gpus):
            heal(host, index)
            for counter in (*VOLATILE_COUNTERS, *SINCE_BOOT):
                setattr(words, counter, 0)
        host.words.boots += 1

    def _gpu(self, gpu: GpuUuid) -> GpuState:
        found = next((words for words in self._host().gpus if words.uuid.decode() == gpu), None)
        if found is None:
            msg = f"simulated reset of {gpu}: no such GPU in {self.directory}"
            raise MachineError(msg)
        return found

    def _host(self) -> SimulatedHost:
        try:
            return open_directory(self.directory)
        except StateError as error:
            msg = f"no simulated host in {self.directory}"
            raise MachineError(msg) from error
