/* ECC counters, remapped rows and retired pages. */
#include <string.h>

#include "core.h"

static uint64_t ecc_errors(const struct gpu_state *gpu, uint32_t kind, uint32_t period)
{
    if (kind == ECC_CORRECTED)
        return period == ECC_VOLATILE ? gpu->ecc_corrected_volatile : gpu->ecc_corrected_aggregate;
    return period == ECC_VOLATILE ? gpu->ecc_uncorrected_volatile : gpu->ecc_uncorrected_aggregate;
}

EXPORT nvml_return nvmlDeviceGetEccMode(nvml_device handle, uint32_t *current, uint32_t *pending)
{
    ENTER(handle);
    *current = *pending = gpu->ecc_enabled;
    return NVML_SUCCESS;
}

EXPORT nvml_return nvmlDeviceGetTotalEccErrors(nvml_device handle, uint32_t kind, uint32_t period, uint64_t *errors)
{
    ENTER(handle);
    if (!gpu->ecc_enabled)
        return NVML_ERROR_NOT_SUPPORTED;
    *errors = ecc_errors(gpu, kind, period);
    return NVML_SUCCESS;
}

/* Every error of the simulation happens in device memory. */
EXPORT nvml_return nvmlDeviceGetMemoryErrorCounter(nvml_device handle, uint32_t kind, uint32_t period, uint32_t location,
                                                   uint64_t *errors)
{
    const uint32_t device_memory = 2;

    ENTER(handle);
    if (!gpu->ecc_enabled)
        return NVML_ERROR_NOT_SUPPORTED;
    *errors = location == device_memory ? ecc_errors(gpu, kind, period) : 0;
    return NVML_SUCCESS;
}

EXPORT nvml_return nvmlDeviceGetRemappedRows(nvml_device handle, uint32_t *correctable, uint32_t *uncorrectable,
                                             uint32_t *is_pending, uint32_t *has_failed)
{
    ENTER(handle);
    *correctable = gpu->remapped_correctable;
    *uncorrectable = gpu->remapped_uncorrectable;
    *is_pending = gpu->remap_pending;
    *has_failed = gpu->remap_failed;
    return NVML_SUCCESS;
}

EXPORT nvml_return nvmlDeviceGetRowRemapperHistogram(nvml_device handle, nvml_row_remapper_histogram *banks)
{
    ENTER(handle);
    memset(banks, 0, sizeof *banks);
    banks->partial = gpu->remapped_correctable + gpu->remapped_uncorrectable; /* each remapped row in a bank of its own */
    banks->none = gpu->remap_failed;
    banks->max = 640 - banks->partial - banks->none; /* banks of an H100 */
    return NVML_SUCCESS;
}

EXPORT nvml_return nvmlDeviceGetRetiredPages(nvml_device handle, uint32_t cause, uint32_t *count, uint64_t *addresses)
{
    uint32_t retired, room = *count;

    ENTER(handle);
    retired = cause == PAGES_RETIRED_FOR_SINGLE_BIT ? gpu->retired_single_bit : gpu->retired_double_bit;
    *count = retired;
    if (room < retired)
        return NVML_ERROR_INSUFFICIENT_SIZE;
    for (uint32_t i = 0; i < retired; i++)
        addresses[i] = 0x1000ull * (i + 1);
    return NVML_SUCCESS;
}

ONE_NUMBER(nvmlDeviceGetRetiredPagesPendingStatus, uint32_t, gpu->retired_pending)
