"""Ladders, holds and the way home."""

from dataclasses import replace

import pytest

from contracts.vocabulary import FULL_FP32, LIGHT_INT8, ReplicaState
from controller.core.actions import ActionKind, Restart, Shift, Stage, Verdict
from controller.core.decision import Act, Agreed, Author, Hold, Refused, decide
from controller.core.findings import Cause, Finding
from controller.core.fleet import home_traffic
from controller.core.intents import SetPaused
from controller.core.ledger import COMPENSATION
from controller.core.plans import scale_out
from controller.core.refusals import BelowNeededCapacity, Cooldown, NoRemedy, NoSpareCapacity, RegionBudget
from controller.core.signals import Trust
from controller.core.story import OperatorIntent
from controller.core.traffic import row_of, with_row

AUTHOR = Author(epoch=3, tick_id="t")


@pytest.fixture
def fleet(make):
    return make.grid()


def finding(make, cause, subject="eu-west", region="eu-west"):
    return Finding(cause, subject, region, make.now - 30, "Something is wrong.", (("number", "1"),))


def decided(make, fleet, *findings, ledger=None, **fields):
    """With four replicas configured per region, so that nothing is given up unless a test is about that."""
    fields = {"policy": replace(make.policy, replicas_min=4)} | fields
    return decide(make.situation(fleet, ledger, findings=findings, **fields), AUTHOR)


def kinds(decisions):
    return [str(decision.record.action.kind) for decision in decisions if isinstance(decision, Act)]


def test_in_calm_nothing_is_decided(make, fleet):
    assert decided(make, fleet) == ()


def test_a_dead_replica_is_restarted_at_once(make, fleet):
    fleet = make.changed(fleet, "eu-west-a-0", state=ReplicaState.HUNG)
    (act,) = decided(make, fleet, finding(make, Cause.REPLICA_DOWN, "eu-west-a-0"))
    assert act.record.action == Restart("eu-west-a", "eu-west", "eu-west-a-0", 1, graceful=False)
    assert act.record.id == "t-1"
    assert act.record.epoch == 3
    assert act.record.stage is Stage.INTENDED


def test_a_slow_replica_is_restarted_after_a_drain(make, fleet):
    (act,) = decided(make, fleet, finding(make, Cause.REPLICA_SLOW, "eu-west-a-0"))
    assert act.record.action == make.restart()


def test_what_capacity_forbids_opens_the_next_rung(make, fleet):
    (act,) = decided(make, fleet, finding(make, Cause.REPLICA_SLOW, "eu-west-a-0"), ledger=make.ledger(fleet, rps=27.0))
    assert act.record.action.kind is ActionKind.SCALE_OUT


def test_what_time_will_lift_is_waited_for(make, fleet):
    recent = make.record(make.restart(), Stage.CLOSED, 1.0, verdict=Verdict.FAILED)
    (hold,) = decided(make, fleet, finding(make, Cause.REPLICA_SLOW, "eu-west-a-0"), ledger=make.ledger(fleet, recent))
    assert isinstance(hold, Hold)
    assert isinstance(hold.refusal, Cooldown)


def test_a_rung_without_effect_is_not_tried_again(make, fleet):
    useless = make.record(make.restart(), Stage.CLOSED, 300.0, verdict=Verdict.NO_EFFECT)
    (act,) = decided(make, fleet, finding(make, Cause.REPLICA_SLOW, "eu-west-a-0"), ledger=make.ledger(fleet, useless))
    assert act.record.action.kind is not ActionKind.RESTART


def test_nothing_is_added_while_an_action_on_it_is_open(make, fleet):
    ledger = make.ledger(fleet, make.record(make.restart(), Stage.VERIFYING))
    assert decided(make, fleet, finding(make, Cause.REPLICA_SLOW, "eu-west-a-0"), ledger=ledger) == ()
    assert decided(make, fleet, finding(make, Cause.OVERLOAD), ledger=ledger) == ()


def test_overload_is_met_with_light_and_never_with_a_restart(make, fleet):
    for ledger in (make.ledger(fleet, rps=60.0), make.ledger(fleet, rps=5.0)):
        (act,) = decided(make, fleet, finding(make, Cause.OVERLOAD), ledger=ledger)
        assert act.record.action.kind is ActionKind.SWITCH_PROFILE
        assert act.record.action.after == LIGHT_INT8.id


def test_overload_on_light_is_met_with_one_more_replica(make):
    light = make.grid(profile=LIGHT_INT8.id)
    (act,) = decided(make, light, finding(make, Cause.OVERLOAD), ledger=make.ledger(light, rps=60.0))
    assert act.record.action.kind is ActionKind.SCALE_OUT


