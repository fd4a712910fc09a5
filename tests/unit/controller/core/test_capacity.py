"""Load in busy workers, and two paths to the knowledge of who serves."""

import pytest

from contracts.vocabulary import FULL_FP32, LIGHT_INT8, ReplicaState
from controller.core.capacity import CapacityState, learn, loads
from controller.core.signals import Signals, Trust


@pytest.fixture
def fleet(make):
    return make.grid()


def load_of(make, fleet, special=None, speedup=4.0, **fields):
    signals = make.signals(fleet, special)
    changed = Signals(**({name: getattr(signals, name) for name in signals.__slots__} | fields))
    return loads(fleet, changed, speedup, make.policy)["eu-west"]


def test_utilisation_is_work_over_workers(make, fleet):
    load = load_of(make, fleet)
    assert load.rps == pytest.approx(16.0)
    assert load.offered_workers == pytest.approx(1.6)
    assert load.utilisation == pytest.approx(0.4)
    assert load.needed(0.85) == 2
    assert load.spare_rps(0.7) == pytest.approx(12.0)


def test_refused_requests_are_demand_too(make, fleet):
    refusing = {replica.id: make.tally(rejected=40.0) for replica in fleet.replicas("eu-west")}
    assert load_of(make, fleet, refusing).rps == pytest.approx(32.0)


def test_one_sick_replica_does_not_look_like_demand(make, fleet):
    assert load_of(make, fleet, {"eu-west-a-0": make.tally(rtf=0.9)}).service_s == pytest.approx(0.1)


def test_full_quality_is_predicted_from_the_light_profile(make):
    light = make.grid(profile=LIGHT_INT8.id)
    special = {replica.id: make.tally(rtf=0.02) for replica in light.replicas()}
    load = load_of(make, light, special, speedup=5.0)
    assert load.utilisation == pytest.approx(0.08)
    assert load.full_utilisation == pytest.approx(0.4)


def test_where_profiles_are_mixed_the_slower_one_counts(make, fleet):
    mixed = make.changed(fleet, "eu-west-a-0", profile=LIGHT_INT8.id)
    load = load_of(make, mixed, {"eu-west-a-0": make.tally(rtf=0.02)})
    assert (load.service_s, load.full_service_s) == pytest.approx((0.1, 0.1))


def test_a_silent_hosts_replicas_serve_as_long_as_their_counters_move(make, fleet):
    silent = make.fleet(*fleet.replicas(), age_s=60.0)
    assert load_of(make, silent).ready == 4
    assert load_of(make, silent, replica_trust={"eu-west-a-0": Trust.FRESH, "eu-west-a-1": Trust.LATE}).ready == 1
    assert load_of(make, fleet, replica_trust={}).ready == 4


def test_starting_replicas_are_pending_and_dead_ones_are_not(make, fleet):
    fleet = make.changed(fleet, "eu-west-a-0", state=ReplicaState.STARTING)
    load = load_of(make, make.changed(fleet, "eu-west-a-1", state=ReplicaState.CRASHED))
    assert (load.ready, load.pending) == (2, 1)


def test_without_blocks_nothing_is_known(make, fleet):
    load = loads(fleet, Signals(trust=dict.fromkeys(fleet.regions, Trust.FRESH)), 2.6, make.policy)["eu-west"]
    assert not load.known
    assert load.spare_rps(0.7) == 0.0


def test_the_speed_of_profiles_is_learned_where_all_is_well(make, fleet):
    light = make.grid(regions=("us-east",), profile=LIGHT_INT8.id)
    state = CapacityState()
    assert state.light_speedup(make.policy) == make.policy.light_speedup_prior
    for seen in (fleet, light):
        special = {replica.id: make.tally(rtf=0.02 if seen is light else 0.1) for replica in seen.replicas()}
        state = learn(state, make.signals(seen, special).closed, seen, frozenset())
    assert state.light_speedup(make.policy) == pytest.approx(5.0)
    slow = make.signals(fleet, {replica.id: make.tally(rtf=0.9) for replica in fleet.replicas()}).closed
    assert learn(state, slow, fleet, frozenset(fleet.regions)) == state
    assert state.rtf.keys() == {FULL_FP32.id, LIGHT_INT8.id}
