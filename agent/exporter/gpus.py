"""What NVML says about each GPU. A stale or lost GPU keeps `gpu_up` 0 with its reason, and loses everything else."""

from collections.abc import Mapping
from dataclasses import dataclass

from agent.exporter.page import Page, joined, label_text
from agent.probes.gpu import GpuWatch
from chassis.clock import Clock
from contracts import metric_names as names

GPU_VALUES: Mapping[str, str] = {
    "utilization_ratio": names.GPU_UTILIZATION_RATIO,
    "memory_used_bytes": names.GPU_MEMORY_USED_BYTES,
    "memory_total_bytes": names.GPU_MEMORY_TOTAL_BYTES,
    "temperature_celsius": names.GPU_TEMPERATURE_CELSIUS,
    "power_watts": names.GPU_POWER_WATTS,
    "sm_clock_hertz": names.GPU_SM_CLOCK_HERTZ,
}
"""The worker's name of a value → its metric."""


@dataclass(frozen=True, slots=True)
class GpuSection:
    """The driver, then every GPU ever seen."""

    gpus: GpuWatch
    clock: Clock

    def write(self, page: Page) -> None:
        """The newest samples."""
        driver, gpus = self.gpus.driver, self.gpus.newest(self.clock.monotonic_s())
        page.family(names.GPU_DRIVER_UP, "gauge", [({names.LABEL_REASON: driver.reason}, driver.up)])
        ids = [(label_text({names.LABEL_GPU: str(gpu.gpu), names.LABEL_UUID: gpu.uuid}), gpu) for gpu in gpus]
        page.family(
            names.GPU_UP, "gauge", [(joined(id_, {names.LABEL_REASON: gpu.reason}), gpu.up) for id_, gpu in ids]
        )
        page.family(names.GPU_SAMPLE_AGE_SECONDS, "gauge", [(id_, gpu.sample_age_s) for id_, gpu in ids])
        for value, metric in GPU_VALUES.items():
            page.family(metric, "gauge", [(id_, gpu.values[value]) for id_, gpu in ids if value in gpu.values])
        page.family(
            names.GPU_XID_ERRORS_TOTAL,
            "counter",
            [
                (joined(id_, {names.LABEL_XID: str(xid)}), count)
                for id_, gpu in ids
                for xid, count in self.gpus.xid_counts(gpu.gpu).items()
            ],
        )
