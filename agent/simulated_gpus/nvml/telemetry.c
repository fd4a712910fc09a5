/* Load, heat, power and clocks: what a reader asks for every second. */
#include "core.h"

/* ── load ── */

EXPORT nvml_return nvmlDeviceGetUtilizationRates(nvml_device handle, nvml_utilization *utilization)
{
    ENTER(handle);
    if (gpu->mig_mode)
        return NVML_ERROR_NOT_SUPPORTED; /* a GPU that is split has no utilisation of its own; GPM tells each part's */
    utilization->gpu = gpu->gpu_percent;
    utilization->memory = gpu->memory_percent;
    return NVML_SUCCESS;
}

static nvml_return media_utilization(uint32_t percent, uint32_t *answer, uint32_t *period_us)
{
    *answer = percent;
    *period_us = 167000;
    return NVML_SUCCESS;
}

EXPORT nvml_return nvmlDeviceGetEncoderUtilization(nvml_device handle, uint32_t *percent, uint32_t *period_us)
{
    ENTER(handle);
    return media_utilization(gpu->encoder_percent, percent, period_us);
}

EXPORT nvml_return nvmlDeviceGetDecoderUtilization(nvml_device handle, uint32_t *percent, uint32_t *period_us)
{
    ENTER(handle);
    return media_utilization(gpu->decoder_percent, percent, period_us);
}

/* Version 1 counts what the driver reserved as used; version 2 tells the two apart. */
EXPORT nvml_return nvmlDeviceGetMemoryInfo(nvml_device handle, nvml_memory *memory)
{
    ENTER_ANY(handle);
    if (target.instance) {
        memory->total = target.instance->memory_total_bytes;
        memory->used = target.instance->memory_used_bytes;
    } else {
        memory->total = gpu->memory_total_bytes;
        memory->used = gpu->memory_used_bytes + gpu->memory_reserved_bytes;
    }
    memory->free = memory->total - memory->used;
    return NVML_SUCCESS;
}

EXPORT nvml_return nvmlDeviceGetMemoryInfo_v2(nvml_device handle, nvml_memory_v2 *memory)
{
    ENTER_ANY(handle);
    if (memory->version != STRUCT_VERSION(nvml_memory_v2, 2))
        return NVML_ERROR_ARGUMENT_VERSION_MISMATCH;
    if (target.instance) {
        memory->total = target.instance->memory_total_bytes;
        memory->reserved = 0;
        memory->used = target.instance->memory_used_bytes;
    } else {
        memory->total = gpu->memory_total_bytes;
        memory->reserved = gpu->memory_reserved_bytes;
        memory->used = gpu->memory_used_bytes;
    }
    memory->free = memory->total - memory->used - memory->reserved;
    return NVML_SUCCESS;
}

EXPORT nvml_return nvmlDeviceGetBAR1MemoryInfo(nvml_device handle, nvml_memory *memory)
{
    ENTER_ANY(handle);
    memory->total = gpu->bar1_total_bytes;
    memory->used = gpu->bar1_used_bytes;
    memory->free = memory->total - memory->used;
    return NVML_SUCCESS;
}

/* ── heat and power ── */

EXPORT nvml_return nvmlDeviceGetTemperature(nvml_device handle, uint32_t sensor, uint32_t *celsius)
{
    ENTER(handle);
    if (sensor != 0)
        return NVML_ERROR_INVALID_ARGUMENT;
    *celsius = gpu->temperature_c;
    return NVML_SUCCESS;
}

EXPORT nvml_return nvmlDeviceGetTemperatureV(nvml_device handle, nvml_temperature *temperature)
{
    ENTER(handle);
    if (temperature->version != STRUCT_VERSION(nvml_temperature, 1))
        return NVML_ERROR_ARGUMENT_VERSION_MISMATCH;
    if (temperature->sensor != 0)
        return NVML_ERROR_INVALID_ARGUMENT;
    temperature->celsius = (int32_t)gpu->temperature_c;
    return NVML_SUCCESS;
}

EXPORT nvml_return nvmlDeviceGetMarginTemperature(nvml_device handle, nvml_margin_temperature *margin)
{
    ENTER(handle);
    if (margin->version != STRUCT_VERSION(nvml_margin_temperature, 1))
        return NVML_ERROR_ARGUMENT_VERSION_MISMATCH;
    margin->celsius = (int32_t)gpu->slowdown_c - (int32_t)gpu->temperature_c;
    return NVML_SUCCESS;
}

