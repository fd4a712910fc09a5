"""Probe results become one state: busy is not hung, silent is."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.core.health import Answered, HealthPolicy, Missed, Pulse, Vitals, ended, observe, starting
from contracts.vocabulary import ProfileId, ReplicaState

POLICY = HealthPolicy()
PULSE = Pulse(
    ready=True,
    reason="",
    profile=ProfileId("full-fp32-onnx"),
    profiles=(),
    progress_total=0,
    in_flight=0,
    queued_s=0.0,
    slo_revision=0,
)
IDLE = Vitals(cpu_s=5.0, runnable=False)


def answered(**changes) -> Answered:
    return Answered(pulse=replace(PULSE, **changes), took_s=0.002)


def missed(vitals: Vitals | None = IDLE) -> Missed:
    return Missed(reason="no answer within 0.25 s", waited_s=0.25, vitals=vitals)


def after(*probes, start_s: float = 0.0, step_s: float = 0.25, health=None):
    """Fold probes `step_s` apart; the first one comes back at `start_s`."""
    health = health or starting(0.0)
    for index, probe in enumerate(probes):
        health = observe(health, probe, start_s + index * step_s, POLICY)
    return health


READY = after(answered())

EXAMPLES = [
    ("nothing answers yet", (missed(),), ReplicaState.STARTING),
    ("answers, but is not ready for the first time", (answered(ready=False, reason="loading"),), ReplicaState.STARTING),
    ("answers and is ready", (answered(),), ReplicaState.READY),
    ("was ready and says that it cannot serve", (answered(), answered(ready=False)), ReplicaState.UNREADY),
    ("recovers from unready", (answered(), answered(ready=False), answered()), ReplicaState.READY),
    ("two probes missed", (answered(), missed(), missed()), ReplicaState.READY),
    ("three probes missed", (answered(), missed(), missed(), missed()), ReplicaState.HUNG),
    ("misses with an answer between them", (answered(), missed(), missed(), answered(), missed()), ReplicaState.READY),
    ("answers again after it was hung", (answered(), *[missed()] * 4, answered()), ReplicaState.READY),
    ("the kernel cannot be asked", (answered(), *[missed(None)] * 3), ReplicaState.HUNG),
    ("starting is not hung by silence", (missed(),) * 100, ReplicaState.STARTING),
]


@pytest.mark.parametrize(("probes", "state"), [e[1:] for e in EXAMPLES], ids=[e[0] for e in EXAMPLES])
def test_state_after_probes(probes, state):
    assert after(*probes).state is state


def test_silence_is_counted_from_the_first_missed_probe():
    health = after(missed(), missed(), missed(), start_s=10.25, health=READY)
    assert health.silence is not None
    assert health.silence.since_s == pytest.approx(10.0)
    assert health.since_s == pytest.approx(10.75)
    assert health.missed_probes == 3


def test_a_silent_process_that_still_consumes_cpu_gets_patience_but_not_for_ever():
    working = [missed(Vitals(cpu_s=5.0 + 0.1 * index, runnable=False)) for index in range(13)]
    patient = after(*working[:11], start_s=10.25, health=READY)
    assert patient.state is ReplicaState.READY
    assert after(*working[:12], start_s=10.25, health=READY).state is ReplicaState.HUNG


def test_a_silent_process_that_waits_for_a_processor_is_starved_not_hung():
    starved = [missed(Vitals(cpu_s=5.0, runnable=True))] * 5
    assert after(*starved, start_s=10.25, health=READY).state is ReplicaState.READY


def test_answers_without_progress_are_hung_after_the_stall_limit():
    frozen = answered(progress_total=7, in_flight=2)
    moving = after(frozen, start_s=100.0, health=READY)
    assert observe(moving, frozen, 119.9, POLICY).state is ReplicaState.READY
    hung = observe(moving, frozen, 120.1, POLICY)
    assert hung.state is ReplicaState.HUNG
    assert hung.progress_age_s(120.1) == pytest.approx(20.1)


def test_an_idle_replica_may_stand_still():
    health = observe(after(answered(progress_total=7), start_s=0.0), answered(progress_total=7), 1e6, POLICY)
    assert health.state is ReplicaState.READY
    assert health.progress_age_s(2e6) == 0.0


@pytest.mark.parametrize("probe", [missed(), answered(ready=False, reason="loading")], ids=["silent", "loading"])
def test_never_ready_within_the_deadline_counts_as_hung(probe):
    assert observe(starting(0.0), probe, 59.9, POLICY).state is ReplicaState.STARTING
    late = observe(starting(0.0), probe, 60.0, POLICY)
    assert late.state is ReplicaState.HUNG
    assert "not ready within 60 s" in late.reason


@pytest.mark.parametrize("state", [ReplicaState.CRASHED, ReplicaState.STOPPED, ReplicaState.QUARANTINED])
def test_a_state_without_a_process_is_not_changed_by_probes(state):
    gone = ended(READY, state, "why", 3.0)
    assert observe(gone, answered(), 4.0, POLICY) == gone


PROBES = st.one_of(
    st.builds(answered, ready=st.booleans(), progress_total=st.integers(0, 3), in_flight=st.integers(0, 2)),
    st.builds(missed, st.one_of(st.none(), st.builds(Vitals, st.floats(0, 100), st.booleans()))),
)


@given(st.lists(PROBES, max_size=40))
def test_an_answered_ready_replica_that_progresses_is_always_ready(probes):
    health = after(*probes)
    total = 0 if health.pulse is None else health.pulse.progress_total
    assert observe(health, answered(progress_total=total + 1, in_flight=1), 11.0, POLICY).state is ReplicaState.READY


@given(st.lists(PROBES, max_size=40))
def test_no_two_misses_in_a_row_ever_make_a_ready_replica_hung(probes):
    spaced = [each for probe in probes for each in (probe, answered(progress_total=1))]
    assert after(*spaced, health=READY, step_s=0.01).state in {ReplicaState.READY, ReplicaState.UNREADY}
