/* Initialisation, shutdown, and what can be said without a GPU. */
#include <pthread.h>

#include "core.h"

static pthread_mutex_t life_cycle = PTHREAD_MUTEX_INITIALIZER;

EXPORT nvml_return nvmlInitWithFlags(uint32_t flags)
{
    nvml_return result = NVML_SUCCESS;

    (void)flags;
    pthread_mutex_lock(&life_cycle);
    if (!host)
        result = map_state();
    pthread_mutex_unlock(&life_cycle);
    if (result != NVML_SUCCESS)
        return result;
    block_while_hung(&host->init_hang); /* outside the lock: other threads may still shut down */
    if (READ(host->init_error))
        return READ(host->init_error);
    pthread_mutex_lock(&life_cycle);
    initialisations++;
    pthread_mutex_unlock(&life_cycle);
    return NVML_SUCCESS;
}

EXPORT nvml_return nvmlInit_v2(void) { return nvmlInitWithFlags(0); }
EXPORT nvml_return nvmlInit(void) { return nvmlInitWithFlags(0); }

EXPORT nvml_return nvmlShutdown(void)
{
    nvml_return result = NVML_SUCCESS;

    pthread_mutex_lock(&life_cycle);
    if (initialisations == 0)
        result = NVML_ERROR_UNINITIALIZED;
    else
        initialisations--;
    pthread_mutex_unlock(&life_cycle);
    return result;
}

EXPORT const char *nvmlErrorString(nvml_return code)
{
    switch (code) {
    case NVML_SUCCESS: return "Success";
    case NVML_ERROR_UNINITIALIZED: return "Uninitialized";
    case NVML_ERROR_INVALID_ARGUMENT: return "Invalid Argument";
    case NVML_ERROR_NOT_SUPPORTED: return "Not Supported";
    case NVML_ERROR_NOT_FOUND: return "Not Found";
    case NVML_ERROR_INSUFFICIENT_SIZE: return "Insufficient Size";
    case NVML_ERROR_DRIVER_NOT_LOADED: return "Driver Not Loaded";
    case NVML_ERROR_TIMEOUT: return "Timeout";
    case NVML_ERROR_GPU_IS_LOST: return "GPU is lost";
    case NVML_ERROR_RESET_REQUIRED: return "GPU requires reset";
    case NVML_ERROR_LIB_RM_VERSION_MISMATCH: return "RM has detected an NVML/RM version mismatch.";
    case NVML_ERROR_ARGUMENT_VERSION_MISMATCH: return "Argument version mismatch";
    default: return "Unknown Error";
    }
}

EXPORT nvml_return nvmlSystemGetDriverVersion(char *buffer, uint32_t length)
{
    return READ(initialisations) ? copy_text(buffer, length, host->driver_version) : NVML_ERROR_UNINITIALIZED;
}

EXPORT nvml_return nvmlSystemGetNVMLVersion(char *buffer, uint32_t length)
{
    return READ(initialisations) ? copy_text(buffer, length, host->nvml_version) : NVML_ERROR_UNINITIALIZED;
}

EXPORT nvml_return nvmlSystemGetCudaDriverVersion_v2(int32_t *version)
{
    *version = 12080; /* 12.8, which came with driver 570 */
    return READ(initialisations) ? NVML_SUCCESS : NVML_ERROR_UNINITIALIZED;
}

EXPORT nvml_return nvmlSystemGetCudaDriverVersion(int32_t *version)
{
    return nvmlSystemGetCudaDriverVersion_v2(version);
}
