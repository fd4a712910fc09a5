"""Tells systemd that this service is ready and still alive (sd_notify): a datagram per fact, and no library.

The beat comes from the event loop. When the loop stalls, the beats stop, and the unit's `WatchdogSec=` ends the process
and starts it again: the one fault that a process cannot see in itself. Without a service manager nothing is sent.
The protocol is in sd_notify(3).
"""

import asyncio
import socket
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass

from chassis.clock import Clock
from chassis.logs import logger

log = logger(__name__)
BEATS_PER_WATCHDOG = 3
"""Two beats may be late or lost before systemd acts."""
BEAT_S_DEFAULT = 10.0
"""Between two status lines where no watchdog runs; nobody waits for them."""


@dataclass(slots=True)
class ServiceNotifier:
    """Speaks to the service manager, if there is one."""

    address: str
    """Of the manager's datagram socket; a leading `@` is Linux' abstract namespace. Empty: there is no manager."""
    beat_s: float
    clock: Clock

    async def run(self) -> None:
        """Ready now, and alive for as long as this task is scheduled; `STOPPING` when it ends."""
        if not self.address:
            return
        self.send("READY=1")
        try:
            while True:
                self.send("WATCHDOG=1")
                await self.clock.sleep(self.beat_s)
        finally:
            self.send("STOPPING=1")

    @asynccontextmanager
    async def speaking(self) -> AsyncIterator[None]:
        """Runs beside the body of the `async with`, and ends with it."""
        async with asyncio.TaskGroup() as group:
            beats = group.create_task(self.run(), name="service_notifier")
            try:
                yield
            finally:
                beats.cancel()

    def send(self, fact: str) -> None:
        """One datagram, never waiting: a manager too busy to read it is no reason to stop working."""
        address = f"\0{self.address[1:]}" if self.address.startswith("@") else self.address
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as out:
                out.setblocking(False)
                out.sendto(fact.encode(), address)
        except OSError as error:
            log.warning("service_manager_not_told", fact=fact, error=repr(error))


def build_notifier(told: Mapping[str, str], *, clock: Clock) -> ServiceNotifier:
    """From what the manager told (`chassis.settings.service_manager_environment`); a watchdog it did not set is not fed fast."""
    watchdog_us = told.get("WATCHDOG_USEC", "")
    beat_s = int(watchdog_us) / 1e6 / BEATS_PER_WATCHDOG if watchdog_us.isdecimal() else BEAT_S_DEFAULT
    return ServiceNotifier(address=told.get("NOTIFY_SOCKET", ""), beat_s=beat_s, clock=clock)
