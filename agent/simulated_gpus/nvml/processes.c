/* What runs on a GPU, and how much of it each process uses. */
#include "core.h"

static int is_shown(const struct process_state *process, const struct target *target, uint32_t kind)
{
    if (READ(process->kind) != kind)
        return 0;
    return !target->instance || process->gpu_instance == target->instance->gpu_instance;
}

/* Callers ask twice: with too little room to learn how much they need, then with it. */
static nvml_return list_processes(const struct target *target, uint32_t kind, uint32_t *count, nvml_process *answer)
{
    uint32_t room = answer ? *count : 0, found = 0;

    for (int i = 0; i < PROCESSES_MAX; i++) {
        const struct process_state *process = &target->gpu->processes[i];
        if (!is_shown(process, target, kind))
            continue;
        if (found < room)
            answer[found] = (nvml_process){process->pid, process->memory_bytes, process->gpu_instance,
                                           process->compute_instance};
        found++;
    }
    *count = found;
    return found > room ? NVML_ERROR_INSUFFICIENT_SIZE : NVML_SUCCESS;
}

#define RUNNING_PROCESSES(call, kind)                                                           \
    EXPORT nvml_return call(nvml_device handle, uint32_t *count, nvml_process *answer)          \
    {                                                                                           \
        ENTER_ANY(handle);                                                                      \
        return list_processes(&target, (kind), count, answer);                                  \
    }

RUNNING_PROCESSES(nvmlDeviceGetComputeRunningProcesses_v3, PROCESS_COMPUTE)
RUNNING_PROCESSES(nvmlDeviceGetComputeRunningProcesses_v2, PROCESS_COMPUTE)
RUNNING_PROCESSES(nvmlDeviceGetGraphicsRunningProcesses_v3, PROCESS_GRAPHICS)
RUNNING_PROCESSES(nvmlDeviceGetGraphicsRunningProcesses_v2, PROCESS_GRAPHICS)
RUNNING_PROCESSES(nvmlDeviceGetMPSComputeRunningProcesses_v3, PROCESS_MPS)
RUNNING_PROCESSES(nvmlDeviceGetMPSComputeRunningProcesses_v2, PROCESS_MPS)

EXPORT nvml_return nvmlDeviceGetProcessUtilization(nvml_device handle, nvml_process_utilization *answer, uint32_t *count,
                                                   uint64_t since_us)
{
    uint32_t room = answer ? *count : 0, found = 0;
    uint64_t now = now_us(CLOCK_REALTIME);

    ENTER(handle);
    if (gpu->mig_mode)
        return NVML_ERROR_NOT_SUPPORTED;
    for (int i = 0; i < PROCESSES_MAX; i++) {
        const struct process_state *process = &gpu->processes[i];
        if (READ(process->kind) == PROCESS_NONE)
            continue;
        if (found < room)
            answer[found] = (nvml_process_utilization){.pid = process->pid, .timestamp_us = now, .sm = process->sm_percent,
                                                       .memory = process->sm_percent / 2};
        found++;
    }
    *count = found;
    if (found == 0 || since_us >= now)
        return NVML_ERROR_NOT_FOUND; /* no sample since then */
    return found > room ? NVML_ERROR_INSUFFICIENT_SIZE : NVML_SUCCESS;
}
