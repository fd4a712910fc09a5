"""Field ids: no id that was renumbered is ever asked of a driver that means something else by it."""

import pynvml
import pytest

from agent.probes.nvml.fields import (
    FAST_FIELDS,
    RENUMBERED_DRIVER_MAJOR,
    SLOW_FIELDS,
    STABLE_ID_MAX,
    Field,
    UnsafeFieldError,
    driver_major,
    readable,
)
from agent.probes.nvml.reader import Reader, Reading, is_blank, value

FIELDS = FAST_FIELDS + SLOW_FIELDS


def test_no_field_above_the_stable_ids_can_be_written_down_without_its_driver():
    with pytest.raises(UnsafeFieldError, match="251"):
        Field(STABLE_ID_MAX + 1, "surprise")
    assert Field(STABLE_ID_MAX + 1, "known", driver_major_min=RENUMBERED_DRIVER_MAJOR)


@pytest.mark.parametrize("major", [0, 470, 535, 550, 570, 575, 579])
def test_an_older_driver_is_asked_for_stable_ids_only(major):
    asked = readable(FIELDS, major)
    assert max(field.id for field in asked) <= STABLE_ID_MAX
    assert {field.id for field in FIELDS if field.id <= STABLE_ID_MAX} == {field.id for field in asked}


def test_a_newer_driver_is_asked_for_every_field():
    assert readable(FIELDS, 580) == FIELDS
    assert any(field.id > STABLE_ID_MAX for field in FIELDS)


@pytest.mark.parametrize(
    ("constant", "name"),
    [
        ("NVML_FI_DEV_ECC_SBE_VOL_TOTAL", "ecc_volatile_corrected_total"),
        ("NVML_FI_DEV_ECC_DBE_VOL_TOTAL", "ecc_volatile_uncorrected_total"),
        ("NVML_FI_DEV_ECC_SBE_AGG_TOTAL", "ecc_aggregate_corrected_total"),
        ("NVML_FI_DEV_ECC_DBE_AGG_TOTAL", "ecc_aggregate_uncorrected_total"),
        ("NVML_FI_DEV_MEMORY_TEMP", "memory_temperature_celsius"),
        ("NVML_FI_DEV_TOTAL_ENERGY_CONSUMPTION", "energy_joules_total"),
        ("NVML_FI_DEV_PCIE_REPLAY_COUNTER", "pcie_replay_total"),
        ("NVML_FI_DEV_REMAPPED_COR", "remapped_rows_corrected"),
        ("NVML_FI_DEV_REMAPPED_UNC", "remapped_rows_uncorrected"),
        ("NVML_FI_DEV_REMAPPED_PENDING", "remapped_rows_pending"),
        ("NVML_FI_DEV_REMAPPED_FAILURE", "remapped_rows_failure"),
        ("NVML_FI_DEV_NVLINK_CRC_FLIT_ERROR_COUNT_TOTAL", "nvlink_crc_flit_errors_total"),
        ("NVML_FI_DEV_NVLINK_CRC_DATA_ERROR_COUNT_TOTAL", "nvlink_crc_data_errors_total"),
        ("NVML_FI_DEV_NVLINK_REPLAY_ERROR_COUNT_TOTAL", "nvlink_replay_errors_total"),
        ("NVML_FI_DEV_NVLINK_RECOVERY_ERROR_COUNT_TOTAL", "nvlink_recovery_errors_total"),
        ("NVML_FI_DEV_GET_GPU_RECOVERY_ACTION", "recovery_action"),
        ("NVML_FI_DEV_CLOCKS_EVENT_REASON_SW_THERM_SLOWDOWN", "sw_thermal_slowdown_seconds_total"),
        ("NVML_FI_DEV_CLOCKS_EVENT_REASON_HW_THERM_SLOWDOWN", "hw_thermal_slowdown_seconds_total"),
        ("NVML_FI_DEV_CLOCKS_EVENT_REASON_HW_POWER_BRAKE_SLOWDOWN", "hw_power_brake_slowdown_seconds_total"),
    ],
)
def test_each_id_is_the_one_that_the_binding_names(constant, name):
    assert getattr(pynvml, constant) == {field.name: field.id for field in FIELDS}[name]


@pytest.mark.parametrize(
    ("version", "major"), [("580.65.06", 580), ("570.86.15-simulated", 570), ("", 0), ("unknown", 0)]
)
def test_the_major_version_opens_the_gate_only_when_it_can_be_read(version, major):
    assert driver_major(version) == major


@pytest.mark.parametrize("raw", [0xFFFF_FFFF, 0xFFFF_FFFF_FFFF_FFFF, 9223372036854775794, float("nan"), float("inf")])
def test_marks_that_stand_for_no_value_are_left_out(raw):
    assert is_blank(raw)
    assert value("power_watts", raw, 1e-3) == {}


def test_a_value_is_scaled_to_its_base_unit():
    assert value("power_watts", 412_000, 1e-3) == {"power_watts": 412.0}
    assert value("zero", 0) == {"zero": 0.0}


# ── what a device does not support ────────────────────────────────────────────────────────────────────────────────────
def failing(code, asked):
    def way(handle):
        asked.append(code)
        raise pynvml.NVMLError(code)

    return way


def test_an_unsupported_call_is_not_made_again_and_the_next_way_is_used():
    asked = []
    reader = Reader((Reading("t", (failing(pynvml.NVML_ERROR_NOT_SUPPORTED, asked), lambda handle: {"t": 1.0})),))
    assert [reader.read(None), reader.read(None)] == [{"t": 1.0}, {"t": 1.0}]
    assert len(asked) == 1


def test_a_call_without_any_way_left_is_omitted():
    asked = []
    reader = Reader((Reading("t", (failing(pynvml.NVML_ERROR_FUNCTION_NOT_FOUND, asked),)),))
    assert [reader.read(None), reader.read(None)] == [{}, {}]
    assert len(asked) == 1


def test_trouble_that_may_pass_is_asked_again():
    asked = []
    reader = Reader((Reading("t", (failing(pynvml.NVML_ERROR_NO_DATA, asked),)),))
    assert [reader.read(None), reader.read(None)] == [{}, {}]
    assert len(asked) == 2


@pytest.mark.parametrize("code", [pynvml.NVML_ERROR_GPU_IS_LOST, pynvml.NVML_ERROR_RESET_REQUIRED])
def test_a_device_that_is_gone_is_told_at_once(code):
    reader = Reader((Reading("t", (failing(code, []),)), Reading("u", (lambda handle: {"u": 1.0},))))
    with pytest.raises(pynvml.NVMLError):
        reader.read(None)


def test_an_unknown_error_of_every_call_condemns_the_device_and_of_one_call_only_its_handle():
    asked = []
    bad = Reading("t", (failing(pynvml.NVML_ERROR_UNKNOWN, asked),))
    with pytest.raises(pynvml.NVMLError):
        Reader((bad,)).read(None)
    reader = Reader((bad, Reading("u", (lambda handle: {"u": 1.0},))))
    assert reader.read(None) == {"u": 1.0}
    assert reader.handle_doubtful
