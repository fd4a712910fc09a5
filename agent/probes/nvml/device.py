"""One GPU's thread: a sample each second, the slow readings every 30 seconds, for ever.

The handle is asked for by UUID once that is known: after a reset another device may have the index. A device that was
lost loses its handle and everything remembered about what it supports, and is tried again each second.
"""

from dataclasses import dataclass, field

import pynvml

from agent.core.worker_words import EXIT_WITHOUT_DRIVER
from agent.probes.nvml.codes import DEVICE_DOWN, DRIVER_GONE, HANDLE_STALE, reason_of
from agent.probes.nvml.ending import Ending
from agent.probes.nvml.events import EventListener, address_of
from agent.probes.nvml.gpm import SmActivity
from agent.probes.nvml.mig import Slice, processes, slice_facts, slices
from agent.probes.nvml.reader import Handle, Reader, call, text
from agent.probes.nvml.readings import fast_readings, slow_readings
from agent.probes.nvml.speech import say

SAMPLE_INTERVAL_S = 1.0
"""Between the end of one sample and the begin of the next: a slow driver is asked less often, not without a pause."""
SLOW_EVERY = 30
"""Samples between two slow readings."""


@dataclass(slots=True)
class Device:
    """Reads one GPU; everything about it happens on its own thread."""

    index: int
    driver_major: int
    events: EventListener
    ending: Ending
    uuid: str = ""
    _handle: Handle | None = None
    _listening_to: Handle | None = None
    """The handle that is registered for events. Another registration of the same one could tell each event twice."""
    _ticks: int = 0
    _slices: tuple[Slice, ...] = ()
    _activity: SmActivity = field(default_factory=SmActivity)
    _fast: Reader = field(init=False)
    _slow: Reader = field(init=False)

    def __post_init__(self) -> None:
        self._start_afresh()

    def run(self) -> None:
        """Sample until the worker ends."""
        while not self.ending.requested:
            self.tick()
            self.ending.wait(SAMPLE_INTERVAL_S)
        self._close()

    def tick(self) -> None:
        """One sample, told whatever comes of it."""
        try:
            if self._handle is None:
                self._open()
            self._listen()
            self._sample()
            if self._ticks % SLOW_EVERY == 0:
                self._describe()
            self._ticks += 1
        except pynvml.NVMLError as error:
            say(kind="gpu", gpu=self.index, uuid=self.uuid, up=False, reason=reason_of(error))
            if error.value in DRIVER_GONE:
                say(kind="driver", up=False, reason=reason_of(error))
                self.ending.request(EXIT_WITHOUT_DRIVER)
            elif error.value in HANDLE_STALE or self._handle is None:
                self._close()

    def _open(self) -> None:
        if self.uuid:
            self._handle = pynvml.nvmlDeviceGetHandleByUUID(self.uuid)
        else:
            handle = pynvml.nvmlDeviceGetHandleByIndex(self.index)
            self.uuid = text(pynvml.nvmlDeviceGetUUID(handle))
            self._handle = handle
        self._look_for_slices()  # before the first sample, which without them would tell of no instances

    def _listen(self) -> None:
        if self._listening_to is None or address_of(self._listening_to) != address_of(self._handle):
            registered = self.events.register(self.index, self.uuid, self._handle)
            self._listening_to = self._handle if registered else None

    def _look_for_slices(self) -> None:
        """Those that could not be asked for just now stay."""
        found = slices(self._handle)
        self._slices = self._slices if found is None else found

    def _sample(self) -> None:
        """The fast readings; a handle that gave 999 for one of them is asked for anew before the next sample."""
        values = self._fast.read(self._handle)
        say(
            kind="gpu",
            gpu=self.index,
            uuid=self.uuid,
            up=True,
            reason="",
            values=values,
            processes=processes(self._handle),
            mig=slice_facts(self._slices),
        )
        if self._fast.handle_doubtful:
            self._handle = None

    def _describe(self) -> None:
        """The slow readings, after the first sample: a slow call that hangs must not hide that the fast ones work."""
        if self._handle is None:
            return
        self._look_for_slices()
        say(
            kind="info",
            gpu=self.index,
            uuid=self.uuid,
            pci_bus_id=self._told("nvmlDeviceGetPciInfo", "busId"),
            model=self._told("nvmlDeviceGetName"),
            serial=self._told("nvmlDeviceGetSerial"),
            vbios=self._told("nvmlDeviceGetVbiosVersion"),
            values=self._slow.read(self._handle),
        )

    def _told(self, function: str, part: str = "") -> str:
        """A text of the device, or of one part of a structure; empty where it has none, or one that is no text."""
        try:
            told = call(function, self._handle)
            return text(getattr(told, part) if part else told)
        except pynvml.NVMLError as error:
            if error.value in DEVICE_DOWN | DRIVER_GONE:
                raise
            return ""
        except UnicodeDecodeError:
            return ""

    def _close(self) -> None:
        """Drop the handle and all that was learnt through it: after a reset, or a change of MIG mode, more may work."""
        self._handle, self._listening_to, self._slices, self._ticks = None, None, (), 0
        try:
            self._activity.forget()
        except pynvml.NVMLError as error:
            say(kind="samples_not_freed", gpu=self.index, reason=reason_of(error))
        self._start_afresh()

    def _start_afresh(self) -> None:
        self._activity = SmActivity()
        self._fast = Reader(fast_readings(self.driver_major, self._activity))
        self._slow = Reader(slow_readings(self.driver_major))
