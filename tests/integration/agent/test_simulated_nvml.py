"""The simulated library, asked by the real pynvml in a process of its own: answers, and each way of not answering."""

import json
import os
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from agent.simulated_gpus.faults import Fault, FaultName, heal, inject, split
from agent.simulated_gpus.layout import Hang, ProcessKind
from agent.simulated_gpus.state import Code, EventType, SimulatedHost, SimulatedProcess

READER = Path(__file__).with_name("nvml_reader.py")
NOT_SUPPORTED, NOT_FOUND, TIMEOUT, UNINITIALIZED = 3, 6, 10, 1
WITHIN_S = 20.0
"""Generous: only a real hang takes so long."""


class NvmlError(Exception):
    """The code that pynvml raised."""


class Reader:
    """One process that reads GPUs."""

    def __init__(self, environment: dict[str, str]) -> None:
        self.process = subprocess.Popen(
            [sys.executable, str(READER)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=environment,
            text=True,
        )
        self._replies: queue.Queue[dict[str, object]] = queue.Queue()
        self._early: dict[int, dict[str, object]] = {}
        self._asked = 0
        self._listener = threading.Thread(target=self._listen, daemon=True)
        self._listener.start()

    def begin(self, ask: str) -> int:
        self._asked += 1
        self.process.stdin.write(json.dumps({"id": self._asked, "ask": ask}) + "\n")
        self.process.stdin.flush()
        return self._asked

    def result(self, number: int) -> object:
        while number not in self._early:
            reply = self._replies.get(timeout=WITHIN_S)
            self._early[reply["id"]] = reply
        reply = self._early.pop(number)
        if "error" in reply:
            raise NvmlError(reply["error"])
        return reply["value"]

    def is_answered(self, number: int) -> bool:
        while not self._replies.empty():
            reply = self._replies.get_nowait()
            self._early[reply["id"]] = reply
        return number in self._early

    def ask(self, what: str) -> object:
        return self.result(self.begin(what))

    def code(self, what: str) -> int:
        with pytest.raises(NvmlError) as failure:
            self.ask(what)
        return failure.value.args[0]

    def thread_states(self) -> set[str]:
        tasks = Path(f"/proc/{self.process.pid}/task")
        return {(task / "stat").read_text().rpartition(")")[2].split()[0] for task in tasks.iterdir()}

    def end(self) -> None:
        self.process.kill()
        self.process.wait(timeout=WITHIN_S)
        self._listener.join(timeout=WITHIN_S)
        self.process.stdin.close()
        self.process.stdout.close()

    def _listen(self) -> None:
        for line in self.process.stdout:
            self._replies.put(json.loads(line))


@pytest.fixture
def readers() -> Iterator[Callable[[dict[str, str]], Reader]]:
    """Readers that end with the test, whatever hangs in them."""
    started: list[Reader] = []

    def start(environment: dict[str, str]) -> Reader:
        started.append(Reader(environment))
        return started[-1]

    yield start
    for reader in started:
        reader.end()


@pytest.fixture
def host(simulated_gpus) -> Iterator[SimulatedHost]:
    """Eight healthy GPUs; whatever still hangs in the end is let go."""
    made = simulated_gpus(8)
    yield made
    for index in range(len(made.state.gpus)):
        heal(made.state, index)


@pytest.fixture
def reader(host, readers) -> Reader:
    started = readers(host.environment)
    started.ask("nvmlInit()")
    return started


# ── answers ───────────────────────────────────────────────────────────────────────────────────────────────────────────
def test_it_says_what_it_is(reader: Reader) -> None:
    assert "simulated" in reader.ask("nvmlSystemGetDriverVersion()")
    assert "simulated" in reader.ask("nvmlSystemGetNVMLVersion()")
    assert reader.ask("nvmlDeviceGetName(gpu(0))") == "Simulated H100 80GB"


def test_gpus_are_found_by_index_uuid_and_bus_id(reader: Reader, host) -> None:
    assert reader.ask("nvmlDeviceGetCount()") == 8
    gpu = host.state.gpus[3]
    for handle in (
        "gpu(3)",
        f"nvmlDeviceGetHandleByUUID({gpu.uuid!r})",
        f"nvmlDeviceGetHandleByPciBusId({gpu.bus_id!r})",
    ):
        assert reader.ask(f"nvmlDeviceGetUUID({handle})") == gpu.uuid.decode()
        assert reader.ask(f"nvmlDeviceGetSerial({handle})") == "SIMULATED0003"
    assert reader.code("nvmlDeviceGetHandleByUUID(b'GPU-unknown')") == NOT_FOUND
    assert len({gpu.uuid for gpu in host.state.gpus}) == 8


def test_pci_addresses_are_those_of_separate_devices(reader: Reader) -> None:
    _legacy, domain, bus, device, vendor, _subsystem, bus_id = reader.ask("nvmlDeviceGetPciInfo(gpu(2))")
    assert (domain, bus, device, vendor, bus_id) == (0, 0x1A, 0, 0x233010DE, "00000000:1A:00.0")


GAUGES = {
    "nvmlDeviceGetUtilizationRates({})": [55, 30],
    "nvmlDeviceGetTemperature({}, 0)": 61,
    "nvmlDeviceGetTemperatureV({}, 0)": 61,
    "nvmlDeviceGetMarginTemperature({})": 31,
    "nvmlDeviceGetTemperatureThreshold({}, NVML_TEMPERATURE_THRESHOLD_SLOWDOWN)": 92,
    "nvmlDeviceGetTemperatureThreshold({}, NVML_TEMPERATURE_THRESHOLD_SHUTDOWN)": 95,
    "nvmlDeviceGetPowerUsage({})": 412_000,
    "nvmlDeviceGetEnforcedPowerLimit({})": 700_000,
    "nvmlDeviceGetPowerManagementLimitConstraints({})": [200_000, 700_000],
    "nvmlDeviceGetClockInfo({}, NVML_CLOCK_SM)": 1755,
    "nvmlDeviceGetMaxClockInfo({}, NVML_CLOCK_SM)": 1980,
    "nvmlDeviceGetClockInfo({}, NVML_CLOCK_MEM)": 2619,
    "nvmlDeviceGetCurrentClocksEventReasons({})": 0,
    "nvmlDeviceGetCurrentClocksThrottleReasons({})": 0,
    "nvmlDeviceGetPerformanceState({})": 0,
    "nvmlDeviceGetEncoderUtilization({})": [0, 167_000],
    "nvmlDeviceGetDecoderUtilization({})": [0, 167_000],
    "nvmlDeviceGetCurrPcieLinkGeneration({})": 5,
    "nvmlDeviceGetMaxPcieLinkWidth({})": 16,
    "nvmlDeviceGetPcieReplayCounter({})": 0,
    "nvmlDeviceGetPcieThroughput({}, NVML_PCIE_UTIL_TX_BYTES)": 120_000,
    "nvmlDeviceGetEccMode({})": [1, 1],
    "nvmlDeviceGetTotalEccErrors({}, NVML_MEMORY_ERROR_TYPE_UNCORRECTED, NVML_VOLATILE_ECC)": 0,
    "nvmlDeviceGetRemappedRows({})": [0, 0, 0, 0],
    "nvmlDeviceGetRowRemapperHistogram({})": [640, 0, 0, 0, 0],
    "nvmlDeviceGetNvLinkState({}, 17)": 1,
    "nvmlDeviceGetMigMode({})": [0, 0],
    "nvmlDeviceGetCudaComputeCapability({})": [9, 0],
    "nvmlDeviceGetBAR1MemoryInfo({}).bar1Total": 128 << 30,
    "nvmlDeviceGetViolationStatus({}, NVML_PERF_POLICY_THERMAL).violationTime": 0,
    "nvmlGpmQueryDeviceSupport({}).isSupportedDevice": 1,
    "nvmlDeviceGetSupportedEventTypes({})": 0x1F,
}


def test_a_healthy_gpu_answers_every_call_of_a_reader(reader: Reader) -> None:
    assert {ask: reader.ask(ask.format("gpu(1)")) for ask in GAUGES} == GAUGES


def test_memory_is_told_in_both_versions(reader: Reader) -> None:
    total, reserved, used = 80 << 30, 600 << 20, 61 << 30
    assert reader.ask("nvmlDeviceGetMemoryInfo(gpu(0))") == [total, total - used - reserved, used + reserved]
    _version, *second = reader.ask("nvmlDeviceGetMemoryInfo(gpu(0), nvmlMemory_v2)")
    assert second == [total, reserved, total - used - reserved, used]


def test_fields_come_in_one_call_each_with_its_own_result(reader: Reader, host) -> None:
    host.state.gpus[0].recovery_action = 2
    host.state.gpus[0].nvlink_crc_flit = 7
    told = reader.ask("fields(gpu(0), 82, 230, 38, 145, 194, 91, 999, 270)")
    assert told == [70, 2, 7, 0, -5, 18, {"error": NOT_SUPPORTED}, {"error": NOT_SUPPORTED}]


def test_a_change_is_seen_by_the_next_call(reader: Reader, host) -> None:
    host.state.gpus[4].temperature_c = 91
    assert reader.ask("nvmlDeviceGetTemperature(gpu(4), 0)") == 91


def test_energy_grows_with_power(reader: Reader, host, wait_until) -> None:
    ask = "nvmlDeviceGetTotalEnergyConsumption(gpu(0))"
    before_mj = reader.ask(ask)
    wait_until(lambda: reader.ask(ask) > before_mj, within_s=10, what="energy of a GPU that draws 412 W grows")
    host.state.gpus[0].power_mw = 0
    reader.ask(ask)  # accounts for what was drawn until now
    stopped_mj = reader.ask(ask)
    assert reader.ask(ask) == stopped_mj


def test_slowed_time_is_counted_while_it_is_hot(reader: Reader, host, wait_until) -> None:
    inject(host.state, 0, Fault(FaultName.HOT))
    assert reader.ask("nvmlDeviceGetCurrentClocksEventReasons(gpu(0))") == 0x48
    assert reader.ask("nvmlDeviceGetMarginTemperature(gpu(0))") == -1
    ask = "fields(gpu(0), 75)[0]"
    wait_until(lambda: reader.ask(ask) > 0, within_s=10, what="nanoseconds of thermal slow-down")


def test_processes_are_listed_by_kind(reader: Reader, host) -> None:
    processes = [
        SimulatedProcess(pid=11, memory_bytes=3 << 30, sm_percent=40),
        SimulatedProcess(pid=12, memory_bytes=1 << 30, kind=ProcessKind.MPS),
        SimulatedProcess(pid=13, memory_bytes=1 << 20, kind=ProcessKind.GRAPHICS),
    ]
    host.state.run_processes(0, processes)
    listed = "[p.pid for p in {}(gpu(0))]"
    assert reader.ask(listed.format("nvmlDeviceGetComputeRunningProcesses")) == [11]
    assert reader.ask(listed.format("nvmlDeviceGetMPSComputeRunningProcesses")) == [12]
    assert reader.ask(listed.format("nvmlDeviceGetGraphicsRunningProcesses")) == [13]
    assert reader.ask("nvmlDeviceGetComputeRunningProcesses(gpu(0))[0].usedGpuMemory") == 3 << 30
    assert reader.ask("[[u.pid, u.smUtil] for u in nvmlDeviceGetProcessUtilization(gpu(0), 0)]")[0] == [11, 40]
    host.state.run_processes(0, [])
    assert reader.ask("nvmlDeviceGetComputeRunningProcesses(gpu(0))") == []
    assert reader.code("nvmlDeviceGetProcessUtilization(gpu(0), 0)") == NOT_FOUND


def test_gpm_tells_how_busy_the_sms_were_between_two_samples(reader: Reader) -> None:
    told = reader.ask("gpm(lambda sample: nvmlGpmSampleGet(gpu(0), sample), 2, 3, 10, 400)")
    assert told == [48.0, 22.0, 30.0, {"error": NOT_SUPPORTED}]


# ── MIG ───────────────────────────────────────────────────────────────────────────────────────────────────────────────
def test_a_split_gpu_has_instances_of_its_own(reader: Reader, host) -> None:
    split(host.state.gpus[1], 3)
    instance = "nvmlDeviceGetMigDeviceHandleByIndex(gpu(1), {})"
    assert reader.ask("nvmlDeviceGetMigMode(gpu(1))") == [1, 1]
    assert reader.ask("nvmlDeviceGetMaxMigDeviceCount(gpu(1))") == 7
    assert reader.code(instance.format(3)) == NOT_FOUND
    assert reader.ask(f"nvmlDeviceIsMigDeviceHandle({instance.format(0)})") == 1
    assert reader.ask("nvmlDeviceIsMigDeviceHandle(gpu(1))") == 0
    assert reader.ask(f"nvmlDeviceGetGpuInstanceId({instance.format(2)})") == 9
    assert reader.ask(f"nvmlDeviceGetComputeInstanceId({instance.format(2)})") == 0
    assert reader.ask(f"nvmlDeviceGetName({instance.format(0)})") == "Simulated H100 80GB MIG 1g.10gb"
    assert reader.ask(f"nvmlDeviceGetMemoryInfo({instance.format(0)}).total") == 10 << 30
    attributes = reader.ask(f"nvmlDeviceGetAttributes({instance.format(0)})")
    assert (attributes[0], attributes[-1]) == (16, 10 << 10)
    parent = f"nvmlDeviceGetDeviceHandleFromMigDeviceHandle({instance.format(0)})"
    assert reader.ask(f"nvmlDeviceGetIndex({parent})") == 1


def test_an_instance_is_found_by_its_uuid(reader: Reader, host) -> None:
    split(host.state.gpus[1], 2)
    uuid = reader.ask("nvmlDeviceGetUUID(nvmlDeviceGetMigDeviceHandleByIndex(gpu(1), 1))")
    assert uuid.startswith("MIG-")
    assert reader.ask(f"nvmlDeviceGetGpuInstanceId(nvmlDeviceGetHandleByUUID({uuid.encode()!r}))") == 8


def test_a_split_gpu_has_no_utilisation_but_its_instances_do(reader: Reader, host) -> None:
    split(host.state.gpus[1], 2)
    assert reader.code("nvmlDeviceGetUtilizationRates(gpu(1))") == NOT_SUPPORTED
    assert reader.code("nvmlDeviceGetPowerUsage(nvmlDeviceGetMigDeviceHandleByIndex(gpu(1), 0))") == NOT_SUPPORTED
    assert reader.ask("gpm(lambda sample: nvmlGpmMigSampleGet(gpu(1), 8, sample), 2)") == [40.0]


def test_processes_belong_to_an_instance(reader: Reader, host) -> None:
    split(host.state.gpus[1], 2)
    host.state.run_processes(1, [SimulatedProcess(21, 1 << 30, gpu_instance=8, compute_instance=0)])
    listed = "[p.pid for p in nvmlDeviceGetComputeRunningProcesses({})]"
    assert reader.ask(listed.format("nvmlDeviceGetMigDeviceHandleByIndex(gpu(1), 0)")) == []
    assert reader.ask(listed.format("nvmlDeviceGetMigDeviceHandleByIndex(gpu(1), 1)")) == [21]
    assert reader.ask(listed.format("gpu(1)")) == [21]


# ── events ────────────────────────────────────────────────────────────────────────────────────────────────────────────
def test_xids_arrive_in_their_order_at_every_reader(host, readers) -> None:
    several = [readers(host.environment) for _ in range(2)]
    for reader in several:
        reader.ask("nvmlInit()")
        reader.ask("watch(*range(8))")
    for xid in (13, 31, 79):
        host.state.emit_xid(5, xid)
    for reader in several:
        assert [reader.ask("next_event()") for _ in range(3)] == [[5, 0x8, 13], [5, 0x8, 31], [5, 0x8, 79]]


def test_a_waiting_reader_is_woken(reader: Reader, host) -> None:
    reader.ask("watch(0)")
    waiting = reader.begin("next_event(15000)")
    host.state.emit_xid(0, 48)
    assert reader.result(waiting) == [0, 0x8, 48]


def test_only_what_was_registered_is_told(reader: Reader, host) -> None:
    reader.ask("watch(2, types=nvmlEventTypeDoubleBitEccError)")
    host.state.emit_xid(2, 94)
    host.state.emit(3, EventType.DOUBLE_BIT_ECC)
    host.state.emit(2, EventType.DOUBLE_BIT_ECC)
    assert reader.ask("next_event()") == [2, 0x2, 0]
    assert reader.code("next_event(1)") == TIMEOUT


def test_events_before_the_set_was_made_are_not_told_again(reader: Reader, host) -> None:
    host.state.emit_xid(0, 79)
    reader.ask("watch(0)")
    assert reader.code("next_event(1)") == TIMEOUT


def test_a_storm_is_delivered_whole(reader: Reader, host) -> None:
    reader.ask("watch(0)")
    inject(host.state, 0, Fault(FaultName.XID_STORM))
    assert [reader.ask("next_event()") for _ in range(200)] == [[0, 0x8, 31]] * 200


def test_a_reader_that_falls_far_behind_loses_the_oldest(reader: Reader, host) -> None:
    reader.ask("watch(0)")
    for number in range(300):
        host.state.emit_xid(0, number)
    assert reader.ask("next_event()") == [0, 0x8, 300 - 256]


# ── faults ────────────────────────────────────────────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize(
    ("fault", "code"),
    [
        (Fault(FaultName.LOST), Code.GPU_IS_LOST),
        (Fault(FaultName.XID, 79), Code.GPU_IS_LOST),
        (Fault(FaultName.RESET_REQUIRED), Code.RESET_REQUIRED),
    ],
    ids=str,
)
def test_a_broken_gpu_fails_every_call_and_no_other_gpu_notices(reader: Reader, host, fault: Fault, code: Code) -> None:
    reader.ask("keep(gpu(5))")
    inject(host.state, 5, fault)
    for call in ("nvmlDeviceGetPowerUsage", "nvmlDeviceGetUtilizationRates", "nvmlDeviceGetUUID"):
        assert reader.code(f"{call}(kept())") == code
    assert reader.ask("nvmlDeviceGetPowerUsage(gpu(4))") == 412_000
    heal(host.state, 5)
    assert reader.ask("nvmlDeviceGetPowerUsage(gpu(5))") == 412_000


