"""A verdict compares with peers at the same time, doubts small numbers, and undoes what made things worse."""

from dataclasses import replace

import pytest

from contracts.vocabulary import LIGHT_INT8, ReplicaState
from controller.core.actions import ActionKind, Measure, Shift, Stage, Verdict
from controller.core.decision import Author, begin
from controller.core.fleet import home_traffic
from controller.core.ledger import COMPENSATION
from controller.core.plans import Plan, scale_in, scale_out, switch_profile
from controller.core.signals import Signals, total
from controller.core.traffic import with_row
from controller.core.verification import compare, verify

AUTHOR = Author(epoch=1, tick_id="t")
BUDGET = 0.05


@pytest.fixture
def fleet(make):
    return make.grid()


def measure(bad, peer=None, events=1000.0):
    return Measure(bad * events, events, (peer or 0) * events, events if peer is not None else 0.0)


@pytest.mark.parametrize(
    ("before", "after", "verdict"),
    [
        (measure(0.5), measure(0.01), Verdict.IMPROVED),
        (measure(0.5), measure(0.5), Verdict.NO_EFFECT),
        (measure(0.5), measure(0.2), Verdict.IMPROVED),
        (measure(0.1), measure(0.5), Verdict.WORSE),
        (measure(0.5), measure(0.49), Verdict.NO_EFFECT),
        (measure(0.5), Measure(0, 10, 0, 0), Verdict.INCONCLUSIVE),
        # a peak that falls everywhere is not credited, one that rises everywhere is not blamed
        (measure(0.6, peer=0.6), measure(0.3, peer=0.3), Verdict.NO_EFFECT),
        (measure(0.1, peer=0.1), measure(0.4, peer=0.4), Verdict.NO_EFFECT),
        (measure(0.1, peer=0.1), measure(0.4, peer=0.1), Verdict.WORSE),
        # no traffic before, as with a probe: peers are what is left to compare with
        (Measure(0, 0, 0, 0), measure(0.5, peer=0.01), Verdict.WORSE),
        (Measure(0, 0, 0, 0), measure(0.01, peer=0.01), Verdict.IMPROVED),
        # a difference that bursts alone could make is none
        (measure(0.1, events=60), measure(0.25, events=60), Verdict.NO_EFFECT),
    ],
)
def test_the_verdict_follows_from_the_numbers(make, before, after, verdict):
    assert compare(before, after, BUDGET, make.policy)[0] is verdict


NO_EVENTS = Measure(0, 0, 0, 0)


def due(make, action, before=NO_EVENTS, **fields):
    age_s = make.policy.settle_s + make.policy.verify_s + make.policy.block_s + 1
    record = make.record(action, Stage.VERIFYING, age_s, **fields)
    return replace(record, expectation=replace(record.expectation, before=before))


def judged(make, fleet, record, special=None, **fields):
    situation = make.situation(fleet, signals=make.signals(fleet, special), **fields)
    return verify(record, BUDGET, situation, AUTHOR)


def test_no_verdict_before_the_window_is_over(make, fleet):
    early = make.record(make.restart(), Stage.VERIFYING, make.policy.verify_s - 1)
    assert judged(make, fleet, early) is None
    assert judged(make, fleet, make.record(make.restart(), Stage.ORDERED, 1000.0)) is None


def test_a_replica_that_is_as_good_as_its_peers_again_was_helped(make, fleet):
    verdict = judged(make, fleet, due(make, make.restart(), Measure(200, 400, 4, 400)))
    assert verdict.record.verdict is Verdict.IMPROVED
    assert verdict.record.stage is Stage.CLOSED
    assert "bad requests were 50.0%, are 0.0%" in verdict.record.detail


@pytest.mark.parametrize(
    ("fields", "verdict"),
    [
        ({}, Verdict.IMPROVED),
        ({"state": ReplicaState.HUNG}, Verdict.NO_EFFECT),
        ({"in_flight": 3, "progress_age_s": 30.0}, Verdict.NO_EFFECT),
        ({"in_flight": 3, "progress_age_s": 0.2}, Verdict.IMPROVED),
    ],
)
def test_a_healed_replica_is_judged_by_being_ready_and_making_progress(make, fleet, fields, verdict):
    fleet = make.changed(fleet, "eu-west-a-0", **fields)
    assert judged(make, fleet, due(make, make.restart(graceful=False))).record.verdict is verdict