def test_overload_with_nothing_left_is_held_with_a_reason(make):
    light = make.fleet(make.replica(profile=LIGHT_INT8.id))
    (hold,) = decided(make, light, finding(make, Cause.OVERLOAD), ledger=make.ledger(light, rps=60.0))
    assert isinstance(hold.refusal, NoRemedy)


def test_a_slow_region_is_relieved_by_regions_that_are_well(make, fleet):
    (act,) = decided(make, fleet, finding(make, Cause.REGION_SLOW))
    assert isinstance(act.record.action, Shift)
    assert row_of(act.record.action.after, "eu-west") == {"eu-west": 0.0, "us-east": 1.0}


def test_a_receiver_without_room_is_made_lighter_first(make, fleet):
    (act,) = decided(make, fleet, finding(make, Cause.REGION_SLOW), ledger=make.ledger(fleet, rps=28.0))
    assert act.record.action.kind is ActionKind.SWITCH_PROFILE
    assert act.record.action.region == "us-east"


def test_two_regions_in_trouble_do_not_send_each_other_their_traffic(make, fleet):
    troubled = (finding(make, Cause.REGION_SLOW), finding(make, Cause.REGION_SLOW, "us-east", "us-east"))
    assert "shift" not in kinds(decided(make, fleet, *troubled))


def test_the_unexplained_is_answered_only_with_what_can_be_taken_back(make, fleet):
    assert kinds(decided(make, fleet, finding(make, Cause.UNEXPLAINED))) == ["shift"]
    (hold,) = decided(make, fleet, finding(make, Cause.UNEXPLAINED), ledger=make.ledger(fleet, rps=28.0))
    assert isinstance(hold, Hold)


def test_a_bad_change_that_is_undone_by_giving_back_is_taken_back_whatever_the_load(make, fleet):
    home = home_traffic(fleet.regions)
    away = with_row(home, "us-east", {"eu-west": 1.0})
    blamed = make.record(Shift("us-east", home, away), Stage.CLOSED, 5.0, verdict=Verdict.NO_EFFECT)
    ledger = make.ledger(fleet, blamed, rps=60.0, traffic=away)
    (act,) = decided(make, fleet, finding(make, Cause.BAD_CHANGE, "a1"), ledger=ledger)
    assert act.record.action.after == home
    assert act.record.origin == COMPENSATION


def test_a_bad_change_is_undone_at_once_but_only_where_the_kernel_allows_it(make, fleet):
    home = home_traffic(fleet.regions)
    away = with_row(home, "eu-west", {"us-east": 1.0})
    returned = Shift("eu-west", away, home, ActionKind.RETURN_TRAFFIC)
    blamed = make.record(returned, Stage.CLOSED, 5.0, verdict=Verdict.NO_EFFECT)
    just_now = make.record(Shift("eu-west", home, away), Stage.CLOSED, 1.0, verdict=Verdict.INCONCLUSIVE, id="a0")

    def undone(rps):
        ledger = make.ledger(fleet, just_now, blamed, rps=rps)
        (decision,) = decided(make, fleet, finding(make, Cause.BAD_CHANGE, "a1"), ledger=ledger)
        return decision

    assert undone(rps=8.0).record.action.after == away, "no cooldown stands against it"
    assert isinstance(undone(rps=30.0).refusal, NoSpareCapacity)


def test_a_silent_host_is_replaced_only_if_what_is_left_is_too_little(make, fleet):
    silent = finding(make, Cause.HOST_SILENT, "eu-west-a")
    assert kinds(decided(make, fleet, silent, ledger=make.ledger(fleet, rps=29.0))) == ["scale_out"]
    (hold,) = decided(make, fleet, silent, ledger=make.ledger(fleet, rps=10.0))
    assert isinstance(hold.refusal, NoRemedy)


def test_one_tick_cannot_spend_the_same_budget_twice(make, fleet):
    both = (finding(make, Cause.REPLICA_SLOW, "eu-west-a-0"), finding(make, Cause.REPLICA_SLOW, "eu-west-b-0"))
    decisions = decided(make, fleet, *both)
    assert kinds(decisions) == ["restart"]
    down = make.changed(
        make.changed(fleet, "eu-west-a-0", state=ReplicaState.HUNG), "eu-west-b-0", state=ReplicaState.HUNG
    )
    dead = (finding(make, Cause.REPLICA_DOWN, "eu-west-a-0"), finding(make, Cause.REPLICA_DOWN, "eu-west-b-0"))
    act, hold = decided(make, down, *dead)
    assert isinstance(act, Act)
    assert isinstance(hold.refusal, RegionBudget)


# ── the way home ──────────────────────────────────────────────────────────────────────────────────────────────────────
def away(make, fleet, share):
    return with_row(home_traffic(fleet.regions), "eu-west", {"eu-west": share, "us-east": 1 - share})


