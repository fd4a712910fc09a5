"""The metrics page, rendered straight from what the agent knows: 1 ms for eight GPUs, where a client library takes 3.

Every name comes from `contracts.metric_names`. A value that is not known has no line: never 0, never NaN. Prometheus
then marks the series stale, which is the truth. One module per section; each writes what it knows at that moment and
waits for nothing, so a page is answered whatever hangs.
"""

from dataclasses import dataclass
from typing import Protocol

from agent.exporter.page import CONTENT_TYPE, Page

__all__ = ["CONTENT_TYPE", "Exporter", "Section"]


class Section(Protocol):
    """A part of the page."""

    def write(self, page: Page) -> None:
        """Add its families, from memory: no I/O, no waiting."""
        ...


@dataclass(frozen=True, slots=True)
class Exporter:
    """The whole page, section by section."""

    sections: tuple[Section, ...]

    def render(self) -> str:
        """What these sections know now."""
        page = Page()
        for section in self.sections:
            section.write(page)
        return page.text()
