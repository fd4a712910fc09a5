"""Reflexes of a real agent over real child processes."""

import re
import signal
import threading
import time

import httpx

from contracts.serving_api import SloThreshold, SloThresholds
from contracts.vocabulary import ReflexKind, ReplicaId, ReplicaState, SliKind, SloId


def test_a_frozen_replica_is_replaced_by_the_warm_spare(make_host, kill, wait_until):
    host = make_host("--boot-s", "1")
    host.boot()
    spare = host.wait_for_spare()
    former = host.pid(0)
    kill(former, signal.SIGSTOP)
    assert host.pid_after(0, former, within_s=10) == spare, "no cold start"
    wait_until(lambda: host.reflexes(ReflexKind.RESTART_HUNG), within_s=5, what="the reflex is reported")
    wait_until(
        lambda: host.reflexes(ReflexKind.RESTART_HUNG)[0].healed_unix_s is not None,
        within_s=5,
        what="reported as healed",
    )
    reflex = host.reflexes(ReflexKind.RESTART_HUNG)[0]
    assert reflex.generation == 1
    assert host.generation(0) == 2
    assert int(reflex.evidence["missed_probes"]) == 3
    assert float(reflex.evidence["silent_s"]) < 1.0
    assert reflex.evidence["in_flight"] == "0"
    assert 'agent_reflexes_total{kind="restart_hung"} 1' in host.page()


def test_a_killed_replica_is_replaced_by_the_warm_spare(make_host, kill, wait_until):
    host = make_host("--boot-s", "1")
    host.boot()
    spare = host.wait_for_spare()
    former = host.pid(0)
    kill(former, signal.SIGKILL)
    assert host.pid_after(0, former, within_s=10) == spare, "no cold start"
    wait_until(lambda: host.reflexes(ReflexKind.RESTART_CRASHED), within_s=5, what="the reflex is reported")
    assert host.reflexes(ReflexKind.RESTART_CRASHED)[0].evidence["reason"] == "signal SIGKILL"


def test_without_a_spare_the_replica_starts_cold(make_host, kill):
    host = make_host(spares=0)
    host.boot()
    former = host.pid(0)
    kill(former, signal.SIGKILL)
    host.pid_after(0, former, within_s=10)


def test_work_in_flight_on_another_replica_survives_a_restart(make_host, kill):
    host = make_host(replicas=2)
    host.boot(ready=(0, 1))
    answers = []
    neighbour = threading.Thread(
        target=lambda: answers.append(httpx.get(f"http://127.0.0.1:{host.port_base + 1}/slow", timeout=5).status_code)
    )
    other, former = host.pid(1), host.pid(0)
    neighbour.start()
    kill(former, signal.SIGKILL)
    host.pid_after(0, former, within_s=10)
    neighbour.join()
    assert answers == [200]
    assert host.pid(1) == other


def test_a_busy_replica_that_answers_late_but_progresses_is_left_alone(make_host):
    host = make_host()
    host.boot()
    former = host.fault(0, in_flight=2, livez_delay_s=0.6)
    watched_until_s = time.monotonic() + 5.0
    while time.monotonic() < watched_until_s:
        assert host.state(0) is ReplicaState.READY
        time.sleep(0.1)
    assert host.pid(0) == former
    assert 'agent_reflexes_total{kind="restart_hung"} 0' in host.page()


def test_a_crash_loop_ends_in_quarantine_with_the_log_as_evidence(make_host, wait_until):
    host = make_host("--crash-after-s", "0.2", spares=0, restart_backoff_s=0.2)
    host.boot(ready=())
    wait_until(lambda: host.state(0) is ReplicaState.QUARANTINED, within_s=30, what="quarantine")
    report = host.controller.replica(0)
    assert report.restarts_total == 7  # the first start, three immediate restarts and three delayed ones
    assert any("RuntimeError: told to crash" in line for line in report.log_tail), report.log_tail
    assert len(host.reflexes(ReflexKind.QUARANTINE)) == 1
    assert "exit code 3" in report.reason
    assert ReplicaId("eu-west-a-0") not in host.controller.requests[-1].report.free_slots


def test_reflexes_go_on_while_the_controller_is_gone_and_are_told_later(make_host, kill, wait_until, controller):
    host = make_host()
    host.boot()
    controller.close()
    former = host.pid(0)
    kill(former, signal.SIGKILL)
    host.pid_after(0, former, within_s=10)
    wait_until(lambda: 'agent_replica_up{replica="eu-west-a-0"} 1' in host.page(), within_s=5, what="ready again")
    assert 'agent_reflexes_total{kind="restart_crashed"} 1' in host.page()
    assert re.search(r'^agent_sync_failures_total\{reason="\w+"\} [1-9]', host.page(), re.MULTILINE)


def test_a_fresh_replica_has_the_slo_thresholds_before_it_counts_as_ready(make_host, kill, wait_until, controller):
    host = make_host()
    host.boot()
    controller.thresholds = SloThresholds(
        revision=7, thresholds=(SloThreshold(slo=SloId("fast"), sli=SliKind.TOTAL, threshold_s=0.2),)
    )
    wait_until(lambda: host.controller.replica(0).slo_revision == 7, within_s=5, what="thresholds pushed")
    seen_before = len(controller.requests)
    former = host.pid(0)
    kill(former, signal.SIGKILL)
    host.pid_after(0, former, within_s=10)
    wait_until(lambda: host.is_ready(0) and host.generation(0) == 2, within_s=5, what="ready again")
    wait_until(lambda: host.controller.replica(0).slo_revision == 7, within_s=5, what="thresholds pushed again")
    later = [request.thresholds_revision for request in controller.requests[seen_before:]]
    assert set(later) == {7}


def test_a_host_without_a_gpu_says_so_and_shows_no_gpu_values(make_host, wait_until):
    host = make_host()
    host.boot()
    wait_until(
        lambda: 'gpu_driver_up{reason="not_yet_known"}' not in host.page(), within_s=10, what="the worker's answer"
    )
    assert 'gpu_driver_up{reason="library_not_found"} 0' in host.page()
    assert "gpu_utilization_ratio" not in host.page()
    wait_until(lambda: "host_memory_total_bytes" in host.page(), within_s=5, what="host load")
    gpus = host.controller.requests[-1].report.gpus
    assert [(gpu.uuid, gpu.up, gpu.reason) for gpu in gpus] == [("", False, "library_not_found")]


def test_the_agent_ends_its_replicas_and_itself_in_bounded_time(make_host, wait_until):
    host = make_host("--drain-s", "30", replicas=2)
    host.boot(ready=(0, 1))
    asked_s = time.monotonic()
    host.agent.send_signal(signal.SIGTERM)
    assert host.agent.wait(timeout=10) == 0
    assert time.monotonic() - asked_s < 5.0
    assert host.pid(0) is None
    assert host.pid(1) is None
