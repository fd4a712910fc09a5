"""A machine is ordered about only after one more look, and judged by what its agent reports."""

from dataclasses import replace

import pytest

from contracts.agent_api import Receipt
from contracts.vocabulary import GpuAction, OrderKind, ReceiptStatus, RefusalReason, ReplicaState
from controller.core.actions import Stage, Verdict
from controller.core.actuation import advance, cordons
from controller.core.decision import Author, begin
from controller.core.facts import Facts
from controller.core.fleet import Fleet
from controller.core.ledger import describe, regions_of, taken_from, target_of
from controller.core.plans import Plan, reboot_host, reset_gpu, scale_in
from controller.core.verification import verify

GPU = "GPU-eu-west-a-0"
AUTHOR = Author(epoch=7, tick_id="t")


def emptied(fleet):
    return Fleet(tuple(replace(h, replicas=()) if h.id == "eu-west-a" else h for h in fleet.hosts))


@pytest.fixture
def fleet(make):
    return emptied(make.gpu_grid(make.gpu("eu-west-a-0", GpuAction.RESET_GPU)))


@pytest.fixture
def cured(make):
    return emptied(make.gpu_grid())


@pytest.fixture
def go(make, fleet):
    """Advance a record under given facts."""

    def step(record, fleet=fleet, receipts=(), later_s=0.0):
        facts = Facts(make.now + later_s, 7, fleet, {r.key: r for r in receipts}, (), None, make.policy)
        return advance(record, facts)

    return step


def reset(make, fleet, stage=Stage.INTENDED, **fields):
    return make.record(reset_gpu(*fleet.gpu(GPU)), stage, **fields)


def reboot(make, fleet, stage=Stage.INTENDED, **fields):
    return make.record(reboot_host(fleet.host("eu-west-a"), "xid 79"), stage, **fields)


def ordered(make, record):
    key = f"a1:{target_of(record.action)}"
    deadline = {"stage_deadline_unix_s": make.now + 900}
    return replace(record, stage=Stage.ORDERED, order_keys=(key,), **deadline)


def answer(record, status, refusal=None, detail=""):
    return (Receipt(key=record.order_keys[0], epoch=7, status=status, refusal=refusal, detail=detail),)


def test_the_order_waits_for_a_report_that_is_newer_than_the_intent(make, fleet, go):
    looking = go(reset(make, fleet)).record
    assert looking.stage is Stage.DRAINING
    assert go(looking).orders == ()
    assert go(looking, later_s=0.5).record.stage is Stage.DRAINING, "the report is a second old"
    (issued,) = go(looking, later_s=5).orders
    assert (issued.host, issued.order.kind, issued.order.gpu) == ("eu-west-a", OrderKind.RESET_GPU, GPU)
    assert (issued.order.key, issued.order.replica, issued.order.generation) == (f"a1:{GPU}", None, 0)
    assert issued.order.not_after_unix_s == make.now + 5 + make.policy.order_ttl_s


def test_a_reboot_names_its_host(make, fleet, go):
    (issued,) = go(reboot(make, fleet, Stage.DRAINING), later_s=5).orders
    assert (issued.order.kind, issued.order.key, issued.order.gpu) == (OrderKind.REBOOT_HOST, "a1:eu-west-a", None)


def test_what_moved_in_meanwhile_ends_it(make, fleet, go):
    here = make.replica("eu-west-a-1", ReplicaState.STARTING, gpus=(GPU,))
    full = Fleet(tuple(replace(h, replicas=(here,)) if h.id == "eu-west-a" else h for h in fleet.hosts))
    for record in (reset(make, fleet, Stage.DRAINING), reboot(make, fleet, Stage.DRAINING)):
        progress = go(record, fleet=full, later_s=5)
        assert (progress.record.verdict, progress.orders) == (Verdict.FAILED, ())
        assert "eu-west-a-1 runs there again" in progress.record.detail


def test_what_another_hand_restarted_is_not_rebooted_again(make, fleet, go):
    booted = Fleet(tuple(replace(host, boot_id="boot-2") for host in fleet.hosts))
    assert "another hand" in go(reboot(make, fleet, Stage.DRAINING), fleet=booted, later_s=5).record.detail