def test_a_healed_replica_whose_agent_is_silent_cannot_be_judged(make, fleet):
    silent = make.fleet(*fleet.replicas(), age_s=make.policy.report_age_s_max + 1)
    assert judged(make, silent, due(make, make.restart(graceful=False))).record.verdict is Verdict.INCONCLUSIVE


def in_region(make, fleet, region, **fields):
    return {replica.id: make.tally(**fields) for replica in fleet.replicas(region)}


def returned(fleet):
    home = home_traffic(fleet.regions)
    return Shift("eu-west", with_row(home, "eu-west", {"us-east": 1.0}), home, ActionKind.RETURN_TRAFFIC)


def test_worse_is_taken_back(make, fleet):
    record = due(make, returned(fleet))
    verdict = judged(make, fleet, record, in_region(make, fleet, "eu-west", bad=0.7))
    assert verdict.record.verdict is Verdict.WORSE
    assert verdict.undo.action.after == record.action.before
    assert verdict.undo.action.kind is ActionKind.SHIFT
    assert verdict.undo.origin == COMPENSATION
    assert verdict.undo.id == "a1-undo"


def test_a_probe_is_judged_by_the_region_it_probes_and_not_by_the_rest(make, fleet):
    special = in_region(make, fleet, "eu-west", rps=0.4, bad=0.8)
    assert judged(make, fleet, due(make, returned(fleet)), special).record.verdict is Verdict.WORSE


def test_what_made_things_worse_is_not_in_the_way_of_its_own_undoing(make, fleet):
    record = due(make, returned(fleet))
    special = in_region(make, fleet, "eu-west", bad=0.7)
    verdict = judged(make, fleet, record, special, ledger=make.ledger(fleet, record))
    assert verdict.undo is not None


@pytest.mark.parametrize(("fields", "reason"), [({"paused": True}, "paused"), ({"rps": 30.0}, "us-east")])
def test_worse_is_not_taken_back_against_a_pause_or_the_room_elsewhere(make, fleet, fields, reason):
    record = due(make, returned(fleet))
    special = in_region(make, fleet, "eu-west", bad=0.7)
    verdict = judged(make, fleet, record, special, ledger=make.ledger(fleet, record, **fields))
    assert verdict.record.verdict is Verdict.WORSE
    assert verdict.undo is None
    assert f"not taken back: {reason}" in verdict.record.detail


@pytest.mark.parametrize("origin", ["ada", COMPENSATION])
def test_what_a_person_did_or_what_undid_something_is_judged_but_not_undone(make, fleet, origin):
    verdict = judged(make, fleet, due(make, returned(fleet), origin=origin), in_region(make, fleet, "eu-west", bad=0.7))
    assert verdict.record.verdict is Verdict.WORSE
    assert verdict.undo is None


def test_scaling_in_that_hurts_is_answered_with_a_replica(make, fleet):
    record = due(make, scale_in(fleet.replica("eu-west-a-0")), Measure(4, 1000, 4, 1000))
    verdict = judged(make, fleet, record, in_region(make, fleet, "eu-west", bad=0.7))
    assert verdict.undo.action.kind is ActionKind.SCALE_OUT


def test_relief_is_not_blamed_for_demand_that_grew_meanwhile(make, fleet):
    action = switch_profile(fleet, "eu-west", LIGHT_INT8.id, make.policy)
    special = in_region(make, fleet, "eu-west", bad=0.7)
    grown = judged(make, fleet, due(make, action, Measure(10, 100, 1, 100)), special)
    assert grown.record.verdict is Verdict.NO_EFFECT
    light = make.grid(profile=LIGHT_INT8.id)
    steady = judged(make, light, due(make, action, Measure(96, 960, 1, 960)), special)
    assert steady.record.verdict is Verdict.WORSE
    assert steady.undo.action.after == action.before


def test_one_more_replica_never_made_things_worse(make, fleet):
    record = due(make, scale_out(fleet, "eu-west", make.policy), Measure(96, 960, 1, 960))
    assert judged(make, fleet, record, in_region(make, fleet, "eu-west", bad=0.7)).record.verdict is Verdict.NO_EFFECT