def test_a_lost_gpu_has_no_handle_any_more_but_is_still_counted(reader: Reader, host) -> None:
    inject(host.state, 5, Fault(FaultName.LOST))
    assert reader.code("nvmlDeviceGetHandleByIndex(5)") == Code.GPU_IS_LOST
    assert reader.ask("nvmlDeviceGetCount()") == 8


def test_an_xid_is_told_before_its_gpu_falls_silent(reader: Reader, host) -> None:
    reader.ask("watch(5, types=nvmlEventTypeXidCriticalError | nvmlEventTypeDoubleBitEccError)")
    inject(host.state, 5, Fault(FaultName.XID, 95))
    assert reader.ask("next_event()") == [5, 0x2, 0]
    assert reader.ask("next_event()") == [5, 0x8, 95]
    assert reader.ask("fields(gpu(5), 4, 6, 230)") == [1, 1, 1]


@pytest.mark.parametrize("hang", [FaultName.HANG, FaultName.HANG_D_STATE])
def test_a_hung_gpu_blocks_its_caller_only_until_it_is_healed(
    reader: Reader, host, hang: FaultName, wait_until
) -> None:
    inject(host.state, 2, Fault(hang))
    hung = reader.begin("nvmlDeviceGetPowerUsage(gpu(2))")
    for _ in range(20):  # other threads go on: the call does not hold the interpreter
        assert reader.ask("nvmlDeviceGetPowerUsage(gpu(3))") == 412_000
    if hang is FaultName.HANG_D_STATE:
        wait_until(lambda: "D" in reader.thread_states(), within_s=10, what="a thread in state D")
    assert not reader.is_answered(hung)
    heal(host.state, 2)
    assert reader.result(hung) == 412_000