def test_a_host_that_falls_silent_before_the_order_is_left_alone(make, fleet, go):
    silent = Fleet(tuple(replace(host, report_age_s=20.0) for host in fleet.hosts))
    record = reset(make, fleet, Stage.DRAINING)
    assert go(record, fleet=silent, later_s=5).record == record
    late = go(record, fleet=silent, later_s=31)
    assert (late.record.verdict, late.orders) == (Verdict.FAILED, ())


@pytest.mark.parametrize("status", [ReceiptStatus.DONE, ReceiptStatus.FAILED])
def test_a_reset_that_was_tried_is_judged_by_its_effect(make, fleet, go, status):
    record = ordered(make, reset(make, fleet))
    assert go(record).record.stage is Stage.ORDERED
    assert go(record, receipts=answer(record, ReceiptStatus.RUNNING)).record.stage is Stage.ORDERED
    assert go(record, receipts=answer(record, status)).record.stage is Stage.VERIFYING


def test_one_that_was_refused_never_happened(make, fleet, go):
    record = ordered(make, reset(make, fleet))
    refused = go(record, receipts=answer(record, ReceiptStatus.REFUSED, RefusalReason.GPU_IN_USE, "pid 7")).record
    assert (refused.verdict, refused.detail) == (Verdict.FAILED, "the agent answered refused: gpu_in_use, pid 7")
    assert refused.refused


def test_a_host_that_has_lost_its_memory_may_have_obeyed(make, fleet, go):
    record = ordered(make, reset(make, fleet))
    lost = go(record, receipts=answer(record, ReceiptStatus.REFUSED, RefusalReason.MEMORY_LOST)).record
    assert (lost.verdict, lost.refused) == (Verdict.FAILED, False)


def test_a_lost_answer_is_replaced_by_what_the_gpu_shows_once_the_order_is_void(make, fleet, cured, go):
    record = ordered(make, reset(make, fleet))
    assert go(record, fleet=cured, later_s=5).record.stage is Stage.ORDERED, "it may still be obeyed"
    void_s = 2 * make.policy.order_ttl_s + 2
    assert go(record, fleet=cured, later_s=void_s).record.stage is Stage.VERIFYING
    assert go(record, later_s=void_s).record.verdict is Verdict.FAILED


def test_a_reboot_is_done_when_the_host_reports_under_another_boot(make, fleet, go):
    record = ordered(make, reboot(make, fleet))
    booted = Fleet(tuple(replace(host, boot_id="boot-2") for host in fleet.hosts))
    away = Fleet(tuple(replace(host, report_age_s=100.0) for host in booted.hosts))
    assert go(record, receipts=answer(record, ReceiptStatus.DONE)).record.stage is Stage.ORDERED
    assert go(record, fleet=away, later_s=100).record.stage is Stage.ORDERED
    assert go(record, fleet=booted, receipts=answer(record, ReceiptStatus.DONE)).record.stage is Stage.VERIFYING
    assert go(record, fleet=booted).record.stage is Stage.ORDERED, (
        "its agent may have been started again, and have yet to obey"
    )
    void_s = 2 * make.policy.order_ttl_s + 2
    assert go(record, fleet=booted, later_s=void_s).record.stage is Stage.VERIFYING, "the answer is lost"
    lost = go(record, fleet=away, later_s=901).record
    assert lost.verdict is Verdict.FAILED
    assert "did not come back" in lost.detail


@pytest.mark.parametrize(
    ("status", "stage"), [(ReceiptStatus.RUNNING, Stage.ORDERED), (ReceiptStatus.FAILED, Stage.CLOSED)]
)
def test_an_agent_that_was_started_again_has_not_rebooted_its_host(make, fleet, go, status, stage):
    record = ordered(make, reboot(make, fleet))
    restarted = Fleet(tuple(replace(host, boot_id="boot-2") for host in fleet.hosts))
    assert go(record, fleet=restarted, receipts=answer(record, status), later_s=60).record.stage is stage


def test_a_reset_that_its_agent_calls_failed_is_not_called_done(make, fleet, go):
    record = ordered(make, reset(make, fleet))
    tried = go(record, receipts=answer(record, ReceiptStatus.FAILED, detail="rehearsal only")).record
    assert tried.detail == "its agent calls it failed: rehearsal only"


