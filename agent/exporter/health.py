"""How the agent itself is: what it costs, how late it is, what it cannot do, and how its line to the controller has been."""

from collections.abc import Callable
from dataclasses import dataclass

from agent.degradation import Degradations
from agent.exporter.page import Page
from agent.line.record import SyncRecord
from agent.memory.journal import FileJournal
from agent.orders.desk import ControllerTime
from agent.pages.server import Traffic
from agent.probes.itself import SelfMeter
from chassis.supervisor import Supervisor
from contracts import metric_names as names

METRICS_PAGE = "/metrics"


@dataclass(frozen=True, slots=True)
class Build:
    """What runs, and since when."""

    version: str
    runtime: str
    started_unix_s: float


@dataclass(frozen=True, slots=True)
class HealthSection:
    """The processes of the agent and the parts inside."""

    build: Build
    meter: SelfMeter
    supervisor: Supervisor
    degradations: Degradations
    journal: FileJournal
    traffic: Traffic
    spares_ready: Callable[[], int | None]
    """None where the runtime has no spares."""

    def write(self, page: Page) -> None:
        """What it is, what it costs, what fails."""
        page.family(
            names.AGENT_BUILD_INFO,
            "gauge",
            [({names.LABEL_VERSION: self.build.version, names.LABEL_RUNTIME: self.build.runtime}, 1)],
        )
        page.gauge(names.AGENT_START_TIME_SECONDS, self.build.started_unix_s)
        self._write_costs(page)
        page.family(
            names.AGENT_TASK_FAILURES_TOTAL,
            "counter",
            [({names.LABEL_TASK: task}, count) for task, count in self.supervisor.failures_total.items()],
        )
        page.family(
            names.AGENT_DEGRADED,
            "gauge",
            [({names.LABEL_PART: degradation.part}, 1) for degradation in self.degradations.current()],
        )
        spares = self.spares_ready()
        if spares is not None:
            page.gauge(names.AGENT_SPARES_READY, spares)
        page.gauge(names.AGENT_JOURNAL_BYTES, self.journal.size_bytes)
        page.counter(names.AGENT_JOURNAL_WRITE_FAILURES_TOTAL, self.journal.write_failures_total)
        self._write_scrapes(page)

    def _write_costs(self, page: Page) -> None:
        used = [({names.LABEL_PROCESS: name}, usage) for name, usage in self.meter.newest.items()]
        page.family(names.AGENT_PROCESS_CPU_SECONDS_TOTAL, "counter", [(labels, usage.cpu_s) for labels, usage in used])
        page.family(
            names.AGENT_PROCESS_RESIDENT_BYTES, "gauge", [(labels, usage.resident_bytes) for labels, usage in used]
        )
        page.family(
            names.AGENT_PROCESS_OPEN_FDS,
            "gauge",
            [(labels, usage.open_fds) for labels, usage in used if usage.open_fds is not None],
        )
        page.histograms(names.AGENT_EVENT_LOOP_LAG_SECONDS, [({}, self.meter.lag_s)])

    def _write_scrapes(self, page: Page) -> None:
        seconds = self.traffic.answer_s.get(METRICS_PAGE)
        page.histograms(names.AGENT_SCRAPE_SECONDS, [] if seconds is None else [({}, seconds)])
        page.counter(names.AGENT_SCRAPES_REJECTED_TOTAL, self.traffic.rejected_total)


@dataclass(frozen=True, slots=True)
class LineSection:
    """The line to the controller."""

    record: SyncRecord
    journal: FileJournal
    controller_time: ControllerTime

    def write(self, page: Page) -> None:
        """Requests, failures by reason, and what was last heard."""
        page.counter(names.AGENT_SYNC_REQUESTS_TOTAL, self.record.requests_total)
        page.family(
            names.AGENT_SYNC_FAILURES_TOTAL,
            "counter",
            [({names.LABEL_REASON: why.value}, count) for why, count in self.record.failures_total.items()],
        )
        if self.record.last_success_unix_s is not None:
            page.gauge(names.AGENT_SYNC_LAST_SUCCESS_TIMESTAMP_SECONDS, self.record.last_success_unix_s)
        page.gauge(names.AGENT_EPOCH_SEEN, self.journal.epoch_seen)
        if self.controller_time.offset_s is not None:
            page.gauge(names.AGENT_CONTROLLER_CLOCK_OFFSET_SECONDS, self.controller_time.offset_s)
