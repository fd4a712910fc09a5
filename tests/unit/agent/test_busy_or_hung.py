"""Busy, hung, crashed and starting, told apart: stories of probes as they come back from real kinds of trouble."""

from collections.abc import Iterator
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.core.health import Answered, HealthPolicy, Missed, Pulse, Vitals, ended, observe, starting, voiceless
from contracts.vocabulary import ProfileId, ReplicaState

POLICY = HealthPolicy()
PULSE = Pulse(True, "", ProfileId("full-fp32-onnx"), (), 0, 0, 0.0, 0)
READY = observe(starting(0.0), Answered(PULSE, 0.002), 1.0, POLICY)
Story = Iterator[tuple[float, Answered | Missed]]


def answer(took_s: float = 0.002, **changes: object) -> Answered:
    return Answered(replace(PULSE, **changes), took_s)


def miss(cpu_s: float = 0.0, *, runnable: bool = False, waited_s: float = 0.25) -> Missed:
    return Missed("no answer within 0.25 s", waited_s, Vitals(cpu_s, runnable))


def every(step_s: float, count: int, start_s: float = 10.0) -> Iterator[tuple[int, float]]:
    return ((index, start_s + index * step_s) for index in range(count))


def told(story: Story, health=READY):
    """Every state that the story passes through, without repetitions, and the last health."""
    states = []
    for now_s, probe in story:
        health = observe(health, probe, now_s, POLICY)
        if not states or states[-1] is not health.state:
            states.append(health.state)
    return states, health


# ── busy ──────────────────────────────────────────────────────────────────────────────────────────────────────────────
def busy_answering_late() -> Story:
    """Two misses, then the late answer to the first request, with progress: over and over for two minutes."""
    for index, now_s in every(0.75, 160):
        yield now_s, miss(cpu_s=5.0 + 0.3 * index, runnable=True)
        yield now_s + 0.25, miss(cpu_s=5.2 + 0.3 * index, runnable=True)
        yield now_s + 0.5, answer(0.5, progress_total=index, in_flight=4)


def holding_the_interpreter_lock() -> Story:
    """A worker thread that computes without letting the event loop in: 2.5 s of silence, at full CPU, again and again."""
    for index, start_s in every(3.0, 20):
        for step in range(10):
            yield start_s + 0.25 * step, miss(cpu_s=3.0 * index + 0.25 * step)
        yield start_s + 2.75, answer(2.75, progress_total=index + 1, in_flight=1)


def starved_by_neighbours() -> Story:
    """It wants a processor and gets none for three quarters of a second at a time."""
    for index, start_s in every(1.0, 60):
        for step in range(3):
            yield start_s + 0.25 * step, miss(cpu_s=7.0, runnable=True)
        yield start_s + 0.75, answer(0.8, progress_total=index, in_flight=1)


