"""An SLO as a value: what share of events must be good, over which window.

Everything is a ratio in 0..1 and in seconds. "p95 < 200 ms" is `objective=0.95` of the requests within 0.2 s, which is exact
where an interpolated quantile is not.
"""

from dataclasses import dataclass, field

from contracts.vocabulary import SloId
from slo_rules.errors import SloError
from slo_rules.indicators import Composite, ExactCounters, GaugeBound, Indicator
from slo_rules.windows import Exclusion, RollingWindow, Slices, WeeklyExclusion, Window

OBJECTIVE_MIN = 0.5
"""Below one half the word "objective" has lost its meaning, and every burn threshold would be unreachable."""
OBJECTIVE_MAX = 0.9999
"""Above it a 30-day budget is under 5 minutes: no loop that observes by the minute can defend it."""
PAGE_WITHIN_S_DEFAULT = 8 * 60.0
EXCLUSIONS_MAX = 50


@dataclass(frozen=True, slots=True)
class Slo:
    """One objective; valid from birth (`SloError` otherwise)."""

    id: SloId
    objective: float
    """Share of good events wanted, e.g. 0.95."""
    indicator: Indicator
    window: Window = field(default_factory=RollingWindow)
    slices: Slices | None = None
    """Budget of time slices instead of events; None counts events."""
    page_within_s: float = PAGE_WITHIN_S_DEFAULT
    """Wanted time to page when every event is bad; burn thresholds and windows follow from it."""
    description: str = ""
    owner: str = ""
    exclusions: tuple[Exclusion | WeeklyExclusion, ...] = ()
    depends_on: SloId | None = None
    """While that one pages in a region, this one pages nobody there: its trouble is a consequence. Tickets yield to tickets."""

    def __post_init__(self) -> None:
        if not OBJECTIVE_MIN <= self.objective <= OBJECTIVE_MAX:
            raise SloError(
                "objective",
                f"{self.objective} is outside {OBJECTIVE_MIN}..{OBJECTIVE_MAX}",
                "write a ratio such as 0.95, not a percentage",
            )
        if not self.page_within_s >= 120:  # noqa: PLR2004  # two rule evaluations, said by the message; NaN is none
            raise SloError(
                "page_within_s", f"{self.page_within_s} is under 120", "rules run every minute: use 120 or more"
            )
        if len(self.exclusions) > EXCLUSIONS_MAX:
            raise SloError(
                "exclusions", f"{len(self.exclusions)} are over {EXCLUSIONS_MAX}", "drop those that are past"
            )
        self._check_combinations()

    def _check_combinations(self) -> None:
        if isinstance(self.indicator, GaugeBound) and self.slices is None:
            raise SloError("slices", "a gauge has no events to count", "budget time slices: 60 s, for example")
        if isinstance(self.indicator, Composite):
            if self.slices is not None:
                raise SloError("slices", "a composite counts the events of its parts", "slice the parts instead")
            if self.id in {part.slo for part in self.indicator.parts}:
                raise SloError("parts", f"{self.id} is a part of itself", "name other SLOs")
        if self.depends_on == self.id:
            raise SloError("depends_on", f"{self.id} depends on itself", "name the SLO that this one needs")

    @property
    def error_budget(self) -> float:
        """Share of events that may be bad: 1 − objective."""
        return 1.0 - self.objective

    @property
    def exact(self) -> ExactCounters | None:
        """The counters of our own replicas when this SLO is about them: what the controller can act on by itself."""
        return self.indicator if isinstance(self.indicator, ExactCounters) else None
