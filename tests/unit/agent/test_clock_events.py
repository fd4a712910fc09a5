"""Throttle reasons as seconds and transitions."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.core.clock_events import GAP_S_MAX, REASONS, ClockEvents, active_in, observed

CAP, HEAT = 0x4, 0x40


def after(*samples):
    """Fold (seconds, mask) samples."""
    events = ClockEvents()
    for at_s, mask in samples:
        events = observed(events, mask, at_s)
    return events


def test_a_reason_holds_from_its_sample_to_the_next():
    events = after((0, CAP), (1, CAP | HEAT), (2, 0), (3, 0))
    assert (events.seconds["sw_power_cap"], events.seconds["hw_thermal_slowdown"]) == (2, 1)


def test_becoming_active_is_a_transition_and_staying_so_is_none():
    events = after((0, 0), (1, HEAT), (2, HEAT), (3, 0), (4, HEAT))
    assert events.transitions["hw_thermal_slowdown"] == 2


def test_what_was_active_before_the_first_sample_is_no_transition():
    assert after((0, HEAT), (1, HEAT)).transitions["hw_thermal_slowdown"] == 0


def test_across_a_gap_nothing_is_known_so_nothing_is_added():
    assert after((0, HEAT), (GAP_S_MAX + 0.1, HEAT)).seconds["hw_thermal_slowdown"] == 0


def test_every_reason_is_there_from_the_start():
    assert set(ClockEvents().seconds) == set(REASONS.values()) == set(ClockEvents().transitions)


def test_a_bit_without_a_name_is_ignored():
    assert active_in(1 << 40) == frozenset()


@pytest.mark.parametrize(("bit", "reason"), REASONS.items())
def test_each_bit_has_its_name(bit, reason):
    assert active_in(bit) == {reason}


@given(st.lists(st.tuples(st.floats(0, 10), st.integers(0, 0x7FF)), max_size=30))
def test_seconds_never_exceed_the_time_that_passed(steps):
    now_s, samples = 0.0, []
    for step_s, mask in steps:
        now_s += step_s
        samples.append((now_s, mask))
    events = after(*samples)
    elapsed_s = samples[-1][0] - samples[0][0] if samples else 0.0
    assert all(0 <= seconds <= elapsed_s + 1e-6 for seconds in events.seconds.values())
    assert all(count < max(1, len(samples)) for count in events.transitions.values())


@given(st.lists(st.integers(0, 0x7FF), min_size=2, max_size=30))
def test_seconds_only_grow(masks):
    events, before = ClockEvents(), ClockEvents()
    for at_s, mask in enumerate(masks):
        before, events = events, observed(events, mask, float(at_s))
        assert all(events.seconds[name] >= before.seconds[name] for name in events.seconds)
        assert all(events.transitions[name] >= before.transitions[name] for name in events.transitions)
