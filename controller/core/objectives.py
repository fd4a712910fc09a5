"""What the loop makes of objectives: it acts on what its own replicas count, and leaves the others to people.

An objective about somebody else's metrics pages, but no restart of ours is judged by it: its budget, however tight, must
not make the loop nervous about ours. Where time slices are budgeted, what a moment is compared with is the slice's own target:
the objective is about how many slices may miss it.
"""

from collections.abc import Iterable

from contracts.vocabulary import SloId
from slo_rules.model import OBJECTIVE_MAX, Slo

BUDGET_MIN = 1.0 - OBJECTIVE_MAX
"""A slice may ask for every event to be good; evidence is measured in multiples of the budget, which therefore is never 0."""


def budgets_of(slos: Iterable[Slo]) -> dict[SloId, float]:
    """Share of events that may be bad at any moment, of every objective that our replicas count."""
    return {slo.id: _budget(slo) for slo in slos if slo.exact is not None}


def _budget(slo: Slo) -> float:
    return slo.error_budget if slo.slices is None else max(1.0 - slo.slices.target, BUDGET_MIN)
