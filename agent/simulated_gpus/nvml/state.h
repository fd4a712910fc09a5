/* The simulated host: one structure in a shared file, written by state.py (layout.py mirrors it) and read here.
 *
 * Writers and readers run at the same time, in different processes. So every fault is one aligned word, stored at once;
 * whatever needs more than one word has a last word that makes it valid (`code`, `kind`, `sequence`), stored last.
 */
#ifndef SIMULATED_GPUS_STATE_H
#define SIMULATED_GPUS_STATE_H

#include <stdint.h>

#define STATE_MAGIC 0x54474c53u /* "SLGT" on disk */
#define LAYOUT_VERSION 1u
#define GPUS_MAX 16
#define PROCESSES_MAX 16
#define INSTANCES_MAX 7 /* MIG splits a GPU into seven at most */
#define OVERRIDES_MAX 32
#define NVLINKS_MAX 18
#define EVENTS_KEPT 256 /* power of two; a reader that falls further behind loses the oldest */

enum hang_mode {
    HANG_NONE = 0,
    HANG_SLEEP = 1,        /* sleeps until cleared: SIGKILL ends it */
    HANG_D_STATE = 2,      /* a vfork() that does not return: state D in ps, still killable on current kernels */
    HANG_FROZEN_WRITE = 3, /* writes to `hang_path`, on a file system that was frozen: state D, and SIGKILL waits too */
};

enum process_kind { PROCESS_NONE = 0, PROCESS_COMPUTE = 1, PROCESS_GRAPHICS = 2, PROCESS_MPS = 3 };

/* One call, or one field as "field 230", answers with `code`; 0 means that this entry is free. */
struct override_state {
    char call[60];
    int32_t code;
};

struct process_state {
    uint32_t pid;
    uint32_t gpu_instance;
    uint32_t compute_instance;
    uint32_t sm_percent;
    uint64_t memory_bytes;
    uint32_t kind; /* enum process_kind; stored last */
    uint32_t reserved;
};

struct instance_state {
    char uuid[48];
    char profile[16];
    uint32_t gpu_instance;
    uint32_t compute_instance;
    uint32_t slices;
    uint32_t multiprocessors;
    uint32_t sm_percent;
    uint32_t reserved;
    uint64_t memory_total_bytes;
    uint64_t memory_used_bytes;
};

struct gpu_state {
    char uuid[48];
    char name[64];
    char bus_id[32];
    char serial[32];

    /* Faults. */
    int32_t error;         /* every call answers with this return code */
    uint32_t hang;         /* enum hang_mode; every call blocks until it is 0 again */
    uint32_t crashes_left; /* so many calls kill their caller with SIGSEGV */
    uint32_t call_cost_us; /* added to every call */

    /* Gauges. */
    uint32_t gpu_percent;
    uint32_t memory_percent;
    uint32_t sm_percent;
    uint32_t sm_occupancy_percent;
    uint32_t encoder_percent;
    uint32_t decoder_percent;
    uint32_t fan_percent;
    uint32_t temperature_c;
    uint32_t memory_temperature_c;
    uint32_t slowdown_c;
    uint32_t shutdown_c;
    uint32_t max_operating_c;
    uint32_t memory_max_c;
    uint32_t power_mw;
    uint32_t power_limit_mw;
    uint32_t power_limit_min_mw;
    uint32_t power_limit_max_mw;
    uint32_t graphics_clock_mhz;
    uint32_t sm_clock_mhz;
    uint32_t memory_clock_mhz;
    uint32_t video_clock_mhz;
    uint32_t graphics_clock_max_mhz;
    uint32_t sm_clock_max_mhz;
    uint32_t memory_clock_max_mhz;
    uint32_t video_clock_max_mhz;
    uint32_t performance_state;
    uint32_t pcie_generation;
    uint32_t pcie_generation_max;
    uint32_t pcie_width;
    uint32_t pcie_width_max;
    uint32_t pcie_sent_kb_per_s;
    uint32_t pcie_received_kb_per_s;
    uint32_t pcie_window_ms; /* how long a throughput call watches the link: 20 ms on real devices */
    uint32_t pcie_replays;
    uint32_t nvlink_count;
    uint32_t nvlink_down_mask;
    uint32_t nvlink_kib_per_s;
    uint32_t ecc_enabled;
    uint32_t remapped_correctable;
    uint32_t remapped_uncorrectable;
    uint32_t remap_pending;
    uint32_t remap_failed;
    uint32_t retired_single_bit;
    uint32_t retired_double_bit;
    uint32_t retired_pending;
    uint32_t recovery_action; /* field 230: 0 none, 1 reset, 2 reboot, 3 drain peers, 4 drain and reset */
    uint32_t gpm_supported;
    uint32_t mig_mode;
    uint32_t instance_count;
    uint32_t reserved;

    uint64_t event_reasons; /* bit mask of why clocks are below their maximum */
    uint64_t memory_total_bytes;
    uint64_t memory_used_bytes;
    uint64_t memory_reserved_bytes;
    uint64_t bar1_total_bytes;
    uint64_t bar1_used_bytes;
    uint64_t ecc_corrected_volatile;
    uint64_t ecc_corrected_aggregate;
    uint64_t ecc_uncorrected_volatile;
    uint64_t ecc_uncorrected_aggregate;
    uint64_t nvlink_replays;
    uint64_t nvlink_recoveries;
    uint64_t nvlink_crc_flit;
    uint64_t nvlink_crc_data;
    uint64_t nvlink_ecc_data;

    /* What grows with time, by the gauges above: see let_time_pass(). */
    uint64_t advanced_at_us;
    uint64_t energy_uj;
    uint64_t power_violation_ns;
    uint64_t thermal_violation_ns;
    uint64_t pcie_sent_bytes;
    uint64_t pcie_received_bytes;
    uint64_t nvlink_kib;

    uint64_t calls; /* answered or not: lets tests count what a reader costs */

    struct override_state overrides[OVERRIDES_MAX];
    struct process_state processes[PROCESSES_MAX];
    struct instance_state instances[INSTANCES_MAX];
};

struct event_state {
    uint64_t sequence; /* its number, from 1; 0 while it is being written; stored last */
    uint64_t type;
    uint64_t data;
    uint32_t gpu;
    uint32_t gpu_instance;
    uint32_t compute_instance;
    uint32_t reserved;
};

struct host_state {
    uint32_t magic; /* stored last by whoever creates the file */
    uint32_t layout_version;
    uint32_t gpu_count;
    int32_t init_error; /* initialisation answers with this return code */
    uint32_t init_hang; /* initialisation blocks until it is 0 again */
    uint32_t boots;     /* how often this host was rebooted */
    char driver_version[80];
    char nvml_version[80];
    char hang_path[256];
    uint64_t event_head; /* number of events ever emitted; stored after the event itself */
    struct event_state events[EVENTS_KEPT];
    struct gpu_state gpus[GPUS_MAX];
};

#endif
