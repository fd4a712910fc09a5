"""What the kernel says about the host, read into values; what it does not say is absent."""

import asyncio

import pytest

from agent.core.load import CpuTicks, Memory, busy_ratio, parse_cpu_ticks, parse_memory
from agent.core.pressure import (
    Stall,
    lineage,
    parse_cpu_max,
    parse_memory_max,
    parse_pressure,
    tightest,
    unified_path,
)
from agent.exporter.host import HostSection
from agent.exporter.page import Page
from agent.probes.host import HostMeter, KernelFiles, Limits
from chassis.clock import SystemClock

PRESSURE = """some avg10=1.66 avg60=4.11 avg300=2.38 total=1399396768
full avg10=0.00 avg60=0.00 avg300=0.00 total=250000
"""
HYBRID = "9:name=systemd:/\n4:memory:/process_api/3ce1\n0::/\n"


@pytest.mark.parametrize(
    ("text", "stalls"),
    [
        (PRESSURE, (Stall("some", 0.0166, 1399.396768), Stall("full", 0.0, 0.25))),
        ("some avg10=100.00 avg60=0.00 avg300=0.00 total=5\n", (Stall("some", 1.0, 5e-6),)),
        ("", ()),
        ("\n\nsome\n", ()),
        ("some avg10=x total=5\nfull total=5\n", ()),
    ],
)
def test_pressure_is_read_as_ratios_and_seconds(text, stalls):
    read = parse_pressure(text)
    assert [stall.kind for stall in read] == [stall.kind for stall in stalls]
    assert [stall.ratio_10s for stall in read] == pytest.approx([stall.ratio_10s for stall in stalls])
    assert [stall.total_s for stall in read] == pytest.approx([stall.total_s for stall in stalls])


@pytest.mark.parametrize(
    ("cgroup", "path"),
    [
        ("0::/system.slice/trimtab-agent.service\n", "/system.slice/trimtab-agent.service"),
        (HYBRID, "/"),
        ("4:memory:/docker/abc\n2:cpu:/docker/abc\n", None),
        ("", None),
    ],
)
def test_the_path_in_the_unified_hierarchy_is_found_or_there_is_none(cgroup, path):
    assert unified_path(cgroup) == path


@pytest.mark.parametrize(
    ("path", "groups"),
    [("/", ("/",)), ("/a", ("/a", "/")), ("/a/b.slice/c", ("/a/b.slice/c", "/a/b.slice", "/a", "/"))],
)
def test_a_group_is_bound_by_every_group_above_it(path, groups):
    assert lineage(path) == groups


@pytest.mark.parametrize(("text", "limit"), [("1073741824\n", 1 << 30), ("max\n", None), ("", None)])
def test_a_memory_limit_is_bytes_or_none(text, limit):
    assert parse_memory_max(text) == limit


@pytest.mark.parametrize(
    ("text", "cpus"), [("150000 100000\n", 1.5), ("max 100000\n", None), ("", None), ("5 0\n", None), ("5\n", None)]
)
def test_a_processor_limit_is_a_number_of_processors_or_none(text, cpus):
    assert parse_cpu_max(text) == cpus


def test_the_tightest_limit_binds_and_no_limit_is_none():
    assert tightest([None, 4.0, 1.5]) == 1.5
    assert tightest([None, None]) is None


STAT = "cpu  100 20 30 800 40 5 5 0 7 0\ncpu0 1 2 3 4 5 6 7 8 9 0\n"
MEMINFO = """MemTotal:       16384 kB
MemFree:         1024 kB
MemAvailable:    4096 kB
HugePages_Total:       0
SwapTotal:       2048 kB
SwapFree:        1536 kB
"""


@pytest.mark.parametrize(
    ("stat", "ticks"), [(STAT, CpuTicks(busy=160, total=1000)), ("", None), ("cpu 1 2\n", None), ("cpu0 1\n", None)]
)
def test_waiting_for_a_disk_is_no_work(stat, ticks):
    assert parse_cpu_ticks(stat) == ticks


