"""Field values: many counters of one GPU in one call.

**Ids above 250 were renumbered** between CUDA 12.9 and 13 (270 is another field on an R575 driver than on R580), and a
wrong one is answered without an error. So a field above 250 cannot be written down without the driver that it needs.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import pynvml

from agent.probes.nvml.codes import DEVICE_DOWN, UNSUPPORTED
from agent.probes.nvml.reader import Handle, Values, value

STABLE_ID_MAX = 250
"""Every id up to here means the same in nvml.h 12.9.79 and 13.5.37."""
RENUMBERED_DRIVER_MAJOR = 580
"""First driver with the ids of CUDA 13."""
NEVER_ANSWERED = UNSUPPORTED | {pynvml.NVML_ERROR_INVALID_ARGUMENT}
"""Per field: an id that the driver does not know is an invalid argument to it."""
VALUE_MEMBERS = {0: "dVal", 1: "uiVal", 2: "ulVal", 3: "ullVal", 4: "sllVal", 5: "siVal", 6: "usVal"}
"""nvmlValueType_t → member of the union. By number: bindings before 12.560 do not name the last two."""


class UnsafeFieldError(ValueError):
    """A field above the stable ids without the driver that it needs."""


@dataclass(frozen=True, slots=True)
class Field:
    """One counter or gauge."""

    id: int
    name: str
    """With its unit, as the parent knows it."""
    scale: float = 1.0
    """Times the raw value gives the base unit."""
    driver_major_min: int = 0

    def __post_init__(self) -> None:
        if self.id > STABLE_ID_MAX and self.driver_major_min < RENUMBERED_DRIVER_MAJOR:
            msg = f"field {self.id} needs driver_major_min ≥ {RENUMBERED_DRIVER_MAJOR}, got {self.driver_major_min}"
            raise UnsafeFieldError(msg)


FAST_FIELDS = (
    Field(3, "ecc_volatile_corrected_total"),
    Field(4, "ecc_volatile_uncorrected_total"),
    Field(82, "memory_temperature_celsius"),
    Field(83, "energy_joules_total", scale=1e-3),
    Field(230, "recovery_action"),
    Field(269, "sw_thermal_slowdown_seconds_total", scale=1e-9, driver_major_min=RENUMBERED_DRIVER_MAJOR),
    Field(270, "hw_thermal_slowdown_seconds_total", scale=1e-9, driver_major_min=RENUMBERED_DRIVER_MAJOR),
    Field(271, "hw_power_brake_slowdown_seconds_total", scale=1e-9, driver_major_min=RENUMBERED_DRIVER_MAJOR),
)
"""Once a second. 230 is NVML_FI_DEV_GET_GPU_RECOVERY_ACTION, R570 and later; the last three are the driver's own count
of nanoseconds, which also sees what is shorter than a sample."""
SLOW_FIELDS = (
    Field(5, "ecc_aggregate_corrected_total"),
    Field(6, "ecc_aggregate_uncorrected_total"),
    Field(38, "nvlink_crc_flit_errors_total"),
    Field(45, "nvlink_crc_data_errors_total"),
    Field(52, "nvlink_replay_errors_total"),
    Field(59, "nvlink_recovery_errors_total"),
    Field(94, "pcie_replay_total"),
    Field(142, "remapped_rows_corrected"),
    Field(143, "remapped_rows_uncorrected"),
    Field(144, "remapped_rows_pending"),
    Field(145, "remapped_rows_failure"),
)
"""Every 30 seconds: they move a few times in a device's life."""


def driver_major(version: str) -> int:
    """`580.65.06` → 580; 0, which opens no gate, for a version that cannot be read."""
    head = version.partition(".")[0]
    return int(head) if head.isdecimal() else 0


def readable(fields: Iterable[Field], major: int) -> tuple[Field, ...]:
    """The fields that mean under this driver what they say."""
    return tuple(field for field in fields if field.driver_major_min <= major)


class FieldReader:
    """Reads a set of fields of one GPU, and asks no second time for those that it does not have."""

    def __init__(self, fields: Iterable[Field], major: int) -> None:
        self._fields = readable(fields, major)

    def read(self, handle: Handle) -> Values:
        """Every supported value in base units; raises `NVMLError` when the whole call, or the device, is bad."""
        if not self._fields:
            return {}
        answers = pynvml.nvmlDeviceGetFieldValues(handle, [field.id for field in self._fields])
        values: dict[str, float] = {}
        kept = []
        for field, answer in zip(self._fields, answers, strict=True):
            if answer.nvmlReturn in DEVICE_DOWN:
                raise pynvml.NVMLError(answer.nvmlReturn)
            member = VALUE_MEMBERS.get(answer.valueType)
            if answer.nvmlReturn == pynvml.NVML_SUCCESS and member is not None:
                values |= value(field.name, getattr(answer.value, member, 0xFFFF_FFFF), field.scale)
            if answer.nvmlReturn not in NEVER_ANSWERED:
                kept.append(field)
        self._fields = tuple(kept)
        return values
