"""How the worker process ends: when its parent goes, when it is asked, and when there is no driver."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest

from agent.core.worker_words import EXIT_WITHOUT_DRIVER
from agent.simulated_gpus.layout import Hang

ENDS_WITHIN_S = 15
"""Generous: its own bounds are 1.3 s together, and starting Python takes its time on a busy machine."""


@pytest.fixture
def worker():
    """Starts the worker as the agent does; whatever is left at the end is killed by its own pid."""
    started = []

    def start(environment):
        process = subprocess.Popen(
            [sys.executable, "-m", "agent.probes.nvml"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=environment,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.wait(timeout=5)
        for pipe in (process.stdin, process.stdout):
            pipe.close()


def first_samples(process, gpus):
    """Read until every GPU of `gpus` has spoken."""
    missing = set(gpus)
    while missing:
        fact = json.loads(process.stdout.readline())
        if fact["kind"] == "gpu":
            missing.discard(fact["gpu"])


@pytest.mark.parametrize("hung", [(), (1,), (0, 1)])
@pytest.mark.parametrize("how", ["its parent closes stdin", "it is asked to"])
def test_it_ends_in_time_whatever_hangs(worker, simulated_gpus, hung, how):
    host = simulated_gpus(2)
    process = worker(host.environment)
    first_samples(process, {0, 1})
    for gpu in hung:
        host.state.gpus[gpu].hang = Hang.SLEEP
    if how == "it is asked to":
        os.kill(process.pid, signal.SIGTERM)
    else:
        process.stdin.close()
    try:
        assert process.wait(timeout=ENDS_WITHIN_S) == 0
    finally:
        for gpu in host.state.gpus:
            gpu.hang = Hang.NONE


def test_it_ends_tidily_also_while_it_still_starts_its_threads(worker, simulated_gpus):
    environment = simulated_gpus(16).environment
    codes = []
    for attempt in range(12):  # each ends it at another point of its start
        process = worker(environment)
        process.stdout.readline()
        time.sleep(attempt * 0.0004)
        process.stdin.close()
        codes.append(process.wait(timeout=ENDS_WITHIN_S))
    assert codes == [0] * 12


def test_it_ends_when_it_is_asked_while_initialisation_hangs(worker, simulated_gpus):
    host = simulated_gpus(1)
    host.state.words.init_hang = Hang.SLEEP
    process = worker(host.environment)
    try:
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(timeout=1.5)
        os.kill(process.pid, signal.SIGTERM)
        assert process.wait(timeout=ENDS_WITHIN_S) in {0, -signal.SIGTERM}
    finally:
        host.state.words.init_hang = Hang.NONE


def test_a_missing_driver_has_an_exit_code_of_its_own(worker):
    environment = {name: value for name, value in os.environ.items() if name != "LD_LIBRARY_PATH"}
    process = worker(environment)
    assert process.wait(timeout=ENDS_WITHIN_S) == EXIT_WITHOUT_DRIVER
    assert json.loads(process.stdout.readline()) == {"kind": "driver", "up": False, "reason": "library_not_found"}
