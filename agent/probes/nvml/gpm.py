"""How busy the SMs really were: GPM, on Hopper and later.

`utilization_ratio` only says that some kernel ran; it is 1 with a single small request. GPM compares two samples, so one
is kept from tick to tick. GPM takes no profiling lock, unlike DCGM's profiling, and is never called on a device that
does not say that it supports it.
"""

import ctypes

import pynvml

from agent.probes.nvml.reader import Handle, Values, value

SM_UTILIZATION, SM_OCCUPANCY = 2, 3
"""nvmlGpmMetricId_t; both answer in percent."""
NAMES = {SM_UTILIZATION: "sm_utilization_ratio", SM_OCCUPANCY: "sm_occupancy_ratio"}
PERCENT = 1e-2


class SmActivity:
    """Two samples of one GPU, taken in turn."""

    def __init__(self) -> None:
        self._supported: bool | None = None
        self._older: ctypes.c_void_p | None = None
        self._newer: ctypes.c_void_p | None = None

    def read(self, handle: Handle) -> Values:
        """Activity since the sample before; nothing at first. Raises `NVMLError`, NotSupported where there is no GPM."""
        if self._supported is None:
            self._supported = _is_supported(handle)
        if not self._supported:
            raise pynvml.NVMLError(pynvml.NVML_ERROR_NOT_SUPPORTED)
        if self._newer is None:
            self._newer = pynvml.nvmlGpmSampleAlloc()
        pynvml.nvmlGpmSampleGet(handle, self._newer)
        values = {} if self._older is None else _compare(self._older, self._newer)
        self._older, self._newer = self._newer, self._older
        return values

    def forget(self) -> None:
        """Free both samples: the handle they were taken with is no longer good."""
        for sample in (self._older, self._newer):
            if sample is not None:
                pynvml.nvmlGpmSampleFree(sample)
        self._older = self._newer = self._supported = None


def _is_supported(handle: Handle) -> bool:
    return bool(pynvml.nvmlGpmQueryDeviceSupport(handle).isSupportedDevice)


def _compare(older: ctypes.c_void_p, newer: ctypes.c_void_p) -> Values:
    query = pynvml.c_nvmlGpmMetricsGet_t()
    query.version = pynvml.NVML_GPM_METRICS_GET_VERSION
    query.numMetrics = len(NAMES)
    query.sample1, query.sample2 = older, newer
    for slot, metric in enumerate(NAMES):
        query.metrics[slot].metricId = metric
    pynvml.nvmlGpmMetricsGet(query)
    values: dict[str, float] = {}
    for slot, name in enumerate(NAMES.values()):
        metric = query.metrics[slot]
        if metric.nvmlReturn == pynvml.NVML_SUCCESS:
            values |= value(name, metric.value, PERCENT)
    return values
