"""Is a curve flat? A line through its points, after it has settled."""

from collections.abc import Sequence
from dataclasses import dataclass

SETTLED_SHARE = 0.5
"""Of the run. An allocator finds its holes over hours: while the number of Python's objects stays within 0.2 %, its heap grows
by 2 MB and then stands still."""


@dataclass(frozen=True, slots=True)
class Curve:
    """One figure of one process over time."""

    name: str
    unit: str
    points: tuple[tuple[float, float], ...]
    """(simulated hours, value)."""

    @property
    def settled(self) -> tuple[tuple[float, float], ...]:
        """The second half."""
        from_h = self.points[-1][0] * SETTLED_SHARE
        return tuple(point for point in self.points if point[0] >= from_h)

    @property
    def slope_per_h(self) -> float:
        """Least squares."""
        points = self.settled
        mean_h = sum(at_h for at_h, _ in points) / len(points)
        mean = sum(value for _, value in points) / len(points)
        spread = sum((at_h - mean_h) ** 2 for at_h, _ in points)
        return sum((at_h - mean_h) * (value - mean) for at_h, value in points) / spread if spread else 0.0

    @property
    def highest(self) -> float:
        """Of the settled part."""
        return max(value for _, value in self.settled)

    @property
    def lowest(self) -> float:
        """Of the settled part."""
        return min(value for _, value in self.settled)

    @property
    def drift(self) -> float:
        """Median of the last third less that of the first: what stays, without the noise of single looks."""
        values = [value for _, value in self.settled]
        third = max(1, len(values) // 3)
        return _median(values[-third:]) - _median(values[:third])


def _median(values: Sequence[float]) -> float:
    return sorted(values)[len(values) // 2]