def one_long_request() -> Story:
    """Work that takes a minute, one step at a time; each step moves the counter within the stall limit."""
    for index, now_s in every(0.2, 300):
        yield now_s, answer(progress_total=index // 90, in_flight=1)


def idle_for_an_hour() -> Story:
    for _, now_s in every(10.0, 360):
        yield now_s, answer(progress_total=42)


@pytest.mark.parametrize(
    "story",
    [busy_answering_late, holding_the_interpreter_lock, starved_by_neighbours, one_long_request, idle_for_an_hour],
)
def test_a_replica_that_works_or_rests_is_never_anything_but_ready(story):
    assert told(story())[0] == [ReplicaState.READY]


# ── hung ──────────────────────────────────────────────────────────────────────────────────────────────────────────────
def frozen_by_a_signal() -> Story:
    for _, now_s in every(0.25, 3):
        yield now_s, miss(cpu_s=5.0)


def deadlocked() -> Story:
    """Every thread waits; the kernel sees nothing move, and a tick of housekeeping is no work."""
    for index, now_s in every(0.25, 3):
        yield now_s, miss(cpu_s=5.0 + 0.005 * index)


def stuck_in_the_driver() -> Story:
    """Uninterruptible sleep: not runnable, no CPU, connections refused or unanswered."""
    for _, now_s in every(0.25, 3):
        yield now_s, Missed("connection failed", 0.01, Vitals(9.0, runnable=False))


def spinning() -> Story:
    """An endless loop that holds the lock: busy for the kernel, dead for everybody else. Patience ends it."""
    for index, now_s in every(0.25, 12):
        yield now_s, miss(cpu_s=5.0 + 0.25 * index, runnable=True)


def a_stuck_worker_behind_a_lively_front() -> Story:
    """/livez answers in 2 ms for ever, while the worker that has the work never comes back."""
    for _, now_s in every(0.2, 103):
        yield now_s, answer(progress_total=7, in_flight=2)


def a_stuck_worker_that_takes_more_work() -> Story:
    """The same with clients still coming: more in flight is no progress."""
    for index, now_s in every(0.2, 103):
        yield now_s, answer(progress_total=7, in_flight=1 + index // 10)


HUNG = [
    (frozen_by_a_signal, "3 probes missed: no answer within 0.25 s", 10.5),
    (deadlocked, "3 probes missed: no answer within 0.25 s", 10.5),
    (stuck_in_the_driver, "3 probes missed: connection failed", 10.5),
    (spinning, "12 probes missed: no answer within 0.25 s", 12.75),
    (a_stuck_worker_behind_a_lively_front, "no progress with 2 in flight", 30.2),
    (a_stuck_worker_that_takes_more_work, "no progress with 11 in flight", 30.2),
]


@pytest.mark.parametrize(("story", "reason", "at_s"), HUNG, ids=[story[0].__name__ for story in HUNG])
def test_a_replica_that_does_nothing_is_hung_with_the_reason_and_in_time(story, reason, at_s):
    states, health = told(story())
    assert states[-1] is ReplicaState.HUNG
    assert set(states[:-1]) <= {ReplicaState.READY}
    assert health.reason == reason
    assert health.since_s == pytest.approx(at_s, abs=0.25)


def test_one_step_of_progress_in_the_last_moment_buys_the_whole_time_again():
    stuck = answer(progress_total=7, in_flight=1)
    health = observe(observe(READY, stuck, 10.0, POLICY), stuck, 29.9, POLICY)
    moved = observe(health, answer(progress_total=8, in_flight=1), 30.0, POLICY)
    assert observe(moved, answer(progress_total=8, in_flight=1), 49.9, POLICY).state is ReplicaState.READY
    assert observe(moved, answer(progress_total=8, in_flight=1), 50.1, POLICY).state is ReplicaState.HUNG


def test_a_counter_that_began_anew_is_progress_too():
    health = observe(READY, answer(progress_total=900, in_flight=1), 10.0, POLICY)
    assert observe(health, answer(progress_total=1, in_flight=1), 31.0, POLICY).state is ReplicaState.READY


def test_work_that_came_while_nobody_looked_has_not_stood_still_since_the_last_look():
    """A suspended machine, or an agent that was away for a minute, must not find every busy replica hung."""
    health = observe(READY, answer(progress_total=7), 10.0, POLICY)
    assert observe(health, answer(progress_total=7, in_flight=1), 70.0, POLICY).state is ReplicaState.READY


# ── starting, crashed, voiceless ──────────────────────────────────────────────────────────────────────────────────────
def test_a_cold_start_is_starting_until_it_is_ready_however_silent():
    story = [(0.05 * step, Missed("connection refused", 0.001, None)) for step in range(1, 600)]
    states, health = told(
        iter([*story, (30.0, answer(ready=False, reason="self-test")), (31.0, answer())]), starting(0.0)
    )
    assert states == [ReplicaState.STARTING, ReplicaState.READY]
    assert health.was_ready


def test_a_start_that_stands_still_with_work_in_flight_is_hung_by_the_stall_and_not_only_by_its_deadline():
    story = ((now_s, answer(ready=False, in_flight=1)) for _, now_s in every(0.25, 100, start_s=1.0))
    assert told(story, starting(0.0))[0] == [ReplicaState.STARTING, ReplicaState.HUNG]


def test_a_late_answer_of_a_crashed_process_does_not_bring_it_back():
    crashed = ended(READY, ReplicaState.CRASHED, "signal SIGKILL", 12.0)
    assert observe(crashed, answer(12.0), 12.1, POLICY).state is ReplicaState.CRASHED


def test_a_voice_that_is_gone_is_hung_until_the_process_is_replaced():
    mute = voiceless(READY, "3 canaries in a row failed", 20.0)
    assert (mute.state, mute.since_s) == (ReplicaState.HUNG, 20.0)
    assert observe(mute, answer(progress_total=9), 21.0, POLICY).state is ReplicaState.HUNG
    assert observe(mute, answer(ready=False, reason="draining"), 21.0, POLICY).state is ReplicaState.HUNG
    assert observe(starting(22.0), answer(), 23.0, POLICY).state is ReplicaState.READY


@pytest.mark.parametrize("state", [ReplicaState.CRASHED, ReplicaState.STOPPED, ReplicaState.QUARANTINED])
def test_what_has_no_process_cannot_lose_its_voice(state):
    gone = ended(READY, state, "why", 12.0)
    assert voiceless(gone, "3 canaries in a row failed", 20.0) == gone


PROBES = st.one_of(
    st.builds(answer, progress_total=st.integers(0, 3), in_flight=st.integers(0, 2)),
    st.builds(miss, st.floats(0, 100), runnable=st.booleans()),
)


@given(st.lists(PROBES, max_size=60))
def test_a_lifeless_process_is_hung_after_three_probes_whatever_came_before(probes):
    health = READY
    for step, probe in enumerate([*probes, answer(progress_total=9)]):
        health = observe(health, probe, 2.0 + 0.25 * step, POLICY)
    for step in range(3):
        health = observe(health, miss(cpu_s=50.0), 100.0 + 0.25 * step, POLICY)
    assert health.state is ReplicaState.HUNG


@given(st.lists(PROBES, max_size=60))
def test_an_idle_replica_that_answers_is_never_hung(probes):
    health = READY
    for step, probe in enumerate(probes):
        health = observe(health, probe, 2.0 + 0.25 * step, POLICY)
    assert observe(health, answer(), 1e6, POLICY).state is ReplicaState.READY
