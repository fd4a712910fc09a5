"""Scripted faults of simulated GPUs: what they change, that healing undoes it, and what resets and reboots reach."""

import ctypes
import threading
from pathlib import Path

import pytest

from agent.errors import MachineError
from agent.simulated_gpus import faults
from agent.simulated_gpus.directory import STATE, reader_environment
from agent.simulated_gpus.errors import FaultError, ScriptError, StateError
from agent.simulated_gpus.faults import PLAIN, XIDS, Fault, FaultName, heal, inject, parse_fault, split
from agent.simulated_gpus.layout import OVERRIDES_MAX, PROCESSES_MAX, GpuState, Hang, HostState
from agent.simulated_gpus.machine import SimulatedMachine
from agent.simulated_gpus.script import parse_script, play
from agent.simulated_gpus.state import Code, EventType, SimulatedHost, SimulatedProcess, create, open_state
from chassis.clock import ManualClock
from contracts.vocabulary import GpuUuid

EVERY_FAULT = [
    *(Fault(name) for name in FaultName if name is not FaultName.XID),
    *(Fault(FaultName.XID, x) for x in XIDS),
]


@pytest.fixture
def host(tmp_path: Path) -> SimulatedHost:
    return create(tmp_path / STATE, gpus=4)


def events(host: SimulatedHost) -> list[tuple[int, int, int]]:
    """(gpu, type, data), oldest first."""
    return [(e.gpu, e.type, e.data) for e in host.words.events[: host.words.event_head]]


def words_of(gpu: GpuState) -> dict[str, object]:
    return {
        name: getattr(gpu, name)
        for name in GpuState.__annotations__
        if name not in {"overrides", "processes", "instances"}
    }


# ── faults ────────────────────────────────────────────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize(
    ("xid", "changes"),
    [
        (13, {}),
        (31, {}),
        (43, {}),
        (45, {}),
        (48, {"ecc_uncorrected_volatile": 1, "ecc_uncorrected_aggregate": 1, "recovery_action": 1}),
        (63, {"remapped_uncorrectable": 1, "remap_pending": 1}),
        (64, {"remap_failed": 1, "recovery_action": 1}),
        (79, {"error": 15}),
        (94, {"ecc_uncorrected_volatile": 1, "ecc_uncorrected_aggregate": 1}),
        (95, {"ecc_uncorrected_volatile": 1, "ecc_uncorrected_aggregate": 1, "recovery_action": 1}),
        (119, {"hang": Hang.SLEEP, "recovery_action": 1}),
        (120, {"hang": Hang.SLEEP, "recovery_action": 1}),
    ],
)
def test_an_xid_brings_its_consequences_and_nothing_else(
    host: SimulatedHost, xid: int, changes: dict[str, int]
) -> None:
    before = words_of(host.gpus[2])
    inject(host, 2, Fault(FaultName.XID, xid))
    assert words_of(host.gpus[2]) == before | changes
    assert events(host)[-1] == (2, EventType.XID, xid)


@pytest.mark.parametrize("fault", EVERY_FAULT, ids=str)
def test_a_fault_touches_only_its_gpu(host: SimulatedHost, fault: Fault) -> None:
    others = [words_of(gpu) for gpu in host.gpus[1:]]
    said = inject(host, 0, fault)
    assert str(fault) in said
    assert said.startswith("simulated GPU 0")
    assert [words_of(gpu) for gpu in host.gpus[1:]] == others


@pytest.mark.parametrize("fault", EVERY_FAULT, ids=str)
def test_healing_undoes_every_fault_but_forgets_no_count(host: SimulatedHost, fault: Fault) -> None:
    counters = {word for change in XIDS.values() for word in change.adds}
    healthy = {word: value for word, value in words_of(host.gpus[0]).items() if word not in counters}
    calls = {bytes(entry.call): entry.code for entry in host.gpus[0].overrides if entry.code}
    inject(host, 0, fault)
    counted = {word: getattr(host.gpus[0], word) for word in counters}
    heal(host, 0)
    assert {word: value for word, value in words_of(host.gpus[0]).items() if word not in counters} == healthy
    assert {bytes(entry.call): entry.code for entry in host.gpus[0].overrides if entry.code} == calls
    assert {word: getattr(host.gpus[0], word) for word in counters} == counted
    assert (host.words.init_error, host.words.init_hang) == (0, 0)


def test_every_fault_names_words_that_exist() -> None:
    for change in [*XIDS.values(), *PLAIN.values()]:
        assert set(change.sets) | set(change.adds) <= set(GpuState.__annotations__)
        assert set(change.host_sets) <= set(HostState.__annotations__)


def test_every_fault_is_described_for_people() -> None:
    assert set(faults.DESCRIPTIONS) == set(FaultName)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["melt"], "choose from xid, lost"),
        ([], "choose from xid"),
        (["xid"], "takes a code"),
        (["xid", "many"], "choose from"),
        (["xid", "0"], "choose 1 to 999"),
        (["xid", "79", "80"], "one code at most"),
        (["hot", "3"], "hot takes no code"),
    ],
)
def test_what_is_no_fault_is_refused_with_what_there_is(words: list[str], message: str) -> None:
    with pytest.raises(FaultError, match=message):
        parse_fault(words)


