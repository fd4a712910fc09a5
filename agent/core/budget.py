"""How often an agent may restart a replica by itself.

The first restarts of a window are immediate, because one crash is usually bad luck and every second counts. The next
ones wait longer and longer, because the fault is then likely in what is started. After those the replica is quarantined:
left down and reported, until an order RESTART lifts it. So a crash loop costs a bounded number of starts.

A restart that the runtime refused says nothing about the replica: it is tried again, slower and slower, and not counted.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class RestartBudget:
    """`immediate` restarts at once, then `delayed` ones with a doubling wait, all within `window_s`."""

    immediate: int = 3
    delayed: int = 3
    window_s: float = 300.0
    """Five minutes without a restart in between make a replica blameless again."""
    backoff_s: float = 5.0
    """First wait; it doubles: 5, 10, 20 s."""
    refusal_backoff_s: float = 1.0
    """Wait after the first refused restart; it doubles: an engine that restarts is back within seconds."""
    refusal_cap_s: float = 30.0
    """Longest such wait: how much later than its engine a replica may come back."""

    @property
    def restarts_max(self) -> int:
        """Restarts inside one window before quarantine."""
        return self.immediate + self.delayed


@dataclass(frozen=True, slots=True)
class RestartNow:
    """Within the budget."""


@dataclass(frozen=True, slots=True)
class RestartLater:
    """Within the budget, but not before `at_s` (monotonic)."""

    at_s: float


@dataclass(frozen=True, slots=True)
class Quarantine:
    """The budget is spent."""

    restarts: int
    window_s: float


Allowance = RestartNow | RestartLater | Quarantine


def recent(restarts_s: tuple[float, ...], now_s: float, budget: RestartBudget) -> tuple[float, ...]:
    """The restarts that still count, oldest first."""
    return tuple(at_s for at_s in restarts_s if now_s - at_s < budget.window_s)


def refusal_wait_s(refusals: int, budget: RestartBudget) -> float:
    """How long to wait after so many refused restarts in a row (at least one)."""
    exponent = min(refusals - 1, 16)  # 2**16 s is beyond any cap; a much larger power would only overflow
    return min(budget.refusal_cap_s, budget.refusal_backoff_s * 2.0**exponent)


def allow(restarts_s: tuple[float, ...], now_s: float, budget: RestartBudget) -> Allowance:
    """May a replica with these restarts (monotonic times, oldest first) be restarted at `now_s`?"""
    counted = recent(restarts_s, now_s, budget)
    if len(counted) < budget.immediate:
        return RestartNow()
    if len(counted) >= budget.restarts_max:
        return Quarantine(restarts=len(counted), window_s=budget.window_s)
    wait_s = budget.backoff_s * 2.0 ** (len(counted) - budget.immediate)
    at_s = counted[-1] + wait_s if counted else now_s
    return RestartNow() if now_s >= at_s else RestartLater(at_s=at_s)
