"""Counters become blocks: resets, gaps, trust."""

import pytest

from controller.core.fleet import Fleet
from controller.core.policy import Policy
from controller.core.signals import Readings, SignalState, Trust, difference, observe
from controller.core.telemetry import SourceDown

NOBODY = Fleet(hosts=())
POLICY = Policy(block_s=10.0)


def watch(make, *samples, fleet=NOBODY, step_s=5.0):
    """Feed one reading per step; returns what every tick showed."""
    state, seen = SignalState(), []
    for number, sample in enumerate(samples):
        state, signals = observe(state, Readings(make.now + step_s * number, sample, (), fleet), POLICY)
        seen.append(signals)
    return seen


def at(make, number, **fields):
    when = make.now + 5.0 * number
    return make.sample(make.counters(at=when, **fields), at=when)


def test_a_block_holds_exactly_what_happened_in_it(make):
    *_, last = watch(make, at(make, 0, good=100, bad=3), at(make, 1, good=120, bad=4), at(make, 2, good=150, bad=9))
    tally = last.closed.replicas["eu-west-a-0"]
    assert tally.slos["first-audio"] == (50, 6)
    assert tally.admitted == 56
    assert tally.span_s == 10.0
    assert last.closed.regions["eu-west"].events() == (6, 56)


def test_a_counter_that_fell_belongs_to_a_new_incarnation_and_counts_from_zero(make):
    *_, last = watch(make, at(make, 0, good=1000, bad=30), at(make, 1, good=1010, bad=30), at(make, 2, good=7, bad=2))
    tally = last.closed.replicas["eu-west-a-0"]
    assert tally.slos["first-audio"] == (7, 2)
    assert (tally.admitted, tally.audio_s, tally.service_s) == pytest.approx((9, 9, 0.9))


def test_an_slo_that_appears_counts_from_zero(make):
    before = make.counters(good=50)
    after = make.counters(at=make.now + 10, good=60)
    new = type(after.slos[0])("total", 4, 1)
    tally = difference(before, type(after)(**{**_fields(after), "slos": (*after.slos, new)}))
    assert tally.slos == {"first-audio": (10, 0), "total": (4, 1)}


def test_what_was_not_scraped_is_no_traffic_and_no_health(make):
    *_, last = watch(make, at(make, 0, good=100), SourceDown("down"), SourceDown("down"))
    assert last.closed.replicas == {}
    assert last.closed.regions == {}


def test_a_gap_is_made_up_for_by_the_next_block(make):
    seen = watch(make, at(make, 0, good=100), SourceDown("x"), SourceDown("x"), SourceDown("x"), at(make, 4, good=180))
    tally = seen[-1].closed.replicas["eu-west-a-0"]
    assert (tally.admitted, tally.span_s) == (80, 20.0)


def test_the_first_sight_of_a_replica_is_only_a_baseline(make):
    *_, last = watch(make, make.sample(), make.sample(), at(make, 2, good=5000))
    assert last.closed.replicas == {}


def test_blocks_are_bounded(make):
    samples = [at(make, number, good=10 * number) for number in range(2 * POLICY.blocks_kept + 10)]
    assert len(watch(make, *samples)[-1].blocks) == POLICY.blocks_kept


@pytest.mark.parametrize(
    ("age_s", "trust"), [(0, Trust.FRESH), (POLICY.late_s + 1, Trust.LATE), (POLICY.dead_s + 1, Trust.DEAD)]
)
def test_trust_fades_with_age(make, age_s, trust):
    fleet = make.grid(regions=("eu-west",), hosts=1, each=1)
    (seen,) = watch(make, make.sample(make.counters(at=make.now - age_s)), fleet=fleet)
    assert seen.replica_trust["eu-west-a-0"] is trust
    assert seen.trust["eu-west"] is trust


def test_nobody_asking_is_known_and_told_apart_from_nobody_answering(make):
    fleet = make.grid(regions=("eu-west",), hosts=1, each=1)
    seen = watch(make, at(make, 0, good=9), at(make, 1, good=9), at(make, 2, good=9), fleet=fleet)
    assert seen[-1].trust["eu-west"] is Trust.ZERO_TRAFFIC


def test_a_region_with_missing_replicas_is_partial(make):
    fleet = make.grid(regions=("eu-west",), hosts=2, each=2)
    names = ["eu-west-a-0", "eu-west-a-1", "eu-west-b-0"]
    (seen,) = watch(make, make.sample(*(make.counters(name) for name in names)), fleet=fleet)
    assert seen.trust["eu-west"] is Trust.PARTIAL


def test_a_replica_that_just_started_need_not_be_scraped_yet(make):
    fleet = make.fleet(make.replica("eu-west-a-0"), make.replica("eu-west-a-1", state_age_s=3.0))
    (seen,) = watch(make, make.sample(make.counters("eu-west-a-0")), fleet=fleet)
    assert seen.trust["eu-west"] is Trust.FRESH


def _fields(value):
    return {name: getattr(value, name) for name in value.__slots__}
