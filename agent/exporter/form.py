"""Families whose labels stay while their numbers change: a text with a hole per number, filled in one step.

Eight GPUs are a thousand lines of that kind, and a line that Python puts together costs more than the sample behind it.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from agent.exporter.help import family_head


@dataclass(frozen=True, slots=True)
class Family:
    """One metric, and the rendered labels of each of its samples."""

    name: str
    kind: str
    labels: tuple[str, ...]


class Form:
    """The text of some families without their numbers. It remembers how it was filled: most counts never change."""

    __slots__ = ("_filled", "_numbers", "_text")

    def __init__(self, families: Iterable[Family]) -> None:
        lines: list[str] = []
        for family in families:
            if family.labels:
                lines.append(family_head(family.name, family.kind).replace("%", "%%"))
                lines += [f"{family.name}{{{labels}}} ".replace("%", "%%") + "%s" for labels in family.labels]
        self._text = "".join([line + "\n" for line in lines])
        self._numbers: tuple[float, ...] | None = None
        self._filled = ""

    def filled(self, numbers: Iterable[float]) -> str:
        """The families with these numbers, in the order of their samples; raises `TypeError` when they are not as many."""
        numbers = tuple(numbers)
        if numbers != self._numbers:
            self._filled = (self._text % numbers).replace(".0\n", "\n")
            self._numbers = numbers
        return self._filled
