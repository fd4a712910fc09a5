/* From an index, a UUID or a PCI address to a handle, and from a handle to what it names. */
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "core.h"

/* ── handles ── */

static nvml_return give_handle(uint32_t gpu, nvml_device *handle)
{
    if (READ(host->gpus[gpu].error) == NVML_ERROR_GPU_IS_LOST)
        return NVML_ERROR_GPU_IS_LOST;
    *handle = handle_of_gpu(gpu);
    return NVML_SUCCESS;
}

EXPORT nvml_return nvmlDeviceGetCount_v2(uint32_t *count)
{
    if (READ(initialisations) == 0)
        return NVML_ERROR_UNINITIALIZED;
    *count = host->gpu_count;
    return NVML_SUCCESS;
}

EXPORT nvml_return nvmlDeviceGetCount(uint32_t *count) { return nvmlDeviceGetCount_v2(count); }

EXPORT nvml_return nvmlDeviceGetHandleByIndex_v2(uint32_t index, nvml_device *handle)
{
    if (READ(initialisations) == 0)
        return NVML_ERROR_UNINITIALIZED;
    return index < host->gpu_count ? give_handle(index, handle) : NVML_ERROR_INVALID_ARGUMENT;
}

EXPORT nvml_return nvmlDeviceGetHandleByIndex(uint32_t index, nvml_device *handle)
{
    return nvmlDeviceGetHandleByIndex_v2(index, handle);
}

EXPORT nvml_return nvmlDeviceGetHandleByUUID(const char *uuid, nvml_device *handle)
{
    if (READ(initialisations) == 0)
        return NVML_ERROR_UNINITIALIZED;
    for (uint32_t i = 0; i < host->gpu_count; i++) {
        if (strcmp(uuid, host->gpus[i].uuid) == 0)
            return give_handle(i, handle);
        for (uint32_t k = 0; k < host->gpus[i].instance_count; k++)
            if (strcmp(uuid, host->gpus[i].instances[k].uuid) == 0) {
                *handle = handle_of_instance(i, k);
                return NVML_SUCCESS;
            }
    }
    return NVML_ERROR_NOT_FOUND;
}

EXPORT nvml_return nvmlDeviceGetHandleByPciBusId_v2(const char *bus_id, nvml_device *handle)
{
    if (READ(initialisations) == 0)
        return NVML_ERROR_UNINITIALIZED;
    for (uint32_t i = 0; i < host->gpu_count; i++)
        if (strcasecmp(bus_id, host->gpus[i].bus_id) == 0)
            return give_handle(i, handle);
    return NVML_ERROR_NOT_FOUND;
}

EXPORT nvml_return nvmlDeviceGetHandleByPciBusId(const char *bus_id, nvml_device *handle)
{
    return nvmlDeviceGetHandleByPciBusId_v2(bus_id, handle);
}

/* ── identity ── */

EXPORT nvml_return nvmlDeviceGetIndex(nvml_device handle, uint32_t *index)
{
    ENTER_ANY(handle);
    *index = target.instance ? target.instance_index : target.gpu_index;
    return NVML_SUCCESS;
}

EXPORT nvml_return nvmlDeviceGetName(nvml_device handle, char *buffer, uint32_t length)
{
    char name[96];

    ENTER_ANY(handle);
    if (!target.instance)
        return copy_text(buffer, length, gpu->name);
    snprintf(name, sizeof name, "%s MIG %s", gpu->name, target.instance->profile);
    return copy_text(buffer, length, name);
}

EXPORT nvml_return nvmlDeviceGetUUID(nvml_device handle, char *buffer, uint32_t length)
{
    ENTER_ANY(handle);
    return copy_text(buffer, length, target.instance ? target.instance->uuid : gpu->uuid);
}

EXPORT nvml_return nvmlDeviceGetSerial(nvml_device handle, char *buffer, uint32_t length)
{
    ENTER(handle);
    return copy_text(buffer, length, gpu->serial);
}

EXPORT nvml_return nvmlDeviceGetVbiosVersion(nvml_device handle, char *buffer, uint32_t length)
{
    ENTER(handle);
    return copy_text(buffer, length, "simulated");
}

EXPORT nvml_return nvmlDeviceGetPciInfo_v3(nvml_device handle, nvml_pci *pci)
{
    ENTER(handle);
    memset(pci, 0, sizeof *pci);
    sscanf(gpu->bus_id, "%x:%x:%x", &pci->domain, &pci->bus, &pci->device);
    snprintf(pci->bus_id, sizeof pci->bus_id, "%s", gpu->bus_id);
    snprintf(pci->bus_id_legacy, sizeof pci->bus_id_legacy, "%04X:%02X:%02X.0", pci->domain & 0xffff, pci->bus & 0xff,
             pci->device & 0xff);
    pci->device_id = 0x233010de; /* an H100, by NVIDIA (10de) */
    return NVML_SUCCESS;
}

EXPORT nvml_return nvmlDeviceGetCudaComputeCapability(nvml_device handle, int32_t *major, int32_t *minor)
{
    ENTER_ANY(handle);
    *major = 9; /* Hopper */
    *minor = 0;
    return NVML_SUCCESS;
}

ONE_NUMBER(nvmlDeviceGetMinorNumber, uint32_t, target.gpu_index)
ONE_NUMBER(nvmlDeviceGetArchitecture, uint32_t, 9)
ONE_NUMBER(nvmlDeviceGetBrand, uint32_t, 14) /* NVML_BRAND_NVIDIA */
ONE_NUMBER(nvmlDeviceGetNumGpuCores, uint32_t, 16896)
ONE_NUMBER(nvmlDeviceGetPersistenceMode, uint32_t, 1)
ONE_NUMBER(nvmlDeviceGetComputeMode, uint32_t, 0)
ONE_NUMBER(nvmlDeviceGetDisplayMode, uint32_t, 0)
ONE_NUMBER(nvmlDeviceGetDisplayActive, uint32_t, 0)
