"""The host's own load: what the loop works on where there is no GPU."""

from dataclasses import dataclass

from agent.exporter.page import Page
from agent.probes.host import HostLoad, HostMeter
from contracts import metric_names as names


@dataclass(frozen=True, slots=True)
class HostSection:
    """The newest sample of the meter; nothing until there is one."""

    meter: HostMeter

    def write(self, page: Page) -> None:
        """Processors, memory, pressure, then the limits that bind and the disk."""
        load = self.meter.newest
        if load is None:
            return
        page.gauge(names.HOST_CPU_UTILIZATION_RATIO, load.cpu_utilization_ratio)
        page.gauge(names.HOST_CPUS, load.cpus)
        page.gauge(names.HOST_LOAD_PER_CPU, load.load_per_cpu)
        page.gauge(names.HOST_MEMORY_USED_BYTES, load.memory.used)
        page.gauge(names.HOST_MEMORY_AVAILABLE_BYTES, load.memory.available)
        page.gauge(names.HOST_MEMORY_TOTAL_BYTES, load.memory.total)
        page.gauge(names.HOST_SWAP_USED_BYTES, load.memory.swap_used)
        page.gauge(names.HOST_SWAP_TOTAL_BYTES, load.memory.swap_total)
        _write_pressure(page, load)
        if load.limits.memory_bytes is not None:
            page.gauge(names.HOST_CGROUP_MEMORY_LIMIT_BYTES, load.limits.memory_bytes)
        if load.limits.cpus is not None:
            page.gauge(names.HOST_CGROUP_CPU_LIMIT, load.limits.cpus)
        if load.disk is not None:
            page.gauge(names.HOST_STATE_DISK_FREE_BYTES, load.disk.free)
            page.gauge(names.HOST_STATE_DISK_TOTAL_BYTES, load.disk.total)


def _write_pressure(page: Page, load: HostLoad) -> None:
    stalls = [
        ({names.LABEL_RESOURCE: resource, names.LABEL_KIND: stall.kind}, stall) for resource, stall in load.pressure
    ]
    page.family(names.HOST_PRESSURE_RATIO, "gauge", [(labels, stall.ratio_10s) for labels, stall in stalls])
    page.family(
        names.HOST_PRESSURE_STALLED_SECONDS_TOTAL, "counter", [(labels, stall.total_s) for labels, stall in stalls]
    )
