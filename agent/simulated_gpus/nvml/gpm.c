/* GPM, the profiling metrics of Hopper and later: two samples, and what the GPU did between them.
 *
 * A sample keeps what the gauges said when it was taken; a metric is the mean of its two samples.
 */
#include <stdlib.h>

#include "core.h"

enum { GPM_VERSION = 1 };
enum {
    GPM_GRAPHICS_UTIL = 1, GPM_SM_UTIL = 2, GPM_SM_OCCUPANCY = 3, GPM_ANY_TENSOR_UTIL = 5, GPM_DRAM_UTIL = 10,
    GPM_PCIE_SENT = 20, GPM_PCIE_RECEIVED = 21, GPM_NVLINK_RECEIVED = 60, GPM_NVLINK_SENT = 61,
};

struct gpm_sample {
    int is_taken;
    double graphics_percent, sm_percent, occupancy_percent, dram_percent;
    double pcie_sent_mib_per_s, pcie_received_mib_per_s, nvlink_mib_per_s;
};

EXPORT nvml_return nvmlGpmQueryDeviceSupport(nvml_device handle, nvml_gpm_support *support)
{
    ENTER_ANY(handle);
    support->is_supported = gpu->gpm_supported;
    return NVML_SUCCESS;
}

EXPORT nvml_return nvmlGpmSampleAlloc(gpm_sample **sample)
{
    *sample = calloc(1, sizeof **sample);
    return *sample ? NVML_SUCCESS : NVML_ERROR_MEMORY;
}

EXPORT nvml_return nvmlGpmSampleFree(gpm_sample *sample)
{
    free(sample);
    return NVML_SUCCESS;
}

EXPORT nvml_return nvmlGpmSampleGet(nvml_device handle, gpm_sample *sample)
{
    ENTER(handle);
    if (!gpu->gpm_supported)
        return NVML_ERROR_NOT_SUPPORTED;
    *sample = (gpm_sample){
        .is_taken = 1,
        .graphics_percent = gpu->gpu_percent,
        .sm_percent = gpu->sm_percent,
        .occupancy_percent = gpu->sm_occupancy_percent,
        .dram_percent = gpu->memory_percent,
        .pcie_sent_mib_per_s = gpu->pcie_sent_kb_per_s / 1048.576,
        .pcie_received_mib_per_s = gpu->pcie_received_kb_per_s / 1048.576,
        .nvlink_mib_per_s = gpu->nvlink_kib_per_s / 1024.0,
    };
    return NVML_SUCCESS;
}

EXPORT nvml_return nvmlGpmMigSampleGet(nvml_device handle, uint32_t gpu_instance, gpm_sample *sample)
{
    ENTER(handle);
    if (!gpu->gpm_supported || !gpu->mig_mode)
        return NVML_ERROR_NOT_SUPPORTED;
    for (uint32_t i = 0; i < gpu->instance_count; i++)
        if (gpu->instances[i].gpu_instance == gpu_instance) {
            double busy = gpu->instances[i].sm_percent;
            *sample = (gpm_sample){.is_taken = 1, .graphics_percent = busy, .sm_percent = busy,
                                   .occupancy_percent = busy / 2, .dram_percent = busy / 2};
            return NVML_SUCCESS;
        }
    return NVML_ERROR_NOT_FOUND;
}

#define MEAN(member) ((first->member + second->member) / 2)

static nvml_return measure(const gpm_sample *first, const gpm_sample *second, nvml_gpm_metric *metric)
{
    static const nvml_gpm_metric_info percent = {"simulated", "simulated share of time", "%"};
    static const nvml_gpm_metric_info rate = {"simulated", "simulated traffic", "MiB/s"};

    metric->info = metric->metric < GPM_PCIE_SENT ? percent : rate;
    switch (metric->metric) {
    case GPM_GRAPHICS_UTIL: metric->value = MEAN(graphics_percent); return NVML_SUCCESS;
    case GPM_SM_UTIL: metric->value = MEAN(sm_percent); return NVML_SUCCESS;
    case GPM_SM_OCCUPANCY: metric->value = MEAN(occupancy_percent); return NVML_SUCCESS;
    case GPM_ANY_TENSOR_UTIL: metric->value = MEAN(sm_percent) / 2; return NVML_SUCCESS;
    case GPM_DRAM_UTIL: metric->value = MEAN(dram_percent); return NVML_SUCCESS;
    case GPM_PCIE_SENT: metric->value = MEAN(pcie_sent_mib_per_s); return NVML_SUCCESS;
    case GPM_PCIE_RECEIVED: metric->value = MEAN(pcie_received_mib_per_s); return NVML_SUCCESS;
    case GPM_NVLINK_RECEIVED:
    case GPM_NVLINK_SENT: metric->value = MEAN(nvlink_mib_per_s); return NVML_SUCCESS;
    default: return NVML_ERROR_NOT_SUPPORTED;
    }
}

EXPORT nvml_return nvmlGpmMetricsGet(nvml_gpm_metrics *request)
{
    if (request->version != GPM_VERSION)
        return NVML_ERROR_ARGUMENT_VERSION_MISMATCH;
    if (!request->first || !request->second || !request->first->is_taken || !request->second->is_taken)
        return NVML_ERROR_INVALID_ARGUMENT;
    for (uint32_t i = 0; i < request->metric_count; i++) {
        nvml_gpm_metric *metric = &request->metrics[i];
        metric->value = 0;
        metric->result = measure(request->first, request->second, metric);
    }
    return NVML_SUCCESS;
}