@pytest.mark.parametrize("gpu", [-1, 4])
def test_a_gpu_that_is_not_there_is_refused(host: SimulatedHost, gpu: int) -> None:
    with pytest.raises(FaultError, match=f"no simulated GPU {gpu}: there are 4"):
        inject(host, gpu, Fault(FaultName.HOT))


# ── the state file ────────────────────────────────────────────────────────────────────────────────────────────────────
def test_two_handles_see_one_host(host: SimulatedHost) -> None:
    open_state(host.path).gpus[1].temperature_c = 88
    assert host.gpus[1].temperature_c == 88


def test_the_same_file_has_the_same_gpus_and_another_file_has_others(tmp_path: Path) -> None:
    first = [gpu.uuid for gpu in create(tmp_path / "a", 4).gpus]
    assert [gpu.uuid for gpu in create(tmp_path / "a", 4).gpus] == first
    assert not set(first) & {gpu.uuid for gpu in create(tmp_path / "b", 4).gpus}


@pytest.mark.parametrize("gpus", [-1, 17])
def test_an_impossible_number_of_gpus_is_refused(tmp_path: Path, gpus: int) -> None:
    with pytest.raises(StateError, match="choose 0 to 16"):
        create(tmp_path / STATE, gpus)


def test_what_is_no_state_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    (tmp_path / "other").write_bytes(bytes(ctypes.sizeof(HostState)))
    for name in ("missing", "empty"):
        with pytest.raises(StateError, match="no simulated GPUs in"):
            open_state(tmp_path / name)
    with pytest.raises(StateError, match="not a state file of this version"):
        open_state(tmp_path / "other")


