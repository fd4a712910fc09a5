"""What is read of a GPU, as two tables: once a second, and every 30 seconds.

Older bindings work, too: `TemperatureV` came with nvidia-ml-py 12.560, and the call before it is deprecated in NVML 13
but still answers; `EventReasons` was once named `ThrottleReasons`. PCIe throughput is never asked for: each such call
blocks for 20 ms in the driver.
"""

import pynvml

from agent.probes.nvml.fields import FAST_FIELDS, SLOW_FIELDS, FieldReader
from agent.probes.nvml.gpm import SmActivity
from agent.probes.nvml.reader import Handle, Reading, Values, Way, call, value

SM, MEMORY = pynvml.NVML_CLOCK_SM, pynvml.NVML_CLOCK_MEM
CORE_SENSOR = pynvml.NVML_TEMPERATURE_GPU
SHUTDOWN, SLOWDOWN = 0, 1
"""nvmlTemperatureThresholds_t."""
MEGAHERTZ, MILLIWATT, PERCENT = 1e6, 1e-3, 1e-2
"""Scales from NVML's units to base units."""


def number(name: str, function: str, *arguments: object, scale: float = 1.0) -> Way:
    """The way of a call that gives one number."""

    def read(handle: Handle) -> Values:
        return value(name, call(function, handle, *arguments), scale)

    return read


def fast_readings(major: int, activity: SmActivity) -> tuple[Reading, ...]:
    """What moves from second to second, for a driver of this major version."""
    return (
        Reading("utilization", (_utilization,)),
        Reading("memory", (_memory_v2, _memory_v1)),
        Reading(
            "temperature",
            (
                number("temperature_celsius", "nvmlDeviceGetTemperatureV", CORE_SENSOR),
                number("temperature_celsius", "nvmlDeviceGetTemperature", CORE_SENSOR),
            ),
        ),
        Reading("margin", (number("temperature_margin_celsius", "nvmlDeviceGetMarginTemperature"),)),
        Reading("power", (number("power_watts", "nvmlDeviceGetPowerUsage", scale=MILLIWATT),)),
        Reading("sm_clock", (number("sm_clock_hertz", "nvmlDeviceGetClockInfo", SM, scale=MEGAHERTZ),)),
        Reading("memory_clock", (number("memory_clock_hertz", "nvmlDeviceGetClockInfo", MEMORY, scale=MEGAHERTZ),)),
        Reading(
            "clock_events",
            (
                number("clock_event_reasons", "nvmlDeviceGetCurrentClocksEventReasons"),
                number("clock_event_reasons", "nvmlDeviceGetCurrentClocksThrottleReasons"),
            ),
        ),
        Reading("fields", (FieldReader(FAST_FIELDS, major).read,)),
        Reading("activity", (activity.read,)),
    )


def slow_readings(major: int) -> tuple[Reading, ...]:
    """What moves rarely, or costs more than it tells each second."""
    threshold = "nvmlDeviceGetTemperatureThreshold"
    return (
        Reading("slowdown", (number("temperature_slowdown_celsius", threshold, SLOWDOWN),)),
        Reading("shutdown", (number("temperature_shutdown_celsius", threshold, SHUTDOWN),)),
        Reading("sm_clock_max", (number("sm_clock_max_hertz", "nvmlDeviceGetMaxClockInfo", SM, scale=MEGAHERTZ),)),
        Reading(
            "memory_clock_max",
            (number("memory_clock_max_hertz", "nvmlDeviceGetMaxClockInfo", MEMORY, scale=MEGAHERTZ),),
        ),
        Reading("power_limit", (number("power_limit_watts", "nvmlDeviceGetEnforcedPowerLimit", scale=MILLIWATT),)),
        Reading("power_limits", (_power_limit_max,)),
        Reading("pcie_generation", (number("pcie_link_generation", "nvmlDeviceGetCurrPcieLinkGeneration"),)),
        Reading("pcie_generation_max", (number("pcie_link_generation_max", "nvmlDeviceGetMaxPcieLinkGeneration"),)),
        Reading("pcie_width", (number("pcie_link_width", "nvmlDeviceGetCurrPcieLinkWidth"),)),
        Reading("pcie_width_max", (number("pcie_link_width_max", "nvmlDeviceGetMaxPcieLinkWidth"),)),
        Reading("ecc_mode", (_ecc_mode,)),
        Reading("fields", (FieldReader(SLOW_FIELDS, major).read,)),
    )


def _utilization(handle: Handle) -> Values:
    return value("utilization_ratio", pynvml.nvmlDeviceGetUtilizationRates(handle).gpu, PERCENT)


def _memory_v2(handle: Handle) -> Values:
    """`used` is without what the driver reserves."""
    memory = pynvml.nvmlDeviceGetMemoryInfo(handle, pynvml.nvmlMemory_v2)
    return {**_memory(memory), **value("memory_reserved_bytes", memory.reserved)}


def _memory_v1(handle: Handle) -> Values:
    """`used` includes what the driver reserves."""
    return _memory(pynvml.nvmlDeviceGetMemoryInfo(handle))


def _memory(memory: pynvml.c_nvmlMemory_t) -> Values:
    return {
        **value("memory_used_bytes", memory.used),
        **value("memory_free_bytes", memory.free),
        **value("memory_total_bytes", memory.total),
    }


def _power_limit_max(handle: Handle) -> Values:
    _, limit_max = pynvml.nvmlDeviceGetPowerManagementLimitConstraints(handle)
    return value("power_limit_max_watts", limit_max, MILLIWATT)


def _ecc_mode(handle: Handle) -> Values:
    current, _pending = pynvml.nvmlDeviceGetEccMode(handle)
    return value("ecc_enabled", current)