def test_a_relief_is_not_judged_by_the_backlog_it_found(make, fleet):
    policy = replace(make.policy, settle_s=20.0)
    window_s = policy.settle_s + policy.verify_s + policy.block_s + 1
    record = make.record(switch_profile(fleet, "eu-west", LIGHT_INT8.id, policy), Stage.VERIFYING, window_s)
    before = Measure(154, 960, 1, 960)
    record = replace(record, expectation=replace(record.expectation, before=before))
    backlog = total(make.tally(bad=1.0) for _ in fleet.replicas("eu-west"))
    signals = make.signals(fleet, count=10)

    def judged_with(bad_until_unix_s):
        blocks = tuple(
            replace(block, regions={**block.regions, "eu-west": backlog})
            if block.start_unix_s < bad_until_unix_s
            else block
            for block in signals.blocks
        )
        situation = make.situation(fleet, signals=replace(signals, blocks=blocks), policy=policy)
        return verify(record, BUDGET, situation, AUTHOR).record.verdict

    assert judged_with(record.stage_unix_s + policy.settle_s) is Verdict.IMPROVED
    assert judged_with(record.stage_unix_s + 1000.0) is not Verdict.IMPROVED


def test_regions_relieved_at_the_same_moment_do_not_hide_the_relief(make, fleet):
    west, east = (switch_profile(fleet, region, LIGHT_INT8.id, make.policy) for region in ("eu-west", "us-east"))
    record = due(make, west, Measure(900, 1000, 900, 1000))
    both_half_well = {replica.id: make.tally(bad=0.2) for replica in fleet.replicas()}
    alone = judged(make, fleet, record, both_half_well)
    assert alone.record.verdict is Verdict.NO_EFFECT
    other = replace(due(make, east), id="a2")
    together = judged(make, fleet, record, both_half_well, ledger=make.ledger(fleet, record, other))
    assert together.record.verdict is Verdict.IMPROVED


# ── several objectives ────────────────────────────────────────────────────────────────────────────────────────────────────
TIGHT, LOOSE, EASY = "first-audio", "whole-answer", "long-text"
BUDGETS = {TIGHT: 0.05, LOOSE: 0.2, EASY: 0.2}


def three(make, **bad):
    counts = {slo: (40 * (1 - bad.get(slo, 0.0)), 40 * bad.get(slo, 0.0)) for slo in BUDGETS}
    return make.tally(slos=counts)


def judged_by_three(make, fleet, action, before, after):
    """The verdict on an action that began when `before` was measured, and was watched while `after` was."""
    everywhere = dict.fromkeys((replica.id for replica in fleet.replicas("eu-west")), before)
    then = make.situation(fleet, signals=make.signals(fleet, everywhere), budgets=BUDGETS)
    record = begin(Plan(action, "It is slow."), then, AUTHOR, 1)
    age_s = make.policy.settle_s + make.policy.verify_s + make.policy.block_s + 1
    record = make.record(action, Stage.VERIFYING, age_s, expectation=record.expectation)
    return judged(make, fleet, record, dict.fromkeys(everywhere, after), budgets=BUDGETS).record


def test_an_objective_that_stays_broken_is_not_hidden_by_others_that_are_well(make, fleet):
    action = switch_profile(fleet, "eu-west", LIGHT_INT8.id, make.policy)
    broken = three(make, **{TIGHT: 0.12})
    record = judged_by_three(make, fleet, action, broken, broken)
    assert record.expectation.slo == TIGHT
    assert record.verdict is Verdict.NO_EFFECT, "4 % of all events are bad, but 12 % of those that this is about"


def test_an_objective_is_judged_by_its_own_budget(make, fleet):
    action = switch_profile(fleet, "eu-west", LIGHT_INT8.id, make.policy)
    record = judged_by_three(make, fleet, action, three(make, **{LOOSE: 0.9}), three(make, **{LOOSE: 0.19}))
    assert record.expectation.slo == LOOSE
    assert record.verdict is Verdict.IMPROVED
    assert "bad requests were 90.0%, are 19.0%" in record.detail


def test_where_nothing_was_wrong_before_the_worst_objective_afterwards_counts(make, fleet):
    record = judged_by_three(make, fleet, returned(fleet), three(make), three(make, **{EASY: 0.9}))
    assert record.verdict is Verdict.WORSE


def test_without_traffic_nothing_is_claimed(make, fleet):
    record = due(make, make.restart())
    verdict = verify(record, BUDGET, make.situation(fleet, signals=Signals()), AUTHOR)
    assert verdict.record.verdict is Verdict.INCONCLUSIVE
    assert verdict.record.detail == "no traffic to judge by"
