"""The rungs for unfit hardware: capacity elsewhere, drain, reset, reboot; and the words when none is left."""

from dataclasses import replace

import pytest

from contracts.vocabulary import GpuAction, OrderKind, ReplicaState
from controller.core.actions import ActionKind, RebootHost, ResetGpu, Stage, Verdict
from controller.core.decision import Act, Agreed, Author, Hold, Refused, decide
from controller.core.findings import Cause, Finding
from controller.core.fleet import Fleet
from controller.core.plans import reset_gpu, scale_out
from controller.core.refusals import (
    BelowConfigured,
    GpuUnfit,
    InUse,
    NeedsInspection,
    NeedsPerson,
    NoRemedy,
    NotPermitted,
    OnProbation,
    Widespread,
)
from controller.core.story import OperatorIntent

AUTHOR = Author(epoch=3, tick_id="t")
RESET, REBOOT, DRAIN = GpuAction.RESET_GPU, GpuAction.REBOOT_HOST, GpuAction.DRAIN_GPU
GPU = "GPU-eu-west-a-0"


def of_gpu(make):
    return Finding(Cause.GPU_UNFIT, GPU, "eu-west", make.now - 30, "The GPU is unfit.", ())


def of_host(make):
    return Finding(Cause.HOST_UNFIT, "eu-west-a", "eu-west", make.now - 30, "The host is unfit.", ())


def decided(make, fleet, *findings, ledger=None, **policy):
    """Both policies permit everything unless told otherwise; the last trouble is too recent for anything to come home."""
    limits = {"replicas_min": 4, "gpu_reset_allowed": True, "host_reboot_allowed": True} | policy
    recent = dict.fromkeys(fleet.regions, make.now)
    policy = replace(make.policy, **limits)
    situation = make.situation(fleet, ledger, findings=findings, policy=policy, troubled_unix_s=recent)
    return decide(situation, AUTHOR)


def only(decisions):
    (decision,) = decisions
    return decision.record.action if isinstance(decision, Act) else decision.refusal


def stopped(fleet, *names):
    """The same fleet after these replicas went."""
    hosts = (replace(host, replicas=tuple(r for r in host.replicas if r.id not in names)) for host in fleet.hosts)
    return Fleet(tuple(hosts))


def slotless(fleet, *hosts):
    return Fleet(tuple(replace(h, free_slots=()) if not hosts or h.id in hosts else h for h in fleet.hosts))


def tried(make, action, verdict, number=0):
    record = make.record(action, Stage.CLOSED, 4000.0 - number, verdict=verdict, id=f"m{number}")
    return replace(record, order_keys=(f"m{number}:x",))


@pytest.fixture
def drained(make):
    """GPU 0 of eu-west-a needs a reset, and nothing runs there; the region has what it needs."""
    fleet = make.gpu_grid(make.gpu("eu-west-a-0", RESET), hosts=3)
    return stopped(fleet, "eu-west-a-0")


def test_capacity_comes_first(make):
    action = only(decided(make, make.gpu_grid(make.gpu("eu-west-a-0", RESET)), of_gpu(make)))
    assert (action.kind, action.region) == (ActionKind.SCALE_OUT, "eu-west")


def test_where_there_is_enough_the_gpu_is_drained_at_once(make):
    action = only(decided(make, make.gpu_grid(make.gpu("eu-west-a-0", RESET)), of_gpu(make), replicas_min=3))
    assert (action.kind, action.replica, action.graceful) == (ActionKind.SCALE_IN, "eu-west-a-0", True)


def test_what_hangs_on_it_is_stopped_without_a_drain(make):
    fleet = make.gpu_grid(make.gpu("eu-west-a-0", REBOOT, reason="lost"), hosts=3)
    fleet = make.changed(fleet, "eu-west-a-0", state=ReplicaState.HUNG, withheld="lost")
    action = only(decided(make, fleet, of_host(make)))
    assert (action.kind, action.replica, action.graceful) == (ActionKind.SCALE_IN, "eu-west-a-0", False)


def test_what_ended_is_left_to_its_agent(make, drained):
    crashed = make.replica("eu-west-a-0", ReplicaState.CRASHED, gpus=(GPU,), withheld="lost")
    fleet = Fleet(
        tuple(replace(h, replicas=(crashed, *h.replicas)) if h.id == "eu-west-a" else h for h in drained.hosts)
    )
    assert only(decided(make, fleet, of_gpu(make))) == reset_gpu(*fleet.gpu(GPU))


