/* A simulated libnvidia-ml.so.1: answers NVML calls from a state file, so that readers of GPUs can be developed and
 * tested, with every fault a GPU has, on machines that have none.
 *
 * It says what it is: the driver's version contains "simulated", and so do the names of its GPUs. The environment variable
 * TRIMTAB_SIMULATED_GPUS_STATE names the state file; without one, initialisation answers DRIVER_NOT_LOADED, as a machine
 * without a driver does. One file per topic; this header is what they share.
 */
#ifndef SIMULATED_GPUS_CORE_H
#define SIMULATED_GPUS_CORE_H

#include "abi.h"
#include "state.h"

#include <stddef.h>
#include <time.h>

#define EXPORT __attribute__((visibility("default")))

/* Words that another process may change while we look: read afresh each time, never cached by the compiler. */
#define READ(word) __atomic_load_n(&(word), __ATOMIC_ACQUIRE)
#define ADD(word, amount) __atomic_fetch_add(&(word), (amount), __ATOMIC_RELAXED)

enum { POLL_US = 10000 }; /* how soon a cleared hang or a new event is noticed; cheap enough for 16 threads */

/* What a handle names: a GPU, or one of its MIG instances. */
struct target {
    struct gpu_state *gpu;
    struct instance_state *instance; /* NULL for the whole GPU */
    uint32_t gpu_index, instance_index;
};

extern struct host_state *host; /* NULL before the first initialisation */
extern unsigned initialisations;

nvml_return map_state(void);
void block_while_hung(const uint32_t *hang);
nvml_return override_of(const struct gpu_state *gpu, const char *call);

void sleep_us(uint64_t microseconds);
uint64_t now_us(clockid_t clock);

nvml_device handle_of_gpu(uint32_t gpu);
nvml_device handle_of_instance(uint32_t gpu, uint32_t instance);
int resolve(nvml_device handle, struct target *target);
nvml_return enter(nvml_device handle, const char *call, struct target *target);

/* First line of every call about a device: faults come before answers. Declares `target` and `gpu`. */
#define ENTER_ANY(handle)                                          \
    struct target target;                                          \
    nvml_return refusal = enter((handle), __func__, &target);      \
    struct gpu_state *gpu = target.gpu;                            \
    (void)gpu;                                                     \
    if (refusal != NVML_SUCCESS)                                   \
        return refusal

/* The same for calls that MIG instances do not have. */
#define ENTER(handle)                                              \
    ENTER_ANY(handle);                                             \
    if (target.instance)                                           \
        return NVML_ERROR_NOT_SUPPORTED

/* A call that answers with one number. */
#define ONE_NUMBER(call, type, expression)                         \
    EXPORT nvml_return call(nvml_device handle, type *answer)      \
    {                                                              \
        ENTER(handle);                                             \
        if (!answer)                                               \
            return NVML_ERROR_INVALID_ARGUMENT;                    \
        *answer = (type)(expression);                              \
        return NVML_SUCCESS;                                       \
    }

nvml_return copy_text(char *buffer, uint32_t length, const char *text);

#endif
