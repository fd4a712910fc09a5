"""The ledger of GPUs: what each line of the worker and of the kernel log changes in the picture."""

import pytest

from agent.core.gpu import gpu_reports
from agent.core.kernel_log import KernelRecord
from agent.probes import gpu_ledger
from agent.probes.gpu_facts import FactError, parse_fact
from agent.probes.gpu_ledger import COUNTING_S_MAX, GpuLedger
from agent.xid_table import shipped_table
from chassis.clock import ManualClock
from contracts.vocabulary import GpuAction

TABLE = shipped_table()


class LogBook:
    """A logger that remembers what it was told."""

    def __init__(self):
        self.events = []

    def warning(self, event, **data):
        self.events.append(event)


class Told:
    """A ledger on a manual clock, told in the worker's words."""

    def __init__(self):
        self.clock = ManualClock()
        self.clock.advance(1000.0)
        self.ledger = GpuLedger(clock=self.clock, table=TABLE)
        self.sequence = 0

    def says(self, line):
        self.ledger.take(parse_fact(line.encode()))

    def driver(self, gpus=2):
        self.says(f'{{"kind":"driver","up":true,"reason":"","version":"570.86.15","gpus":{gpus}}}')

    def sample(self, gpu, values="", uuid=None, **more):
        extra = "".join(f',"{name}":{text}' for name, text in more.items())
        self.says(
            f'{{"kind":"gpu","gpu":{gpu},"uuid":"{f"GPU-{gpu}" if uuid is None else uuid}","up":true,"reason":"",'
            f'"values":{{{values}}}{extra}}}'
        )

    def down(self, gpu, reason, uuid=None):
        name = f"GPU-{gpu}" if uuid is None else uuid
        self.says(f'{{"kind":"gpu","gpu":{gpu},"uuid":"{name}","up":false,"reason":"{reason}"}}')

    def info(self, gpu, bus="18", values=""):
        self.says(
            f'{{"kind":"info","gpu":{gpu},"uuid":"GPU-{gpu}","pci_bus_id":"00000000:{bus}:00.0","model":"M","serial":"S",'
            f'"vbios":"V","values":{{{values}}}}}'
        )

    def xid(self, gpu, xid):
        self.says(f'{{"kind":"xid","gpu":{gpu},"uuid":"GPU-{gpu}","xid":{xid}}}')

    def logs(self, xid, bus="18", ago_s=0.0):
        self.sequence += 1
        text = f"NVRM: Xid (PCI:0000:{bus}:00): {xid}, pid=1"
        self.ledger.take_kernel_record(KernelRecord(self.sequence, self.clock.monotonic_s() - ago_s, text))

    def gpus(self):
        return self.ledger.newest(self.clock.monotonic_s())


@pytest.fixture
def told():
    return Told()


# ── samples ───────────────────────────────────────────────────────────────────────────────────────────────────────────
def test_a_stale_gpu_loses_its_values_and_keeps_its_age(told):
    told.sample(0, '"temperature_celsius":61')
    told.clock.advance(3.5)
    gpu = told.gpus()[0]
    assert (gpu.up, gpu.reason, gpu.values, gpu.sample_age_s) == (False, "stale", {}, 3.5)


def test_slow_readings_stay_with_the_fast_ones_until_they_are_too_old(told):
    told.info(0, values='"sm_clock_max_hertz":2000000000,"temperature_slowdown_celsius":90')
    told.sample(0, '"sm_clock_hertz":1000000000,"temperature_celsius":61')
    values = told.gpus()[0].values
    assert (values["sm_clock_ratio"], values["temperature_margin_celsius"]) == (0.5, 29)
    told.clock.advance(96)
    told.sample(0, '"sm_clock_hertz":1000000000')
    assert "sm_clock_ratio" not in told.gpus()[0].values


