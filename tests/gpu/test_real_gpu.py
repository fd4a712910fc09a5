"""Real GPUs through pynvml, held to what nvidia-smi says of them at the same time.

Needs an NVIDIA GPU and its driver; everything else about GPUs is tested on simulated ones.
"""

import asyncio
import csv
import os
import random
import subprocess
from collections.abc import Mapping

import pytest

from agent.core.gpu import Gpu, GpuIdentity
from agent.degradation import Degradations
from agent.probes.gpu import GpuSources, GpuWatch
from agent.probes.gpu_memory import GpuMemoryFile
from agent.xid_table import shipped_table
from chassis.clock import SystemClock
from contracts.vocabulary import GpuUuid

MIB, MHZ = 1 << 20, 1e6
COLUMNS = (
    "uuid", "name", "pci.bus_id", "memory.total", "memory.used", "temperature.gpu", "enforced.power.limit",
    "clocks.max.sm", "clocks.max.memory", "power.draw",
)  # fmt: skip
SLACK = {"memory.used": 0.02, "temperature.gpu": 0.15, "power.draw": 0.5}
"""What moves between two looks, as a share; the rest must be equal within rounding."""
CLOCK = SystemClock()


def nvidia_smi() -> dict[str, dict[str, str]]:
    """UUID → what nvidia-smi says, in its units (MiB, W, MHz, °C)."""
    argv = ["nvidia-smi", f"--query-gpu={','.join(COLUMNS)}", "--format=csv,noheader,nounits"]
    text = subprocess.run(argv, capture_output=True, text=True, timeout=30, check=True).stdout
    rows = csv.reader(text.splitlines(), skipinitialspace=True)
    return {row[0]: dict(zip(COLUMNS, row, strict=True)) for row in rows}


def ours(gpu: Gpu) -> dict[str, float]:
    """The same figures as the agent has them, in nvidia-smi's units."""
    values = gpu.values
    wanted = {
        "memory.total": ("memory_total_bytes", MIB),
        "memory.used": ("memory_used_bytes", MIB),
        "temperature.gpu": ("temperature_celsius", 1.0),
        "enforced.power.limit": ("power_limit_watts", 1.0),
        "clocks.max.sm": ("sm_clock_max_hertz", MHZ),
        "clocks.max.memory": ("memory_clock_max_hertz", MHZ),
        "power.draw": ("power_watts", 1.0),
    }
    return {column: values[name] / unit for column, (name, unit) in wanted.items() if name in values}


def disagreements(gpu: Gpu, row: Mapping[str, str]) -> list[str]:
    """What differs by more than rounding and the passing of time."""
    found = []
    if (gpu.identity.model, gpu.identity.pci_bus_id.upper()) != (row["name"], row["pci.bus_id"].upper()):
        found.append(f"identity: {gpu.identity} and {row}")
    for column, figure in ours(gpu).items():
        if not row[column].replace(".", "", 1).isdigit():
            found.append(f"{column}: ours {figure}, nvidia-smi {row[column]}")
            continue
        told = float(row[column])
        whole = float(row["memory.total"]) if column == "memory.used" else told
        if abs(figure - told) > 1.0 + SLACK.get(column, 0.001) * whole:
            found.append(f"{column}: ours {figure}, nvidia-smi {told}")
    return found


ROW = {
    "uuid": "GPU-1", "name": "H200", "pci.bus_id": "00000000:3B:00.0", "memory.total": "143771", "memory.used": "600",
    "temperature.gpu": "40", "enforced.power.limit": "700.00", "clocks.max.sm": "1980", "clocks.max.memory": "3201",
    "power.draw": "90.15",
}  # fmt: skip
VALUES = {
    "memory_total_bytes": 143771.0 * MIB, "memory_used_bytes": 650.0 * MIB, "temperature_celsius": 41.0,
    "power_limit_watts": 700.0, "sm_clock_max_hertz": 1980 * MHZ, "memory_clock_max_hertz": 3201 * MHZ, "power_watts": 99.0,
}  # fmt: skip


def gpu_with(**values: float) -> Gpu:
    identity = GpuIdentity(0, GpuUuid("GPU-1"), "00000000:3b:00.0", "H200")
    return Gpu(identity, up=True, reason="", sample_age_s=0.1, values={**VALUES, **values})


@pytest.mark.parametrize(
    ("values", "columns"),
    [
        ({}, []),
        ({"memory_total_bytes": 143771e6}, ["memory.total"]),
        ({"sm_clock_max_hertz": 1980.0}, ["clocks.max.sm"]),
        ({"power_watts": 90_150.0}, ["power.draw"]),
        ({"temperature_celsius": 60.0}, ["temperature.gpu"]),
    ],
    ids=["the same", "megabytes for mebibytes", "megahertz for hertz", "milliwatts for watts", "another device's heat"],
)
def test_a_wrong_unit_is_a_disagreement(values, columns):
    assert [said.partition(":")[0] for said in disagreements(gpu_with(**values), ROW)] == columns


@pytest.mark.gpu
async def test_the_agent_and_nvidia_smi_agree(tmp_path, wait_until_async):
    watch = GpuWatch(
        sources=GpuSources(
            env=dict(os.environ),
            log_path=tmp_path / "nvml.log",
            memory=GpuMemoryFile(tmp_path / "gpus.json"),
            boot_id=lambda: "boot",
            kernel_log=None,
        ),
        table=shipped_table(),
        clock=CLOCK,
        rng=random.Random(1),
        degradations=Degradations(lambda: None),
    )
    task = asyncio.ensure_future(watch.run())
    try:
        rows = await asyncio.to_thread(nvidia_smi)
        await wait_until_async(
            lambda: len(watch.newest(CLOCK.monotonic_s())) == len(rows) > 0, within_s=30, what="every GPU is seen"
        )
        rows = await asyncio.to_thread(nvidia_smi)
        gpus = watch.newest(CLOCK.monotonic_s())
        assert all(gpu.up and not gpu.simulated for gpu in gpus)
        assert {gpu.uuid for gpu in gpus} == set(rows)
        for gpu in gpus:
            assert len(ours(gpu)) >= 6, "a data centre GPU tells all of these"
            assert disagreements(gpu, rows[gpu.uuid]) == []
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
