"""Orders over the real sync: executed exactly once, or refused with the reason."""

import signal
import time

from contracts.vocabulary import OrderKind, ProfileId, ReceiptStatus, RefusalReason, ReplicaId, ReplicaState

FIRST, SECOND = ReplicaId("eu-west-a-0"), ReplicaId("eu-west-a-1")
LIGHT = ProfileId("light-int8-onnx")


def test_a_restart_order_is_executed_once_however_often_it_is_delivered(make_host, wait_until, controller):
    host = make_host()
    host.boot()
    controller.acknowledges = False
    key = controller.offer("restart-1", OrderKind.RESTART, FIRST, host.generation(0))
    receipt = host.receipt(key)
    wait_until(lambda: controller.deliveries[key] >= 10, within_s=10, what="ten deliveries")
    assert receipt.status is ReceiptStatus.DONE
    assert receipt.generation_after == 2
    assert {each.executions for each in controller.receipts[key]} == {1}
    assert host.generation(0) == 2
    assert host.controller.replica(0).restarts_total == 2


def test_a_done_order_is_answered_from_the_journal_after_the_agent_was_killed(make_host, wait_until, controller):
    host = make_host()
    host.boot()
    controller.acknowledges = False
    key = controller.offer("restart-1", OrderKind.RESTART, FIRST, host.generation(0))
    done = host.receipt(key)
    host.agent.kill()
    host.agent.wait(timeout=5)
    before = controller.deliveries[key]
    seen = len(controller.requests)
    host.boot()
    wait_until(lambda: controller.deliveries[key] >= before + 3, within_s=10, what="three more deliveries")
    assert controller.receipts[key][-1] == done
    reports = [replica for request in controller.requests[seen + 1 :] for replica in request.report.replicas]
    assert all(each.generation >= 3 or each.state is ReplicaState.STARTING for each in reports)
    assert host.generation(0) == 3  # one order, and the start by the new agent


def test_an_order_interrupted_by_the_agents_death_fails_and_is_never_executed_again(make_host, wait_until, controller):
    host = make_host("--drain-s", "20")
    host.boot()
    controller.acknowledges = False
    key = controller.offer("restart-1", OrderKind.RESTART, FIRST, host.generation(0), grace_s=20.0)
    wait_until(lambda: controller.receipts.get(key), within_s=5, what="the order runs")
    assert controller.receipts[key][-1].status is ReceiptStatus.RUNNING
    host.agent.kill()
    host.agent.wait(timeout=5)
    host.boot(ready=())
    receipt = host.receipt(key)
    assert receipt.status is ReceiptStatus.FAILED
    assert receipt.executions == 1
    assert receipt.detail.startswith("interrupted")
    wait_until(lambda: host.is_ready(0), within_s=10, what="started again by the new agent")
    assert host.generation(0) == 2


def test_a_deposed_leaders_order_is_refused(make_host, controller):
    host = make_host()
    host.boot()
    controller.epoch = 5
    done = host.receipt(controller.offer("switch", OrderKind.SWITCH_PROFILE, FIRST, 1, profile=LIGHT))
    assert done.status is ReceiptStatus.DONE
    stale = host.receipt(controller.offer("restart-1", OrderKind.RESTART, FIRST, 1, epoch=4))
    assert (stale.status, stale.refusal, stale.executions) == (ReceiptStatus.REFUSED, RefusalReason.STALE_EPOCH, 0)
    assert host.generation(0) == 1


def test_the_highest_epoch_survives_a_restart_of_the_agent(make_host, controller, wait_until):
    host = make_host()
    controller.epoch = 9
    host.boot()
    wait_until(lambda: controller.requests[-1].report.epoch_seen == 9, within_s=5, what="the epoch was heard")
    host.agent.send_signal(signal.SIGTERM)
    host.agent.wait(timeout=10)
    controller.epoch = 8
    seen = len(controller.requests)
    host.boot(ready=())
    key = controller.offer("restart-1", OrderKind.RESTART, FIRST, 1)
    assert host.receipt(key).refusal is RefusalReason.STALE_EPOCH
    assert controller.requests[seen].report.epoch_seen == 9