def test_the_drivers_own_margin_wins_over_the_threshold(told):
    told.info(0, values='"temperature_slowdown_celsius":90')
    told.sample(0, '"temperature_celsius":61,"temperature_margin_celsius":20')
    assert told.gpus()[0].values["temperature_margin_celsius"] == 20


def test_a_software_power_cap_is_no_slowdown_and_heat_is(told):
    told.sample(0, '"clock_event_reasons":4')
    assert not told.gpus()[0].slowed
    assert "clock_event_reasons" not in told.gpus()[0].values
    told.sample(0, '"clock_event_reasons":72')
    assert told.gpus()[0].slowed


def test_a_slowdown_is_not_known_any_more_once_its_reasons_are_not_told(told):
    told.sample(0, '"clock_event_reasons":72')
    told.clock.advance(1)
    told.sample(0, '"temperature_celsius":61')
    assert told.gpus()[0].slowed is None


def test_a_device_that_never_tells_its_reasons_has_no_seconds_of_them(told):
    told.sample(0, '"temperature_celsius":61')
    gpu = told.gpus()[0]
    assert (gpu.slowed, gpu.clock_event_seconds, gpu.clock_event_transitions) == (None, {}, {})


def test_a_gpu_that_never_told_its_name_is_known_by_its_index_until_it_does(told):
    told.down(1, "gpu_lost", uuid="")
    assert (told.gpus()[0].index, told.gpus()[0].reason) == (1, "gpu_lost")
    assert told.ledger.present() == ()
    told.sample(1)
    assert [gpu.uuid for gpu in told.gpus()] == ["GPU-1"]


def test_gpus_stand_in_pci_order(told):
    for gpu, bus in ((0, "3b"), (1, "18")):
        told.sample(gpu)
        told.info(gpu, bus=bus)
    assert told.ledger.present() == ("GPU-1", "GPU-0")


# ── Xids ──────────────────────────────────────────────────────────────────────────────────────────────────────────────
def test_an_event_that_both_witnesses_tell_of_counts_and_faults_once(told):
    told.sample(0)
    told.info(0)
    told.xid(0, 31)
    told.logs(31)
    assert told.gpus()[0].xid_counts[31] == 1
    assert told.ledger.program_faults("GPU-0") == 1


def test_the_kernel_log_alone_is_enough(told):
    told.sample(0)
    told.info(0)
    told.clock.advance(10)
    told.logs(79)
    assert (told.gpus()[0].recommended_action, told.gpus()[0].action_source) == (GpuAction.REBOOT_HOST, "xid 79")


def test_a_record_that_was_taken_before_is_old_news(told):
    told.sample(0)
    told.info(0)
    record = KernelRecord(9, told.clock.monotonic_s(), "NVRM: Xid (PCI:0000:18:00): 48, pid=1")
    for _ in range(3):
        told.ledger.take_kernel_record(record)
        told.clock.advance(60)
    assert told.gpus()[0].xid_counts[48] == 1


def test_an_xid_from_before_the_gpu_was_known_waits_for_it(told):
    told.logs(48, bus="18")
    told.logs(48, bus="99")
    told.sample(0)
    told.info(0, bus="18")
    assert told.gpus()[0].xid_counts[48] == 1


def test_an_old_program_fault_is_counted_but_wakes_nobody_up(told):
    told.sample(0)
    told.info(0)
    told.logs(31, ago_s=500)
    gpu = told.gpus()[0]
    assert (gpu.xid_counts[31], told.ledger.program_faults("GPU-0"), gpu.recommended_action) == (1, 0, GpuAction.NONE)
    assert gpu.xid_last_unix_s[31] == pytest.approx(told.clock.now_unix_s() - 500)


def test_an_error_told_late_does_not_age_one_that_came_after_it(told):
    told.sample(0)
    told.info(0)
    told.xid(0, 31)
    told.logs(31, ago_s=50)
    told.clock.advance(20)
    assert told.gpus()[0].recommended_action is GpuAction.RESTART_REPLICA


