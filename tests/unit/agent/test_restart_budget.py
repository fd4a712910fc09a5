"""The local restart budget: at once, then slower, then not at all."""

from hypothesis import given
from hypothesis import strategies as st

from agent.core.budget import Quarantine, RestartBudget, RestartLater, RestartNow, allow, recent

BUDGET = RestartBudget(immediate=3, delayed=3, window_s=300.0, backoff_s=5.0)


def test_the_first_three_restarts_are_immediate():
    assert allow((), 0.0, BUDGET) == RestartNow()
    assert allow((0.0, 1.0), 2.0, BUDGET) == RestartNow()


def test_the_next_three_wait_five_ten_and_twenty_seconds():
    assert allow((0.0, 1.0, 2.0), 3.0, BUDGET) == RestartLater(at_s=7.0)
    assert allow((0.0, 1.0, 2.0), 7.0, BUDGET) == RestartNow()
    assert allow((0.0, 1.0, 2.0, 7.0), 8.0, BUDGET) == RestartLater(at_s=17.0)
    assert allow((0.0, 1.0, 2.0, 7.0, 17.0), 18.0, BUDGET) == RestartLater(at_s=37.0)


def test_the_seventh_is_quarantine():
    assert allow((0.0, 1.0, 2.0, 7.0, 17.0, 37.0), 60.0, BUDGET) == Quarantine(restarts=6, window_s=300.0)


def test_restarts_are_forgiven_after_the_window():
    assert allow((0.0, 1.0, 2.0), 301.5, BUDGET) == RestartNow()
    assert recent((0.0, 1.0, 2.0), 301.5, BUDGET) == (2.0,)


@given(st.lists(st.floats(0.0, 2000.0), max_size=200))
def test_obeying_the_budget_never_restarts_more_than_its_maximum_in_any_window(crashes):
    restarts: tuple[float, ...] = ()
    for now_s in sorted(crashes):
        if allow(restarts, now_s, BUDGET) == RestartNow():
            restarts = (*restarts, now_s)
    for at_s in restarts:
        assert len([each for each in restarts if at_s <= each < at_s + BUDGET.window_s]) <= BUDGET.restarts_max