def test_a_late_order_is_refused_by_the_controllers_clock_not_ours(make_host, controller, wait_until):
    host = make_host()
    controller.clock_ahead_s = -3600.0
    host.boot()
    in_time = controller.offer("a", OrderKind.SWITCH_PROFILE, FIRST, 1, profile=LIGHT)
    assert host.receipt(in_time).status is ReceiptStatus.DONE  # an hour late by this host's clock
    late = controller.offer("b", OrderKind.RESTART, FIRST, 1, not_after_unix_s=controller.now_unix_s() - 1.0)
    assert host.receipt(late).refusal is RefusalReason.TOO_LATE


def test_an_order_about_a_former_incarnation_is_refused(make_host, controller, kill):
    host = make_host()
    host.boot()
    former = host.pid(0)
    kill(former, signal.SIGKILL)
    host.pid_after(0, former, within_s=10)
    key = controller.offer("restart-1", OrderKind.RESTART, FIRST, 1)
    assert host.receipt(key).refusal is RefusalReason.GENERATION_MISMATCH


def test_a_second_order_meets_a_busy_target(make_host, controller, wait_until):
    host = make_host("--drain-s", "2")
    host.boot()
    first = controller.offer("a", OrderKind.RESTART, FIRST, 1, grace_s=5.0)
    wait_until(lambda: controller.receipts.get(first), within_s=5, what="the first order runs")
    second = controller.offer("b", OrderKind.SWITCH_PROFILE, FIRST, 1, profile=LIGHT)
    assert host.receipt(second).refusal is RefusalReason.TARGET_BUSY
    assert host.receipt(first).status is ReceiptStatus.DONE


def test_a_replica_is_started_switched_and_stopped_by_order(make_host, controller, wait_until):
    host = make_host()
    host.boot()
    assert controller.requests[-1].report.free_slots == (SECOND,)
    started = host.receipt(controller.offer("a", OrderKind.START_REPLICA, SECOND, 0, profile=LIGHT))
    assert (started.status, started.generation_after) == (ReceiptStatus.DONE, 1)
    wait_until(lambda: host.is_ready(1) and controller.replica(1).profile == LIGHT, within_s=5, what="runs light")
    assert controller.requests[-1].report.free_slots == ()
    again = host.receipt(controller.offer("b", OrderKind.START_REPLICA, SECOND, 1, profile=LIGHT))
    assert again.refusal is RefusalReason.NO_FREE_SLOT
    stopped = host.receipt(controller.offer("c", OrderKind.STOP_REPLICA, SECOND, 1))
    assert stopped.status is ReceiptStatus.DONE
    wait_until(lambda: host.state(1) is ReplicaState.STOPPED, within_s=5, what="stopped")
    assert host.pid(1) is None
    host.agent.send_signal(signal.SIGTERM)
    host.agent.wait(timeout=10)
    host.boot()
    time.sleep(1.0)  # a replica that was stopped by order must not come back by itself
    assert host.pid(1) is None


def test_a_switch_that_was_rolled_back_is_a_failed_order(make_host, controller):
    host = make_host()
    host.boot()
    host.fault(0, refuse_profile=True)
    receipt = host.receipt(controller.offer("a", OrderKind.SWITCH_PROFILE, FIRST, 1, profile=LIGHT))
    assert (receipt.status, receipt.detail) == (ReceiptStatus.FAILED, "rolled_back: self-test")


def test_an_order_restart_lifts_quarantine(make_host, controller, wait_until):
    host = make_host("--crash-after-s", "0.2", spares=0, restart_backoff_s=0.1)
    host.boot(ready=())
    wait_until(lambda: host.state(0) is ReplicaState.QUARANTINED, within_s=30, what="quarantine")
    key = controller.offer("a", OrderKind.RESTART, FIRST, host.generation(0))
    assert host.receipt(key).executions == 1
    assert host.generation(0) > 7
