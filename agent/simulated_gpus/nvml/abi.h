/* What callers of libnvidia-ml.so.1 expect: return codes, enumerations and structures of the documented NVML interface.
 *
 * Declared here from the public interface (the Python binding nvidia-ml-py declares the same layouts), so that no header
 * of NVIDIA's is needed to build. Only what the simulation serves is declared. Widths and order are the contract: tests
 * read every structure back through nvidia-ml-py.
 */
#ifndef SIMULATED_GPUS_ABI_H
#define SIMULATED_GPUS_ABI_H

#include <stdint.h>

typedef void *nvml_device; /* never dereferenced: a number that names a GPU or a MIG instance, see core.c */

typedef int32_t nvml_return;
enum {
    NVML_SUCCESS = 0,
    NVML_ERROR_UNINITIALIZED = 1,
    NVML_ERROR_INVALID_ARGUMENT = 2,
    NVML_ERROR_NOT_SUPPORTED = 3,
    NVML_ERROR_NOT_FOUND = 6,
    NVML_ERROR_INSUFFICIENT_SIZE = 7,
    NVML_ERROR_DRIVER_NOT_LOADED = 9,
    NVML_ERROR_TIMEOUT = 10,
    NVML_ERROR_GPU_IS_LOST = 15,
    NVML_ERROR_RESET_REQUIRED = 16,
    NVML_ERROR_LIB_RM_VERSION_MISMATCH = 18,
    NVML_ERROR_MEMORY = 20,
    NVML_ERROR_ARGUMENT_VERSION_MISMATCH = 25,
    NVML_ERROR_UNKNOWN = 999,
};

/* A versioned structure carries its own size and a revision in its first word. */
#define STRUCT_VERSION(type, revision) ((uint32_t)(sizeof(type) | ((uint32_t)(revision) << 24)))

#define NOT_AN_INSTANCE 0xffffffffu /* GPU and compute instance id of something outside MIG */
#define ALL_LINKS 0xffffffffu       /* field scope: the sum over every NVLink */

enum { CLOCK_GRAPHICS, CLOCK_SM, CLOCK_MEMORY, CLOCK_VIDEO, CLOCK_COUNT };
enum { TEMPERATURE_SHUTDOWN, TEMPERATURE_SLOWDOWN, TEMPERATURE_MEMORY_MAX, TEMPERATURE_GPU_MAX };
enum { ECC_CORRECTED, ECC_UNCORRECTED };
enum { ECC_VOLATILE, ECC_AGGREGATE };
enum { PAGES_RETIRED_FOR_SINGLE_BIT, PAGES_RETIRED_FOR_DOUBLE_BIT };
enum { VIOLATION_POWER, VIOLATION_THERMAL };
enum { NVLINK_REPLAY, NVLINK_RECOVERY, NVLINK_CRC_FLIT, NVLINK_CRC_DATA, NVLINK_ECC_DATA };
enum { PCIE_SENT, PCIE_RECEIVED };

enum {
    REASON_SW_POWER_CAP = 0x04,
    REASON_HW_SLOWDOWN = 0x08,
    REASON_SW_THERMAL = 0x20,
    REASON_HW_THERMAL = 0x40,
    ALL_REASONS = 0x1ff,
};

enum {
    EVENT_SINGLE_BIT_ECC = 0x1,
    EVENT_DOUBLE_BIT_ECC = 0x2,
    EVENT_PSTATE = 0x4,
    EVENT_XID = 0x8,
    EVENT_CLOCK = 0x10,
    ALL_EVENTS = 0x1f,
};

typedef struct { uint32_t gpu, memory; } nvml_utilization;
typedef struct { uint64_t total, free, used; } nvml_memory;
typedef struct { uint32_t version; uint64_t total, reserved, free, used; } nvml_memory_v2;
typedef struct { uint32_t version, sensor; int32_t celsius; } nvml_temperature;
typedef struct { uint32_t version; int32_t celsius; } nvml_margin_temperature;
typedef struct { uint64_t reference_us, violation_ns; } nvml_violation;
typedef struct { uint32_t max, high, partial, low, none; } nvml_row_remapper_histogram;
typedef struct { uint32_t pid; uint64_t used_bytes; uint32_t gpu_instance, compute_instance; } nvml_process;

typedef struct {
    char bus_id_legacy[16];
    uint32_t domain, bus, device, device_id, subsystem_id;
    char bus_id[32];
} nvml_pci;

typedef struct {
    uint32_t pid;
    uint64_t timestamp_us;
    uint32_t sm, memory, encoder, decoder;
} nvml_process_utilization;

typedef struct {
    uint32_t multiprocessors;
    uint32_t copy_engines, decoders, encoders, jpeg_engines, optical_flow_engines;
    uint32_t gpu_instance_slices, compute_instance_slices;
    uint64_t memory_mib;
} nvml_attributes;

typedef union {
    double real;
    int32_t signed_int;
    uint32_t unsigned_int;
    uint64_t unsigned_long_long;
} nvml_value;
enum { VALUE_UNSIGNED_INT = 1, VALUE_UNSIGNED_LONG_LONG = 3, VALUE_SIGNED_INT = 5 };

typedef struct {
    uint32_t field, scope;
    int64_t timestamp_us, latency_us;
    uint32_t value_type;
    nvml_return result;
    nvml_value value;
} nvml_field_value;

typedef struct {
    nvml_device device;
    uint64_t type, data;
    uint32_t gpu_instance, compute_instance;
} nvml_event_data;

typedef struct { uint32_t version, is_supported; } nvml_gpm_support;
typedef struct { const char *short_name, *long_name, *unit; } nvml_gpm_metric_info;
typedef struct { uint32_t metric; nvml_return result; double value; nvml_gpm_metric_info info; } nvml_gpm_metric;
typedef struct gpm_sample gpm_sample;
typedef struct {
    uint32_t version, metric_count;
    gpm_sample *first, *second;
    nvml_gpm_metric metrics[];
} nvml_gpm_metrics;

#endif
