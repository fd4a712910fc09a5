"""Where the loop can do nothing more, told from where it merely waits."""

from dataclasses import replace
from typing import get_args

import pytest

from contracts.vocabulary import GpuAction, ReplicaState
from controller.core import refusals
from controller.core.actions import Stage, Verdict
from controller.core.decision import Author, Hold, decide
from controller.core.detection import Alarm, Series
from controller.core.findings import Cause, Finding
from controller.core.helplessness import Helpless, HelplessReason, Standing, where_helpless

EU, US = "eu-west", "us-east"
HOURS_AGO_S = 2 * 3_600.0


@pytest.fixture
def fleet(make):
    return make.grid()


def hold(make, refusal, cause=Cause.OVERLOAD, subject=EU):
    return Hold(Finding(cause, subject, EU, make.now - 30, "Something is wrong.", ()), refusal, ())


def alarm(make, place=EU, slo="first-audio", *, is_region=True):
    return Alarm(Series(slo, place, is_region), make.now - 30)


def found(make, fleet, *holds, alarms=(), actions=()):
    return where_helpless(holds, alarms, Standing(make.now, fleet, actions, make.policy))


REASONS = {
    refusals.Paused(): HelplessReason.PAUSED,
    refusals.StaleSignals("a", "old"): HelplessReason.NO_DATA,
    refusals.BelowNeededCapacity(EU, 1, 2): HelplessReason.NO_CAPACITY,
    refusals.BelowConfigured(EU, 4): HelplessReason.NO_CAPACITY,
    refusals.LastRoutableReplica("eu-west-a-0"): HelplessReason.NO_CAPACITY,
    refusals.NoSpareCapacity(EU, 0.9, 0.8): HelplessReason.NO_CAPACITY,
    refusals.NoFreeSlot(EU): HelplessReason.NO_CAPACITY,
    refusals.AttemptsExhausted("eu-west-a-0", 4): HelplessReason.BUDGET_SPENT,
    refusals.CorrelatedFailure(5): HelplessReason.NOTHING_HELPED,
    refusals.NoRemedy("no remedy is left"): HelplessReason.NO_REMEDY,
    refusals.GpuUnfit("eu-west-a-0", "xid 79"): HelplessReason.NEEDS_PERSON,
    refusals.HostUnfit("eu-west-a"): HelplessReason.NEEDS_PERSON,
    refusals.NotPermitted("xid 79", "a reset", "the policy"): HelplessReason.NEEDS_PERSON,
    refusals.InUse("GPU 0", ("eu-west-a-0",)): HelplessReason.NEEDS_PERSON,
    refusals.NeedsInspection("xid 79", "a reset"): HelplessReason.NEEDS_PERSON,
    refusals.NeedsPerson("xid 79", "look"): HelplessReason.NEEDS_PERSON,
    refusals.Widespread(EU, 3, 4): HelplessReason.NEEDS_PERSON,
}
WAITING = (
    refusals.Cooldown(EU, 20.0),
    refusals.HostBusy("eu-west-a", "a1"),
    refusals.RegionBudget(EU, 1, 1),
    refusals.RegionBusy(EU, "a1"),
    refusals.TargetChanged("eu-west-a-0"),
    refusals.OnProbation(60.0),
)


def test_every_sort_of_refusal_is_in_one_of_the_two_tables():
    assert {type(each) for each in (*REASONS, *WAITING)} == set(get_args(refusals.Refusal))


@pytest.mark.parametrize("refusal", REASONS, ids=lambda refusal: type(refusal).__name__)
def test_what_no_time_lifts_has_a_reason(make, fleet, refusal):
    assert found(make, fleet, hold(make, refusal), alarms=[alarm(make)]) == (
        Helpless(EU, REASONS[refusal], "first-audio"),
    )


@pytest.mark.parametrize("refusal", WAITING, ids=lambda refusal: type(refusal).__name__)
def test_what_time_lifts_is_no_helplessness(make, fleet, refusal):
    assert found(make, fleet, hold(make, refusal), alarms=[alarm(make)]) == ()


def test_nothing_is_said_without_a_hold(make, fleet):
    assert found(make, fleet, alarms=[alarm(make)]) == ()


def test_every_objective_beyond_its_budget_in_that_region_is_named_once(make, fleet):
    alarms = [
        alarm(make),
        alarm(make, "eu-west-a-0", is_region=False),
        alarm(make, "eu-west-b-1", "total", is_region=False),
        alarm(make, US, "of-another-region"),
        alarm(make, "gone-0", "of-nobody", is_region=False),
    ]
    helpless = found(make, fleet, hold(make, refusals.NoFreeSlot(EU)), alarms=alarms)
    assert [each.slo for each in helpless] == ["first-audio", "total"]


def test_saturation_without_an_alarm_names_no_objective(make, fleet):
    assert found(make, fleet, hold(make, refusals.NoFreeSlot(EU))) == (Helpless(EU, HelplessReason.NO_CAPACITY, None),)


@pytest.mark.parametrize("cause", [Cause.REPLICA_DOWN, Cause.GPU_UNFIT, Cause.HOST_UNFIT])
def test_a_dead_replica_or_machine_names_no_objective_although_one_is_beyond_its_budget(make, fleet, cause):
    (helpless,) = found(make, fleet, hold(make, refusals.AttemptsExhausted("x", 4), cause), alarms=[alarm(make)])
    assert helpless == Helpless(EU, HelplessReason.BUDGET_SPENT, None)


def test_a_silent_host_asks_for_nothing(make, fleet):
    assert found(make, fleet, hold(make, refusals.NoRemedy("enough is left"), Cause.HOST_SILENT)) == ()


def test_while_something_is_tried_in_the_region_it_is_not_helpless(make, fleet):
    held = hold(make, refusals.NoRemedy("none"))
    trying = make.record(stage=Stage.VERIFYING)
    assert found(make, fleet, held, actions=(trying,)) == ()
    elsewhere = make.record(make.restart("us-east-a-0"), Stage.VERIFYING)
    assert found(make, fleet, held, actions=(elsewhere,)) != ()


def test_what_was_tried_in_vain_lately_tells_nothing_helped_from_no_remedy(make, fleet):
    held = hold(make, refusals.NoRemedy("none"))

    def reason(verdict, age_s):
        closed = make.record(make.restart(), Stage.CLOSED, age_s, verdict=verdict)
        return found(make, fleet, held, actions=(closed,))[0].reason

    assert reason(Verdict.NO_EFFECT, 60.0) is HelplessReason.NOTHING_HELPED
    assert reason(Verdict.IMPROVED, 60.0) is HelplessReason.NO_REMEDY
    assert reason(Verdict.NO_EFFECT, HOURS_AGO_S) is HelplessReason.NO_REMEDY


def test_deciding_and_helplessness_agree_on_a_real_fleet(make):
    """Through `decide`, not through a hand-made hold: a GPU that nobody may reset."""
    unfit = make.gpu(action=GpuAction.RESET_GPU)
    fleet = make.changed(make.gpu_grid(unfit), "eu-west-a-0", state=ReplicaState.STOPPED)
    finding = Finding(Cause.GPU_UNFIT, unfit.uuid, EU, make.now - 30, "It is unfit.", ())
    situation = make.situation(fleet, findings=(finding,), policy=replace(make.policy, replicas_min=1))
    decisions = decide(situation, Author(3, "t"))
    assert found(make, fleet, *decisions) == (Helpless(EU, HelplessReason.NEEDS_PERSON, None),)
