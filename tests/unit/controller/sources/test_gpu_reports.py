"""What agents say about GPUs, in the core's words; and what of it is news."""

import pytest

from contracts.agent_api import GpuReport, HostReport, ReplicaReport
from contracts.vocabulary import GpuAction, OrderKind, ReplicaState
from controller.sources.agents import is_news
from controller.sources.reports import UNLISTED, gpus_of, host_of


def replica(*gpus: str, **fields: object) -> ReplicaReport:
    values = {
        "replica": "eu-west-a-0",
        "address": "127.0.1.1",
        "port": 9001,
        "state": ReplicaState.READY,
        "generation": 1,
        "state_age_s": 3.0,
        "profile": "full-fp32-onnx",
        "gpus": gpus,
    }
    return ReplicaReport.model_validate(values | fields)


def report(*gpus: GpuReport, replicas: tuple[ReplicaReport, ...] = (), **fields: object) -> HostReport:
    values = {
        "host": "eu-west-a",
        "region": "eu-west",
        "boot_id": "b1",
        "seq": 1,
        "runtime": "docker",
        "agent_address": "127.0.1.1",
        "agent_port": 9400,
        "replicas": replicas,
        "free_slots": (),
        "gpus": gpus,
    }
    return HostReport.model_validate(values | fields)


def gpu(**fields: object) -> GpuReport:
    return GpuReport.model_validate({"gpu": 3, "uuid": "GPU-3", "up": True, "model": "H200"} | fields)


def test_everything_the_loop_needs_is_taken_over():
    said = report(
        gpu(recommended_action="reset_gpu", action_source="xid 48", slowed=True, simulated=True),
        replicas=(replica("GPU-3", withheld="xid 48", canaries_failed=2),),
        machine_orders=("reset_gpu",),
    )
    host = host_of(said, gpus_of(said), 1.5)
    (seen,) = host.gpus
    assert (seen.uuid, seen.index, seen.up, seen.model, seen.simulated) == ("GPU-3", 3, True, "H200", True)
    assert (seen.recommended_action, seen.action_source, seen.slowed) == (GpuAction.RESET_GPU, "xid 48", True)
    assert host.machine_orders == {OrderKind.RESET_GPU}
    (one,) = host.replicas
    assert (one.gpus, one.withheld, one.canaries_failed) == (("GPU-3",), "xid 48", 2)
    assert host.holders("GPU-3") == (one,)


NO_DRIVER = GpuReport(gpu=0, uuid="", up=False, reason="driver_not_loaded")


@pytest.mark.parametrize(
    ("gpus", "given", "expected"),
    [
        ((), (), []),
        ((), ("GPU-3",), []),
        ((NO_DRIVER,), (), []),
        ((NO_DRIVER,), ("GPU-3",), [("GPU-3", False, "driver_not_loaded")]),
        ((gpu(),), ("GPU-3", "GPU-4"), [("GPU-3", True, ""), ("GPU-4", False, UNLISTED)]),
        ((gpu(),), ("MIG-1",), [("GPU-3", True, "")]),
    ],
    ids=["no GPUs", "an agent of before", "a CPU host", "a driver that is gone", "one that fell out", "a MIG instance"],
)
def test_a_device_that_was_given_and_is_not_listed_is_down(gpus, given, expected):
    said = report(*gpus, replicas=(replica(*given),))
    assert [(seen.uuid, seen.up, seen.reason) for seen in gpus_of(said)] == expected


@pytest.mark.parametrize(
    ("change", "news"),
    [
        ({"up": False, "reason": "lost"}, True),
        ({"recommended_action": "drain_gpu"}, True),
        ({"temperature_celsius": 80.0, "utilization_ratio": 0.9}, False),
    ],
)
def test_a_gpu_that_falls_ill_is_news_and_its_load_is_not(change, news):
    assert is_news(report(gpu()), report(gpu(**change), seq=2)) is news
