"""The fault matrix: what is broken, and what the agent's page has to say about it."""

import os
import signal
from collections.abc import Callable
from dataclasses import dataclass

import psutil

from agent.simulated_gpus.faults import Fault, FaultName, heal, inject
from agent.simulated_gpus.state import SimulatedHost
from bench.agentlab.exporters import Exporter
from bench.agentlab.scraping import samples

VICTIM = 3
STORM_XID = 31
SLOW_TIER_S = 36.0
"""What changes by hand, such as MIG instances, is read every 30 seconds."""
Told = Callable[[str], bool]
"""The page says that something is wrong, or that all was counted."""


@dataclass(frozen=True, slots=True)
class Case:
    """One row of the matrix."""

    name: str
    inject: Callable[[SimulatedHost, Exporter], None]
    told: Told
    broken: Callable[[int], frozenset[int]]
    """Number of GPUs → those that cannot be fresh while it lasts."""
    for_nvitop: bool = True
    """False: it strikes a part that only the agent has."""
    at_start: bool = False
    """True: it is there before the exporters start."""
    lasts_s: float = 9.0
    """Three times the age at which a sample is stale."""


def cases() -> tuple[Case, ...]:
    """Every fault of the matrix."""
    one, every, none = (lambda _: frozenset({VICTIM})), (lambda count: frozenset(range(count))), (lambda _: frozenset())
    return (
        Case("one GPU hangs", _on_victim(FaultName.HANG), _down(VICTIM), one),
        Case("every GPU hangs", _on_all(FaultName.HANG), _all_down, every),
        Case("one GPU in D state", _on_victim(FaultName.HANG_D_STATE), _down(VICTIM), one),
        Case("one GPU lost (Xid 79)", _xid(79), _down(VICTIM), one),
        Case("one GPU requires a reset", _on_victim(FaultName.RESET_REQUIRED), _down(VICTIM), one),
        Case("half of the calls not supported", _on_all(FaultName.NOT_SUPPORTED), _always, none),
        Case(
            "one GPU in MIG mode", _on_victim(FaultName.MIG), _shows("gpu_mig_instance_info"), none, lasts_s=SLOW_TIER_S
        ),
        Case("200 Xids at once", _on_victim(FaultName.XID_STORM), _storm_counted, none),
        Case("the NVML worker killed", _kill_worker, _shows_worker_restart, none, for_nvitop=False),
        Case("no driver", _on_victim(FaultName.DRIVER_MISSING), _no_driver, every, at_start=True),
    )


def heal_all(host: SimulatedHost) -> None:
    for index in range(len(host.gpus)):
        heal(host, index)


def _on_victim(name: FaultName) -> Callable[[SimulatedHost, Exporter], None]:
    return lambda host, _: _inject(host, VICTIM, Fault(name))


def _on_all(name: FaultName) -> Callable[[SimulatedHost, Exporter], None]:
    def strike(host: SimulatedHost, _: Exporter) -> None:
        for index in range(len(host.gpus)):
            _inject(host, index, Fault(name))

    return strike


def _xid(code: int) -> Callable[[SimulatedHost, Exporter], None]:
    return lambda host, _: _inject(host, VICTIM, Fault(FaultName.XID, code))


def _inject(host: SimulatedHost, gpu: int, fault: Fault) -> None:
    inject(host, gpu, fault)


def _kill_worker(_: SimulatedHost, agent: Exporter) -> None:
    for child in psutil.Process(agent.pid).children(recursive=True):
        if any("nvml" in word for word in child.cmdline()):
            os.kill(child.pid, signal.SIGKILL)


def _down(gpu: int) -> Told:
    return lambda page: any(value == 0 for labels, value in samples(page, "gpu_up") if labels["gpu"] == str(gpu))


def _all_down(page: str) -> bool:
    ups = [value for _, value in samples(page, "gpu_up")]
    return bool(ups) and not any(ups)


def _always(page: str) -> bool:
    return bool(page)


def _shows(metric: str) -> Told:
    return lambda page: bool(samples(page, metric))


def _storm_counted(page: str) -> bool:
    counts = [value for labels, value in samples(page, "gpu_xid_errors_total") if labels["xid"] == str(STORM_XID)]
    return sum(counts) >= 200


def _shows_worker_restart(page: str) -> bool:
    return sum(value for _, value in samples(page, "agent_nvml_worker_restarts_total")) > 0


def _no_driver(page: str) -> bool:
    return any(value == 0 for labels, value in samples(page, "gpu_driver_up") if labels["reason"] != "not_yet_known")
