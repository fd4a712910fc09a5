"""The GPUs on the page. One that is not up keeps `gpu_up` 0 with its reason, its age, its counts and what is recommended,
and loses every value: Prometheus then marks those series stale, which is the truth.

What does not change from scrape to scrape is rendered once, into a form with holes for the numbers.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby

from agent.core.gpu import Gpu
from agent.core.gpu_record import ECC_SEVERITIES
from agent.exporter.form import Family, Form
from agent.exporter.gpu_table import ROWS
from agent.exporter.page import Page, joined, label_text
from agent.probes.gpu import GpuWatch
from chassis.clock import Clock
from contracts import metric_names as names

FAMILIES = tuple(
    (metric, kind, tuple(rows)) for (metric, kind), rows in groupby(ROWS, key=lambda row: (row.metric, row.kind))
)
Named = Sequence[tuple[str, Gpu]]
"""Rendered labels, and the GPU."""
Shape = tuple[tuple[str, tuple[str, ...], tuple[str, ...], tuple[int, ...]], ...]
"""Per GPU its rendered labels, its values, its clock event reasons and its Xids: what the form depends on."""


@dataclass(frozen=True, slots=True)
class Layout:
    """Which numbers the form takes, in its order."""

    shape: Shape
    form: Form
    values: tuple[tuple[int, str], ...]
    """(which GPU, name of the value)."""


@dataclass(slots=True)
class GpuSection:
    """The driver, then every GPU ever seen, then the worker that reads them."""

    gpus: GpuWatch
    clock: Clock
    _layout: Layout = field(default_factory=lambda: Layout((), Form(()), ()))

    def write(self, page: Page) -> None:
        """The newest samples."""
        driver = self.gpus.driver
        page.family(names.GPU_DRIVER_UP, "gauge", [({names.LABEL_REASON: driver.reason}, driver.up)])
        named = [(gpu_labels(gpu), gpu) for gpu in self.gpus.newest(self.clock.monotonic_s())]
        _states(page, named)
        self._numbers(page, named)
        _instances(page, named)
        self._worker(page)

    def _numbers(self, page: Page, named: Named) -> None:
        shape = tuple(
            (ids, tuple(gpu.values), tuple(gpu.clock_event_seconds), tuple(gpu.xid_counts)) for ids, gpu in named
        )
        if shape != self._layout.shape:
            self._layout = layout_of(shape)
        gpus = [gpu for _, gpu in named]
        numbers: list[float] = [gpus[which].values[value] for which, value in self._layout.values]
        for gpu in gpus:
            numbers += gpu.clock_event_seconds.values()
        for gpu in gpus:
            numbers += [gpu.clock_event_transitions[reason] for reason in gpu.clock_event_seconds]
        for gpu in gpus:
            numbers += gpu.xid_counts.values()
        for gpu in gpus:
            numbers += [gpu.ecc_events.get(severity, 0) for severity in ECC_SEVERITIES]
        page.block(self._layout.form.filled(numbers))

    def _worker(self, page: Page) -> None:
        workers = self.gpus.workers
        page.family(
            names.AGENT_NVML_WORKER_RESTARTS_TOTAL,
            "counter",
            [({names.LABEL_REASON: end.value}, count) for end, count in workers.ends_total.items()],
        )
        page.gauge(names.AGENT_NVML_WORKERS_ABANDONED, workers.abandoned)
        kernel_log = self.gpus.kernel_log
        page.gauge(names.AGENT_KERNEL_LOG_READABLE, kernel_log is not None and kernel_log.readable)


def gpu_labels(gpu: Gpu) -> str:
    """`gpu="0",uuid="GPU-…"`, rendered."""
    return label_text({names.LABEL_GPU: str(gpu.index), names.LABEL_UUID: gpu.uuid})


def layout_of(shape: Shape) -> Layout:
    """Everything the driver says of those that are up, then the counts of all."""
    families: list[Family] = []
    wanted: list[tuple[int, str]] = []
    for metric, kind, rows in FAMILIES:
        found = [
            (which, row, joined(ids, dict(row.labels)))
            for which, (ids, values, _, _) in enumerate(shape)
            for row in rows
            if row.value in values
        ]
        families.append(Family(metric, kind, tuple(labels for _, _, labels in found)))
        wanted += [(which, row.value) for which, row, _ in found]
    reasons = tuple(joined(ids, {names.LABEL_REASON: word}) for ids, _, words, _ in shape for word in words)
    xids = tuple(joined(ids, {names.LABEL_XID: str(xid)}) for ids, _, _, codes in shape for xid in codes)
    severities = tuple(joined(ids, {names.LABEL_SEVERITY: word}) for ids, *_ in shape for word in ECC_SEVERITIES)
    families += [
        Family(names.GPU_CLOCK_EVENT_SECONDS_TOTAL, "counter", reasons),
        Family(names.GPU_CLOCK_EVENT_TRANSITIONS_TOTAL, "counter", reasons),
        Family(names.GPU_XID_ERRORS_TOTAL, "counter", xids),
        Family(names.GPU_ECC_EVENTS_TOTAL, "counter", severities),
    ]
    return Layout(shape, Form(families), tuple(wanted))


def _states(page: Page, named: Named) -> None:
    """What is told of every GPU, up or not."""
    page.family(names.GPU_UP, "gauge", [(joined(ids, {names.LABEL_REASON: gpu.reason}), gpu.up) for ids, gpu in named])
    page.family(names.GPU_SAMPLE_AGE_SECONDS, "gauge", [(ids, gpu.sample_age_s) for ids, gpu in named])
    page.family(names.GPU_INFO, "gauge", [(joined(ids, _info(gpu)), 1) for ids, gpu in named if gpu.pci_bus_id])
    page.family(names.GPU_RECOMMENDED_ACTION, "gauge", [(joined(ids, _action(gpu)), 1) for ids, gpu in named])
    page.family(
        names.GPU_HEALTH_NOTE,
        "gauge",
        [(joined(ids, {names.LABEL_NOTE: note}), 1) for ids, gpu in named for note in gpu.notes],
    )
    page.family(names.GPU_SLOWED, "gauge", [(ids, gpu.slowed) for ids, gpu in named if gpu.slowed is not None])
    page.family(
        names.GPU_XID_LAST_TIMESTAMP_SECONDS,
        "gauge",
        [
            (joined(ids, {names.LABEL_XID: str(xid)}), at_unix_s)
            for ids, gpu in named
            for xid, at_unix_s in gpu.xid_last_unix_s.items()
        ],
    )


def _instances(page: Page, named: Named) -> None:
    """MIG."""
    parts = [(joined(ids, {names.LABEL_INSTANCE: part.uuid}), part) for ids, gpu in named for part in gpu.mig]
    page.family(
        names.GPU_MIG_INSTANCE_INFO,
        "gauge",
        [
            (
                joined(
                    ids,
                    {
                        names.LABEL_PROFILE: part.profile,
                        names.LABEL_GPU_INSTANCE: str(part.gpu_instance),
                        names.LABEL_COMPUTE_INSTANCE: str(part.compute_instance),
                    },
                ),
                1,
            )
            for ids, part in parts
        ],
    )
    used = [(ids, part.memory_used_bytes) for ids, part in parts if part.memory_used_bytes is not None]
    page.family(names.GPU_MIG_INSTANCE_MEMORY_USED_BYTES, "gauge", used)
    total = [(ids, part.memory_total_bytes) for ids, part in parts if part.memory_total_bytes is not None]
    page.family(names.GPU_MIG_INSTANCE_MEMORY_TOTAL_BYTES, "gauge", total)


def _info(gpu: Gpu) -> Mapping[str, str]:
    return {
        names.LABEL_MODEL: gpu.model,
        names.LABEL_DRIVER: gpu.driver_version,
        names.LABEL_PCI_BUS_ID: gpu.pci_bus_id,
        names.LABEL_SERIAL: gpu.identity.serial,
        names.LABEL_VBIOS: gpu.identity.vbios,
        names.LABEL_SIMULATED: str(gpu.simulated).lower(),
    }


def _action(gpu: Gpu) -> Mapping[str, str]:
    return {names.LABEL_ACTION: gpu.recommended_action.value, names.LABEL_SOURCE: gpu.action_source}
