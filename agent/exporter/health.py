"""How the agent itself is."""

from dataclasses import dataclass

from agent.exporter.page import Page
from agent.sync import SyncLoop
from contracts import metric_names as names


@dataclass(frozen=True, slots=True)
class HealthSection:
    """The agent's line to its controller."""

    sync: SyncLoop

    def write(self, page: Page) -> None:
        """Requests, failures by reason, and when the controller was last heard."""
        record = self.sync.record
        page.counter(names.AGENT_SYNC_REQUESTS_TOTAL, record.requests_total)
        page.family(
            names.AGENT_SYNC_FAILURES_TOTAL,
            "counter",
            [({names.LABEL_REASON: why.value}, count) for why, count in record.failures_total.items()],
        )
        if record.last_success_unix_s is not None:
            page.gauge(names.AGENT_SYNC_LAST_SUCCESS_TIMESTAMP_SECONDS, record.last_success_unix_s)