@pytest.mark.parametrize(("share", "step"), [(0.0, 0.1), (0.1, 0.5), (0.3, 0.5), (0.5, 1.0), (0.87, 1.0)])
def test_traffic_comes_home_in_steps(make, fleet, share, step):
    (act,) = decided(make, fleet, ledger=make.ledger(fleet, traffic=away(make, fleet, share)))
    assert act.record.action.kind is ActionKind.RETURN_TRAFFIC
    assert row_of(act.record.action.after, "eu-west")["eu-west"] == step


def test_traffic_stays_away_while_home_is_in_trouble_or_could_not_carry_it(make, fleet):
    ledger = make.ledger(fleet, traffic=away(make, fleet, 0.0))
    assert "return_traffic" not in kinds(decided(make, fleet, finding(make, Cause.REGION_SLOW), ledger=ledger))
    silent = finding(make, Cause.HOST_SILENT, "eu-west-a")
    assert kinds(decided(make, fleet, silent, ledger=ledger)) == []
    busy = make.ledger(fleet, rps=40.0, traffic=away(make, fleet, 0.5))
    assert kinds(decided(make, fleet, ledger=busy)) == []


def probe(make, fleet, verdict, age_s, number=0):
    action = Shift("eu-west", away(make, fleet, 0.0), away(make, fleet, 0.1), ActionKind.RETURN_TRAFFIC)
    return make.record(action, Stage.CLOSED, age_s, verdict=verdict, id=f"p{number}")


def test_a_failed_probe_is_repeated_after_twice_the_wait(make, fleet):
    def after(age_s):
        ledger = make.ledger(fleet, probe(make, fleet, Verdict.WORSE, age_s), traffic=away(make, fleet, 0.0))
        return kinds(decided(make, fleet, ledger=ledger))

    assert after(2 * make.policy.return_wait_s - 1) == []
    assert after(2 * make.policy.return_wait_s + 1) == ["return_traffic"]


def test_a_good_probe_is_followed_at_once(make, fleet):
    ledger = make.ledger(fleet, probe(make, fleet, Verdict.IMPROVED, 0.0), traffic=away(make, fleet, 0.1))
    assert kinds(decided(make, fleet, ledger=ledger)) == ["return_traffic"]


def test_a_replica_that_made_the_step_home_fail_is_repaired_first(make, fleet):
    failed = probe(make, fleet, Verdict.WORSE, 30.0)
    signals = make.signals(fleet, {"eu-west-b-1": make.tally(rtf=0.4)})

    def answered(step):
        ledger = make.ledger(fleet, step, traffic=away(make, fleet, 0.0))
        return [act.record.action for act in decided(make, fleet, ledger=ledger, signals=signals)]

    while_it_was_tried = replace(failed, intended_unix_s=failed.stage_unix_s - 30.0)
    assert answered(while_it_was_tried) == [make.restart("eu-west-b-1")]
    only_afterwards = replace(failed, intended_unix_s=failed.stage_unix_s - 5.0)
    assert answered(only_afterwards) == []


def test_full_quality_returns_when_it_fits(make):
    light = make.grid(profile=LIGHT_INT8.id)

    def at(full_service_s):
        loads = {r: make.load(light, r, 20.0, 0.04, full_service_s=full_service_s) for r in light.regions}
        return kinds(decided(make, light, ledger=make.ledger(light, loads=loads)))

    assert at(0.1) == ["restore_profile", "restore_profile"]
    assert at(0.13) == []


def test_quality_debt_buys_capacity(make):
    light = make.grid(regions=("eu-west",), profile=LIGHT_INT8.id)
    switched = make.record(
        _lightened(make, light), Stage.CLOSED, make.policy.quality_debt_s + 1, verdict=Verdict.IMPROVED
    )
    loads = {"eu-west": make.load(light, "eu-west", 30.0, 0.04, full_service_s=0.1)}
    assert kinds(decided(make, light, ledger=make.ledger(light, switched, loads=loads))) == ["scale_out"]
    coming = {"eu-west": replace(loads["eu-west"], pending=1)}
    assert kinds(decided(make, light, ledger=make.ledger(light, switched, loads=coming))) == []


def test_a_region_shrinks_to_what_is_configured_when_the_rest_can_carry_it(make, fleet):
    def shrunk(rps, replicas_min):
        policy = replace(make.policy, replicas_min=replicas_min)
        return kinds(decided(make, fleet, ledger=make.ledger(fleet, rps=rps), policy=policy))

    assert shrunk(17.0, replicas_min=3) == ["scale_in", "scale_in"]
    assert shrunk(19.0, replicas_min=3) == []
    assert shrunk(1.0, replicas_min=4) == []


