"""Orders about the machine, and the way to other regions, through a real agent."""

import json
import socket

from contracts.vocabulary import OrderKind, ReceiptStatus, RefusalReason


def test_a_host_permits_nothing_about_its_machine_unless_told_to(make_host, controller):
    host = make_host(replicas=0)
    host.boot(ready=())
    receipt = host.receipt(controller.offer("a", OrderKind.REBOOT_HOST, None, 0))
    assert (receipt.status, receipt.refusal) == (ReceiptStatus.REFUSED, RefusalReason.NOT_PERMITTED)
    assert controller.requests[-1].report.machine_orders == ()


def test_a_rehearsed_reboot_is_judged_like_a_real_one_and_says_what_it_would_have_run(make_host, controller):
    host = make_host(replicas=1, allow_reboot="true", machine_dry_run="true", machine_orders_per_day=1)
    host.boot()
    in_use = host.receipt(controller.offer("a", OrderKind.REBOOT_HOST, None, 0))
    assert in_use.refusal is RefusalReason.GPU_IN_USE
    stopped = controller.offer("b", OrderKind.STOP_REPLICA, controller.replica(0).replica, 1)
    assert host.receipt(stopped).status is ReceiptStatus.DONE
    rehearsed = host.receipt(controller.offer("c", OrderKind.REBOOT_HOST, None, 0))
    assert (rehearsed.status, rehearsed.executions) == (ReceiptStatus.FAILED, 1)
    assert rehearsed.detail == "rehearsal only: would run systemctl reboot"
    once_more = host.receipt(controller.offer("d", OrderKind.REBOOT_HOST, None, 0))
    assert once_more.refusal is RefusalReason.NOT_PERMITTED
    assert "within a day" in once_more.detail
    assert controller.requests[-1].report.machine_orders == (OrderKind.REBOOT_HOST,)


def test_a_simulated_host_is_rebooted_by_order(make_host, controller, simulated_gpus):
    gpus = simulated_gpus(1)
    host = make_host(replicas=0, allow_reboot="true", simulated_gpus=gpus.directory)
    host.boot(ready=())
    receipt = host.receipt(controller.offer("a", OrderKind.REBOOT_HOST, None, 0))
    assert (receipt.status, receipt.detail) == (ReceiptStatus.DONE, "the host was rebooted")


def test_the_way_to_another_region_is_measured_and_reported_and_its_own_is_not(make_host, controller, wait_until):
    with socket.create_server(("127.0.0.1", 0)) as gateway:
        address = f"127.0.0.1:{gateway.getsockname()[1]}"
        host = make_host(replicas=0, gateways=json.dumps({"eu-west": address, "us-east": address}))
        host.boot(ready=())
        wait_until(
            lambda: controller.requests and controller.requests[-1].report.region_rtts_s,
            within_s=10,
            what="a round trip is reported",
        )
        assert set(controller.requests[-1].report.region_rtts_s) == {"us-east"}
        assert 0.0 < controller.requests[-1].report.region_rtts_s["us-east"] < 2.0
        assert 'agent_region_probes_total{region="us-east",outcome="ok"}' in host.page()
