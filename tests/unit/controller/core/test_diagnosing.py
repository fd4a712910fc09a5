"""Peers tell a device from a region, and both from overload."""

from dataclasses import replace

import pytest

from contracts.vocabulary import LIGHT_INT8
from controller.core.actions import ActionKind, Shift, Stage, Verdict
from controller.core.detection import Alarm, Detected, Saturated, Series
from controller.core.diagnosis import Case, diagnose
from controller.core.findings import Cause
from controller.core.fleet import home_traffic
from controller.core.traffic import with_row


@pytest.fixture
def fleet(make):
    return make.grid()


def alarm(make, place="eu-west", since=0.0):
    return Detected(
        alarms=(Alarm(Series(make.slo.id, place, is_region=place in {"eu-west", "us-east"}), make.now + since),)
    )


def causes(make, fleet, special, detected=None, ledger=None):
    case = Case(make.now, fleet, make.signals(fleet, special), ledger or make.ledger(fleet), (make.slo,), make.policy)
    return [(finding.cause, finding.subject) for finding in diagnose(case, detected or alarm(make))]


def in_region(fleet, region, tally):
    return {replica.id: tally for replica in fleet.replicas(region)}


def test_one_replica_that_works_more_slowly_than_its_peers_is_the_replica(make, fleet):
    special = {"eu-west-a-0": make.tally(bad=0.8, rtf=0.4)}
    assert causes(make, fleet, special) == [(Cause.REPLICA_SLOW, "eu-west-a-0")]


def test_an_alarm_of_a_replica_leads_to_the_same(make, fleet):
    special = {"eu-west-a-0": make.tally(bad=0.8, rtf=0.4)}
    assert causes(make, fleet, special, alarm(make, "eu-west-a-0")) == [(Cause.REPLICA_SLOW, "eu-west-a-0")]


def test_one_replica_that_fails_at_its_usual_pace_is_the_replica_too(make, fleet):
    special = {"eu-west-a-0": make.tally(bad=0.5)}
    assert causes(make, fleet, special) == [(Cause.REPLICA_SLOW, "eu-west-a-0")]


def test_a_replica_whose_queue_is_longer_than_its_peers_is_not_sick(make, fleet):
    special = {"eu-west-a-0": make.tally(bad=0.5, queue_s=40.0)}
    assert (Cause.REPLICA_SLOW, "eu-west-a-0") not in causes(make, fleet, special)


def test_a_whole_region_that_works_more_slowly_is_the_region(make, fleet):
    special = in_region(fleet, "eu-west", make.tally(bad=0.8, rtf=0.3))
    assert causes(make, fleet, special) == [(Cause.REGION_SLOW, "eu-west")]


def test_waiting_at_the_usual_pace_is_overload(make, fleet):
    special = in_region(fleet, "eu-west", make.tally(bad=0.8, queue_s=20.0))
    assert causes(make, fleet, special) == [(Cause.OVERLOAD, "eu-west")]


def test_refusals_everywhere_are_overload_everywhere(make, fleet):
    busy = make.tally(bad=0.4, rejected=30.0)
    special = in_region(fleet, "eu-west", busy) | in_region(fleet, "us-east", busy)
    detected = Detected(saturated=(Saturated("eu-west", make.now, 0.4), Saturated("us-east", make.now, 0.4)))
    assert causes(make, fleet, special, detected) == [(Cause.OVERLOAD, "eu-west"), (Cause.OVERLOAD, "us-east")]


def test_half_of_the_replicas_being_slow_can_still_be_told_but_more_is_the_region(make, fleet):
    slow = make.tally(bad=0.8, rtf=0.4)
    names = [replica.id for replica in fleet.replicas("eu-west")]
    assert causes(make, fleet, dict.fromkeys(names[:3], slow)) == [(Cause.REGION_SLOW, "eu-west")]


def test_two_slow_ones_of_three_are_no_exception_but_the_region(make):
    fleet = make.grid(hosts=3, each=1)
    special = dict.fromkeys(("eu-west-a-0", "eu-west-b-0"), make.tally(bad=0.8, rtf=0.4))
    assert causes(make, fleet, special) == [(Cause.REGION_SLOW, "eu-west")]


