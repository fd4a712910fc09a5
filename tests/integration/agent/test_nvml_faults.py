"""The fault matrix: the real worker, the real pynvml and a simulated driver that hangs, dies, loses devices or lies.

In each fault every other GPU stays fresh, the state of the faulty one is exact, counts are kept, and all is well again by
itself once the fault is over.
"""

import asyncio
import os
import random
import signal
from contextlib import asynccontextmanager

import pytest

from agent.degradation import Degradations
from agent.exporter.gpu_table import ROWS
from agent.probes.gpu import GpuSources, GpuWatch
from agent.probes.gpu_memory import GpuMemoryFile
from agent.probes.gpu_worker import LOG_BYTES_MAX, Patience, WorkerEnd
from agent.probes.nvml.fields import FAST_FIELDS, STABLE_ID_MAX
from agent.simulated_gpus.faults import Fault, FaultName, heal, inject
from agent.simulated_gpus.state import MIB, SimulatedProcess
from agent.xid_table import shipped_table
from chassis.clock import SystemClock
from chassis.retry import Backoff
from contracts.vocabulary import GpuAction

CLOCK = SystemClock()
SOON_S = 20.0
"""Generous: the machine that tests run on is shared."""
IMPATIENT = Patience(first_line_s=6.0, silence_s=4.5, grace_s=2.0, kill_s=0.5, absent_s=300.0, stuck_s=0.2)


class Watched:
    """A watch over a simulated host, and the questions that tests ask it."""

    def __init__(self, host, directory, environment=None):
        self.host = host
        self.boot = "boot-1"
        self.watch = GpuWatch(
            sources=GpuSources(
                env=host.environment if environment is None else environment,
                log_path=directory / "nvml.log",
                memory=GpuMemoryFile(directory / "gpus.json"),
                boot_id=lambda: self.boot,
                kernel_log=None,
            ),
            table=shipped_table(),
            clock=CLOCK,
            rng=random.Random(7),
            degradations=Degradations(lambda: None),
        )
        self.workers, self.ledger = self.watch.workers, self.watch.ledger
        self.workers.patience = IMPATIENT
        self.workers.backoff = Backoff(base_s=0.1, cap_s=0.5)

    def gpus(self):
        return self.watch.newest(CLOCK.monotonic_s())

    def up(self):
        """`[1, 1, 0, 1]`: which GPUs are readable now."""
        return [int(gpu.up) for gpu in self.gpus()]

    def reasons(self):
        return [gpu.reason for gpu in self.gpus()]

    def fault(self, gpu, name, xid=None):
        inject(self.host.state, gpu, Fault(name, xid))

    def heal(self, *gpus):
        for gpu in gpus:
            heal(self.host.state, gpu)


@pytest.fixture
def watching(simulated_gpus, tmp_path):
    """`async with watching(4) as watched`: a running watch over so many simulated GPUs."""

    @asynccontextmanager
    async def start(gpus=4, *, host=None, environment=None, prepare=lambda host: None):
        host = host or simulated_gpus(gpus)
        prepare(host)
        watched = Watched(host, tmp_path, environment)
        task = asyncio.ensure_future(watched.watch.run())
        try:
            yield watched
        finally:
            for index in range(len(host.state.gpus)):
                heal(host.state, index)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    return start


@pytest.fixture
def until(wait_until_async):
    async def wait(is_so, what, within_s=SOON_S):
        await wait_until_async(is_so, within_s=within_s, what=what)

    return wait


def total_ends(watched):
    return sum(watched.workers.ends_total.values())


