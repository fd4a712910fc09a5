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
        """Sync failures."""
        page.counter(names.AGENT_SYNC_FAILURES_TOTAL, self.sync.failures_total)
