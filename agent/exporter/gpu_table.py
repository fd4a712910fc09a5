"""Which value of a GPU is which metric: one line per series that every readable GPU has."""

from dataclasses import dataclass

from contracts import metric_names as names


@dataclass(frozen=True, slots=True)
class Row:
    """One value of the worker's, or one that is derived from them, as a series."""

    value: str
    """Its name in `Gpu.values`."""
    metric: str
    kind: str
    labels: tuple[tuple[str, str], ...] = ()
    """Besides gpu and uuid."""


def gauge(value: str, metric: str, **labels: str) -> Row:
    """A value that goes up and down."""
    return Row(value, metric, "gauge", tuple(labels.items()))


def counter(value: str, metric: str, **labels: str) -> Row:
    """A count of the driver's."""
    return Row(value, metric, "counter", tuple(labels.items()))


ROWS = (
    gauge("utilization_ratio", names.GPU_UTILIZATION_RATIO),
    gauge("sm_utilization_ratio", names.GPU_SM_UTILIZATION_RATIO),
    gauge("sm_occupancy_ratio", names.GPU_SM_OCCUPANCY_RATIO),
    gauge("memory_used_bytes", names.GPU_MEMORY_USED_BYTES),
    gauge("memory_free_bytes", names.GPU_MEMORY_FREE_BYTES),
    gauge("memory_reserved_bytes", names.GPU_MEMORY_RESERVED_BYTES),
    gauge("memory_total_bytes", names.GPU_MEMORY_TOTAL_BYTES),
    gauge("temperature_celsius", names.GPU_TEMPERATURE_CELSIUS),
    gauge("memory_temperature_celsius", names.GPU_MEMORY_TEMPERATURE_CELSIUS),
    gauge("temperature_margin_celsius", names.GPU_TEMPERATURE_MARGIN_CELSIUS),
    gauge("temperature_slowdown_celsius", names.GPU_TEMPERATURE_SLOWDOWN_CELSIUS),
    gauge("temperature_shutdown_celsius", names.GPU_TEMPERATURE_SHUTDOWN_CELSIUS),
    gauge("power_watts", names.GPU_POWER_WATTS),
    gauge("power_limit_watts", names.GPU_POWER_LIMIT_WATTS),
    gauge("power_limit_max_watts", names.GPU_POWER_LIMIT_MAX_WATTS),
    counter("energy_joules_total", names.GPU_ENERGY_JOULES_TOTAL),
    gauge("sm_clock_hertz", names.GPU_SM_CLOCK_HERTZ),
    gauge("sm_clock_max_hertz", names.GPU_SM_CLOCK_MAX_HERTZ),
    gauge("sm_clock_ratio", names.GPU_SM_CLOCK_RATIO),
    gauge("memory_clock_hertz", names.GPU_MEMORY_CLOCK_HERTZ),
    gauge("memory_clock_max_hertz", names.GPU_MEMORY_CLOCK_MAX_HERTZ),
    gauge("memory_clock_ratio", names.GPU_MEMORY_CLOCK_RATIO),
    counter("sw_thermal_slowdown_seconds_total", names.GPU_SLOWDOWN_SECONDS_TOTAL, reason="sw_thermal_slowdown"),
    counter("hw_thermal_slowdown_seconds_total", names.GPU_SLOWDOWN_SECONDS_TOTAL, reason="hw_thermal_slowdown"),
    counter(
        "hw_power_brake_slowdown_seconds_total", names.GPU_SLOWDOWN_SECONDS_TOTAL, reason="hw_power_brake_slowdown"
    ),
    gauge("ecc_enabled", names.GPU_ECC_ENABLED),
    counter("ecc_volatile_corrected_total", names.GPU_ECC_ERRORS_TOTAL, kind="corrected", scope="volatile"),
    counter("ecc_volatile_uncorrected_total", names.GPU_ECC_ERRORS_TOTAL, kind="uncorrected", scope="volatile"),
    counter("ecc_aggregate_corrected_total", names.GPU_ECC_ERRORS_TOTAL, kind="corrected", scope="aggregate"),
    counter("ecc_aggregate_uncorrected_total", names.GPU_ECC_ERRORS_TOTAL, kind="uncorrected", scope="aggregate"),
    gauge("remapped_rows_corrected", names.GPU_REMAPPED_ROWS, kind="corrected"),
    gauge("remapped_rows_uncorrected", names.GPU_REMAPPED_ROWS, kind="uncorrected"),
    gauge("remapped_rows_pending", names.GPU_REMAPPED_ROWS, kind="pending"),
    gauge("remapped_rows_failure", names.GPU_REMAPPED_ROWS, kind="failure"),
    gauge("pcie_link_generation", names.GPU_PCIE_LINK_GENERATION),
    gauge("pcie_link_generation_max", names.GPU_PCIE_LINK_GENERATION_MAX),
    gauge("pcie_link_width", names.GPU_PCIE_LINK_WIDTH),
    gauge("pcie_link_width_max", names.GPU_PCIE_LINK_WIDTH_MAX),
    counter("pcie_replay_total", names.GPU_PCIE_REPLAYS_TOTAL),
    counter("nvlink_crc_flit_errors_total", names.GPU_NVLINK_ERRORS_TOTAL, kind="crc_flit"),
    counter("nvlink_crc_data_errors_total", names.GPU_NVLINK_ERRORS_TOTAL, kind="crc_data"),
    counter("nvlink_replay_errors_total", names.GPU_NVLINK_ERRORS_TOTAL, kind="replay"),
    counter("nvlink_recovery_errors_total", names.GPU_NVLINK_ERRORS_TOTAL, kind="recovery"),
    gauge("recovery_action", names.GPU_RECOVERY_ACTION),
)
"""In the order of the page; rows of one metric stand together."""
