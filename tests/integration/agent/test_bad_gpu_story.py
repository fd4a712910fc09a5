"""A real agent, real child processes and simulated GPUs: what breaks on a bad GPU stays down, and comes back with it."""

import signal

import pytest

from agent.simulated_gpus.faults import Fault, FaultName, heal, inject
from contracts.vocabulary import OrderKind, ReceiptStatus, ReflexKind, RefusalReason, ReplicaId, ReplicaState

FIRST = ReplicaId("eu-west-a-0")
FELL_OFF_THE_BUS, PAGE_FAULT = 79, 31


@pytest.fixture
def gpus(simulated_gpus):
    return simulated_gpus(2)


@pytest.fixture
def host(make_host, gpus):
    return make_host("--speaks", simulated_gpus=gpus.directory, allow_gpu_reset="true", allow_reboot="true", replicas=2)


def xid(gpus, code: int, gpu: int = 0) -> None:
    inject(gpus.state, gpu, Fault(FaultName.XID, code))


def unfit(host, gpu: int) -> bool:
    """Whether the controller was told that nothing should be started there."""
    reports = host.controller.requests[-1].report.gpus
    return any(each.gpu == gpu and (not each.up or each.recommended_action != "none") for each in reports)


def withheld(host) -> str:
    report = host.controller.replica(0)
    return "" if report is None else report.withheld


def test_a_replica_on_a_gpu_that_fell_off_the_bus_is_withheld_until_the_gpu_is_back(host, gpus, kill, wait_until):
    host.boot(ready=(0, 1))
    placed = {each.replica: each.gpus for each in host.controller.requests[-1].report.replicas}
    assert {len(each) for each in placed.values()} == {1}
    assert len(set(placed.values())) == 2  # each on a GPU of its own
    former, neighbour = host.pid(0), host.pid(1)
    xid(gpus, FELL_OFF_THE_BUS)
    wait_until(lambda: unfit(host, 0), within_s=10, what="the GPU is known to be bad")
    kill(former, signal.SIGKILL)
    wait_until(lambda: withheld(host), within_s=10, what="the restart is withheld")
    assert host.state(0) is ReplicaState.CRASHED
    assert host.controller.replica(0).gpus == placed[FIRST]
    assert len(host.reflexes(ReflexKind.WITHHOLD)) == 1
    assert f'agent_replica_withheld{{replica="{FIRST}"}} 1' in host.page()
    order = host.receipt(host.controller.offer("restart", OrderKind.RESTART, FIRST, host.generation(0)))
    assert (order.status, order.refusal) == (ReceiptStatus.REFUSED, RefusalReason.GPU_UNFIT)
    assert host.pid(0) is None
    assert host.pid(1) == neighbour  # the other GPU is fit
    heal(gpus.state, 0)
    gpus.state.words.boots += 1  # nothing but a reboot brings such a GPU back
    host.pid_after(0, None, within_s=15)
    wait_until(lambda: host.is_ready(0) and not withheld(host), within_s=10, what="ready again")
    assert host.controller.replica(0).gpus == placed[FIRST]


def test_a_page_fault_restarts_the_replica_that_outlived_it_once(host, gpus, wait_until):
    host.boot(ready=(0, 1))
    neighbour, former = host.pid(1), host.pid(0)
    wait_until(lambda: host.controller.replica(0).state_age_s > 2.5, within_s=10, what="it has run for a while")
    xid(gpus, PAGE_FAULT)
    host.pid_after(0, former, within_s=10)
    wait_until(lambda: host.reflexes(ReflexKind.RESTART_XID), within_s=10, what="the reflex is reported")
    wait_until(lambda: host.is_ready(0), within_s=10, what="ready again")
    wait_until(lambda: host.controller.replica(0).state_age_s > 3.0, within_s=15, what="it is left alone")
    assert len(host.reflexes(ReflexKind.RESTART_XID)) == 1
    assert host.generation(0) == 2
    assert host.pid(1) == neighbour


def test_a_gpu_is_reset_by_order_when_nobody_uses_it(host, gpus, wait_until):
    host.boot(ready=(0, 1))
    (gpu,) = host.controller.replica(0).gpus
    in_use = host.receipt(host.controller.offer("a", OrderKind.RESET_GPU, None, 0, gpu=gpu))
    assert in_use.refusal is RefusalReason.GPU_IN_USE
    inject(gpus.state, 0, Fault(FaultName.RESET_REQUIRED))
    wait_until(lambda: unfit(host, 0), within_s=10, what="the GPU is known to be bad")
    stop = host.controller.offer("b", OrderKind.STOP_REPLICA, FIRST, host.generation(0))
    assert host.receipt(stop).status is ReceiptStatus.DONE
    key = host.controller.offer("c", OrderKind.RESET_GPU, None, 0, gpu=gpu)
    wait_until(lambda: host.controller.final(key) is not None, within_s=40, what="the reset is over")
    receipt = host.controller.final(key)
    assert (receipt.status, receipt.executions) == (ReceiptStatus.DONE, 1), receipt.detail
    started = host.receipt(host.controller.offer("d", OrderKind.START_REPLICA, FIRST, 0))
    assert started.status is ReceiptStatus.DONE
    assert set(host.controller.requests[-1].report.machine_orders) == {OrderKind.RESET_GPU, OrderKind.REBOOT_HOST}
