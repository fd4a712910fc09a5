"""NVML's return codes: what each means for the caller."""

import pynvml

UNSUPPORTED = frozenset(
    {pynvml.NVML_ERROR_NOT_SUPPORTED, pynvml.NVML_ERROR_FUNCTION_NOT_FOUND, pynvml.NVML_ERROR_ARGUMENT_VERSION_MISMATCH}
)
"""This device, driver or binding will never answer this call: it is not asked again."""
DEVICE_DOWN = frozenset({pynvml.NVML_ERROR_GPU_IS_LOST, pynvml.NVML_ERROR_RESET_REQUIRED})
"""No call to this device can work; its handle is stale."""
HANDLE_STALE = DEVICE_DOWN | {pynvml.NVML_ERROR_UNKNOWN}
"""After these the handle must be asked for anew. 999 alone does not condemn a device: some drivers give it for one call."""
DRIVER_GONE = frozenset(
    {pynvml.NVML_ERROR_UNINITIALIZED, pynvml.NVML_ERROR_DRIVER_NOT_LOADED, pynvml.NVML_ERROR_LIB_RM_VERSION_MISMATCH}
)
"""The driver was unloaded or replaced under us: only a new process can open the new one."""
REASONS = {
    pynvml.NVML_ERROR_UNINITIALIZED: "driver_reloaded",
    pynvml.NVML_ERROR_LIBRARY_NOT_FOUND: "library_not_found",
    pynvml.NVML_ERROR_DRIVER_NOT_LOADED: "driver_not_loaded",
    pynvml.NVML_ERROR_LIB_RM_VERSION_MISMATCH: "driver_library_mismatch",
    pynvml.NVML_ERROR_NO_PERMISSION: "no_permission",
    pynvml.NVML_ERROR_GPU_IS_LOST: "gpu_lost",
    pynvml.NVML_ERROR_RESET_REQUIRED: "reset_required",
    pynvml.NVML_ERROR_NOT_FOUND: "not_found",
    pynvml.NVML_ERROR_IRQ_ISSUE: "irq_issue",
    pynvml.NVML_ERROR_UNKNOWN: "unknown",
}


def reason_of(error: pynvml.NVMLError) -> str:
    """A short word for a metric label."""
    return REASONS.get(error.value, f"nvml_error_{error.value}")