EXPORT nvml_return nvmlDeviceGetTemperatureThreshold(nvml_device handle, uint32_t threshold, uint32_t *celsius)
{
    ENTER(handle);
    switch (threshold) {
    case TEMPERATURE_SHUTDOWN: *celsius = gpu->shutdown_c; return NVML_SUCCESS;
    case TEMPERATURE_SLOWDOWN: *celsius = gpu->slowdown_c; return NVML_SUCCESS;
    case TEMPERATURE_MEMORY_MAX: *celsius = gpu->memory_max_c; return NVML_SUCCESS;
    case TEMPERATURE_GPU_MAX: *celsius = gpu->max_operating_c; return NVML_SUCCESS;
    default: return NVML_ERROR_NOT_SUPPORTED;
    }
}

EXPORT nvml_return nvmlDeviceGetPowerManagementLimitConstraints(nvml_device handle, uint32_t *least_mw, uint32_t *most_mw)
{
    ENTER(handle);
    *least_mw = gpu->power_limit_min_mw;
    *most_mw = gpu->power_limit_max_mw;
    return NVML_SUCCESS;
}

ONE_NUMBER(nvmlDeviceGetPowerUsage, uint32_t, gpu->power_mw)
ONE_NUMBER(nvmlDeviceGetPowerManagementMode, uint32_t, 1)
ONE_NUMBER(nvmlDeviceGetPowerManagementLimit, uint32_t, gpu->power_limit_mw)
ONE_NUMBER(nvmlDeviceGetPowerManagementDefaultLimit, uint32_t, gpu->power_limit_max_mw)
ONE_NUMBER(nvmlDeviceGetEnforcedPowerLimit, uint32_t, gpu->power_limit_mw)
ONE_NUMBER(nvmlDeviceGetTotalEnergyConsumption, uint64_t, READ(gpu->energy_uj) / 1000)
ONE_NUMBER(nvmlDeviceGetFanSpeed, uint32_t, gpu->fan_percent)

/* ── clocks ── */

EXPORT nvml_return nvmlDeviceGetClockInfo(nvml_device handle, uint32_t clock, uint32_t *megahertz)
{
    ENTER(handle);
    switch (clock) {
    case CLOCK_GRAPHICS: *megahertz = gpu->graphics_clock_mhz; return NVML_SUCCESS;
    case CLOCK_SM: *megahertz = gpu->sm_clock_mhz; return NVML_SUCCESS;
    case CLOCK_MEMORY: *megahertz = gpu->memory_clock_mhz; return NVML_SUCCESS;
    case CLOCK_VIDEO: *megahertz = gpu->video_clock_mhz; return NVML_SUCCESS;
    default: return NVML_ERROR_INVALID_ARGUMENT;
    }
}

EXPORT nvml_return nvmlDeviceGetMaxClockInfo(nvml_device handle, uint32_t clock, uint32_t *megahertz)
{
    ENTER(handle);
    switch (clock) {
    case CLOCK_GRAPHICS: *megahertz = gpu->graphics_clock_max_mhz; return NVML_SUCCESS;
    case CLOCK_SM: *megahertz = gpu->sm_clock_max_mhz; return NVML_SUCCESS;
    case CLOCK_MEMORY: *megahertz = gpu->memory_clock_max_mhz; return NVML_SUCCESS;
    case CLOCK_VIDEO: *megahertz = gpu->video_clock_max_mhz; return NVML_SUCCESS;
    default: return NVML_ERROR_INVALID_ARGUMENT;
    }
}

EXPORT nvml_return nvmlDeviceGetViolationStatus(nvml_device handle, uint32_t policy, nvml_violation *violation)
{
    ENTER(handle);
    violation->reference_us = now_us(CLOCK_REALTIME);
    violation->violation_ns = policy == VIOLATION_POWER     ? READ(gpu->power_violation_ns)
                              : policy == VIOLATION_THERMAL ? READ(gpu->thermal_violation_ns)
                                                            : 0;
    return NVML_SUCCESS;
}

ONE_NUMBER(nvmlDeviceGetCurrentClocksEventReasons, uint64_t, READ(gpu->event_reasons))
ONE_NUMBER(nvmlDeviceGetCurrentClocksThrottleReasons, uint64_t, READ(gpu->event_reasons)) /* its name before R535 */
ONE_NUMBER(nvmlDeviceGetSupportedClocksEventReasons, uint64_t, ALL_REASONS)
ONE_NUMBER(nvmlDeviceGetSupportedClocksThrottleReasons, uint64_t, ALL_REASONS)
ONE_NUMBER(nvmlDeviceGetPerformanceState, uint32_t, gpu->performance_state)
