/* PCIe and NVLink: state, errors and traffic. */
#include "core.h"

/* ── PCIe ── */

EXPORT nvml_return nvmlDeviceGetPcieThroughput(nvml_device handle, uint32_t direction, uint32_t *kb_per_s)
{
    ENTER(handle);
    sleep_us(gpu->pcie_window_ms * 1000ull);
    *kb_per_s = direction == PCIE_SENT ? gpu->pcie_sent_kb_per_s : gpu->pcie_received_kb_per_s;
    return NVML_SUCCESS;
}

ONE_NUMBER(nvmlDeviceGetPcieReplayCounter, uint32_t, gpu->pcie_replays)
ONE_NUMBER(nvmlDeviceGetCurrPcieLinkGeneration, uint32_t, gpu->pcie_generation)
ONE_NUMBER(nvmlDeviceGetCurrPcieLinkWidth, uint32_t, gpu->pcie_width)
ONE_NUMBER(nvmlDeviceGetMaxPcieLinkGeneration, uint32_t, gpu->pcie_generation_max)
ONE_NUMBER(nvmlDeviceGetMaxPcieLinkWidth, uint32_t, gpu->pcie_width_max)

/* ── NVLink ── */

static nvml_return check_link(const struct gpu_state *gpu, uint32_t link)
{
    if (gpu->nvlink_count == 0)
        return NVML_ERROR_NOT_SUPPORTED;
    return link < gpu->nvlink_count ? NVML_SUCCESS : NVML_ERROR_INVALID_ARGUMENT;
}

/* The state keeps one counter per kind of error and GPU; link 0 has them all. */
static uint64_t on_link(uint32_t link, uint64_t errors)
{
    return link == 0 || link == ALL_LINKS ? errors : 0;
}

EXPORT nvml_return nvmlDeviceGetNvLinkState(nvml_device handle, uint32_t link, uint32_t *is_active)
{
    nvml_return known;

    ENTER(handle);
    known = check_link(gpu, link);
    if (known == NVML_SUCCESS)
        *is_active = !(gpu->nvlink_down_mask >> link & 1);
    return known;
}

EXPORT nvml_return nvmlDeviceGetNvLinkVersion(nvml_device handle, uint32_t link, uint32_t *version)
{
    ENTER(handle);
    *version = 7; /* NVLink 4.0 */
    return check_link(gpu, link);
}

EXPORT nvml_return nvmlDeviceGetNvLinkErrorCounter(nvml_device handle, uint32_t link, uint32_t kind, uint64_t *errors)
{
    nvml_return known;

    ENTER(handle);
    known = check_link(gpu, link);
    if (known != NVML_SUCCESS)
        return known;
    switch (kind) {
    case NVLINK_REPLAY: *errors = on_link(link, gpu->nvlink_replays); return NVML_SUCCESS;
    case NVLINK_RECOVERY: *errors = on_link(link, gpu->nvlink_recoveries); return NVML_SUCCESS;
    case NVLINK_CRC_FLIT: *errors = on_link(link, gpu->nvlink_crc_flit); return NVML_SUCCESS;
    case NVLINK_CRC_DATA: *errors = on_link(link, gpu->nvlink_crc_data); return NVML_SUCCESS;
    case NVLINK_ECC_DATA: *errors = on_link(link, gpu->nvlink_ecc_data); return NVML_SUCCESS;
    default: return NVML_ERROR_INVALID_ARGUMENT;
    }
}
