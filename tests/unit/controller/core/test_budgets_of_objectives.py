import pytest

from controller.core.objectives import BUDGET_MIN, budgets_of
from slo_rules.indicators import ClassicHistogram, Composite, EventRatio, ExactCounters, GaugeBound, Part
from slo_rules.model import Slo
from slo_rules.windows import Slices

OURS = ExactCounters(0.2)
OTHERS = (
    Slo("h", 0.9999, ClassicHistogram("h", 0.2)),
    Slo("r", 0.9999, EventRatio("t", bad="b")),
    Slo("g", 0.9999, GaugeBound("g", 1.0), slices=Slices()),
    Slo("c", 0.9999, Composite((Part("a"), Part("b")))),
)


def test_the_loop_compares_with_what_replicas_count_and_with_nothing_else() -> None:
    assert budgets_of((Slo("ours", 0.95, OURS), *OTHERS)) == {"ours": pytest.approx(0.05)}


def test_a_moment_of_a_sliced_objective_is_compared_with_the_slice() -> None:
    sliced = Slo("ours", 0.999, OURS, slices=Slices(60, 0.9))
    strict = Slo("strict", 0.9, OURS, slices=Slices(60, 1.0))
    assert budgets_of((sliced, strict)) == {"ours": pytest.approx(0.1), "strict": pytest.approx(BUDGET_MIN)}
