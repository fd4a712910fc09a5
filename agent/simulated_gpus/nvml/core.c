/* The state file, faults and time: what happens before a call is answered. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "core.h"

enum { INHERITED_FILES_MAX = 1024 }; /* the usual limit of open files of a process */

struct host_state *host;
unsigned initialisations;

/* ── the state file ── */

nvml_return map_state(void)
{
    const char *path = getenv("TRIMTAB_SIMULATED_GPUS_STATE");
    int file = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
    struct stat found;
    void *mapped;

    if (file < 0)
        return NVML_ERROR_DRIVER_NOT_LOADED;
    if (fstat(file, &found) != 0 || (size_t)found.st_size != sizeof(struct host_state)) {
        close(file);
        return NVML_ERROR_LIB_RM_VERSION_MISMATCH; /* what a driver newer than its library answers */
    }
    mapped = mmap(NULL, sizeof(struct host_state), PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    close(file);
    if (mapped == MAP_FAILED)
        return NVML_ERROR_UNKNOWN;
    host = mapped;
    if (host->magic != STATE_MAGIC || host->layout_version != LAYOUT_VERSION || host->gpu_count > GPUS_MAX) {
        munmap(mapped, sizeof(struct host_state));
        host = NULL;
        return NVML_ERROR_LIB_RM_VERSION_MISMATCH;
    }
    return NVML_SUCCESS;
}

/* ── faults ── */

void sleep_us(uint64_t microseconds)
{
    struct timespec left = {(time_t)(microseconds / 1000000), (long)(microseconds % 1000000) * 1000};
    while (nanosleep(&left, &left) != 0)
        continue;
}

static void sleep_while(const uint32_t *hang)
{
    while (READ(*hang) != HANG_NONE)
        sleep_us(POLL_US);
}

/* The caller is in state D until the child ends: vfork() suspends it inside the kernel. The child lets go of what it
 * inherited (sockets, pipes) and follows its parent, so that a killed reader leaves nothing behind. */
static void wait_in_d_state(const uint32_t *hang)
{
    pid_t reader = getpid();
    pid_t child = vfork();

    if (child == 0) {
        for (int file = 0; file < INHERITED_FILES_MAX; file++)
            close(file);
        while (READ(*hang) == HANG_D_STATE && getppid() == reader)
            sleep_us(POLL_US);
        _exit(0);
    }
    if (child > 0)
        while (waitpid(child, NULL, 0) < 0 && errno == EINTR)
            continue;
}

static void write_to_frozen_path(void)
{
    int file = open(host->hang_path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    if (file >= 0) {
        if (write(file, "x", 1) < 0)
            perror("simulated GPU: writing to the frozen path");
        close(file);
    }
}

void block_while_hung(const uint32_t *hang)
{
    switch (READ(*hang)) {
    case HANG_NONE:
        return;
    case HANG_D_STATE:
        wait_in_d_state(hang);
        return;
    case HANG_FROZEN_WRITE:
        write_to_frozen_path();
        return;
    default:
        sleep_while(hang);
    }
}

static void crash_if_asked(struct gpu_state *gpu)
{
    uint32_t left = READ(gpu->crashes_left);
    while (left > 0)
        if (__atomic_compare_exchange_n(&gpu->crashes_left, &left, left - 1, 0, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
            raise(SIGSEGV);
}

/* A free entry is skipped by its code, and one that changes while we compare is caught by reading the code again. */
nvml_return override_of(const struct gpu_state *gpu, const char *call)
{
    for (int i = 0; i < OVERRIDES_MAX; i++) {
        int32_t code = READ(gpu->overrides[i].code);
        if (code != 0 && strcmp(gpu->overrides[i].call, call) == 0 && READ(gpu->overrides[i].code) == code)
            return code;
    }
    return NVML_SUCCESS;
}

/* ── time ── */

uint64_t now_us(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

/* Counters of energy, bytes and slowed time grow by their present rate since the last call, whichever process made it:
 * the exchange lets exactly one reader account for each interval. Shorter ones than a millisecond wait, or integer
 * division would eat them. */
static void let_time_pass(struct gpu_state *gpu)
{
    uint64_t now = now_us(CLOCK_MONOTONIC), before = READ(gpu->advanced_at_us), passed;

    if (now >= before && now - before < 1000)
        return;
    if (!__atomic_compare_exchange_n(&gpu->advanced_at_us, &before, now, 0, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
        return;
    if (before == 0 || now < before)
        return; /* first look, or a state file that is older than this boot of the machine */
    passed = now - before;
    ADD(gpu->energy_uj, gpu->power_mw * passed / 1000);
    ADD(gpu->pcie_sent_bytes, gpu->pcie_sent_kb_per_s * passed / 1000);
    ADD(gpu->pcie_received_bytes, gpu->pcie_received_kb_per_s * passed / 1000);
    ADD(gpu->nvlink_kib, gpu->nvlink_kib_per_s * passed / 1000000);
    if (gpu->event_reasons & REASON_SW_POWER_CAP)
        ADD(gpu->power_violation_ns, passed * 1000);
    if (gpu->event_reasons & (REASON_HW_THERMAL | REASON_SW_THERMAL))
        ADD(gpu->thermal_violation_ns, passed * 1000);
}

/* ── entering a call ── */

nvml_device handle_of_gpu(uint32_t gpu)
{
    return (nvml_device)(uintptr_t)(gpu + 1); /* never NULL */
}

nvml_device handle_of_instance(uint32_t gpu, uint32_t instance)
{
    return (nvml_device)(uintptr_t)((instance + 1) << 8 | (gpu + 1));
}

int resolve(nvml_device handle, struct target *target)
{
    uintptr_t number = (uintptr_t)handle;
    uintptr_t gpu = number & 0xff, instance = number >> 8;

    if (gpu < 1 || gpu > host->gpu_count)
        return 0;
    target->gpu_index = (uint32_t)gpu - 1;
    target->gpu = &host->gpus[target->gpu_index];
    if (instance > target->gpu->instance_count || instance > INSTANCES_MAX)
        return 0;
    target->instance_index = (uint32_t)instance - 1;
    target->instance = instance ? &target->gpu->instances[target->instance_index] : NULL;
    return 1;
}

nvml_return enter(nvml_device handle, const char *call, struct target *target)
{
    struct gpu_state *gpu;

    if (READ(initialisations) == 0)
        return NVML_ERROR_UNINITIALIZED;
    if (!resolve(handle, target))
        return NVML_ERROR_INVALID_ARGUMENT;
    gpu = target->gpu;
    ADD(gpu->calls, 1);
    if (gpu->call_cost_us)
        sleep_us(gpu->call_cost_us);
    crash_if_asked(gpu);
    block_while_hung(&gpu->hang);
    if (READ(gpu->error))
        return READ(gpu->error);
    let_time_pass(gpu);
    return override_of(gpu, call);
}

nvml_return copy_text(char *buffer, uint32_t length, const char *text)
{
    if (!buffer)
        return NVML_ERROR_INVALID_ARGUMENT;
    if (strlen(text) >= length)
        return NVML_ERROR_INSUFFICIENT_SIZE;
    strcpy(buffer, text);
    return NVML_SUCCESS;
}