def test_a_killed_reader_takes_its_hang_in_state_d_along(reader: Reader, host, wait_until) -> None:
    inject(host.state, 2, Fault(FaultName.HANG_D_STATE))
    reader.begin("nvmlDeviceGetPowerUsage(gpu(2))")
    wait_until(lambda: "D" in reader.thread_states(), within_s=10, what="a thread in state D")
    stalled = {int(pid) for pid in _children_of(reader.process.pid)}
    assert stalled
    reader.process.kill()
    reader.process.wait(timeout=WITHIN_S)
    wait_until(lambda: not any(_runs(pid) for pid in stalled), within_s=10, what="the stalled child follows its reader")


def test_a_frozen_write_ends_as_soon_as_the_file_takes_it(reader: Reader, host, tmp_path: Path) -> None:
    pipe = tmp_path / "frozen"
    os.mkfifo(pipe)
    host.state.words.hang_path = str(pipe).encode()
    host.state.gpus[2].hang = Hang.FROZEN_WRITE
    hung = reader.begin("nvmlDeviceGetPowerUsage(gpu(2))")
    assert reader.ask("nvmlDeviceGetPowerUsage(gpu(3))") == 412_000
    assert not reader.is_answered(hung)
    with pipe.open("rb") as thaw:
        host.state.gpus[2].hang = Hang.NONE
        assert thaw.read(1) == b"x"
    assert reader.result(hung) == 412_000


