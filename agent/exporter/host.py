"""The host's own load: what the loop works on where there is no GPU."""

from dataclasses import dataclass

from agent.exporter.page import Page
from agent.probes.host import HostMeter
from contracts import metric_names as names


@dataclass(frozen=True, slots=True)
class HostSection:
    """The newest sample of the meter; nothing until there is one."""

    meter: HostMeter

    def write(self, page: Page) -> None:
        """Processors and memory."""
        load = self.meter.newest
        if load is None:
            return
        page.gauge(names.HOST_CPU_UTILIZATION_RATIO, load.cpu_utilization_ratio)
        page.gauge(names.HOST_MEMORY_USED_BYTES, load.memory_used_bytes)
        page.gauge(names.HOST_MEMORY_TOTAL_BYTES, load.memory_total_bytes)
