"""Xids and ECC errors as they happen.

The thread that waits here asks no device for anything: a call to one that hangs would cost the events of all others.
Each GPU's own thread registers its device, and the wait knows devices by the handles that were registered.
"""

import ctypes
from dataclasses import dataclass, field

import pynvml

from agent.probes.nvml.codes import DEVICE_DOWN, DRIVER_GONE, reason_of
from agent.probes.nvml.ending import Ending
from agent.probes.nvml.reader import Handle
from agent.probes.nvml.speech import say

WAIT_MS = 500
"""Longest block of the wait: bounds how long it outlives the worker's end."""
PAUSE_S = 1.0
"""After an error of the wait: a lost device can make every wait fail at once."""
SEVERITIES = {
    pynvml.nvmlEventTypeSingleBitEccError: "single_bit",
    pynvml.nvmlEventTypeDoubleBitEccError: "double_bit",
}
XID = pynvml.nvmlEventTypeXidCriticalError
WANTED = XID | pynvml.nvmlEventTypeSingleBitEccError | pynvml.nvmlEventTypeDoubleBitEccError


@dataclass(slots=True)
class EventListener:
    """One event set for the whole host."""

    ending: Ending
    _set: Handle | None = None
    _devices: dict[int, tuple[int, str]] = field(default_factory=dict)
    """Handle → (index, UUID)."""

    def register(self, index: int, uuid: str, handle: Handle) -> bool:
        """Listen to one device, called from its own thread. False: try again later, the set is not there yet.

        Raises `NVMLError` when the device is gone; a device without events counts as registered.
        """
        if self._set is None:
            return False
        try:
            types = pynvml.nvmlDeviceGetSupportedEventTypes(handle) & WANTED
            if types:
                self._devices[address_of(handle)] = (index, uuid)
                pynvml.nvmlDeviceRegisterEvents(handle, types, self._set)
        except pynvml.NVMLError as error:
            if error.value in DEVICE_DOWN | DRIVER_GONE:
                raise
            say(kind="events_unavailable", gpu=index, reason=reason_of(error))
        return True

    def run(self) -> None:
        """Tell every event until the worker ends; a driver without events is silent here."""
        try:
            self._set = pynvml.nvmlEventSetCreate()
        except pynvml.NVMLError as error:
            say(kind="events_unavailable", reason=reason_of(error))
            return
        while not self.ending.requested:
            try:
                self._tell(pynvml.nvmlEventSetWait_v2(self._set, WAIT_MS))
            except pynvml.NVMLError as error:
                if error.value != pynvml.NVML_ERROR_TIMEOUT:
                    self.ending.wait(PAUSE_S)

    def _tell(self, event: pynvml.c_nvmlEventData_t) -> None:
        index, uuid = self._devices.get(address_of(event.device), (None, ""))
        if index is None:
            return
        if event.eventType & XID:
            say(kind="xid", gpu=index, uuid=uuid, xid=int(event.eventData))
        for kind, severity in SEVERITIES.items():
            if event.eventType & kind:
                say(kind="ecc", gpu=index, uuid=uuid, severity=severity)


def address_of(handle: Handle) -> int:
    """The opaque pointer behind a handle, which is the device's name within this process."""
    return ctypes.cast(handle, ctypes.c_void_p).value or 0  # type: ignore[arg-type]  # the binding's own pointer type