def test_one_call_can_fail_while_all_others_work(reader: Reader, host) -> None:
    gpu = host.state.gpus[0]
    assert reader.code("nvmlDeviceGetFanSpeed(gpu(0))") == NOT_SUPPORTED
    gpu.override("nvmlDeviceGetPowerUsage", Code.UNKNOWN)
    gpu.override("field 82", NOT_SUPPORTED)
    assert reader.code("nvmlDeviceGetPowerUsage(gpu(0))") == Code.UNKNOWN
    assert reader.ask("fields(gpu(0), 82, 230)") == [{"error": NOT_SUPPORTED}, 0]
    assert reader.ask("nvmlDeviceGetEnforcedPowerLimit(gpu(0))") == 700_000
    gpu.override("nvmlDeviceGetPowerUsage", 0)
    assert reader.ask("nvmlDeviceGetPowerUsage(gpu(0))") == 412_000


def test_an_old_device_supports_half_of_the_calls(reader: Reader, host) -> None:
    inject(host.state, 0, Fault(FaultName.NOT_SUPPORTED))
    assert reader.code("nvmlDeviceGetTotalEnergyConsumption(gpu(0))") == NOT_SUPPORTED
    assert reader.code("nvmlGpmQueryDeviceSupport(gpu(0))") == NOT_SUPPORTED
    assert reader.ask("fields(gpu(0), 230, 94)") == [{"error": NOT_SUPPORTED}, 0]
    assert reader.ask("nvmlDeviceGetTemperature(gpu(0), 0)") == 61


