"""The faults. Each is bounded in time, and whatever it stopped it lets go on in the end, also when it is cancelled."""

import asyncio
import signal
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from chassis.clock import Clock
from trimtab.chaos.processes import NoSuchTargetError, ProcessTree, send_signal
from trimtab.stack.model import Listener

SLOW_PERIOD_S = 0.050
"""Far below a probe's deadline (250 ms): the region is slow, never dead."""
SLOW_STOPPED_RATIO = 0.85
"""Share of each period spent stopped: work takes almost seven times as long."""
SLOW_RATIO_MAX = 0.9
FAULT_S_MAX = 300.0
"""A fault that nobody ends ends itself."""
LOOK_AGAIN_S = 2.0
"""How often the slowed processes are looked up again: the controller may restart or add some meanwhile."""


class FaultName(StrEnum):
    """What can be injected by name."""

    FREEZE_REPLICA = "freeze-replica"
    KILL_REPLICA = "kill-replica"
    SLOW_REGION = "slow-region"
    SURGE = "surge"
    KILL_CONTROLLER = "kill-controller"
    XID = "xid"
    GPU_LOST = "gpu-lost"
    GPU_HANG = "gpu-hang"
    GPU_HOT = "gpu-hot"
    GPU_HEAL = "gpu-heal"


FAULTS = {
    FaultName.FREEZE_REPLICA: "SIGSTOP one replica: its port stays open and nothing answers; the agent restarts it",
    FaultName.KILL_REPLICA: "SIGKILL one replica: the agent notices the exit and starts it again",
    FaultName.SLOW_REGION: "slow every replica of a region to a seventh of its speed; the loop shifts its traffic away",
    FaultName.SURGE: "extra load of real sentences; the loop switches to the light profile and scales out",
    FaultName.KILL_CONTROLLER: "SIGKILL the controller; its successor goes on from the journal",
    FaultName.XID: "a driver error on a simulated GPU with what it brings along, e.g. `xid 79`: it falls off the bus",
    FaultName.GPU_LOST: "a simulated GPU answers GPU_IS_LOST; nothing is started there any more",
    FaultName.GPU_HANG: "every call to a simulated GPU blocks, as in a wedged driver; the others stay fresh",
    FaultName.GPU_HOT: "a simulated GPU at 93 °C slows its clocks to a third",
    FaultName.GPU_HEAL: "undo every fault of the simulated GPUs of a host, or of one with --gpu",
}
"""Name → one line for `trimtab chaos --list`."""


def freeze(tree: ProcessTree, listener: Listener) -> int:
    """Stop the replica that listens there, for good; returns its process id."""
    pid = tree.listening_on(listener)
    send_signal((pid,), signal.SIGSTOP)
    return pid


def kill(tree: ProcessTree, listener: Listener) -> int:
    """Kill whatever listens there; returns its process id."""
    pid = tree.listening_on(listener)
    send_signal((pid,), signal.SIGKILL)
    return pid


@dataclass(slots=True)
class SlowRegion:
    """A duty cycle of SIGSTOP and SIGCONT over some replicas."""

    tree: ProcessTree
    listeners: Callable[[], tuple[Listener, ...]]
    """Asked again and again: replicas come and go."""
    clock: Clock
    stopped_ratio: float = SLOW_STOPPED_RATIO

    def __post_init__(self) -> None:
        self.slow_by(self.stopped_ratio)

    def slow_by(self, stopped_ratio: float) -> None:
        """Change the share of each period that is spent stopped, also while running."""
        if not 0 < stopped_ratio <= SLOW_RATIO_MAX:
            msg = f"stopped_ratio is {stopped_ratio}: choose 0 to {SLOW_RATIO_MAX}; more is a freeze"
            raise ValueError(msg)
        self.stopped_ratio = stopped_ratio

    async def run(self, *, duration_s: float, stop: asyncio.Event) -> None:
        """Slow them until `stop` is set or `duration_s` (at most `FAULT_S_MAX`) is over; they always go on afterwards."""
        ends_s = self.clock.monotonic_s() + min(duration_s, FAULT_S_MAX)
        look_s = self.clock.monotonic_s()
        pids: tuple[int, ...] = ()
        try:
            while self.clock.monotonic_s() < ends_s and not stop.is_set():
                if self.clock.monotonic_s() >= look_s:
                    send_signal(pids, signal.SIGCONT)
                    pids = await asyncio.to_thread(self._pids)
                    look_s = self.clock.monotonic_s() + LOOK_AGAIN_S
                send_signal(pids, signal.SIGSTOP)
                await self.clock.sleep(SLOW_PERIOD_S * self.stopped_ratio)
                send_signal(pids, signal.SIGCONT)
                await self.clock.sleep(SLOW_PERIOD_S * (1 - self.stopped_ratio))
        finally:
            send_signal(pids, signal.SIGCONT)

    def _pids(self) -> tuple[int, ...]:
        pids: list[int] = []
        for listener in self.listeners():
            try:
                pids.extend(self.tree.with_descendants(self.tree.listening_on(listener)))
            except NoSuchTargetError:
                continue  # restarting just now; it is slowed again after the next look
        return tuple(pids)
