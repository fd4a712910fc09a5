"""A directory that makes a process see simulated GPUs: the library and the state file, and how to point a process at them."""

import os
from collections.abc import Mapping
from pathlib import Path

from agent.simulated_gpus.build import build
from agent.simulated_gpus.state import SimulatedHost, create, open_state

STATE = "host.state"
LIBRARY_PATH_VARIABLE = "LD_LIBRARY_PATH"
STATE_VARIABLE = "TRIMTAB_SIMULATED_GPUS_STATE"
"""Read by the library (`nvml/core.c`)."""


def create_directory(directory: Path, gpus: int) -> SimulatedHost:
    """Build the library there and make a fresh host; raises `SimulatedGpusError`."""
    build(directory)
    return create(directory / STATE, gpus)


def open_directory(directory: Path) -> SimulatedHost:
    """The host that was made there; raises `StateError`."""
    return open_state(directory / STATE)


def reader_environment(directory: Path, inherited: Mapping[str, str]) -> dict[str, str]:
    """`inherited`, changed so that a child process loads the simulated library instead of a real one."""
    behind = inherited.get(LIBRARY_PATH_VARIABLE, "")
    search = os.pathsep.join([str(directory), *([behind] if behind else [])])
    return {**inherited, LIBRARY_PATH_VARIABLE: search, STATE_VARIABLE: str(directory / STATE)}