def test_a_crash_takes_one_reader_and_spares_its_successor(reader: Reader, host, readers) -> None:
    inject(host.state, 0, Fault(FaultName.CRASH_WORKER))
    reader.begin("nvmlDeviceGetPowerUsage(gpu(0))")
    assert reader.process.wait(timeout=WITHIN_S) == -signal.SIGSEGV
    successor = readers(host.environment)
    successor.ask("nvmlInit()")
    assert successor.ask("nvmlDeviceGetPowerUsage(gpu(0))") == 412_000


def test_without_a_driver_initialisation_says_so(host, readers) -> None:
    inject(host.state, 0, Fault(FaultName.DRIVER_MISSING))
    assert readers(host.environment).code("nvmlInit()") == Code.DRIVER_NOT_LOADED


def test_without_a_state_file_there_is_no_driver(host, readers, tmp_path: Path) -> None:
    for nowhere in ("", str(tmp_path / "nowhere")):
        environment = {**host.environment, "TRIMTAB_SIMULATED_GPUS_STATE": nowhere}
        assert readers(environment).code("nvmlInit()") == Code.DRIVER_NOT_LOADED


def test_a_state_file_of_another_version_is_refused(host, readers, tmp_path: Path) -> None:
    (tmp_path / "short").write_bytes(b"another version")
    environment = {**host.environment, "TRIMTAB_SIMULATED_GPUS_STATE": str(tmp_path / "short")}
    assert readers(environment).code("nvmlInit()") == 18


