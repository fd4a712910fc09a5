"""The GPUs on the page. One that is not up keeps `gpu_up` 0 with its reason, its age, its counts and what is recommended,
and loses every value: Prometheus then marks those series stale, which is the truth.

Everything that does not change from scrape to scrape is rendered once per GPU: eight GPUs are a thousand lines.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby

from agent.core.clock_events import REASONS
from agent.core.gpu import Gpu
from agent.core.gpu_record import ECC_SEVERITIES
from agent.exporter.gpu_table import ROWS
from agent.exporter.page import Page, joined, label_text, number
from agent.probes.gpu import GpuWatch
from chassis.clock import Clock
from contracts import metric_names as names

FAMILIES = tuple(
    (metric, kind, tuple(rows)) for (metric, kind), rows in groupby(ROWS, key=lambda row: (row.metric, row.kind))
)


@dataclass(slots=True)
class Prints:
    """The constant text of one GPU."""

    ids: str
    """`gpu="0",uuid="GPU-…"`."""
    rows: dict[tuple[str, str], str]
    """(metric, value) → the line up to its number."""
    seconds: dict[str, str]
    transitions: dict[str, str]
    xids: tuple[Mapping[int, int], list[str]] = field(default_factory=lambda: ({}, []))
    """The counts that were rendered last, and their lines: they change with events only."""


def prints_of(ids: str) -> Prints:
    """Render what only depends on the labels."""

    def reasons(metric: str) -> dict[str, str]:
        return {reason: f"{metric}{{{joined(ids, {names.LABEL_REASON: reason})}}} " for reason in REASONS.values()}

    return Prints(
        ids=ids,
        rows={(row.metric, row.value): f"{row.metric}{{{joined(ids, dict(row.labels))}}} " for row in ROWS},
        seconds=reasons(names.GPU_CLOCK_EVENT_SECONDS_TOTAL),
        transitions=reasons(names.GPU_CLOCK_EVENT_TRANSITIONS_TOTAL),
    )


@dataclass(slots=True)
class GpuSection:
    """The driver, then every GPU ever seen, then the worker that reads them."""

    gpus: GpuWatch
    clock: Clock
    _prints: dict[tuple[int, str], Prints] = field(default_factory=dict)

    def write(self, page: Page) -> None:
        """The newest samples."""
        driver = self.gpus.driver
        page.family(names.GPU_DRIVER_UP, "gauge", [({names.LABEL_REASON: driver.reason}, driver.up)])
        printed = [(self._print(gpu), gpu) for gpu in self.gpus.newest(self.clock.monotonic_s())]
        _states(page, printed)
        _values(page, printed)
        _clock_events(page, printed)
        _errors(page, printed)
        _instances(page, printed)
        self._worker(page)

    def _print(self, gpu: Gpu) -> Prints:
        key = (gpu.index, gpu.uuid)
        known = self._prints.get(key)
        if known is None:
            ids = label_text({names.LABEL_GPU: str(gpu.index), names.LABEL_UUID: gpu.uuid})
            known = self._prints[key] = prints_of(ids)
        return known

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


Printed = Sequence[tuple[Prints, Gpu]]


def _states(page: Page, printed: Printed) -> None:
    """What is told of every GPU, up or not."""
    page.family(
        names.GPU_UP, "gauge", [(joined(each.ids, {names.LABEL_REASON: gpu.reason}), gpu.up) for each, gpu in printed]
    )
    page.family(names.GPU_SAMPLE_AGE_SECONDS, "gauge", [(each.ids, gpu.sample_age_s) for each, gpu in printed])
    page.family(names.GPU_INFO, "gauge", [(joined(each.ids, _info(gpu)), 1) for each, gpu in printed if gpu.pci_bus_id])
    page.family(names.GPU_RECOMMENDED_ACTION, "gauge", [(joined(each.ids, _action(gpu)), 1) for each, gpu in printed])
    page.family(
        names.GPU_HEALTH_NOTE,
        "gauge",
        [(joined(each.ids, {names.LABEL_NOTE: note}), 1) for each, gpu in printed for note in gpu.notes],
    )


def _values(page: Page, printed: Printed) -> None:
    """Everything the driver says of those that are up."""
    for metric, kind, rows in FAMILIES:
        lines = [
            each.rows[metric, row.value] + number(value)
            for each, gpu in printed
            for row in rows
            if (value := gpu.values.get(row.value)) is not None
        ]
        page.rendered(metric, kind, lines)
    page.family(names.GPU_SLOWED, "gauge", [(each.ids, gpu.slowed) for each, gpu in printed if gpu.up])


def _clock_events(page: Page, printed: Printed) -> None:
    seconds = [
        each.seconds[reason] + number(value)
        for each, gpu in printed
        for reason, value in gpu.clock_event_seconds.items()
    ]
    page.rendered(names.GPU_CLOCK_EVENT_SECONDS_TOTAL, "counter", seconds)
    transitions = [
        each.transitions[reason] + str(count)
        for each, gpu in printed
        for reason, count in gpu.clock_event_transitions.items()
    ]
    page.rendered(names.GPU_CLOCK_EVENT_TRANSITIONS_TOTAL, "counter", transitions)


def _errors(page: Page, printed: Printed) -> None:
    """Xids and ECC events."""
    page.rendered(
        names.GPU_XID_ERRORS_TOTAL, "counter", [line for each, gpu in printed for line in _xid_lines(each, gpu)]
    )
    page.family(
        names.GPU_XID_LAST_TIMESTAMP_SECONDS,
        "gauge",
        [
            (joined(each.ids, {names.LABEL_XID: str(xid)}), at_unix_s)
            for each, gpu in printed
            for xid, at_unix_s in gpu.xid_last_unix_s.items()
        ],
    )
    page.family(
        names.GPU_ECC_EVENTS_TOTAL,
        "counter",
        [
            (joined(each.ids, {names.LABEL_SEVERITY: severity}), gpu.ecc_events.get(severity, 0))
            for each, gpu in printed
            for severity in ECC_SEVERITIES
        ],
    )


def _xid_lines(each: Prints, gpu: Gpu) -> Iterable[str]:
    counts, lines = each.xids
    if counts != gpu.xid_counts:
        lines = [
            f"{names.GPU_XID_ERRORS_TOTAL}{{{joined(each.ids, {names.LABEL_XID: str(xid)})}}} {count}"
            for xid, count in gpu.xid_counts.items()
        ]
        each.xids = (gpu.xid_counts, lines)
    return lines


def _instances(page: Page, printed: Printed) -> None:
    """MIG."""
    parts = [(joined(each.ids, {names.LABEL_INSTANCE: part.uuid}), part) for each, gpu in printed for part in gpu.mig]
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
