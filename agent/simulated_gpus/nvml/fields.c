/* Field values: many numbers in one call, each with its own return code.
 *
 * Only ids up to 250 are served. Those above were renumbered between CUDA 12.9 and 13, so a reader that asks for one learns
 * NOT_SUPPORTED here instead of another field's number.
 */
#include <stdio.h>

#include "core.h"

static void give_unsigned(nvml_field_value *field, uint32_t value)
{
    field->value_type = VALUE_UNSIGNED_INT;
    field->value.unsigned_int = value;
}

static void give_signed(nvml_field_value *field, int32_t value)
{
    field->value_type = VALUE_SIGNED_INT;
    field->value.signed_int = value;
}

static void give_counter(nvml_field_value *field, uint64_t value)
{
    field->value_type = VALUE_UNSIGNED_LONG_LONG;
    field->value.unsigned_long_long = value;
}

/* 1 when the field is one of these, else 0: the next table is asked. */
static int memory_field(const struct gpu_state *gpu, nvml_field_value *field)
{
    switch (field->field) {
    case 1: case 2: give_unsigned(field, gpu->ecc_enabled); return 1;         /* ECC_CURRENT, ECC_PENDING */
    case 3: case 11: give_counter(field, gpu->ecc_corrected_volatile); return 1;
    case 4: case 12: give_counter(field, gpu->ecc_uncorrected_volatile); return 1;
    case 5: case 22: give_counter(field, gpu->ecc_corrected_aggregate); return 1;
    case 6: case 23: give_counter(field, gpu->ecc_uncorrected_aggregate); return 1;
    case 29: give_unsigned(field, gpu->retired_single_bit); return 1;
    case 30: give_unsigned(field, gpu->retired_double_bit); return 1;
    case 31: give_unsigned(field, gpu->retired_pending); return 1;
    case 142: give_unsigned(field, gpu->remapped_correctable); return 1;
    case 143: give_unsigned(field, gpu->remapped_uncorrectable); return 1;
    case 144: give_unsigned(field, gpu->remap_pending); return 1;
    case 145: give_unsigned(field, gpu->remap_failed); return 1;
    default: return 0;
    }
}

static int power_and_heat_field(const struct gpu_state *gpu, nvml_field_value *field)
{
    switch (field->field) {
    case 74: give_counter(field, READ(gpu->power_violation_ns)); return 1;    /* PERF_POLICY_POWER */
    case 75: give_counter(field, READ(gpu->thermal_violation_ns)); return 1;  /* PERF_POLICY_THERMAL */
    case 76: case 77: case 78: case 79: give_counter(field, 0); return 1;     /* sync boost, board, idle, reliability */
    case 82: give_unsigned(field, gpu->memory_temperature_c); return 1;       /* MEMORY_TEMP */
    case 83: case 191: give_counter(field, READ(gpu->energy_uj) / 1000); return 1; /* millijoules */
    case 185: case 186: give_unsigned(field, gpu->power_mw); return 1;        /* POWER_AVERAGE, POWER_INSTANT */
    case 187: give_unsigned(field, gpu->power_limit_min_mw); return 1;
    case 188: case 189: give_unsigned(field, gpu->power_limit_max_mw); return 1;
    case 190: case 192: give_unsigned(field, gpu->power_limit_mw); return 1;
    /* Limits relative to the highest operating temperature, as Hopper tells them. */
    case 193: give_signed(field, (int32_t)gpu->max_operating_c - (int32_t)gpu->shutdown_c); return 1;
    case 194: give_signed(field, (int32_t)gpu->max_operating_c - (int32_t)gpu->slowdown_c); return 1;
    case 195: case 196: give_signed(field, 0); return 1;
    case 226: give_unsigned(field, gpu->recovery_action == 1); return 1;      /* RESET_STATUS */
    case 227: give_unsigned(field, gpu->recovery_action == 4); return 1;      /* DRAIN_AND_RESET_STATUS */
    case 230: give_unsigned(field, gpu->recovery_action); return 1;           /* GET_GPU_RECOVERY_ACTION */
    default: return 0;
    }
}

