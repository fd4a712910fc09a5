"""Families whose labels stay while their numbers change: a text with a hole per number, filled in one step.

Eight GPUs are a thousand lines of that kind, and a line that Python puts together costs more than the sample behind it.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from agent.core.histogram import Histogram
from agent.exporter.help import family_head


@dataclass(frozen=True, slots=True)
class Family:
    """One metric, and the rendered labels of each of its samples."""

    name: str
    kind: str
    labels: tuple[str, ...]

    def lines(self) -> list[str]:
        """With a hole for each number; none without samples."""
        if not self.labels:
            return []
        return [_held(family_head(self.name, self.kind)), *(_hole(self.name, labels) for labels in self.labels)]


@dataclass(frozen=True, slots=True)
class HistogramFamily:
    """One histogram metric; all its samples have the same buckets. Per sample it takes `numbers_of`."""

    name: str
    labels: tuple[str, ...]
    bounds: tuple[str, ...]
    """Upper bounds, without +Inf."""

    def lines(self) -> list[str]:
        """With a hole for each number; none without samples."""
        if not self.labels:
            return []
        lines = [_held(family_head(self.name, "histogram"))]
        for labels in self.labels:
            prefix = f"{labels}," if labels else ""
            lines += [_hole(f"{self.name}_bucket", f'{prefix}le="{bound}"') for bound in (*self.bounds, "+Inf")]
            lines += [_hole(f"{self.name}_sum", labels), _hole(f"{self.name}_count", labels)]
        return lines


def numbers_of(histogram: Histogram) -> list[float]:
    """In the order of a `HistogramFamily`."""
    count = histogram.count
    return [*(below for _, below in histogram.cumulative()), count, histogram.sum_s, count]


class Form:
    """The text of some families without their numbers. It remembers how it was filled: most counts never change."""

    __slots__ = ("_filled", "_numbers", "_text")

    def __init__(self, families: Iterable[Family | HistogramFamily]) -> None:
        self._text = "".join([line + "\n" for family in families for line in family.lines()])
        self._numbers: tuple[float, ...] | None = None
        self._filled = ""

    def filled(self, numbers: Iterable[float]) -> str:
        """The families with these numbers, in the order of their samples; raises `TypeError` when they are not as many."""
        numbers = tuple(numbers)
        if numbers != self._numbers:
            self._filled = (self._text % numbers).replace(".0\n", "\n")
            self._numbers = numbers
        return self._filled


def _held(text: str) -> str:
    """Text that stays as it is when numbers are filled in."""
    return text.replace("%", "%%")


def _hole(name: str, labels: str) -> str:
    return _held(f"{name}{{{labels}}} " if labels else f"{name} ") + "%s"
