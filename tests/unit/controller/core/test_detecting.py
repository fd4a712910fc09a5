"""The e-detector keeps its promise on compliant traffic and notices what is not; hard faults leave reflexes their chance."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.vocabulary import ReplicaState
from controller.core.detection import BETS, NO_EVIDENCE, DetectionState, Scene, detect, grow, is_alarm
from controller.core.policy import Policy
from controller.core.signals import Block, Signals

POLICY = Policy()
RATIOS = st.floats(0, 1)


def test_the_formula_is_the_one_of_the_paper():
    """M ← max(M, 1)·(1 + λ(x − p0)) with λ = bet / p0."""
    p0, x = 0.05, 0.2
    expected = [max(m, 1.0) * (1.0 + (bet / p0) * (x - p0)) for m, bet in zip(range(7), BETS, strict=True)]
    assert grow(tuple(float(m) for m in range(7)), x, p0) == pytest.approx(expected)


@given(evidence=st.tuples(*[st.floats(0, 1e6)] * len(BETS)), x=RATIOS, p0=st.floats(0.0001, 0.5))
def test_evidence_is_never_negative(evidence, x, p0):
    assert min(grow(evidence, x, p0)) >= 0


@given(bad=st.lists(RATIOS, min_size=1, max_size=50), p0=st.floats(0.001, 0.5))
def test_one_step_expects_no_growth_when_the_mean_is_the_budget(bad, p0):
    """E[1 + λ(x − p0)] ≤ 1 whenever E[x] ≤ p0: the whole guarantee rests on it."""
    mean = sum(bad) / len(bad)
    scaled = [x * min(1.0, p0 / mean) if mean > 0 else 0.0 for x in bad]
    for index in range(len(BETS)):
        growth = sum(grow(NO_EVIDENCE, x, p0)[index] for x in scaled) / len(scaled)
        assert growth <= 1.0 + 1e-9


def run_length(rng, bad_ratio_of_block, level):
    """Blocks until the mixture reaches `level`, at most 20 × level."""
    evidence = NO_EVIDENCE
    for block in range(1, 20 * level):
        evidence = grow(evidence, bad_ratio_of_block(rng), 0.05)
        if sum(evidence) >= level * len(evidence):
            return block
    return 20 * level


def bursty(rng):
    """Compliant on average (5 % bad), but one block in six is a burst of 30 %."""
    return 0.3 if rng.random() < 1 / 6 else 0.0


def independent(rng):
    return sum(rng.random() < 0.05 for _ in range(20)) / 20


@pytest.mark.parametrize("traffic", [bursty, independent])
@pytest.mark.parametrize("level", [20, 100])
def test_compliant_traffic_waits_at_least_1_over_alpha_blocks_for_a_false_alarm(traffic, level):
    """ARL ≥ 1/α exactly at the objective; 60 runs, so the mean of a roughly exponential length is good to 13 %."""
    rng = random.Random(7)
    runs = [run_length(rng, traffic, level) for _ in range(60)]
    assert sum(runs) / len(runs) >= level


@pytest.mark.parametrize(("bad_ratio", "within_s"), [(1.0, 70), (0.5, 100), (0.2, 180)])
def test_a_breach_is_noticed_in_time(bad_ratio, within_s):
    evidence, blocks = NO_EVIDENCE, 0
    while not is_alarm(evidence, POLICY):
        evidence, blocks = grow(evidence, bad_ratio, 0.05), blocks + 1
    assert blocks * POLICY.block_s <= within_s


def test_one_terrible_block_is_no_alarm():
    assert not is_alarm(grow(NO_EVIDENCE, 1.0, 0.05), POLICY)


# ── alarms over time ──────────────────────────────────────────────────────────────────────────────────────────────────
def blocks(make, *tallies):
    """One block per tally of the single replica of a region."""
    return [
        Block(make.now + 10.0 * n, make.now + 10.0 * (n + 1), {"eu-west-a-0": t}, {"eu-west": t})
        for n, t in enumerate(tallies)
    ]


def watch(make, *tallies):
    state, seen = DetectionState(), []
    for block in blocks(make, *tallies):
        scene = Scene(block.end_unix_s, make.fleet(), Signals(blocks=(block,), closed=block), (make.slo,))
        state, detected = detect(state, scene, POLICY)
        seen.append(detected)
    return seen


def test_an_alarm_stays_until_enough_quiet_blocks(make):
    bad, good = make.tally(bad=1.0), make.tally(bad=0.0)
    seen = watch(make, *[bad] * 8, *[good] * 5)
    assert seen[7].alarms
    assert seen[7].alarms[0].since_unix_s == make.now, "it is dated from the block in which evidence began to grow"
    assert seen[9].alarms
    assert not seen[7 + POLICY.clear_blocks].alarms


def test_an_alarm_without_traffic_is_kept_for_a_while_and_then_dropped(make):
    silent = make.tally(rps=0.0)
    seen = watch(make, *[make.tally(bad=1.0)] * 8, *[silent] * 20)
    assert seen[10].alarms
    assert not seen[-1].alarms


def test_refusals_in_one_block_are_a_burst_and_in_two_are_overload(make):
    refusing = make.tally(rejected=20.0)
    seen = watch(make, make.tally(), refusing, make.tally(), refusing, refusing)
    assert [bool(detected.saturated) for detected in seen] == [False, False, False, False, True]


def test_a_handful_of_requests_says_nothing_about_a_ratio(make):
    few = make.tally(rps=0.2, rejected=3.0)
    assert not watch(make, few, few, few)[-1].saturated


# ── hard ──────────────────────────────────────────────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize(
    ("state", "age_s", "found"),
    [
        (ReplicaState.HUNG, POLICY.reflex_grace_s - 1, False),
        (ReplicaState.HUNG, POLICY.reflex_grace_s + 1, True),
        (ReplicaState.CRASHED, POLICY.reflex_grace_s + 1, True),
        (ReplicaState.QUARANTINED, POLICY.reflex_grace_s + 1, True),
        (ReplicaState.UNREADY, POLICY.unready_s - 1, False),
        (ReplicaState.UNREADY, POLICY.unready_s + 1, True),
        (ReplicaState.STARTING, POLICY.ready_within_s - 1, False),
        (ReplicaState.STARTING, POLICY.ready_within_s + 1, True),
        (ReplicaState.STOPPED, 1e6, False),
        (ReplicaState.READY, 1e6, False),
    ],
)
def test_a_broken_replica_is_found_after_its_reflex_had_its_chance(make, state, age_s, found):
    fleet = make.fleet(make.replica(state=state, state_age_s=age_s))
    _, detected = detect(DetectionState(), Scene(make.now, fleet, Signals(), ()), POLICY)
    assert bool(detected.broken) is found


def test_a_silent_host_is_found_and_its_replicas_last_words_are_not_believed(make):
    fleet = make.fleet(make.replica(state=ReplicaState.HUNG), age_s=POLICY.host_silent_s + 1)
    _, detected = detect(DetectionState(), Scene(make.now, fleet, Signals(), ()), POLICY)
    assert detected.broken == ()
    assert [silent.host for silent in detected.silent] == ["eu-west-a"]