@pytest.fixture
def alone(make):
    return make.grid(regions=("eu-west",), hosts=1, each=1)


def test_a_region_below_its_configuration_gets_another_replica(make, alone):
    policy = replace(make.policy, replicas_min=2)
    assert kinds(decided(make, alone, policy=policy)) == ["scale_out"]
    just_seen = dict.fromkeys(alone.regions, make.now - 5)
    assert kinds(decided(make, alone, policy=policy, troubled_unix_s=just_seen)) == []


def test_nothing_is_given_back_on_doubtful_signals(make, fleet):
    loads = {region: make.load(fleet, region, 1.0, known=False) for region in fleet.regions}
    dark = dict.fromkeys(fleet.regions, Trust.DEAD)
    ledger = make.ledger(fleet, loads=loads, trust=dark, traffic=away(make, fleet, 0.5))
    assert decided(make, fleet, ledger=ledger) == ()


def _lightened(make, light):
    from controller.core.plans import switch_profile  # noqa: PLC0415  # the reverse is what the fleet can offer

    to_full = switch_profile(light, "eu-west", FULL_FP32.id, make.policy)
    return replace(to_full, before=FULL_FP32.id, after=LIGHT_INT8.id, kind=ActionKind.SWITCH_PROFILE)


# ── operators ─────────────────────────────────────────────────────────────────────────────────────────────────────────
def ask(make, verb, **arguments):
    return OperatorIntent("i1", make.now, "ada", verb, tuple(arguments.items()))


def test_an_operators_wish_passes_the_same_kernel(make, fleet):
    wish = ask(make, "restart", replica="eu-west-a-0")
    (agreed,) = decided(make, fleet, intents=(wish,))
    assert isinstance(agreed, Agreed)
    assert agreed.change.origin == "ada"
    (refused,) = decided(make, fleet, intents=(wish,), ledger=make.ledger(fleet, rps=28.0))
    assert isinstance(refused, Refused)
    assert isinstance(refused.refusal, BelowNeededCapacity)


@pytest.mark.parametrize(
    ("verb", "arguments", "kind"),
    [
        ("switch_profile", {"region": "eu-west", "profile": LIGHT_INT8.id}, "switch_profile"),
        ("scale_out", {"region": "eu-west"}, "scale_out"),
        ("scale_in", {"replica": "eu-west-a-0"}, "scale_in"),
        ("scale_in", {"region": "eu-west"}, "scale_in"),
        ("shift", {"from": "eu-west", "to": "us-east", "share": "0.25"}, "shift"),
    ],
)
def test_every_verb_makes_its_action(make, fleet, verb, arguments, kind):
    agreed = decided(make, fleet, intents=(ask(make, verb, **arguments),), policy=make.policy)[0]
    assert str(agreed.change.action.kind) == kind


@pytest.mark.parametrize(
    ("verb", "arguments"),
    [
        ("restart", {"replica": "nowhere-0"}),
        ("switch_profile", {"region": "eu-west", "profile": "no-such-profile"}),
        ("scale_out", {"region": "nowhere"}),
        ("scale_in", {}),
        ("shift", {"from": "eu-west", "to": "nowhere"}),
        ("shift", {"from": "eu-west", "to": "us-east", "share": "all"}),
        ("shift", {"from": "us-east", "to": "eu-west", "gateway": "eu-west"}),
        ("dance", {}),
    ],
)
def test_what_cannot_be_done_is_refused_with_a_reason(make, fleet, verb, arguments):
    refused = decided(make, fleet, intents=(ask(make, verb, **arguments),))[0]
    assert isinstance(refused, Refused)
    assert isinstance(refused.refusal, NoRemedy)


def test_a_pause_holds_from_the_very_tick_it_is_asked_for(make, fleet):
    agreed, hold = decided(make, fleet, finding(make, Cause.OVERLOAD), intents=(ask(make, "pause"),))
    assert agreed.change == SetPaused(paused=True)
    assert isinstance(hold, Hold)


def test_what_an_operator_moved_stays_where_it_was_put(make, fleet):
    moved = make.record(
        Shift("eu-west", home_traffic(fleet.regions), away(make, fleet, 0.5)), Stage.CLOSED, 3000.0, origin="ada"
    )
    grown = make.record(scale_out(fleet, "us-east", make.policy), Stage.CLOSED, 3000.0, origin="ada", id="a2")
    ledger = make.ledger(fleet, moved, grown, rps=1.0, traffic=away(make, fleet, 0.5))
    assert (
        decided(make, fleet, ledger=ledger, policy=replace(make.policy, replicas_min_by_region=(("eu-west", 4),))) == ()
    )
