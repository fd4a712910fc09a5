/* Event sets: Xids and ECC errors as they happen, from a ring in the state file.
 *
 * A set begins with the next event after its creation. It keeps a number of its own, so that several readers see every
 * event each; one that falls further behind than the ring is long loses the oldest.
 */
#include <stdlib.h>

#include "core.h"

typedef struct {
    uint64_t wanted[GPUS_MAX]; /* event types, as a mask, per GPU */
    uint64_t seen;             /* number of the newest event that was looked at */
} event_set;

EXPORT nvml_return nvmlEventSetCreate(event_set **set)
{
    if (READ(initialisations) == 0)
        return NVML_ERROR_UNINITIALIZED;
    *set = calloc(1, sizeof **set);
    if (!*set)
        return NVML_ERROR_MEMORY;
    (*set)->seen = READ(host->event_head);
    return NVML_SUCCESS;
}

EXPORT nvml_return nvmlEventSetFree(event_set *set)
{
    free(set);
    return NVML_SUCCESS;
}

ONE_NUMBER(nvmlDeviceGetSupportedEventTypes, uint64_t, ALL_EVENTS)

EXPORT nvml_return nvmlDeviceRegisterEvents(nvml_device handle, uint64_t types, event_set *set)
{
    ENTER(handle);
    if (types & ~(uint64_t)ALL_EVENTS)
        return NVML_ERROR_NOT_SUPPORTED;
    set->wanted[target.gpu_index] |= types;
    return NVML_SUCCESS;
}

/* The next wanted event into `answer`; 0 when there is none yet. */
static int take_next(event_set *set, nvml_event_data *answer)
{
    for (;;) {
        uint64_t head = READ(host->event_head);
        if (head > set->seen + EVENTS_KEPT)
            set->seen = head - EVENTS_KEPT;
        if (set->seen >= head)
            return 0;
        const struct event_state *slot = &host->events[set->seen % EVENTS_KEPT];
        struct event_state event = *slot;
        int is_whole = READ(slot->sequence) == set->seen + 1 && event.sequence == set->seen + 1;
        set->seen++;
        if (!is_whole || event.gpu >= GPUS_MAX || !(set->wanted[event.gpu] & event.type))
            continue; /* overwritten while we read, or not ours */
        *answer = (nvml_event_data){handle_of_gpu(event.gpu), event.type, event.data, event.gpu_instance,
                                    event.compute_instance};
        return 1;
    }
}

EXPORT nvml_return nvmlEventSetWait_v2(event_set *set, nvml_event_data *answer, uint32_t timeout_ms)
{
    uint64_t deadline = now_us(CLOCK_MONOTONIC) + timeout_ms * 1000ull;

    if (READ(initialisations) == 0)
        return NVML_ERROR_UNINITIALIZED;
    while (!take_next(set, answer)) {
        uint64_t now = now_us(CLOCK_MONOTONIC);
        if (now >= deadline)
            return NVML_ERROR_TIMEOUT;
        sleep_us(deadline - now < POLL_US ? deadline - now : POLL_US);
    }
    return NVML_SUCCESS;
}

EXPORT nvml_return nvmlEventSetWait(event_set *set, nvml_event_data *answer, uint32_t timeout_ms)
{
    return nvmlEventSetWait_v2(set, answer, timeout_ms);
}
