"""The live story: what we do to the system, what the load feels, and what the controller says it decided.

One line per fact with the seconds since the start, so that it reads the same on a terminal, in colours, and in a log.
"""

from dataclasses import dataclass, field

from rich.console import Console
from rich.markup import escape
from rich.rule import Rule

from chassis.clock import Clock

KIND_STYLES = {
    "act": "bold cyan",
    "advance": "cyan",
    "verdict": "bold green",
    "refuse": "yellow",
    "hold": "dim",
    "reflex": "bold magenta",
    "operator": "bold blue",
    "signal": "yellow",
}
WHO_WIDTH = 10


@dataclass(slots=True)
class Narrator:
    """Writes lines; holds nothing but the clock's start."""

    out: Console
    clock: Clock
    started_s: float = field(init=False)

    def __post_init__(self) -> None:
        self.started_s = self.clock.monotonic_s()

    def chapter(self, title: str) -> None:
        """A new part of the story."""
        self.out.print()
        self.out.print(Rule(f"[bold]{escape(title)}[/]", align="left"))

    def say(self, text: str) -> None:
        """Something the demo does or measures."""
        self._line("demo", "white", text)

    def fault(self, text: str) -> None:
        """Something the demo breaks."""
        self._line("fault", "bold red", text)

    def supervisor(self, text: str) -> None:
        """Something the supervisor of the processes did."""
        self._line("supervisor", "bold magenta", text)

    def load(self, text: str) -> None:
        """What clients feel."""
        self._line("load", "dim", text)

    def decision(self, kind: str, text: str) -> None:
        """What the controller says."""
        self._line(kind, KIND_STYLES.get(kind, "white"), text)

    def _line(self, who: str, style: str, text: str) -> None:
        seconds = self.clock.monotonic_s() - self.started_s
        self.out.print(f"[dim]{seconds:6.1f} s[/]  [{style}]{who:<{WHO_WIDTH}}[/] {escape(text)}")
