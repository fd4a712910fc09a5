"""The GPUs on the page. One that is not up keeps `gpu_up` 0 with its reason, its age, its counts and what is recommended,
and loses every value: Prometheus then marks those series stale, which is the truth.

What does not change from scrape to scrape is rendered once, into a form with holes for the numbers.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import NamedTuple

from agent.core.gpu import SIMULATED_MARK, Gpu, GpuIdentity
from agent.core.gpu_record import ECC_SEVERITIES
from agent.exporter.form import Family, Form
from agent.exporter.gpu_table import ROWS
from agent.exporter.page import Page, joined, label_text
from agent.probes.gpu import GpuWatch
from chassis.clock import Clock
from contracts import metric_names as names
from contracts.vocabulary import GpuAction

FAMILIES = tuple(
    (metric, kind, tuple(rows)) for (metric, kind), rows in groupby(ROWS, key=lambda row: (row.metric, row.kind))
)


class Shape(NamedTuple):
    """Of one GPU, what the text around its numbers depends on. A tuple: it is compared at every scrape."""

    identity: GpuIdentity
    driver_version: str
    up: bool
    reason: str
    action: GpuAction
    action_source: str
    notes: tuple[str, ...]
    slowed: bool | None
    values: tuple[str, ...]
    reasons: tuple[str, ...]
    """Of its clock events."""
    xids: tuple[int, ...]

    @property
    def ids(self) -> str:
        """Its rendered labels."""
        return gpu_labels(self.identity)


@dataclass(frozen=True, slots=True)
class Layout:
    """Forms for GPUs of one shape: figures change with every sample, clock events now and then, errors hardly ever."""

    shapes: tuple[Shape, ...]
    states: str
    """What is said in words, with a constant for its number."""
    ages: Form
    values: tuple[tuple[int, str], ...]
    """What `figures` takes, in its order: (which GPU, name of the value)."""
    figures: Form
    clock_events: Form
    errors: Form


@dataclass(slots=True)
class GpuSection:
    """The driver, then every GPU ever seen, then the worker that reads them."""

    gpus: GpuWatch
    clock: Clock
    _layout: Layout = field(default_factory=lambda: layout_of(()))

    def write(self, page: Page) -> None:
        """The newest samples."""
        driver = self.gpus.driver
        page.family(names.GPU_DRIVER_UP, "gauge", [({names.LABEL_REASON: driver.reason}, driver.up)])
        gpus = self.gpus.newest(self.clock.monotonic_s())
        self._told(page, gpus)
        _last_xids(page, gpus)
        _instances(page, gpus)
        self._worker(page)

    def _told(self, page: Page, gpus: Sequence[Gpu]) -> None:
        shapes = tuple([shape_of(gpu) for gpu in gpus])
        if shapes != self._layout.shapes:
            self._layout = layout_of(shapes)
        layout = self._layout
        page.block(layout.states)
        page.block(layout.ages.filled([gpu.sample_age_s for gpu in gpus]))
        page.block(layout.figures.filled([gpus[which].values[value] for which, value in layout.values]))
        seconds = [number for gpu in gpus for number in gpu.clock_event_seconds.values()]
        transitions = [gpu.clock_event_transitions[why] for gpu in gpus for why in gpu.clock_event_seconds]
        page.block(layout.clock_events.filled([*seconds, *transitions]))
        xids = [count for gpu in gpus for count in gpu.xid_counts.values()]
        ecc = [gpu.ecc_events.get(severity, 0) for gpu in gpus for severity in ECC_SEVERITIES]
        page.block(layout.errors.filled([*xids, *ecc]))

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


def shape_of(gpu: Gpu) -> Shape:
    """What is said of it in words, and every name that it has a number for now."""
    return Shape(
        identity=gpu.identity,
        driver_version=gpu.driver_version,
        up=gpu.up,
        reason=gpu.reason,
        action=gpu.recommended_action,
        action_source=gpu.action_source,
        notes=gpu.notes,
        slowed=gpu.slowed,
        values=tuple(gpu.values),
        reasons=tuple(gpu.clock_event_seconds),
        xids=tuple(gpu.xid_counts),
    )


def layout_of(shapes: tuple[Shape, ...]) -> Layout:
    """The text around the numbers of these GPUs."""
    named = [(shape.ids, shape) for shape in shapes]
    figures: list[Family] = []
    wanted: list[tuple[int, str]] = []
    for metric, kind, rows in FAMILIES:
        found = [
            (which, row, joined(ids, dict(row.labels)))
            for which, (ids, shape) in enumerate(named)
            for row in rows
            if row.value in shape.values
        ]
        figures.append(Family(metric, kind, tuple(labels for _, _, labels in found)))
        wanted += [(which, row.value) for which, row, _ in found]
    reasons = tuple(joined(ids, {names.LABEL_REASON: word}) for ids, shape in named for word in shape.reasons)
    xids = tuple(joined(ids, {names.LABEL_XID: str(xid)}) for ids, shape in named for xid in shape.xids)
    severities = tuple(joined(ids, {names.LABEL_SEVERITY: word}) for ids, _ in named for word in ECC_SEVERITIES)
    clock_events = (
        Family(names.GPU_CLOCK_EVENT_SECONDS_TOTAL, "counter", reasons),
        Family(names.GPU_CLOCK_EVENT_TRANSITIONS_TOTAL, "counter", reasons),
    )
    errors = (
        Family(names.GPU_XID_ERRORS_TOTAL, "counter", xids),
        Family(names.GPU_ECC_EVENTS_TOTAL, "counter", severities),
    )
    return Layout(
        shapes=shapes,
        states=states_of(shapes),
        ages=Form([Family(names.GPU_SAMPLE_AGE_SECONDS, "gauge", tuple(ids for ids, _ in named))]),
        values=tuple(wanted),
        figures=Form(figures),
        clock_events=Form(clock_events),
        errors=Form(errors),
    )


def gpu_labels(identity: GpuIdentity) -> str:
    """`gpu="0",uuid="GPU-…"`, rendered."""
    return label_text({names.LABEL_GPU: str(identity.index), names.LABEL_UUID: identity.uuid})


def _info(shape: Shape) -> Mapping[str, str]:
    return {
        names.LABEL_MODEL: shape.identity.model,
        names.LABEL_DRIVER: shape.driver_version,
        names.LABEL_PCI_BUS_ID: shape.identity.pci_bus_id,
        names.LABEL_SERIAL: shape.identity.serial,
        names.LABEL_VBIOS: shape.identity.vbios,
        names.LABEL_SIMULATED: str(SIMULATED_MARK in shape.driver_version).lower(),
    }


def states_of(shapes: Sequence[Shape]) -> str:
    """What is told of every GPU in words, up or not."""
    page = Page()
    page.family(
        names.GPU_UP, "gauge", [(joined(each.ids, {names.LABEL_REASON: each.reason}), each.up) for each in shapes]
    )
    page.family(
        names.GPU_INFO,
        "gauge",
        [(joined(each.ids, _info(each)), 1) for each in shapes if each.identity.pci_bus_id],
    )
    page.family(names.GPU_RECOMMENDED_ACTION, "gauge", [(joined(each.ids, _action(each)), 1) for each in shapes])
    page.family(
        names.GPU_HEALTH_NOTE,
        "gauge",
        [(joined(each.ids, {names.LABEL_NOTE: note}), 1) for each in shapes for note in each.notes],
    )
    page.family(names.GPU_SLOWED, "gauge", [(each.ids, each.slowed) for each in shapes if each.slowed is not None])
    return page.text() if shapes else ""


def _last_xids(page: Page, gpus: Sequence[Gpu]) -> None:
    page.family(
        names.GPU_XID_LAST_TIMESTAMP_SECONDS,
        "gauge",
        [
            (joined(gpu_labels(gpu.identity), {names.LABEL_XID: str(xid)}), at_unix_s)
            for gpu in gpus
            for xid, at_unix_s in gpu.xid_last_unix_s.items()
        ],
    )


def _instances(page: Page, gpus: Sequence[Gpu]) -> None:
    """MIG."""
    parts = [
        (joined(gpu_labels(gpu.identity), {names.LABEL_INSTANCE: part.uuid}), part) for gpu in gpus for part in gpu.mig
    ]
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


def _action(shape: Shape) -> Mapping[str, str]:
    return {names.LABEL_ACTION: shape.action.value, names.LABEL_SOURCE: shape.action_source}
