"""The parts behind orders about the machine, built from the settings."""

from collections.abc import Mapping

from agent.orders.machine import MachinePolicy
from agent.orders.switches import RESET_ARGV, HostMachine, RehearsedMachine, WatchedDriver
from agent.ports import GpuDriver, Machine
from agent.settings import AgentSettings
from agent.simulated_gpus.machine import SimulatedMachine
from chassis.clock import Clock
from contracts.vocabulary import OrderKind


def machine_policy(settings: AgentSettings) -> MachinePolicy:
    """What this host permits; nothing by default."""
    switches = {OrderKind.RESET_GPU: settings.allow_gpu_reset, OrderKind.REBOOT_HOST: settings.allow_reboot}
    return MachinePolicy(
        permitted=frozenset(kind for kind, allowed in switches.items() if allowed),
        per_day_max=settings.machine_orders_per_day,
    )


def driver_to_release(settings: AgentSettings, driver: GpuDriver) -> GpuDriver:
    """Who lets go of the driver before a reset; nobody before one that is only rehearsed."""
    return WatchedDriver() if settings.machine_dry_run else driver


def build_machine(settings: AgentSettings, environment: Mapping[str, str], clock: Clock) -> Machine:
    """What carries such orders out; where GPUs are simulated, so is this."""
    reset_argv = settings.gpu_reset_command or RESET_ARGV
    if settings.machine_dry_run:
        return RehearsedMachine(reset_argv)
    if settings.simulated_gpus is not None:
        return SimulatedMachine(settings.simulated_gpus, clock)
    log_path = settings.state_dir / "logs" / "machine.log"
    return HostMachine(environment=environment, log_path=log_path, reset_argv=reset_argv)
