"""What a part of the bench found: Markdown, and where a promise of ours was not kept."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Section:
    """One part of the report."""

    title: str
    text: str
    missed: tuple[str, ...] = ()
    """A sentence for each target of ours that was missed."""

    def __str__(self) -> str:
        return f"### {self.title}\n\n{self.text}\n"


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Markdown."""
    lines = [f"| {' | '.join(head)} |", f"|{'---|' * len(head)}"]
    return "\n".join([*lines, *(f"| {' | '.join(row)} |" for row in rows)])


def percent(value: float | None, digits: int = 1) -> str:
    """`-0.989` → `−98.9 %`; NaN and nothing stay what they are."""
    if value is None:
        return "no value"
    return "NaN" if value != value else f"{100 * value:+.{digits}f} %".replace("-", "−")  # noqa: PLR0124  # NaN alone


def minutes(seconds: float | None) -> str:
    """Whole minutes, or a dash for never."""
    return "–" if seconds is None else f"{seconds / 60:.0f}"