def test_an_empty_gpu_is_reset(make, drained):
    action = only(decided(make, drained, of_gpu(make)))
    assert action == ResetGpu("eu-west-a", "eu-west", GPU, "eu-west-a GPU 0", "xid 48 on eu-west-a GPU 0")


def test_without_permission_a_person_is_told_what_to_do(make, drained):
    refusal = only(decided(make, drained, of_gpu(make), gpu_reset_allowed=False))
    assert isinstance(refusal, NotPermitted)
    assert str(refusal) == (
        "xid 48 on eu-west-a GPU 0: needs a reset of the GPU; not permitted here "
        "(the controller's policy: gpu_reset_allowed)"
    )
    strict = Fleet(tuple(replace(h, machine_orders=frozenset({OrderKind.REBOOT_HOST})) for h in drained.hosts))
    assert "the agent's policy on eu-west-a" in str(only(decided(make, strict, of_gpu(make))))


def test_a_gpu_that_can_only_be_drained_waits_for_a_person(make):
    fleet = stopped(make.gpu_grid(make.gpu("eu-west-a-0", DRAIN), hosts=3), "eu-west-a-0")
    assert isinstance(only(decided(make, fleet, of_gpu(make))), NeedsPerson)


def test_no_capacity_no_drain(make):
    fleet = slotless(make.gpu_grid(make.gpu("eu-west-a-0", RESET)))
    assert isinstance(only(decided(make, fleet, of_gpu(make))), BelowConfigured)


def test_a_gpu_that_is_merely_unseen_costs_nobody_who_serves(make):
    fleet = make.gpu_grid(make.gpu("eu-west-a-0", reason="stale"), hosts=3)
    refusal = only(decided(make, fleet, of_gpu(make)))
    assert isinstance(refusal, NeedsPerson)
    assert "what serves there is left alone" in str(refusal)
    hung = make.changed(fleet, "eu-west-a-0", state=ReplicaState.HUNG)
    assert only(decided(make, hung, of_gpu(make))).kind is ActionKind.SCALE_IN


def test_one_that_is_starting_on_it_is_believed_too(make):
    fleet = make.gpu_grid(make.gpu("eu-west-a-0", reason="stale"), hosts=3)
    starting = make.changed(fleet, "eu-west-a-0", state=ReplicaState.STARTING)
    assert isinstance(only(decided(make, starting, of_gpu(make))), NeedsPerson)


def everywhere(make, region="eu-west", **fields):
    """All but one of the GPUs of a region, on both of its hosts."""
    return make.gpu_grid(*(make.gpu(f"{region}-{name}", **fields) for name in ("a-0", "a-1", "b-0")))


@pytest.mark.parametrize("fields", [{"action": RESET}, {"action": REBOOT}, {"action": DRAIN}, {"reason": "stale"}])
def test_what_most_gpus_of_a_region_have_at_once_is_not_theirs(make, fields):
    fleet = everywhere(make, **fields)
    refusal = only(decided(make, fleet, of_gpu(make), replicas_min=1))
    assert isinstance(refusal, Widespread)
    assert str(refusal).startswith("3 of 4 GPUs of eu-west are unfit at once")
    empty = stopped(slotless(fleet), "eu-west-a-0", "eu-west-a-1")
    assert isinstance(only(decided(make, empty, of_gpu(make), replicas_min=1)), Widespread), "nothing is reset either"


def test_half_of_a_region_or_all_of_one_host_may_well_be_broken(make):
    for names in (("a-0", "b-0"), ("a-0", "a-1")):
        fleet = make.gpu_grid(*(make.gpu(f"eu-west-{name}", RESET) for name in names))
        assert only(decided(make, fleet, of_gpu(make), replicas_min=1)).kind is ActionKind.SCALE_IN
    elsewhere = everywhere(make, "us-east", action=RESET)
    assert only(decided(make, elsewhere, of_gpu(make))).__class__ is not Widespread


def test_what_every_finding_asks_is_worked_out_once(make):
    situation = make.situation(everywhere(make, action=RESET))
    assert situation.shunned is situation.shunned
    assert situation.widespread is situation.widespread
    later = situation.with_ledger(make.ledger(situation.fleet, make.record(reset_gpu(*situation.fleet.gpu(GPU)))))
    assert later.shunned != situation.shunned, "and anew when something was begun"


