"""An SLO as a value: what share of requests must be faster than what, over which window.

Everything is a ratio in 0..1 and in seconds. "p95 < 200 ms" is `objective=0.95, threshold_s=0.2`: at least 0.95 of the
requests finish within 0.2 s, which is exact where an interpolated quantile is not.
"""

from dataclasses import dataclass

from contracts.vocabulary import SliKind, SloId

OBJECTIVE_MIN = 0.5
"""Below one half the word "objective" has lost its meaning, and every burn threshold would be unreachable."""
OBJECTIVE_MAX = 0.9999
"""Above it a 30-day budget is under 5 minutes: no loop that observes by the minute can defend it."""
WINDOW_S_DEFAULT = 30 * 86_400
PAGE_WITHIN_S_DEFAULT = 8 * 60.0


class SloError(ValueError):
    """An SLO that cannot be: `field` names the culprit and `fix` what to write instead."""

    def __init__(self, field: str, problem: str, fix: str) -> None:
        super().__init__(f"{field}: {problem}; {fix}")
        self.field = field
        self.problem = problem
        self.fix = fix


@dataclass(frozen=True, slots=True)
class Slo:
    """One objective; valid from birth (`SloError` otherwise)."""

    id: SloId
    objective: float
    """Share of good events wanted, e.g. 0.95."""
    threshold_s: float
    """A request is good when its `sli` duration is at most this."""
    sli: SliKind = SliKind.TOTAL
    window_s: int = WINDOW_S_DEFAULT
    page_within_s: float = PAGE_WITHIN_S_DEFAULT
    """Wanted time to page when every request is bad; burn thresholds and windows follow from it."""
    description: str = ""
    owner: str = ""

    def __post_init__(self) -> None:
        if not OBJECTIVE_MIN <= self.objective <= OBJECTIVE_MAX:
            raise SloError(
                "objective",
                f"{self.objective} is outside {OBJECTIVE_MIN}..{OBJECTIVE_MAX}",
                "write a ratio such as 0.95, not a percentage",
            )
        if not 0 < self.threshold_s <= 3600:  # noqa: PLR2004  # an hour, said by the message
            raise SloError(
                "threshold_s", f"{self.threshold_s} is outside 0..3600", "write seconds, e.g. 0.2 for 200 ms"
            )
        if self.window_s < 3600:  # noqa: PLR2004  # an hour, said by the message
            raise SloError("window_s", f"{self.window_s} is under an hour", "write seconds, e.g. 2592000 for 30 days")
        if self.page_within_s < 120:  # noqa: PLR2004  # two rule evaluations, said by the message
            raise SloError(
                "page_within_s", f"{self.page_within_s} is under 120", "rules run every minute: use 120 or more"
            )

    @property
    def error_budget(self) -> float:
        """Share of events that may be bad: 1 − objective."""
        return 1.0 - self.objective
