"""Two reports condemn a GPU, a minute of fitness clears it, and a silent host is no news."""

from dataclasses import replace

import pytest

from contracts.vocabulary import GpuAction, ReplicaState
from controller.core.detection import DetectionState, Scene, detect
from controller.core.fitness import watch_gpus
from controller.core.fleet import Fleet
from controller.core.policy import Policy
from controller.core.signals import Signals

POLICY = Policy()
UNFIT = GpuAction.RESET_GPU


def look(make, *looks, touched=()):
    """What is found at each (second, action, report number, age of the report); instead of an action, why it is down."""
    found = []
    watches = {}
    for at_s, action, seq, age_s in looks:
        seen = {"action": action} if isinstance(action, GpuAction) else {"reason": action}
        fleet = make.gpu_grid(make.gpu("eu-west-a-0", **seen), regions=("eu-west",), hosts=1, each=1)
        fleet = Fleet(tuple(replace(host, seq=seq, report_age_s=age_s) for host in fleet.hosts))
        watches, unfit = watch_gpus(watches, fleet, touched, make.now + at_s, POLICY)
        found.append(unfit)
    return found


def test_one_report_is_no_proof_however_long_it_is_looked_at(make):
    assert look(make, (0, UNFIT, 1, 0), (5, UNFIT, 1, 5), (10, UNFIT, 1, 10)) == [(), (), ()]


def test_two_reports_in_a_moment_are_none_either(make):
    assert look(make, (0, UNFIT, 1, 0), (POLICY.gpu_unfit_s - 1, UNFIT, 2, 0)) == [(), ()]


def test_two_reports_apart_are_a_finding_dated_from_the_first(make):
    first, (unfit,) = look(make, (0, UNFIT, 1, 0), (5, UNFIT, 2, 0))
    assert first == ()
    assert (unfit.gpu.uuid, unfit.since_unix_s, unfit.fit_again_unix_s) == ("GPU-eu-west-a-0", make.now, None)


def test_what_is_fit_in_between_starts_anew(make):
    flicker = [(5 * n, UNFIT if n % 2 else GpuAction.NONE, n, 0) for n in range(8)]
    assert not any(look(make, *flicker))


def test_a_condemned_gpu_stays_a_finding_until_it_has_been_fit_for_a_while(make):
    good = GpuAction.NONE
    looks = [
        (0, UNFIT, 1, 0),
        (5, UNFIT, 2, 0),
        (10, good, 3, 0),
        (30, UNFIT, 4, 0),
        (40, good, 5, 0),
        (90, good, 6, 0),
    ]
    found = look(make, *looks, (40 + POLICY.gpu_fit_s, good, 7, 0))
    assert [bool(unfit) for unfit in found] == [False, True, True, True, True, True, False]
    assert [unfit[0].fit_again_unix_s for unfit in found[2:5]] == [make.now + 10, None, make.now + 40]


def test_one_that_merely_goes_unseen_is_given_as_long_as_an_agent_takes_to_start(make):
    looks = [(0, "stale", 1, 0), (POLICY.gpu_unseen_s - 1, "stale", 2, 0), (POLICY.gpu_unseen_s, "stale", 3, 0)]
    assert [bool(unfit) for unfit in look(make, *looks)] == [False, False, True]


def test_what_our_own_work_on_its_host_hides_stays_as_it_was(make):
    hidden = [(60 * n, "stale", n, 0) for n in range(4)]
    assert not any(look(make, *hidden, touched={"eu-west-a"}))
    assert any(look(make, *hidden, touched={"eu-west-b"}))
    told = [(0, UNFIT, 1, 0), (5, UNFIT, 2, 0)]
    assert [bool(unfit) for unfit in look(make, *told, touched={"eu-west-a"})] == [False, True]


def test_a_silent_host_says_nothing_and_is_not_forgotten(make):
    looks = [(0, UNFIT, 1, 0), (5, UNFIT, 2, 0), (60, UNFIT, 2, 55), (65, UNFIT, 3, 0)]
    assert [bool(unfit) for unfit in look(make, *looks)] == [False, True, False, True]


@pytest.mark.parametrize(
    ("gpu", "fit"),
    [
        ({}, True),
        ({"action": GpuAction.RESTART_REPLICA}, True),
        ({"action": GpuAction.DRAIN_GPU}, False),
        ({"action": GpuAction.REBOOT_HOST}, False),
        ({"reason": "lost"}, False),
    ],
)
def test_unfit_begins_with_draining_or_being_down(make, gpu, fit):
    assert make.gpu(**gpu).fit is fit


def test_heat_alone_is_not_unfit(make):
    assert make.gpu(slowed=True).fit


def test_a_replica_that_its_unfit_gpu_took_down_is_not_found_broken_itself(make):
    def broken(*unfit, state=None, touched=(), later_s=0, withheld=""):
        fleet = make.changed(
            make.gpu_grid(*unfit), "eu-west-a-0", state=ReplicaState.CRASHED, state_age_s=60.0, withheld=withheld
        )
        fleet = Fleet(tuple(replace(host, seq=later_s) for host in fleet.hosts))
        scene = Scene(make.now + later_s, fleet, Signals(), (), frozenset(touched))
        state, detected = detect(state or DetectionState(), scene, POLICY)
        return state, [found.replica.id for found in detected.broken]

    lost, unseen = make.gpu("eu-west-a-0", UNFIT, reason="lost"), make.gpu("eu-west-a-0", reason="stale")
    assert broken()[1] == ["eu-west-a-0"]
    assert broken(lost)[1] == []
    assert broken(make.gpu("eu-west-a-1", UNFIT))[1] == ["eu-west-a-0"]
    assert broken(unseen, touched={"eu-west-a"})[1] == [], "its agent starts it once the reset is over"
    assert broken(touched={"eu-west-a"}, withheld="reset_gpu is under way")[1] == []
    assert broken(withheld="somebody else's reset")[1] == ["eu-west-a-0"]
    state, down = broken(unseen)
    assert down == ["eu-west-a-0"], "nobody knows yet that it is the GPU"
    assert broken(unseen, state=state, later_s=60)[1] == []