def test_what_our_own_reset_hides_is_not_counted(make):
    fleet = everywhere(make, action=RESET)
    ledger = make.ledger(fleet, make.record(reset_gpu(*fleet.gpu("GPU-eu-west-b-0")), Stage.ORDERED))
    assert only(decided(make, fleet, of_gpu(make), ledger=ledger, replicas_min=1)).kind is ActionKind.SCALE_IN


def test_on_probation_nothing_is_done(make):
    assert isinstance(only(decided(make, make.gpu_grid(hosts=3), of_gpu(make))), OnProbation)


def test_a_reset_that_could_not_be_judged_is_no_reason_for_a_reboot(make, drained):
    unclear = tried(make, reset_gpu(*drained.gpu(GPU)), Verdict.INCONCLUSIVE)
    action = only(decided(make, drained, of_gpu(make), ledger=make.ledger(drained, unclear)))
    assert action.kind is ActionKind.RESET_GPU


@pytest.mark.parametrize("verdicts", [[Verdict.NO_EFFECT], [Verdict.IMPROVED, Verdict.IMPROVED]])
def test_after_useless_or_all_resets_the_host_is_emptied_and_rebooted(make, drained, verdicts):
    reset = reset_gpu(*drained.gpu(GPU))
    records = [tried(make, reset, verdict, number) for number, verdict in enumerate(verdicts)]
    action = only(decided(make, drained, of_gpu(make), ledger=make.ledger(drained, *records)))
    assert (action.kind, action.replica) == (ActionKind.SCALE_IN, "eu-west-a-1")
    empty = stopped(drained, "eu-west-a-1")
    action = only(decided(make, empty, of_gpu(make), ledger=make.ledger(empty, *records)))
    assert action == RebootHost("eu-west-a", "eu-west", "boot-1", "xid 48 on eu-west-a GPU 0")


def test_a_reset_that_was_refused_is_no_reason_for_a_reboot(make, drained):
    refused = tried(make, reset_gpu(*drained.gpu(GPU)), Verdict.FAILED)
    assert only(decided(make, drained, of_gpu(make), ledger=make.ledger(drained, refused))).kind is ActionKind.RESET_GPU


def test_a_host_is_emptied_only_for_a_reboot_that_may_happen(make):
    fleet = stopped(make.gpu_grid(make.gpu("eu-west-a-0", REBOOT), hosts=3), "eu-west-a-0")
    assert only(decided(make, fleet, of_host(make))).kind is ActionKind.SCALE_IN
    assert isinstance(only(decided(make, fleet, of_host(make), host_reboot_allowed=False)), NotPermitted)
    rebooted = tried(make, RebootHost("eu-west-a", "eu-west", "boot-0", "xid 79"), Verdict.IMPROVED)
    refusal = only(decided(make, fleet, of_host(make), ledger=make.ledger(fleet, rebooted)))
    assert isinstance(refusal, NeedsInspection)
    full = slotless(make.gpu_grid(make.gpu("eu-west-a-0", REBOOT), hosts=2), "eu-west-b")
    assert isinstance(only(decided(make, stopped(full, "eu-west-a-0"), of_host(make), replicas_min=3)), InUse)


def test_a_host_that_must_be_drained_is_drained_whole(make):
    fleet = make.gpu_grid(make.gpu("eu-west-a-0", GpuAction.DRAIN_HOST), hosts=3)
    action = only(decided(make, stopped(fleet, "eu-west-a-0"), of_host(make)))
    assert (action.kind, action.replica) == (ActionKind.SCALE_IN, "eu-west-a-1")


def test_nothing_new_is_started_where_it_would_have_to_go_again(make):
    fleet = make.gpu_grid(make.gpu("eu-west-a-0", REBOOT), hosts=3)
    roomy = Fleet(tuple(replace(h, free_slots=("x-8", "x-9")) if h.id == "eu-west-a" else h for h in fleet.hosts))
    action = only(decided(make, roomy, of_host(make), replicas_min=6))
    assert action.kind is ActionKind.SCALE_OUT
    assert action.host != "eu-west-a"


def test_a_withheld_replica_is_never_restarted(make):
    fleet = make.changed(make.gpu_grid(hosts=3), "eu-west-a-0", state=ReplicaState.CRASHED, withheld="GPU-x: lost")
    down = Finding(Cause.REPLICA_DOWN, "eu-west-a-0", "eu-west", make.now - 30, "It is down.", ())
    assert isinstance(only(decided(make, fleet, down)), GpuUnfit)


