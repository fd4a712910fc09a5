"""The metrics page, rendered straight from what the agent knows: 1 ms for eight GPUs, where a client library takes 3.

Every name comes from `contracts.metric_names`. A value that is not known has no line: never 0, never NaN. Prometheus
then marks the series stale, which is the truth.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from agent.board import Board
from agent.core.histogram import Histogram
from agent.healer import Healer
from agent.orders import OrderDesk
from agent.probes.gpu import GpuWatch
from agent.probes.host import HostMeter
from agent.reflexes import ReflexLog
from agent.sync import SyncLoop
from chassis.clock import Clock
from contracts import metric_names as names
from contracts.vocabulary import OrderKind, ReceiptStatus, ReplicaState

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
GPU_VALUES: Mapping[str, str] = {
    "utilization_ratio": names.GPU_UTILIZATION_RATIO,
    "memory_used_bytes": names.GPU_MEMORY_USED_BYTES,
    "memory_total_bytes": names.GPU_MEMORY_TOTAL_BYTES,
    "temperature_celsius": names.GPU_TEMPERATURE_CELSIUS,
    "power_watts": names.GPU_POWER_WATTS,
    "sm_clock_hertz": names.GPU_SM_CLOCK_HERTZ,
}
"""The worker's name of a value → its metric."""
FINAL_OUTCOMES = (ReceiptStatus.DONE.value, ReceiptStatus.FAILED.value)
Labels = Mapping[str, str]


class Page:
    """Collects samples family by family, in the text exposition format."""

    def __init__(self) -> None:
        self._lines: list[str] = []

    def family(self, name: str, kind: str, samples: Iterable[tuple[Labels, float]]) -> None:
        """One metric with all its samples; without samples it is left out."""
        lines = [f"{name}{_braces(labels)} {_number(value)}" for labels, value in samples]
        if lines:
            self._lines += [f"# TYPE {name} {kind}", *lines]

    def histograms(self, name: str, samples: Iterable[tuple[Labels, Histogram]]) -> None:
        """One histogram metric."""
        lines: list[str] = []
        for labels, histogram in samples:
            for bound, count in histogram.cumulative():
                lines.append(f"{name}_bucket{_braces({**labels, 'le': _number(bound)})} {count}")
            lines.append(f"{name}_bucket{_braces({**labels, 'le': '+Inf'})} {histogram.count}")
            lines.append(f"{name}_sum{_braces(labels)} {_number(histogram.sum_s)}")
            lines.append(f"{name}_count{_braces(labels)} {histogram.count}")
        if lines:
            self._lines += [f"# TYPE {name} histogram", *lines]

    def text(self) -> str:
        """The page."""
        return "\n".join(self._lines) + "\n"


@dataclass(frozen=True, slots=True)
class Exporter:
    """Renders what these parts know now."""

    board: Board
    healer: Healer
    reflexes: ReflexLog
    desk: OrderDesk
    sync: SyncLoop
    gpus: GpuWatch
    meter: HostMeter
    clock: Clock

    def render(self) -> str:
        """The whole page."""
        page = Page()
        self._replicas(page)
        self._acts(page)
        self._gpu(page)
        self._host(page)
        return page.text()

    def _replicas(self, page: Page) -> None:
        states = [(unit.spec.replica, unit.health.state) for unit in self.board.units.values() if unit.generation > 0]
        page.family(
            names.AGENT_REPLICA_UP,
            "gauge",
            [({names.LABEL_REPLICA: replica}, state is ReplicaState.READY) for replica, state in states],
        )
        page.family(
            names.AGENT_REPLICA_STATE,
            "gauge",
            [
                ({names.LABEL_REPLICA: replica, names.LABEL_STATE: each.value}, state is each)
                for replica, state in states
                for each in ReplicaState
            ],
        )
        page.histograms(
            names.AGENT_PROBE_SECONDS,
            [({names.LABEL_REPLICA: replica}, seconds) for replica, seconds in self.healer.probe_seconds.items()],
        )

    def _acts(self, page: Page) -> None:
        page.family(
            names.AGENT_REFLEXES_TOTAL,
            "counter",
            [({names.LABEL_KIND: kind.value}, count) for kind, count in self.reflexes.totals.items()],
        )
        page.histograms(
            names.AGENT_REPLICA_HEAL_SECONDS,
            [({names.LABEL_KIND: kind.value}, seconds) for kind, seconds in self.reflexes.heal_seconds.items()],
        )
        zeros = {(kind, outcome): 0 for kind in OrderKind for outcome in FINAL_OUTCOMES}
        page.family(
            names.AGENT_ORDERS_TOTAL,
            "counter",
            [
                ({names.LABEL_KIND: kind.value, names.LABEL_OUTCOME: outcome}, count)
                for (kind, outcome), count in {**zeros, **self.desk.outcomes}.items()
            ],
        )
        page.family(names.AGENT_SYNC_FAILURES_TOTAL, "counter", [({}, self.sync.failures_total)])

    def _gpu(self, page: Page) -> None:
        driver, gpus = self.gpus.driver, self.gpus.newest(self.clock.monotonic_s())
        page.family(names.GPU_DRIVER_UP, "gauge", [({names.LABEL_REASON: driver.reason}, driver.up)])
        ids = [({names.LABEL_GPU: str(gpu.gpu), names.LABEL_UUID: gpu.uuid}, gpu) for gpu in gpus]
        page.family(names.GPU_UP, "gauge", [({**id_, names.LABEL_REASON: gpu.reason}, gpu.up) for id_, gpu in ids])
        page.family(names.GPU_SAMPLE_AGE_SECONDS, "gauge", [(id_, gpu.sample_age_s) for id_, gpu in ids])
        for value, metric in GPU_VALUES.items():
            page.family(metric, "gauge", [(id_, gpu.values[value]) for id_, gpu in ids if value in gpu.values])
        page.family(
            names.GPU_XID_ERRORS_TOTAL,
            "counter",
            [
                ({names.LABEL_GPU: str(gpu.gpu), names.LABEL_UUID: gpu.uuid, names.LABEL_XID: str(xid)}, count)
                for gpu in gpus
                for xid, count in self.gpus.xid_counts(gpu.gpu).items()
            ],
        )

    def _host(self, page: Page) -> None:
        load = self.meter.newest
        if load is None:
            return
        page.family(names.HOST_CPU_UTILIZATION_RATIO, "gauge", [({}, load.cpu_utilization_ratio)])
        page.family(names.HOST_MEMORY_USED_BYTES, "gauge", [({}, load.memory_used_bytes)])
        page.family(names.HOST_MEMORY_TOTAL_BYTES, "gauge", [({}, load.memory_total_bytes)])


def _braces(labels: Labels) -> str:
    if not labels:
        return ""
    return "{" + ",".join(f'{name}="{_escaped(value)}"' for name, value in labels.items()) + "}"


def _escaped(value: str) -> str:
    return value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")


def _number(value: float) -> str:
    number = float(value)
    return str(int(number)) if number.is_integer() else repr(number)
