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

from agent.core.worker_words import EXIT_WITHOUT_DRIVER
from agent.probes.nvml.codes import reason_of
from agent.probes.nvml.device import Device
from agent.probes.nvml.ending import Ending
from agent.probes.nvml.events import EventListener
from agent.probes.nvml.fields import driver_major
from agent.probes.nvml.reader import text
from agent.probes.nvml.speech import say

GPUS_MAX = 64
"""More than any host has; bounds the threads."""
THREADS_END_S_MAX = 0.8
"""Threads that are not in the driver end within the half second that the event thread may wait."""
SHUTDOWN_S_MAX = 0.5
"""`nvmlShutdown` takes milliseconds, or never returns. With the above it stays below the parent's grace of two seconds."""


def main() -> None:
    """Run until told to end; never returns, because threads may be in the driver for ever."""
    ending = Ending()
    signal.signal(signal.SIGTERM, lambda *_: ending.request())
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.excepthook = _crash
    threads: list[threading.Thread] = []
    threading.Thread(target=_end_with_stdin, args=(ending,), daemon=True).start()
    threading.Thread(target=_watch_driver, args=(ending, threads), daemon=True).start()
    ending.wait()
    if threads and _ended_within(THREADS_END_S_MAX, threads):
        shutdown = threading.Thread(target=_leave_nvml, daemon=True)
        shutdown.start()
        shutdown.join(SHUTDOWN_S_MAX)
    os._exit(ending.code)


def _watch_driver(ending: Ending, threads: list[threading.Thread]) -> None:
    """Open NVML and start a thread per GPU and one for events; without a driver, say so and end the worker."""
    try:
        pynvml.nvmlInit()
        version = text(pynvml.nvmlSystemGetDriverVersion())
        count = min(pynvml.nvmlDeviceGetCount(), GPUS_MAX)
    except pynvml.NVMLError as error:
        say(kind="driver", up=False, reason=reason_of(error))
        ending.request(EXIT_WITHOUT_DRIVER)
        return
    say(kind="driver", up=True, reason="", version=version, gpus=count)
    events = EventListener(ending=ending)
    major = driver_major(version)
    devices = [Device(index=i, driver_major=major, events=events, ending=ending) for i in range(count)]
    targets = [events.run, *(device.run for device in devices)]
    threads += [threading.Thread(target=target, daemon=True) for target in targets]
    for thread in threads:
        thread.start()


def _end_with_stdin(ending: Ending) -> None:
    """The agent keeps our stdin open as long as it lives."""
    sys.stdin.read()
    ending.request()


def _ended_within(seconds: float, threads: list[threading.Thread]) -> bool:
    """Wait for all threads within one bound; False when one is stuck in the driver."""

    def join_all() -> None:
        for thread in threads:
            thread.join()

    waiting = threading.Thread(target=join_all, daemon=True)
    waiting.start()
    waiting.join(seconds)
    return not waiting.is_alive()


def _leave_nvml() -> None:
    try:
        pynvml.nvmlShutdown()
    except pynvml.NVMLError as error:
        say(kind="left_untidily", reason=reason_of(error))


def _crash(failure: threading.ExceptHookArgs) -> None:
    """A defect in one thread ends the worker loudly: the parent counts it and starts another."""
    import traceback  # noqa: PLC0415  # 0.7 MB of each worker's memory, for what should never happen

    traceback.print_exception(failure.exc_value)
    os._exit(1)


if __name__ == "__main__":
    main()