def test_while_anything_is_done_on_its_host_a_finding_waits(make, drained):
    ledger = make.ledger(drained, make.record(reset_gpu(*drained.gpu(GPU)), Stage.VERIFYING))
    assert decided(make, drained, of_gpu(make), ledger=ledger) == ()


def test_a_slowed_gpu_is_left_for_another_and_not_restarted(make):
    fleet = make.gpu_grid(make.gpu("eu-west-a-0", slowed=True))
    slow = Finding(Cause.GPU_SLOWED, "eu-west-a-0", "eu-west", make.now - 30, "It is hot.", ())
    action = only(decided(make, fleet, slow))
    assert (action.kind, action.host) == (ActionKind.SCALE_OUT, "eu-west-b")
    assert only(decided(make, fleet, slow, replicas_min=3)).kind is ActionKind.SCALE_IN


def test_a_region_with_unfit_hardware_still_helps_others(make):
    fleet = make.gpu_grid(make.gpu("us-east-a-0", DRAIN), hosts=3)
    unfit = Finding(Cause.GPU_UNFIT, "GPU-us-east-a-0", "us-east", make.now - 30, "The GPU is unfit.", ())
    slow = Finding(Cause.REGION_SLOW, "eu-west", "eu-west", make.now - 30, "It is slow.", ())
    kinds = [d.record.action.kind for d in decided(make, fleet, unfit, slow) if isinstance(d, Act)]
    assert ActionKind.SHIFT in kinds
    assert not any(isinstance(d, Hold) for d in decided(make, fleet, slow))


# ── operators ─────────────────────────────────────────────────────────────────────────────────────────────────────────
def asked(make, fleet, verb, ledger=None, allowed=True, **arguments):
    intent = OperatorIntent("i1", make.now, "ada", verb, tuple(arguments.items()))
    policy = replace(make.policy, gpu_reset_allowed=allowed, host_reboot_allowed=allowed)
    decision, *_ = decide(make.situation(fleet, ledger, intents=(intent,), policy=policy), AUTHOR)
    return decision.change.action if isinstance(decision, Agreed) else decision.refusal


@pytest.mark.parametrize("gpu", ["0", GPU], ids=["by index", "by uuid"])
def test_an_operator_names_a_gpu_either_way(make, drained, gpu):
    assert asked(make, drained, "reset_gpu", host="eu-west-a", gpu=gpu).gpu == GPU


def test_an_operator_reboots_an_empty_host(make, drained):
    assert isinstance(asked(make, drained, "reboot_host", host="eu-west-a"), InUse)
    empty = stopped(drained, "eu-west-a-1")
    assert asked(make, empty, "reboot_host", host="eu-west-a").boot_id == "boot-1"
    assert isinstance(asked(make, empty, "reboot_host", allowed=False, host="eu-west-a"), NotPermitted)


@pytest.mark.parametrize(
    ("verb", "arguments"),
    [("reset_gpu", {"host": "eu-west-a", "gpu": "9"}), ("reset_gpu", {"host": "x"}), ("reboot_host", {"host": "x"})],
)
def test_what_is_not_there_is_refused_by_name(make, drained, verb, arguments):
    assert isinstance(asked(make, drained, verb, **arguments), NoRemedy)


def test_a_start_prefers_hosts_at_full_speed(make):
    fleet = make.gpu_grid(make.gpu("eu-west-b-0", slowed=True))
    assert scale_out(fleet, "eu-west", make.policy).host == "eu-west-a"
    assert scale_out(make.gpu_grid(), "eu-west", make.policy).host == "eu-west-b"
    dead = make.gpu_grid(*(make.gpu(f"eu-west-b-{n}", RESET) for n in (0, 1)))
    assert scale_out(dead, "eu-west", make.policy).host == "eu-west-a"
    assert scale_out(dead, "eu-west", make.policy, frozenset({"eu-west-a"})) is None


def test_refused_is_a_decision(make, drained):
    intent = OperatorIntent("i1", make.now, "ada", "reboot_host", (("host", "eu-west-a"),))
    (decision, *_) = decide(make.situation(drained, intents=(intent,)), AUTHOR)
    assert isinstance(decision, Refused)
