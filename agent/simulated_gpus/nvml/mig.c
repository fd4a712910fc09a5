/* A GPU split into instances, each with a handle of its own. */
#include "core.h"

EXPORT nvml_return nvmlDeviceGetMigMode(nvml_device handle, uint32_t *current, uint32_t *pending)
{
    ENTER(handle);
    *current = *pending = gpu->mig_mode;
    return NVML_SUCCESS;
}

ONE_NUMBER(nvmlDeviceGetMaxMigDeviceCount, uint32_t, gpu->mig_mode ? INSTANCES_MAX : 0)

EXPORT nvml_return nvmlDeviceGetMigDeviceHandleByIndex(nvml_device handle, uint32_t index, nvml_device *instance)
{
    ENTER(handle);
    if (!gpu->mig_mode || index >= gpu->instance_count)
        return NVML_ERROR_NOT_FOUND;
    *instance = handle_of_instance(target.gpu_index, index);
    return NVML_SUCCESS;
}

EXPORT nvml_return nvmlDeviceIsMigDeviceHandle(nvml_device handle, uint32_t *is_instance)
{
    struct target target;

    if (READ(initialisations) == 0)
        return NVML_ERROR_UNINITIALIZED;
    if (!resolve(handle, &target))
        return NVML_ERROR_INVALID_ARGUMENT;
    *is_instance = target.instance != NULL;
    return NVML_SUCCESS;
}

EXPORT nvml_return nvmlDeviceGetDeviceHandleFromMigDeviceHandle(nvml_device handle, nvml_device *parent)
{
    ENTER_ANY(handle);
    if (!target.instance)
        return NVML_ERROR_INVALID_ARGUMENT;
    *parent = handle_of_gpu(target.gpu_index);
    return NVML_SUCCESS;
}

EXPORT nvml_return nvmlDeviceGetGpuInstanceId(nvml_device handle, uint32_t *id)
{
    ENTER_ANY(handle);
    if (!target.instance)
        return NVML_ERROR_NOT_SUPPORTED;
    *id = target.instance->gpu_instance;
    return NVML_SUCCESS;
}

EXPORT nvml_return nvmlDeviceGetComputeInstanceId(nvml_device handle, uint32_t *id)
{
    ENTER_ANY(handle);
    if (!target.instance)
        return NVML_ERROR_NOT_SUPPORTED;
    *id = target.instance->compute_instance;
    return NVML_SUCCESS;
}

EXPORT nvml_return nvmlDeviceGetAttributes_v2(nvml_device handle, nvml_attributes *attributes)
{
    ENTER_ANY(handle);
    if (!target.instance)
        return NVML_ERROR_NOT_SUPPORTED;
    *attributes = (nvml_attributes){
        .multiprocessors = target.instance->multiprocessors,
        .copy_engines = target.instance->slices,
        .decoders = target.instance->slices,
        .jpeg_engines = target.instance->slices,
        .gpu_instance_slices = target.instance->slices,
        .compute_instance_slices = target.instance->slices,
        .memory_mib = target.instance->memory_total_bytes >> 20,
    };
    return NVML_SUCCESS;
}