static int pcie_field(const struct gpu_state *gpu, nvml_field_value *field)
{
    switch (field->field) {
    case 94: give_unsigned(field, gpu->pcie_replays); return 1;
    case 95: give_unsigned(field, 0); return 1;                               /* PCIE_REPLAY_ROLLOVER_COUNTER */
    case 197: give_counter(field, READ(gpu->pcie_sent_bytes)); return 1;
    case 198: give_counter(field, READ(gpu->pcie_received_bytes)); return 1;
    default: return field->field >= 173 && field->field <= 183 ? (give_unsigned(field, 0), 1) : 0; /* PCIE_COUNT_* */
    }
}

/* Errors of one link, by scope; all of them are link 0's. */
static uint64_t in_scope(const nvml_field_value *field, uint64_t count)
{
    return field->scope == 0 || field->scope == ALL_LINKS ? count : 0;
}

static int nvlink_field(const struct gpu_state *gpu, nvml_field_value *field)
{
    switch (field->field) {
    case 38: give_counter(field, gpu->nvlink_crc_flit); break;
    case 45: give_counter(field, gpu->nvlink_crc_data); break;
    case 52: give_counter(field, gpu->nvlink_replays); break;
    case 59: give_counter(field, gpu->nvlink_recoveries); break;
    case 90: give_unsigned(field, 26562); break;                              /* megabytes per second and link, NVLink 4 */
    case 91: give_unsigned(field, gpu->nvlink_count); return 1;               /* 0 where there are none */
    case 138: case 139: case 140: case 141: {                                 /* sent, received; alike in both counts */
        uint64_t total = READ(gpu->nvlink_kib);
        give_counter(field, field->scope == ALL_LINKS || !gpu->nvlink_count ? total : total / gpu->nvlink_count);
        break;
    }
    case 160: give_counter(field, gpu->nvlink_ecc_data); break;
    case 161: give_counter(field, in_scope(field, gpu->nvlink_replays)); break;
    case 162: give_counter(field, in_scope(field, gpu->nvlink_recoveries)); break;
    case 163: give_counter(field, in_scope(field, gpu->nvlink_crc_flit)); break;
    case 165: give_unsigned(field, field->scope >= NVLINKS_MAX || !(gpu->nvlink_down_mask >> field->scope & 1)); break;
    default: return 0;
    }
    if (gpu->nvlink_count == 0)
        field->result = NVML_ERROR_NOT_SUPPORTED;
    else if (field->scope != ALL_LINKS && field->scope >= gpu->nvlink_count)
        field->result = NVML_ERROR_INVALID_ARGUMENT;
    return 1;
}

/* A fault of one field is the override of a call named after it: "field 230". */
static nvml_return override_of_field(const struct gpu_state *gpu, uint32_t field)
{
    char name[sizeof gpu->overrides[0].call];
    snprintf(name, sizeof name, "field %u", field);
    return override_of(gpu, name);
}

EXPORT nvml_return nvmlDeviceGetFieldValues(nvml_device handle, int32_t count, nvml_field_value *fields)
{
    int64_t now = (int64_t)now_us(CLOCK_REALTIME);

    ENTER(handle);
    if (count < 0 || !fields)
        return NVML_ERROR_INVALID_ARGUMENT;
    for (int32_t i = 0; i < count; i++) {
        nvml_field_value *field = &fields[i];
        field->timestamp_us = now;
        field->latency_us = 0;
        field->result = NVML_SUCCESS;
        give_counter(field, 0);
        if (!memory_field(gpu, field) && !power_and_heat_field(gpu, field) && !pcie_field(gpu, field)
            && !nvlink_field(gpu, field))
            field->result = NVML_ERROR_NOT_SUPPORTED;
        nvml_return fault = override_of_field(gpu, field->field);
        if (fault != NVML_SUCCESS)
            field->result = fault;
    }
    return NVML_SUCCESS;
}
