"""The loop's limits for a demo: the same rules at a faster pace.

Production waits minutes before it trusts that trouble is over; an audience has seconds. What keeps actions safe (budgets,
never below the needed capacity, verdicts against peers) stays as it is.
"""

DEMO_POLICY = {
    "LEASE_S": "5",  # a killed controller is followed within five seconds
    "BLOCK_S": "3",  # at a few requests per second a block of three seconds still has some of them
    "LATE_S": "6",
    "DEAD_S": "20",
    "FALSE_ALARM_EVERY_S": "21600",  # a demo lasts minutes: one false alarm in six hours is rare enough
    "CLEAR_BLOCKS": "2",
    "LATCH_S": "6",
    "DIAGNOSIS_BLOCKS": "4",
    "SLOW_RATIO": "1.7",  # two equal replicas differ by half when each has spoken only a handful of sentences
    "REFUSED_COUNT_MIN": "5",
    "BAD_CHANGE_S": "10",
    "COOLDOWN_S": "5",
    "PROBE_SHARES": "[0.5, 1.0]",  # two steps home instead of three
    "RETURN_WAIT_S": "5",
    "CALM_S": "5",
    "QUALITY_DEBT_S": "8",
    "RUNG_MEMORY_S": "60",
    "DRAIN_S": "10",
    "VERIFY_S": "8",
    "SETTLE_S": "4",  # the total budget of a demo's replicas
    "VERIFY_RESTART_S": "6",
    "VERDICT_EVENTS_MIN": "6",
}
"""Field of `controller.core.policy.Policy` → value."""
