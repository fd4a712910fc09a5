"""Life of the worker: read until stdin ends or SIGTERM comes, then leave NVML tidily within a bound.

The main thread never calls NVML, so it can always react, whatever hangs: a program that is killed while it holds the
driver can wedge the GPU (NVIDIA/dcgm-exporter#84), hence the polite way out first. A host without a driver ends it with
an exit code of its own: that is a fact, not a failure.
"""

import os
import signal
import sys
import threading

import pynvml

from agent.core.worker_words import EXIT_WITHOUT_DRIVER, NO_GPUS
from agent.probes.nvml.codes import reason_of
from agent.probes.nvml.device import Device
from agent.probes.nvml.ending import Ending
from agent.probes.nvml.events import EventListener
from agent.probes.nvml.fields import driver_major
from agent.probes.nvml.reader import text
from agent.probes.nvml.speech import say

GPUS_MAX = 64
"""More than any host has; bounds the threads."""
LEAVE_S_MAX = 1.3
"""Threads that are not in the driver end within the half second that the event thread may wait, and `nvmlShutdown` takes
milliseconds, or never returns. Below the parent's grace of two seconds."""
ENDING_SIGNALS = frozenset({signal.SIGTERM})


def main() -> None:
    """Run until told to end; never returns, because threads may be in the driver for ever."""
    ending = Ending()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_BLOCK, ENDING_SIGNALS)  # before any thread: each inherits it
    threading.excepthook = _crash
    reading = threading.Thread(target=_read_gpus, args=(ending,), daemon=True)
    for thread in (
        threading.Thread(target=_end_with_stdin, args=(ending,), daemon=True),
        threading.Thread(target=_end_when_asked, args=(ending,), daemon=True),
        reading,
    ):
        thread.start()
    ending.wait()
    reading.join(LEAVE_S_MAX)
    os._exit(ending.code)


def _read_gpus(ending: Ending) -> None:
    """Open NVML, read with a thread per GPU and one for events, and leave NVML once all of them came back."""
    try:
        pynvml.nvmlInit()
        version = text(pynvml.nvmlSystemGetDriverVersion())
        count = min(pynvml.nvmlDeviceGetCount(), GPUS_MAX)
    except pynvml.NVMLError as error:
        _without_driver(ending, reason_of(error))
        return
    if count == 0:
        _without_driver(ending, NO_GPUS)
        return
    say(kind="driver", up=True, reason="", version=version, gpus=count)
    events = EventListener(ending=ending)
    major = driver_major(version)
    devices = [Device(index=i, driver_major=major, events=events, ending=ending) for i in range(count)]
    runs = [events.run, *(device.run for device in devices)]
    threads = [threading.Thread(target=run, daemon=True) for run in runs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    try:
        pynvml.nvmlShutdown()
    except pynvml.NVMLError as error:
        say(kind="left_untidily", reason=reason_of(error))


def _without_driver(ending: Ending, reason: str) -> None:
    """A driver without GPUs shows none that come later: they, too, are for a worker that starts then."""
    say(kind="driver", up=False, reason=reason)
    ending.request(EXIT_WITHOUT_DRIVER)


def _end_with_stdin(ending: Ending) -> None:
    """The agent keeps our stdin open as long as it lives."""
    sys.stdin.read()
    ending.request()


def _end_when_asked(ending: Ending) -> None:
    """SIGTERM is waited for and not handled: a handler could interrupt a holder of the lock that it needs."""
    signal.sigwait(ENDING_SIGNALS)
    ending.request()


def _crash(failure: threading.ExceptHookArgs) -> None:
    """A defect in one thread ends the worker loudly: the parent counts it and starts another."""
    import traceback  # noqa: PLC0415  # 0.7 MB of each worker's memory, for what should never happen

    traceback.print_exception(failure.exc_value)
    os._exit(1)