async def test_healthy_gpus_are_read(watching, until):
    async with watching(4) as watched:
        watched.host.state.run_processes(1, [SimulatedProcess(pid=4711, memory_bytes=512 * MIB)])
        await until(lambda: watched.up() == [1] * 4 and all(gpu.pci_bus_id for gpu in watched.gpus()), "all are up")
        await until(lambda: "sm_utilization_ratio" in watched.gpus()[0].values, "GPM has two samples")
        await until(lambda: watched.ledger.processes(watched.gpus()[1].uuid) == (4711,), "the process is seen")
        first = watched.gpus()[0]
        assert first.simulated
        assert first.model.startswith("Simulated")
        assert first.values["temperature_celsius"] == 61
        assert first.values["temperature_margin_celsius"] == 31
        assert first.values["power_watts"] == 412
        assert first.values["sm_clock_ratio"] == pytest.approx(1755 / 1980)
        assert first.values["sm_utilization_ratio"] == pytest.approx(0.48)
        assert first.values["memory_total_bytes"] == 80 * 1024 * MIB
        assert watched.gpus()[1].processes[0].memory_used_bytes == 512 * MIB
        assert watched.ledger.known
        assert watched.ledger.present() == tuple(gpu.uuid for gpu in watched.gpus())
        assert watched.ledger.why_unfit(first.uuid) is None
        assert total_ends(watched) == 0


async def test_a_device_that_has_everything_shows_every_row_of_the_page(watching, until):
    async with watching(1) as watched:
        read_by_newer_drivers = {field.name for field in FAST_FIELDS if field.id > STABLE_ID_MAX}
        wanted = {row.value for row in ROWS} - read_by_newer_drivers
        await until(lambda: watched.gpus() and set(watched.gpus()[0].values) == wanted, f"the values are {wanted}")


@pytest.mark.parametrize("hang", [FaultName.HANG, FaultName.HANG_D_STATE])
async def test_one_hung_gpu_costs_only_its_own_values(watching, until, hang):
    async with watching(4) as watched:
        await until(lambda: watched.up() == [1] * 4, "all are up")
        pid = watched.workers.pid
        watched.fault(2, hang)
        await until(lambda: watched.up() == [1, 1, 0, 1], "one is stale")
        await asyncio.sleep(2 * IMPATIENT.silence_s / 3)
        assert watched.up() == [1, 1, 0, 1]
        hung = watched.gpus()[2]
        assert (hung.reason, hung.values, hung.processes) == ("stale", {}, None)
        assert hung.sample_age_s > 3
        assert watched.ledger.why_unfit(hung.uuid) == "it is not up: stale"
        watched.host.state.emit_xid(1, 31)
        await until(lambda: watched.gpus()[1].xid_counts[31] == 1, "events of others still come")
        watched.heal(2)
        await until(lambda: watched.up() == [1] * 4, "it is back")
        assert watched.workers.pid == pid
        assert total_ends(watched) == 0


async def test_all_hung_gpus_are_stale_and_their_worker_is_replaced(watching, until):
    async with watching(3) as watched:
        await until(lambda: watched.up() == [1] * 3, "all are up")
        for gpu in range(3):
            watched.fault(gpu, FaultName.HANG)
        await until(lambda: watched.up() == [0] * 3, "all are stale")
        await until(lambda: watched.workers.ends_total[WorkerEnd.SILENT] >= 1, "the silent worker was ended")
        assert watched.reasons() == ["stale"] * 3
        assert watched.workers.abandoned == 0
        watched.heal(0, 1, 2)
        await until(lambda: watched.up() == [1] * 3, "all are back")


async def test_a_lost_gpu_is_told_apart_and_comes_back(watching, until):
    async with watching(4) as watched:
        await until(lambda: watched.up() == [1] * 4, "all are up")
        watched.fault(3, FaultName.XID, 79)
        await until(lambda: watched.reasons() == ["", "", "", "gpu_lost"], "one is lost")
        lost = watched.gpus()[3]
        assert lost.values == {}
        assert (lost.recommended_action, lost.action_source) == (GpuAction.REBOOT_HOST, "driver")
        assert lost.xid_counts[79] == 1
        assert watched.ledger.present()[3] == lost.uuid
        assert "reboot_host" not in (watched.ledger.why_unfit(lost.uuid) or "")
        watched.heal(3)
        await until(lambda: watched.up() == [1] * 4, "it is back")
        assert watched.gpus()[3].xid_counts[79] == 1
        assert total_ends(watched) == 0