def test_an_xid_that_must_be_alone_faults_the_program_only_once_it_stayed_so(told):
    told.sample(0)
    told.xid(0, 45)
    assert told.ledger.program_faults("GPU-0") == 0
    told.clock.advance(2)
    assert told.ledger.program_faults("GPU-0") == 1
    told.xid(0, 43)
    assert told.ledger.program_faults("GPU-0") == 1


@pytest.mark.parametrize("order", [(45, 43), (43, 45)])
def test_an_xid_that_must_be_alone_faults_no_program_when_another_speaks_for_it(told, order):
    told.sample(0)
    for xid in order:
        told.xid(0, xid)
        told.clock.advance(1)
    told.clock.advance(5)
    assert (told.ledger.program_faults("GPU-0"), told.gpus()[0].recommended_action) == (0, GpuAction.NONE)


def test_a_reset_leaves_no_program_fault_behind(told):
    told.sample(0)
    told.xid(0, 45)
    told.xid(0, 43)
    told.ledger.reset_done("GPU-0")
    told.clock.advance(5)
    assert told.ledger.program_faults("GPU-0") == 0


def test_a_storm_is_counted_event_by_event_and_logged_once(told, monkeypatch):
    logged = LogBook()
    monkeypatch.setattr(gpu_ledger, "log", logged)
    told.sample(0)
    for _ in range(500):
        told.xid(0, 31)
        told.clock.advance(0.001)
    assert told.gpus()[0].xid_counts[31] == 500
    told.clock.advance(2)
    told.xid(0, 31)
    assert logged.events == ["xid_seen", "xid_seen"]


def test_every_known_xid_has_a_zero_before_its_first_event(told):
    told.sample(0)
    assert told.gpus()[0].xid_counts == dict.fromkeys(TABLE.rules, 0)


def test_a_reset_ends_what_is_recommended_and_keeps_the_counts(told):
    told.sample(0)
    told.xid(0, 95)
    assert "reset_gpu is recommended by xid 95" in told.ledger.why_unfit("GPU-0")
    told.clock.advance(1)
    told.ledger.reset_done("GPU-0")
    assert told.ledger.why_unfit("GPU-0") == "it is not up: not_yet_read"
    told.sample(0)
    assert told.ledger.why_unfit("GPU-0") is None
    assert told.gpus()[0].xid_counts[95] == 1


def test_ecc_events_are_counted_by_severity(told):
    told.sample(0)
    told.says('{"kind":"ecc","gpu":0,"uuid":"GPU-0","severity":"double_bit"}')
    assert told.gpus()[0].ecc_events == {"single_bit": 0, "double_bit": 1}


# ── what a restarted agent knows ──────────────────────────────────────────────────────────────────────────────────────
def test_a_restart_forgets_no_open_xid_and_finds_no_old_one_anew(told):
    told.sample(0)
    told.info(0)
    told.xid(0, 48)
    memory = told.ledger.memory("boot")
    after = Told()
    after.ledger.recall(memory)
    assert after.gpus()[0].recommended_action is GpuAction.RESET_GPU
    after.logs(48)  # the record of the event that NVML had told the former agent of
    assert (after.gpus()[0].xid_counts[48], after.ledger.program_faults("GPU-0")) == (0, 0)


def test_a_restart_keeps_the_xid_of_a_gpu_that_was_not_known_yet(told):
    told.logs(48, bus="18")
    after = Told()
    after.ledger.recall(told.ledger.memory("boot"))
    after.sample(0)
    after.info(0, bus="18")
    assert after.gpus()[0].recommended_action is GpuAction.RESET_GPU
    assert after.ledger.memory("boot").orphans == ()


def test_a_restart_after_a_reset_does_not_call_for_another(told):
    told.sample(0)
    told.info(0)
    told.logs(48)
    told.clock.advance(1)
    told.ledger.reset_done("GPU-0")
    after = Told()
    after.ledger.recall(told.ledger.memory("boot"))
    after.ledger.take_kernel_record(KernelRecord(1, 1000.0, "NVRM: Xid (PCI:0000:18:00): 48, pid=1"))
    assert after.gpus()[0].recommended_action is GpuAction.NONE


