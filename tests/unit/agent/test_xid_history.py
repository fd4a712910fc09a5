"""Each Xid counts once, whoever tells of it, in whichever order, and a reset ends what it calls for."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.core.xid_history import PAIR_S_MAX, TIMES_MAX, Sighting, Witness, XidHistory, cleared, seen

NVML, LOG = Witness.NVML, Witness.KERNEL_LOG


def told(*sightings):
    """Fold (xid, seconds, witness) sightings."""
    history = XidHistory()
    for xid, at_s, witness in sightings:
        history, _ = seen(history, Sighting(xid, at_s, witness), 1e9 + at_s)
    return history


@pytest.mark.parametrize("order", [(NVML, LOG), (LOG, NVML)])
def test_two_witnesses_of_one_event_count_once(order):
    assert told((79, 10.0, order[0]), (79, 11.0, order[1])).counts == {79: 1}


def test_one_witness_of_two_events_counts_twice():
    assert told((31, 10.0, NVML), (31, 10.1, NVML)).counts == {31: 2}


def test_ten_events_of_a_storm_stay_ten():
    history = told(*[(31, 10.0 + i / 100, NVML) for i in range(10)], *[(31, 10.5 + i / 100, LOG) for i in range(10)])
    assert history.counts == {31: 10}


def test_another_xid_or_another_time_is_another_event():
    history = told((79, 10.0, NVML), (48, 10.0, LOG), (79, 10.0 + PAIR_S_MAX + 0.1, LOG))
    assert history.counts == {79: 2, 48: 1}


def test_the_newest_time_is_told_in_unix_time():
    assert told((79, 10.0, LOG), (79, 60.0, LOG), (79, 30.0, LOG)).last_unix_s == {79: 1e9 + 60.0}


def test_a_reset_ends_what_is_remembered_and_keeps_what_was_counted():
    history = cleared(told((48, 10.0, NVML)), 20.0)
    assert (history.times_s, history.counts) == ({}, {48: 1})


def test_what_is_told_late_about_the_time_before_a_reset_wakes_nothing_up():
    late, is_new = seen(cleared(XidHistory(), 20.0), Sighting(48, 19.0, LOG), 0.0)
    assert is_new
    assert (late.counts, late.times_s) == ({48: 1}, {})


def test_what_is_remembered_is_bounded():
    history = told(*[(31, float(i), NVML) for i in range(1000)])
    assert len(history.times_s[31]) == TIMES_MAX
    assert history.counts == {31: 1000}
    assert len(history.unpaired) <= 10


@given(st.lists(st.booleans(), min_size=1, max_size=40), st.randoms(use_true_random=False))
def test_the_count_lies_between_the_larger_witness_and_the_sum(is_nvml, rng):
    sightings = [(31, rng.random() * 4, NVML if each else LOG) for each in is_nvml]
    by_nvml = sum(is_nvml)
    assert told(*sightings).counts[31] == max(by_nvml, len(is_nvml) - by_nvml)
