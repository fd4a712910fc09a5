"""The kernel: every typed refusal once by example, and its laws over random fleets and ledgers."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.vocabulary import LIGHT_INT8, ReplicaState
from controller.core.actions import ActionKind, ReplicaRef, Shift, Stage, SwitchProfile, Verdict
from controller.core.fleet import home_traffic
from controller.core.ledger import DISRUPTIVE, taken_from
from controller.core.plans import restart, scale_in, scale_out, shift_away, switch_profile, toward_home
from controller.core.refusals import (
    AttemptsExhausted,
    BelowConfigured,
    BelowNeededCapacity,
    Cooldown,
    CorrelatedFailure,
    HostBusy,
    LastRoutableReplica,
    NoFreeSlot,
    NoSpareCapacity,
    Paused,
    RegionBudget,
    RegionBusy,
    StaleSignals,
    TargetChanged,
)
from controller.core.safety import why_unsafe
from controller.core.signals import Trust
from controller.core.traffic import with_row


@pytest.fixture
def fleet(make):
    return make.grid()


@pytest.fixture
def refusal(make):
    """Why this action may not begin now, as a type; None when it may."""

    def ask(action, fleet, ledger=None, policy=make.policy):
        refusal = why_unsafe(action, fleet, ledger or make.ledger(fleet), policy, make.now)
        return None if refusal is None else type(refusal)

    return ask


def test_a_healthy_restart_is_safe(make, fleet, refusal):
    assert refusal(make.restart(), fleet) is None


def test_a_pause_refuses_everything(make, fleet, refusal):
    ledger = make.ledger(fleet, paused=True)
    assert refusal(make.restart(), fleet, ledger) is Paused
    assert refusal(toward_home("eu-west", 1.0, ledger), fleet, ledger) is Paused


@pytest.mark.parametrize("name", ["eu-west-a-0", "eu-west-a-9"])
def test_another_incarnation_or_none_is_another_target(make, fleet, refusal, name):
    assert refusal(make.restart(name, generation=2), fleet) is TargetChanged


def test_a_host_that_does_not_report_is_not_touched(make, fleet, refusal):
    silent = make.fleet(*fleet.replicas(), age_s=make.policy.report_age_s_max + 1)
    assert refusal(make.restart(graceful=False), silent, make.ledger(fleet)) is StaleSignals


@pytest.mark.parametrize("trust", [Trust.LATE, Trust.PARTIAL, Trust.DEAD])
def test_a_replica_that_serves_is_not_taken_on_doubtful_signals(make, fleet, refusal, trust):
    ledger = make.ledger(fleet, trust={"eu-west": trust})
    assert refusal(make.restart(), fleet, ledger) is StaleSignals


def test_a_dead_replica_is_healed_without_any_signals(make, fleet, refusal):
    down = make.changed(fleet, "eu-west-a-0", state=ReplicaState.HUNG)
    ledger = make.ledger(down, trust={}, loads={})
    assert refusal(make.restart(graceful=False), down, ledger) is None


def test_one_disruptive_step_per_host(make, fleet, refusal):
    ledger = make.ledger(fleet, make.record(make.restart("eu-west-a-1")))
    assert refusal(make.restart("eu-west-a-0"), fleet, ledger) is HostBusy


def test_a_tenth_of_a_region_at_once_but_at_least_one(make, refusal):
    small, large = make.grid(hosts=3, each=1), make.grid(hosts=20, each=1)
    busy = make.record(make.restart("eu-west-b-0"))
    assert refusal(make.restart("eu-west-a-0"), small, make.ledger(small, busy)) is RegionBudget
    assert refusal(make.restart("eu-west-a-0"), large, make.ledger(large, busy)) is None


def test_the_present_load_must_be_carried_by_who_is_left(make, fleet, refusal):
    assert refusal(make.restart(), fleet, make.ledger(fleet, rps=25.0)) is None
    assert refusal(make.restart(), fleet, make.ledger(fleet, rps=26.0)) is BelowNeededCapacity


def test_an_unknown_load_is_no_small_load(make, fleet, refusal):
    unknown = {"eu-west": make.load(fleet, "eu-west", known=False)}
    assert refusal(make.restart(), fleet, make.ledger(fleet, loads=unknown)) is StaleSignals


def test_the_last_replica_of_a_region_with_traffic_stays(make, refusal):
    lonely = make.fleet(make.replica("eu-west-a-0"), make.replica("us-east-a-0"))
    assert refusal(make.restart(), lonely, make.ledger(lonely, rps=0.0)) is LastRoutableReplica


def test_the_last_replica_of_an_evacuated_region_may_go(make, refusal):
    lonely = make.fleet(make.replica("eu-west-a-0"), make.replica("us-east-a-0"))
    away = with_row(home_traffic(lonely.regions), "eu-west", {"us-east": 1.0})
    assert refusal(make.restart(), lonely, make.ledger(lonely, rps=0.0, traffic=away)) is None


def tried(make, verdict, age_s, action=None, number=0):
    return make.record(action, Stage.CLOSED, age_s, verdict=verdict, id=f"t{number}")


def test_the_same_target_rests_and_longer_after_every_failure(make, fleet, refusal):
    base = make.policy.cooldown_s
    once = [tried(make, Verdict.FAILED, 2 * base - 1)]
    assert refusal(make.restart(), fleet, make.ledger(fleet, *once)) is Cooldown
    assert refusal(make.restart(), fleet, make.ledger(fleet, tried(make, Verdict.FAILED, 2 * base + 1))) is None
    assert refusal(make.restart(), fleet, make.ledger(fleet, tried(make, Verdict.IMPROVED, base + 1))) is None
    twice = [tried(make, Verdict.FAILED, 900.0, number=1), tried(make, Verdict.FAILED, 2 * base + 1, number=2)]
    assert refusal(make.restart(), fleet, make.ledger(fleet, *twice)) is Cooldown


def test_restarts_are_counted_per_day_whether_they_helped_or_not(make, fleet, refusal):
    day = [tried(make, Verdict.IMPROVED, 3600.0 * (n + 1), number=n) for n in range(make.policy.attempts_max)]
    assert refusal(make.restart(), fleet, make.ledger(fleet, *day)) is AttemptsExhausted
    assert refusal(make.restart(), fleet, make.ledger(fleet, *day[1:])) is None
    old = [replace(record, stage_unix_s=make.now - 90_000) for record in day]
    assert refusal(make.restart(), fleet, make.ledger(fleet, *old)) is None


def test_disruption_that_never_helps_is_stopped_everywhere(make, fleet, refusal):
    elsewhere = [
        tried(make, Verdict.NO_EFFECT, 60.0, make.restart("us-east-b-1"), n)
        for n in range(make.policy.breaker_failures)
    ]
    assert refusal(make.restart(), fleet, make.ledger(fleet, *elsewhere)) is CorrelatedFailure
    assert refusal(make.restart(), fleet, make.ledger(fleet, *elsewhere[1:])) is None


def test_a_region_is_not_scaled_in_below_what_is_configured(make, fleet, refusal):
    policy = replace(make.policy, replicas_min=4)
    replica = fleet.replica("eu-west-a-0")
    assert refusal(scale_in(replica), fleet, policy=policy) is BelowConfigured
    assert refusal(scale_in(replica), fleet, policy=replace(policy, replicas_min=3)) is None


def test_a_receiver_must_be_able_to_carry_what_it_is_sent(make, fleet, refusal):
    ledger = make.ledger(fleet, rps=20.0)
    home = ledger.traffic
    action = Shift("eu-west", home, with_row(home, "eu-west", {"us-east": 1.0}))
    assert refusal(action, fleet, ledger) is NoSpareCapacity
    assert refusal(action, fleet, make.ledger(fleet, rps=10.0)) is None


def test_traffic_is_not_sent_into_the_dark_but_may_leave_it(make, fleet, refusal):
    action = Shift(
        "eu-west", home_traffic(fleet.regions), with_row(home_traffic(fleet.regions), "eu-west", {"us-east": 1})
    )
    assert refusal(action, fleet, make.ledger(fleet, trust={"eu-west": Trust.FRESH})) is StaleSignals
    assert refusal(action, fleet, make.ledger(fleet, trust={"us-east": Trust.FRESH})) is None


@pytest.mark.parametrize("build", ["shift", "switch", "out"])
def test_one_experiment_of_a_sort_per_region(make, fleet, refusal, build):
    ledger = make.ledger(fleet)
    action = {
        "shift": shift_away("eu-west", fleet.regions, ledger, make.policy),
        "switch": switch_profile(fleet, "eu-west", LIGHT_INT8.id, make.policy),
        "out": scale_out(fleet, "eu-west", make.policy),
    }[build]
    assert refusal(action, fleet, ledger) is None
    assert refusal(action, fleet, make.ledger(fleet, make.record(action))) is RegionBusy


def test_a_slot_must_be_free(make, fleet, refusal):
    action = replace(scale_out(fleet, "eu-west", make.policy), replica="eu-west-a-0")
    assert refusal(action, fleet) is NoFreeSlot


def test_every_refusal_is_a_sentence():
    for refusal in (Paused(), HostBusy("h", "a1"), RegionBudget("eu-west", 1, 1), BelowNeededCapacity("eu-west", 1, 2)):
        assert " " in str(refusal)


# ── laws ──────────────────────────────────────────────────────────────────────────────────────────────────────────────
STATES = st.sampled_from(list(ReplicaState))
STAGES = st.sampled_from([Stage.DRAINING, Stage.ORDERED, Stage.VERIFYING, Stage.CLOSED])


@st.composite
def worlds(draw, make):
    """A fleet in any condition, and a ledger with any disruptions open."""
    fleet = make.grid(hosts=draw(st.integers(1, 4)), each=draw(st.integers(1, 3)))
    for replica in tuple(fleet.replicas()):
        fleet = make.changed(fleet, replica.id, state=draw(STATES))
    names = [replica.id for replica in fleet.replicas()]
    records = [
        make.record(make.restart(name), draw(STAGES), verdict=Verdict.IMPROVED, id=f"r{n}", age_s=500)
        for n, name in enumerate(draw(st.lists(st.sampled_from(names), max_size=3, unique=True)))
    ]
    ledger = make.ledger(fleet, *records, rps=draw(st.floats(0, 60)), paused=draw(st.booleans()))
    return fleet, ledger, draw(st.sampled_from(names))


@given(data=st.data(), graceful=st.booleans(), inward=st.booleans())
def test_whatever_is_allowed_keeps_every_budget(make, data, graceful, inward):
    fleet, ledger, name = data.draw(worlds(make))
    replica = fleet.replica(name)
    action = scale_in(replica) if inward else restart(replica, graceful=graceful)
    if why_unsafe(action, fleet, ledger, make.policy, make.now) is not None:
        return
    assert not ledger.paused
    open_ = [taken for record in ledger.open if (taken := taken_from(record.action)) is not None]
    assert replica.locality.host not in {host for host, _, _ in open_}
    count = sum(1 for _ in fleet.replicas(replica.region))
    in_region = sum(region == replica.region for _, region, _ in open_)
    assert in_region + 1 <= max(1, make.policy.region_disruption_share * count)
    if replica.ready:
        gone = {taken[2] for taken in open_} | {replica.id}
        left = sum(r.ready and r.id not in gone for r in fleet.replicas(replica.region))
        load = ledger.loads[replica.region]
        assert left * make.policy.utilisation_max >= load.offered_workers - 1e-6
        assert left >= 1


@given(data=st.data())
def test_giving_back_is_never_refused_but_by_a_pause(make, data):
    fleet, ledger, _ = data.draw(worlds(make))
    refs = tuple(ReplicaRef(r.locality.host, r.id, r.generation) for r in fleet.replicas("eu-west"))
    restore = SwitchProfile("eu-west", refs, LIGHT_INT8.id, make.replica().profile, ActionKind.RESTORE_PROFILE)
    for action in (toward_home("eu-west", 0.5, ledger), restore):
        refusal = why_unsafe(action, fleet, ledger, make.policy, make.now)
        assert refusal == (Paused() if ledger.paused else None)


@given(data=st.data())
def test_the_same_question_has_the_same_answer(make, data):
    fleet, ledger, name = data.draw(worlds(make))
    action = restart(fleet.replica(name), graceful=True)
    first = why_unsafe(action, fleet, ledger, make.policy, make.now)
    assert why_unsafe(action, fleet, ledger, make.policy, make.now) == first
    assert action.kind in DISRUPTIVE