# ── fitness and use ───────────────────────────────────────────────────────────────────────────────────────────────────
def test_the_gpus_are_known_once_each_has_spoken_or_long_enough_was_waited(told):
    assert not told.ledger.known
    told.driver(gpus=2)
    told.sample(0)
    assert not told.ledger.known
    told.clock.advance(COUNTING_S_MAX + 0.1)
    assert told.ledger.known


def test_a_host_without_a_driver_is_known_at_once(told):
    told.says('{"kind":"driver","up":false,"reason":"library_not_found"}')
    assert told.ledger.known
    assert told.ledger.present() == ()


def test_a_gpu_of_another_host_is_unfit_here(told):
    assert told.ledger.why_unfit("GPU-elsewhere") == "it is not on this host"
    assert told.ledger.processes("GPU-elsewhere") == ()


def test_each_mig_instance_has_its_own_processes(told):
    mig = '[{"uuid":"MIG-1","gpu_instance":1,"compute_instance":0,"profile":"1g"},{"uuid":"MIG-2","gpu_instance":2,"compute_instance":0,"profile":"1g"}]'
    told.sample(0, processes="[[11,100,1,0],[22,100,2,0]]", mig=mig)
    assert told.ledger.present() == ("MIG-1", "MIG-2")
    assert told.ledger.processes("MIG-2") == (22,)
    assert told.ledger.processes("GPU-0") == (11, 22)
    assert [told.ledger.device_of(gpu) for gpu in ("MIG-2", "GPU-0", "GPU-9")] == ["GPU-0", "GPU-0", None]
    assert told.ledger.processes("GPU-0") == (11, 22)


# ── the report ────────────────────────────────────────────────────────────────────────────────────────────────────────
def test_a_host_without_gpus_reports_why(told):
    told.says('{"kind":"driver","up":false,"reason":"library_not_found"}')
    (report,) = gpu_reports(told.gpus(), told.ledger.driver)
    assert (report.uuid, report.up, report.reason) == ("", False, "library_not_found")


def test_known_gpus_stay_in_the_report_while_the_driver_is_away(told):
    told.driver(gpus=1)
    told.sample(0, '"memory_used_bytes":30,"memory_total_bytes":60,"utilization_ratio":0.5,"clock_event_reasons":64')
    told.says('{"kind":"driver","up":false,"reason":"driver_reloaded"}')
    (report,) = gpu_reports(told.gpus(), told.ledger.driver)
    assert (report.uuid, report.up, report.memory_used_ratio, report.slowed) == ("GPU-0", True, 0.5, True)


def test_a_gpu_that_is_down_has_no_figures_in_the_report(told):
    told.sample(0, '"memory_used_bytes":30,"memory_total_bytes":60,"utilization_ratio":0.5')
    told.down(0, "gpu_lost")
    (report,) = gpu_reports(told.gpus(), told.ledger.driver)
    assert (report.memory_used_ratio, report.utilization_ratio, report.reason) == (None, None, "gpu_lost")
    assert (report.recommended_action, report.action_source) == (GpuAction.REBOOT_HOST, "driver")


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"{}",
        b'{"kind":"gpu"}',
        b'{"kind":"gpu","gpu":-1,"uuid":"","up":true,"reason":""}',
        b'{"kind":"gpu","gpu":0,"uuid":"x","up":true,"reason":"","values":{"a":NaN}}',
        b'{"kind":"xid","gpu":0,"uuid":"x","xid":100000}',
        b'{"kind":"ecc","gpu":0,"uuid":"x","severity":"triple_bit"}',
        b'{"kind":"surprise"}',
    ],
)
def test_a_line_that_makes_no_sense_is_refused(line):
    with pytest.raises(FactError):
        parse_fact(line)