async def test_a_gpu_that_needs_a_reset_says_so(watching, until):
    async with watching(2) as watched:
        await until(lambda: watched.up() == [1, 1], "all are up")
        watched.fault(0, FaultName.RESET_REQUIRED)
        await until(lambda: watched.reasons() == ["reset_required", ""], "it says so")
        assert watched.gpus()[0].recommended_action is GpuAction.RESET_GPU
        watched.heal(0)
        await until(lambda: watched.up() == [1, 1], "it is back")


async def test_a_handle_is_asked_for_by_uuid_after_indices_moved(watching, until):
    async with watching(2) as watched:
        await until(lambda: watched.up() == [1, 1], "all are up")
        gpus = watched.host.state.gpus
        first, second = gpus[0].uuid, gpus[1].uuid
        gpus[0].error = gpus[1].error = 15
        await until(lambda: watched.up() == [0, 0], "both are lost")
        gpus[0].uuid, gpus[1].uuid = second, first
        gpus[0].temperature_c, gpus[1].temperature_c = 40, 80
        gpus[0].error = gpus[1].error = 0
        await until(lambda: watched.up() == [1, 1], "both are back")
        by_uuid = {gpu.uuid.encode(): gpu.values["temperature_celsius"] for gpu in watched.gpus()}
        assert by_uuid == {first: 80, second: 40}


async def test_what_a_device_does_not_support_is_absent_never_zero(watching, until):
    async with watching(2, prepare=lambda host: inject(host.state, 1, Fault(FaultName.NOT_SUPPORTED))) as watched:
        await until(
            lambda: watched.up() == [1, 1] and all("power_limit_watts" in gpu.values for gpu in watched.gpus()),
            "both are up",
        )
        await until(lambda: "sm_utilization_ratio" in watched.gpus()[0].values, "GPM has two samples")
        full, old = (gpu.values for gpu in watched.gpus())
        missing = set(full) - set(old)
        assert {
            "energy_joules_total",
            "memory_temperature_celsius",
            "recovery_action",
            "remapped_rows_pending",
            "sm_utilization_ratio",
            "ecc_enabled",
        } <= missing
        assert old["temperature_margin_celsius"] == 31


async def test_an_unknown_error_of_one_call_does_not_condemn_the_device(watching, until):
    def prepare(host):
        host.state.gpus[0].override("nvmlDeviceGetPowerUsage", 999)

    async with watching(2, prepare=prepare) as watched:
        await until(lambda: watched.up() == [1, 1], "both are up")
        await asyncio.sleep(2.5)
        assert watched.up() == [1, 1]
        assert "power_watts" not in watched.gpus()[0].values
        watched.host.state.gpus[0].override("nvmlDeviceGetPowerUsage", 0)
        await until(lambda: "power_watts" in watched.gpus()[0].values, "the call works again")


async def test_a_mark_that_stands_for_no_value_is_no_value(watching, until):
    def prepare(host):
        host.state.gpus[0].ecc_corrected_volatile = 9223372036854775794
        host.state.gpus[0].power_mw = 0xFFFF_FFFF

    async with watching(1, prepare=prepare) as watched:
        await until(lambda: watched.up() == [1], "it is up")
        assert not {"ecc_volatile_corrected_total", "power_watts"} & set(watched.gpus()[0].values)