def test_initialisation_can_hang(host, readers) -> None:
    inject(host.state, 0, Fault(FaultName.INIT_HANG))
    reader = readers(host.environment)
    hung = reader.begin("nvmlInit()")
    assert reader.code("nvmlDeviceGetCount()") == UNINITIALIZED
    assert not reader.is_answered(hung)
    heal(host.state, 0)
    reader.result(hung)


def test_after_shutdown_nothing_answers(reader: Reader) -> None:
    reader.ask("nvmlShutdown()")
    assert reader.code("nvmlDeviceGetCount()") == UNINITIALIZED


@pytest.mark.parametrize(("word", "value"), [("call_cost_us", 40_000), ("pcie_window_ms", 40)])
def test_a_call_can_be_made_to_cost_time(reader: Reader, host, word: str, value: int) -> None:
    setattr(host.state.gpus[0], word, value)
    took_s = reader.ask("seconds_of(lambda: nvmlDeviceGetPcieThroughput(gpu(0), 0))")
    assert took_s >= 0.040


def test_calls_are_counted(reader: Reader, host) -> None:
    before = host.state.gpus[0].calls
    for _ in range(3):
        reader.ask("nvmlDeviceGetPowerUsage(gpu(0))")
    assert host.state.gpus[0].calls == before + 3


def _children_of(pid: int) -> list[str]:
    return [child for task in Path(f"/proc/{pid}/task").iterdir() for child in (task / "children").read_text().split()]


def _runs(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"