def test_writers_take_turns(host: SimulatedHost) -> None:
    def write(gpu: int) -> None:
        mine = open_state(host.path)
        for _ in range(50):
            mine.emit_xid(gpu, 31)

    writers = [threading.Thread(target=write, args=(gpu,)) for gpu in range(4)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    told = events(host)
    assert len(told) == 200
    assert [[gpu for gpu, _, _ in told].count(n) for n in range(4)] == [50] * 4
    assert [event.sequence for event in host.words.events[:200]] == list(range(1, 201))


def test_tables_have_an_end_that_is_told(host: SimulatedHost) -> None:
    with pytest.raises(StateError, match="at most 16"):
        host.run_processes(0, [SimulatedProcess(1, 1)] * (PROCESSES_MAX + 1))
    for number, entry in enumerate(host.gpus[0].overrides):
        entry.call, entry.code = f"call {number}".encode(), 3
    with pytest.raises(FaultError, match=f"at most {OVERRIDES_MAX} names"):
        host.gpus[0].override("one more", 3)
    with pytest.raises(FaultError, match="59 characters"):
        host.gpus[1].override("x" * 60, 3)


def test_an_override_is_changed_in_its_place(host: SimulatedHost) -> None:
    for code in (3, 999, 0, 3):
        host.gpus[0].override("nvmlDeviceGetPowerUsage", code)
    assert [e.code for e in host.gpus[0].overrides if e.call == b"nvmlDeviceGetPowerUsage" and e.code] == [3]


def test_a_reader_keeps_the_library_path_it_had() -> None:
    environment = reader_environment(Path("/sim"), {"LD_LIBRARY_PATH": "/cuda", "HOME": "/h"})
    assert environment["LD_LIBRARY_PATH"] == "/sim:/cuda"
    assert environment["TRIMTAB_SIMULATED_GPUS_STATE"] == "/sim/host.state"
    assert environment["HOME"] == "/h"
    assert reader_environment(Path("/sim"), {})["LD_LIBRARY_PATH"] == "/sim"


# ── scripts ───────────────────────────────────────────────────────────────────────────────────────────────────────────
async def test_a_script_is_played_in_the_order_of_its_times(host: SimulatedHost) -> None:
    script = parse_script(
        "[{after_s: 30, fault: heal, gpu: 3}, {after_s: 10, fault: xid 79, gpu: 3}, {after_s: 0, fault: hot}]"
    )
    clock, said = ManualClock(), []
    await play(script, host, clock, lambda line: said.append((clock.monotonic_s(), line.split("(")[0].strip())))
    assert said == [
        (0, "0.0 s  simulated GPU 0: hot"),
        (10, "10.0 s  simulated GPU 3: xid 79"),
        (30, "30.0 s  simulated GPU 3: heal"),
    ]
    assert (host.gpus[0].temperature_c, host.gpus[3].error) == (93, 0)


async def test_a_script_for_another_host_changes_nothing(host: SimulatedHost) -> None:
    script = parse_script('[{"after_s": 0, "fault": "hot", "gpu": 0}, {"after_s": 1, "fault": "hot", "gpu": 9}]')
    with pytest.raises(FaultError, match="no simulated GPU 9"):
        await play(script, host, ManualClock(), lambda _: None)
    assert host.gpus[0].temperature_c == 61


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[{after_s: 1", "neither YAML nor JSON"),
        ("hot", "at the whole"),
        ("[]", "at the whole"),
        ("[{fault: hot}]", "at 0.after_s: Field required"),
        ("[{after_s: 0, fault: melt}]", "no fault 'melt'"),
        ("[{after_s: 0, fault: hot, gpus: 3}]", "at 0.gpus: Extra inputs"),
        ("[{after_s: -1, fault: hot}]", "at 0.after_s"),
    ],
)
def test_a_script_that_cannot_be_played_says_where(text: str, message: str) -> None:
    with pytest.raises(ScriptError, match=message):
        parse_script(text)


# ── the machine ───────────────────────────────────────────────────────────────────────────────────────────────────────
@pytest.fixture
def machine(host: SimulatedHost) -> SimulatedMachine:
    return SimulatedMachine(host.path.parent, ManualClock())


def uuid_of(host: SimulatedHost, gpu: int) -> GpuUuid:
    return GpuUuid(host.gpus[gpu].uuid.decode())


@pytest.mark.parametrize("fault", ["reset-required", "xid 48", "xid 119", "xid 63", "xid 74"])
async def test_a_reset_cures_what_a_reset_cures(host: SimulatedHost, machine: SimulatedMachine, fault: str) -> None:
    inject(host, 1, parse_fault(fault.split()))
    await machine.reset_gpu(uuid_of(host, 1))
    gpu = host.gpus[1]
    assert (gpu.error, gpu.hang, gpu.recovery_action, gpu.remap_pending, gpu.nvlink_down_mask) == (0, 0, 0, 0, 0)
    assert gpu.ecc_uncorrected_volatile == 0


async def test_meanwhile_the_gpu_is_not_there(host: SimulatedHost, machine: SimulatedMachine) -> None:
    seen = []

    class Watching(ManualClock):
        async def sleep(self, seconds: float) -> None:
            seen.append((host.gpus[1].error, seconds))

    await SimulatedMachine(machine.directory, Watching()).reset_gpu(uuid_of(host, 1))
    assert seen == [(Code.RESET_REQUIRED, 2.0)]
    assert host.gpus[1].error == 0


async def test_a_reset_forgets_volatile_counts_only(host: SimulatedHost, machine: SimulatedMachine) -> None:
    inject(host, 1, Fault(FaultName.XID, 48))
    await machine.reset_gpu(uuid_of(host, 1))
    assert (host.gpus[1].ecc_uncorrected_volatile, host.gpus[1].ecc_uncorrected_aggregate) == (0, 1)


@pytest.mark.parametrize(
    ("fault", "message"),
    [("xid 79", "not on the bus"), ("lost", "not on the bus"), ("hang-d-state", "does not answer")],
)
async def test_no_reset_reaches_a_gpu_that_is_gone(
    host: SimulatedHost, machine: SimulatedMachine, fault: str, message: str
) -> None:
    inject(host, 1, parse_fault(fault.split()))
    broken = words_of(host.gpus[1])
    with pytest.raises(MachineError, match=message):
        await machine.reset_gpu(uuid_of(host, 1))
    assert words_of(host.gpus[1]) == broken


async def test_a_reset_does_not_cool_and_replaces_no_memory(host: SimulatedHost, machine: SimulatedMachine) -> None:
    inject(host, 1, Fault(FaultName.HOT))
    inject(host, 1, Fault(FaultName.XID, 64))
    await machine.reset_gpu(uuid_of(host, 1))
    assert (host.gpus[1].temperature_c, host.gpus[1].remap_failed) == (93, 1)


@pytest.mark.parametrize("fault", EVERY_FAULT, ids=str)
async def test_a_reboot_cures_everything_under_a_boot_id_of_its_own(
    host: SimulatedHost, machine: SimulatedMachine, fault: Fault
) -> None:
    before = machine.boot_id()
    inject(host, 1, fault)
    split(host.gpus[2], 2)
    await machine.reboot()
    assert machine.boot_id() != before
    assert (host.gpus[1].error, host.gpus[1].hang, host.gpus[1].temperature_c, host.gpus[2].mig_mode) == (0, 0, 61, 0)


async def test_a_machine_without_a_host_says_so(tmp_path: Path, host: SimulatedHost, machine: SimulatedMachine) -> None:
    nowhere = SimulatedMachine(tmp_path / "nowhere", ManualClock())
    assert nowhere.boot_id() == ""
    with pytest.raises(MachineError, match="no simulated host in"):
        await nowhere.reboot()
    with pytest.raises(MachineError, match="no such GPU"):
        await machine.reset_gpu(GpuUuid("GPU-of-another-host"))