def test_what_serves_nobody_is_stopped_without_a_drain(make, go):
    fleet = make.changed(make.gpu_grid(), "eu-west-a-0", state=ReplicaState.HUNG)
    progress = go(make.record(scale_in(fleet.replica("eu-west-a-0")), Stage.INTENDED), fleet=fleet)
    ((issued),) = progress.orders
    assert (issued.order.kind, issued.order.grace_s) == (OrderKind.STOP_REPLICA, 0)
    assert cordons((progress.record,)) == set()


# ── verdicts ──────────────────────────────────────────────────────────────────────────────────────────────────────────
def judged(make, fleet, action, age_s):
    record = begin(Plan(action, "It is unfit."), make.situation(fleet), AUTHOR, 1)
    record = replace(record, stage=Stage.VERIFYING, stage_unix_s=make.now - age_s)
    verdict = verify(record, 0.05, make.situation(fleet), AUTHOR)
    return None if verdict is None else (verdict.record.verdict, verdict.record.detail, verdict.undo)


def test_a_gpu_must_stay_fit_for_the_whole_window(make, cured):
    action = reset_gpu(*cured.gpu(GPU))
    assert judged(make, cured, action, make.policy.verify_gpu_s - 1) is None
    verdict, detail, undo = judged(make, cured, action, make.policy.verify_gpu_s + 1)
    assert (verdict, undo) == (Verdict.IMPROVED, None)
    assert detail == "it is up and calls for nothing"


def test_one_that_is_still_unfit_was_not_helped(make, fleet, cured):
    late_s = make.policy.verify_gpu_s + 1
    for action in (reset_gpu(*fleet.gpu(GPU)), reboot_host(fleet.host("eu-west-a"), "xid 48")):
        verdict, detail, _ = judged(make, fleet, action, late_s)
        assert (verdict, detail) == (Verdict.NO_EFFECT, "still unfit: xid 48 on eu-west-a GPU 0")
    vanished = Fleet(tuple(replace(host, gpus=()) for host in cured.hosts))
    assert judged(make, vanished, reset_gpu(*cured.gpu(GPU)), late_s)[0] is Verdict.NO_EFFECT
    verdict, detail, _ = judged(make, vanished, reboot_host(cured.host("eu-west-a"), "xid 79"), late_s)
    assert (verdict, detail) == (Verdict.INCONCLUSIVE, "it is back, and shows no GPU to judge by")


def test_one_that_goes_unseen_at_the_wrong_moment_cannot_be_judged(make, cured):
    unseen = emptied(make.gpu_grid(make.gpu("eu-west-a-0", reason="stale")))
    late_s = make.policy.verify_gpu_s + 1
    for action in (reset_gpu(*cured.gpu(GPU)), reboot_host(cured.host("eu-west-a"), "xid 48")):
        assert judged(make, unseen, action, late_s)[0] is Verdict.INCONCLUSIVE


def test_a_host_that_does_not_report_cannot_be_judged(make, fleet):
    silent = Fleet(tuple(replace(host, report_age_s=20.0) for host in fleet.hosts))
    action = reset_gpu(*fleet.gpu(GPU))
    assert judged(make, silent, action, make.policy.verify_gpu_s + 1)[0] is Verdict.INCONCLUSIVE


def test_an_emergency_stop_has_done_its_work_when_the_replica_is_gone(make):
    fleet = make.changed(make.gpu_grid(), "eu-west-a-0", state=ReplicaState.HUNG)
    stop = scale_in(fleet.replica("eu-west-a-0"))
    assert judged(make, fleet, stop, make.policy.verify_restart_s + 1)[0] is Verdict.IMPROVED


def test_a_machine_takes_nothing_from_any_region(make, fleet):
    for action, words in (
        (reset_gpu(*fleet.gpu(GPU)), "reset eu-west-a GPU 0"),
        (reboot_host(fleet.host("eu-west-a"), "xid 79"), "reboot eu-west-a"),
    ):
        assert describe(action) == words
        assert regions_of(action) == frozenset()
        assert taken_from(action) is None
