"""The machine that figures are from."""

import os
import platform
from pathlib import Path

import psutil


def machine_line() -> str:
    """Processor, memory, kernel, Python and how busy it is."""
    model = next(
        (
            line.split(":", 1)[1].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if "model name" in line
        ),
        platform.machine(),
    )
    memory_gib = psutil.virtual_memory().total / (1 << 30)
    return (
        f"{os.cpu_count()} cores ({model}), {memory_gib:.0f} GiB, Linux {platform.release()}, "
        f"Python {platform.python_version()}, {load_line()}"
    )


def load_line() -> str:
    """How busy it is."""
    return "load average " + " ".join(f"{load:.2f}" for load in os.getloadavg())