async def test_mig_instances_take_the_place_of_their_gpu(watching, until):
    async with watching(2, prepare=lambda host: inject(host.state, 1, Fault(FaultName.MIG))) as watched:
        await until(lambda: watched.up() == [1, 1] and len(watched.gpus()[1].mig) == 7, "instances are seen")
        whole, split = watched.gpus()
        assert "utilization_ratio" in whole.values
        assert "utilization_ratio" not in split.values
        assert split.mig[0].profile
        assert split.mig[0].memory_total_bytes > split.mig[0].memory_used_bytes
        assert watched.ledger.present() == (whole.uuid, *(part.uuid for part in split.mig))
        assert watched.ledger.why_unfit(split.mig[3].uuid) is None
        watched.host.state.gpus[1].error = 15
        await until(lambda: watched.up() == [1, 0], "the split one is lost")
        assert len(watched.ledger.present()) == 8
        assert watched.ledger.why_unfit(split.mig[3].uuid) == "it is not up: gpu_lost"


async def test_a_driver_that_is_not_loaded_is_looked_for_again(watching, until):
    async with watching(2, prepare=lambda host: inject(host.state, 0, Fault(FaultName.DRIVER_MISSING))) as watched:
        await until(lambda: watched.watch.driver.reason == "driver_not_loaded", "its absence is known")
        assert watched.ledger.known
        assert watched.ledger.present() == ()
        await until(lambda: watched.workers.ends_total[WorkerEnd.NO_DRIVER] >= 2, "it is looked for again")
        watched.heal(0)
        await until(lambda: watched.up() == [1, 1], "it was loaded")


async def test_a_host_without_the_library_is_looked_at_once(watching, until):
    environment = {name: value for name, value in os.environ.items() if name != "LD_LIBRARY_PATH"}
    async with watching(1, environment=environment) as watched:
        await until(lambda: watched.watch.driver.reason == "library_not_found", "its absence is known")
        await until(lambda: total_ends(watched) == 1, "the worker ended")
        await asyncio.sleep(2)
        assert total_ends(watched) == 1
        assert not watched.ledger.has_driver
        assert watched.ledger.known


async def test_a_driver_without_gpus_says_so_and_is_looked_at_again(watching, until):
    async with watching(0) as watched:
        await until(lambda: watched.watch.driver.reason == "no_gpus", "that there are none is known")
        await until(lambda: watched.workers.ends_total[WorkerEnd.NO_DRIVER] >= 2, "it is looked at again")
        assert total_ends(watched) == watched.workers.ends_total[WorkerEnd.NO_DRIVER]
        assert (watched.ledger.known, watched.ledger.has_driver, watched.ledger.present()) == (True, True, ())


async def test_a_disk_that_takes_no_log_costs_the_log_and_no_sight(watching, until, tmp_path):
    (tmp_path / "file").write_text("no directory")
    async with watching(2) as watched:
        watched.workers.log_path = tmp_path / "file" / "nvml.log"
        await until(lambda: watched.up() == [1, 1], "both are up")
        assert total_ends(watched) == 0


async def test_workers_that_complain_again_and_again_fill_no_disk(watching, until, tmp_path):
    log = tmp_path / "nvml.log"
    log.write_bytes(b"x" * (LOG_BYTES_MAX + 1))
    async with watching(1) as watched:
        await until(lambda: watched.up() == [1], "it is up")
        assert log.stat().st_size <= LOG_BYTES_MAX


@pytest.mark.parametrize("how", ["SIGSEGV", "SIGKILL"])
async def test_a_worker_that_dies_is_replaced_and_counts_are_kept(watching, until, how):
    async with watching(3) as watched:
        await until(lambda: watched.up() == [1] * 3, "all are up")
        watched.host.state.emit_xid(1, 31)
        await until(lambda: watched.gpus()[1].xid_counts[31] == 1, "the Xid was counted")
        died = watched.workers.pid
        if how == "SIGSEGV":
            watched.fault(0, FaultName.CRASH_WORKER)
        else:
            os.kill(died, signal.SIGKILL)
        await until(lambda: watched.workers.ends_total[WorkerEnd.CRASHED] == 1, "the crash was counted")
        await until(lambda: watched.workers.pid not in {None, died} and watched.up() == [1] * 3, "another one reads")

        def counted_on():
            watched.host.state.emit_xid(
                1, 31
            )  # again and again: the new worker does not listen from its first moment on
            return watched.gpus()[1].xid_counts[31] >= 2

        await until(counted_on, "counts go on")