@pytest.mark.parametrize(
    ("now", "ratio"),
    [
        (CpuTicks(busy=210, total=1100), 0.5),
        (CpuTicks(busy=260, total=1100), 1.0),
        (CpuTicks(busy=160, total=1000), None),
        (CpuTicks(busy=150, total=1100), 0.0),  # some kernels let iowait fall, and with it the idle time rise too much
    ],
)
def test_a_ratio_is_work_per_time_passed(now, ratio):
    assert busy_ratio(CpuTicks(busy=160, total=1000), now) == ratio


def test_memory_is_bytes_and_used_is_what_could_not_be_had():
    memory = parse_memory(MEMINFO)
    assert memory == Memory(total=16 << 20, available=4 << 20, swap_total=2 << 20, swap_used=512 << 10)
    assert memory.used == 12 << 20


@pytest.mark.parametrize("missing", ["MemTotal", "MemAvailable", "SwapTotal", "SwapFree"])
def test_memory_without_one_of_its_figures_is_not_known(missing):
    assert parse_memory("\n".join(line for line in MEMINFO.splitlines() if missing not in line)) is None


@pytest.fixture
def kernel(tmp_path):
    """A kernel's files for a service with half a processor below a slice with 2 GiB."""
    service = tmp_path / "cgroup" / "system.slice" / "agent.service"
    service.mkdir(parents=True)
    (service / "cpu.max").write_text("50000 100000\n")
    (service / "memory.max").write_text("max\n")
    (service.parent / "memory.max").write_text("2147483648\n")
    proc = tmp_path / "proc"
    (proc / "self").mkdir(parents=True)
    (proc / "self" / "cgroup").write_text("0::/system.slice/agent.service\n")
    (proc / "pressure").mkdir()
    (proc / "pressure" / "memory").write_text(PRESSURE)
    (proc / "stat").symlink_to("/proc/stat")
    (proc / "meminfo").symlink_to("/proc/meminfo")
    return KernelFiles(proc=proc, cgroup=tmp_path / "cgroup")


def test_limits_are_the_tightest_of_a_group_and_those_above_it(kernel):
    assert kernel.limits() == Limits(memory_bytes=2 << 30, cpus=0.5)


def test_a_resource_without_a_pressure_file_is_absent(kernel):
    assert {resource for resource, _ in kernel.pressure()} == {"memory"}


def test_a_kernel_without_any_of_it_yields_nothing(tmp_path):
    files = KernelFiles(proc=tmp_path, cgroup=tmp_path)
    assert (files.pressure(), files.limits()) == ((), Limits())


async def test_the_meter_reads_this_very_host(tmp_path, kernel, wait_until_async):
    meter = HostMeter(clock=SystemClock(), state_dir=tmp_path, files=kernel)
    running = asyncio.ensure_future(meter.run())
    try:
        await wait_until_async(
            lambda: meter.newest is not None and meter.newest.disk is not None, within_s=10, what="a sample with a disk"
        )
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
    load = meter.newest
    assert 0.0 <= load.cpu_utilization_ratio <= 1.0
    assert 0 < load.memory.used < load.memory.total
    assert load.memory.available <= load.memory.total
    assert 0 < load.disk.free <= load.disk.total
    page = Page()
    HostSection(meter).write(page)
    assert 'host_pressure_stalled_seconds_total{resource="memory",kind="full"} 0.25\n' in page.text()
    assert "host_cgroup_cpu_limit 0.5\n" in page.text()
    assert 'resource="io"' not in page.text()


async def test_a_state_directory_that_cannot_be_asked_has_no_disk_series(tmp_path):
    meter = HostMeter(clock=SystemClock(), state_dir=tmp_path / "gone")
    await meter._ask_disk()
    assert meter._disk is None
