"""What the NVML worker and its parent must agree on. Imports nothing: the worker's memory counts against the host's."""

PROCESSES_MAX = 64
"""Of one GPU; those that hold the most memory are kept. More is a leak of processes, not a workload."""
NO_GPUS = "no_gpus"
"""Why a driver that works is of no use: it has no device."""
EXIT_WITHOUT_DRIVER = 3
"""Exit code of a worker that found no driver, or lost it: told apart from a crash, and from an end that was asked for."""