async def test_every_xid_of_a_storm_is_counted_once(watching, until):
    async with watching(2) as watched:
        await until(lambda: watched.up() == [1, 1], "all are up")
        watched.fault(1, FaultName.XID_STORM)
        await until(lambda: watched.gpus()[1].xid_counts[31] == 200, "the storm was counted")
        await asyncio.sleep(1)
        assert watched.gpus()[1].xid_counts[31] == 200
        assert watched.gpus()[0].xid_counts[31] == 0
        assert watched.ledger.program_faults(watched.gpus()[1].uuid) == 200
        assert "program_faults_repeated" in watched.gpus()[1].notes


async def test_an_initialisation_that_hangs_is_given_up_and_tried_again(watching, until):
    async with watching(2, prepare=lambda host: inject(host.state, 0, Fault(FaultName.INIT_HANG))) as watched:
        assert not watched.ledger.known
        await until(lambda: watched.workers.ends_total[WorkerEnd.SILENT] == 1, "it was given up")
        assert watched.watch.driver.reason == "worker_silent"
        assert watched.ledger.known
        watched.heal(0)
        await until(lambda: watched.up() == [1, 1], "it answers")


async def test_heat_is_told_as_seconds_and_transitions(watching, until):
    async with watching(1) as watched:
        await until(lambda: watched.up() == [1], "it is up")
        watched.fault(0, FaultName.HOT)
        await until(lambda: watched.gpus()[0].clock_event_seconds["hw_thermal_slowdown"] > 1.5, "seconds add up")
        hot = watched.gpus()[0]
        assert hot.slowed
        assert hot.clock_event_transitions["hw_thermal_slowdown"] == 1
        assert hot.clock_event_seconds["sw_power_cap"] == 0
        watched.heal(0)
        await until(lambda: not watched.gpus()[0].slowed, "it has cooled down")


async def test_nobody_holds_the_driver_during_a_reset(watching, until):
    async with watching(2) as watched:
        await until(lambda: watched.up() == [1, 1], "all are up")
        watched.fault(0, FaultName.XID, 95)
        await until(lambda: watched.gpus()[0].recommended_action is GpuAction.RESET_GPU, "a reset is recommended")
        before = watched.workers.pid
        async with watched.watch.released():
            assert watched.workers.pid is None
            watched.heal(0)
            watched.watch.reset_done(watched.gpus()[0].uuid)
            await asyncio.sleep(0.5)
            assert watched.workers.pid is None
        await until(lambda: watched.up() == [1, 1], "a fresh worker reads")
        assert watched.workers.pid != before
        assert watched.gpus()[0].recommended_action is GpuAction.NONE
        assert watched.gpus()[0].xid_counts[95] == 1
        assert watched.workers.ends_total[WorkerEnd.RENEWED] == 1


async def test_a_restarted_agent_remembers_what_still_calls_for_something(watching, until, simulated_gpus, tmp_path):
    host = simulated_gpus(2)
    async with watching(host=host) as first:
        await until(lambda: all(gpu.pci_bus_id for gpu in first.gpus()) and len(first.gpus()) == 2, "both are known")
        host.state.gpus[1].override("field 230", 3)
        host.state.emit_xid(1, 48)
        file = tmp_path / "gpus.json"
        await until(lambda: file.exists() and '"48"' in file.read_text(), "it is on disk")
        sick = first.gpus()[1].uuid
    async with watching(host=host, environment={}) as second:
        await until(lambda: len(second.gpus()) == 2, "it remembers both")
        assert second.ledger.gpu(sick).recommended_action is GpuAction.RESET_GPU
        assert second.ledger.gpu(sick).xid_counts[48] == 0
        assert second.ledger.program_faults(sick) == 0
        second.boot = "boot-2"
        await until(lambda: second.ledger.gpu(sick).recommended_action is GpuAction.NONE, "a reboot clears it")