def test_one_region_that_fails_while_others_keep_their_objective_is_the_region(make, fleet):
    special = in_region(fleet, "eu-west", make.tally(bad=0.3))
    assert causes(make, fleet, special) == [(Cause.REGION_SLOW, "eu-west")]


def test_what_nothing_singles_out_is_said_to_be_unexplained(make):
    fleet = make.grid(regions=("eu-west",))
    special = in_region(fleet, "eu-west", make.tally(bad=0.3))
    assert causes(make, fleet, special) == [(Cause.UNEXPLAINED, "eu-west")]


def test_another_profile_is_no_peer(make, fleet):
    fleet = make.changed(fleet, "eu-west-a-0", profile=LIGHT_INT8.id)
    special = {"eu-west-a-0": make.tally(bad=0.1, rtf=0.02)}
    assert all(cause is not Cause.REPLICA_SLOW for cause, _ in causes(make, fleet, special))


def test_a_replica_that_just_restarted_is_not_judged_by_its_former_life(make, fleet):
    fleet = make.changed(fleet, "eu-west-a-0", state_age_s=5.0)
    special = {"eu-west-a-0": make.tally(bad=0.8, rtf=0.4)}
    assert (Cause.REPLICA_SLOW, "eu-west-a-0") not in causes(make, fleet, special)


def test_while_most_cannot_be_compared_yet_nothing_is_concluded(make, fleet):
    special = in_region(fleet, "eu-west", make.tally(bad=0.8, rtf=0.3, span_s=3.0))
    assert causes(make, fleet, special) == []


def test_a_region_that_nobody_asks_for_anything_shows_nothing(make, fleet):
    assert causes(make, fleet, in_region(fleet, "eu-west", make.tally(rps=0.0))) == []


def shifted_here(make, fleet, age_s):
    before = home_traffic(fleet.regions)
    after = with_row(before, "us-east", {"us-east": 0.2, "eu-west": 0.8})
    return make.record(Shift("us-east", before, after), Stage.CLOSED, age_s, verdict=Verdict.NO_EFFECT)


def test_trouble_right_after_our_own_step_is_blamed_on_it(make, fleet):
    ledger = make.ledger(fleet, shifted_here(make, fleet, 60.0))
    special = in_region(fleet, "eu-west", make.tally(bad=0.8, queue_s=20.0))
    assert causes(make, fleet, special, alarm(make, since=-30.0), ledger) == [(Cause.BAD_CHANGE, "a1")]


@pytest.mark.parametrize("since", [-90.0, 0.0])
def test_trouble_before_our_step_or_long_after_it_is_not(make, fleet, since):
    ledger = make.ledger(fleet, shifted_here(make, fleet, 60.0 if since < 0 else 400.0))
    special = in_region(fleet, "eu-west", make.tally(bad=0.8, queue_s=20.0))
    assert causes(make, fleet, special, alarm(make, since=since), ledger) == [(Cause.OVERLOAD, "eu-west")]


def test_a_later_action_takes_the_suspicion_off_an_earlier_one(make, fleet):
    shift = shifted_here(make, fleet, 60.0)
    back = replace(
        shift,
        id="a2",
        action=Shift("us-east", shift.action.after, shift.action.before, ActionKind.RETURN_TRAFFIC),
        intended_unix_s=make.now - 20,
    )
    special = in_region(fleet, "eu-west", make.tally(bad=0.8, queue_s=20.0))
    found = causes(make, fleet, special, alarm(make, since=-30.0), make.ledger(fleet, shift, back))
    assert found == [(Cause.OVERLOAD, "eu-west")]


def test_findings_carry_the_numbers_and_the_peers(make, fleet):
    special = {"eu-west-a-0": make.tally(bad=0.8, rtf=0.4)}
    case = Case(make.now, fleet, make.signals(fleet, special), make.ledger(fleet), (make.slo,), make.policy)
    (finding,) = diagnose(case, alarm(make))
    assert dict(finding.evidence) == {
        "rtf": "0.400",
        "peers_rtf": "0.100",
        "bad_ratio": "0.800",
        "peers_bad_ratio": "0.000",
        "peers": "3",
    }
