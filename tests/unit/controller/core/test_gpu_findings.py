"""Whose fault unfit hardware is, and what a slowed GPU explains."""

from dataclasses import replace

import pytest

from contracts.vocabulary import GpuAction, GpuUuid, ReplicaState
from controller.core.actions import RebootHost, Stage
from controller.core.detection import Alarm, Detected, Series, Silent
from controller.core.diagnosis import Case, diagnose, slowest_replica
from controller.core.findings import Cause
from controller.core.fitness import Unfit
from controller.core.fleet import Fleet

RESET, REBOOT = GpuAction.RESET_GPU, GpuAction.REBOOT_HOST


def findings(make, fleet, *, special=None, detected=None, ledger=None, fit_again=None):
    unfit = tuple(
        Unfit(host, gpu, make.now - 10, fit_again) for host in fleet.hosts for gpu in host.gpus if not gpu.fit
    )
    case = Case(make.now, fleet, make.signals(fleet, special), ledger or make.ledger(fleet), (make.slo,), make.policy)
    return diagnose(case, detected or Detected(unfit=unfit))


@pytest.mark.parametrize(
    ("gpus", "expected"),
    [
        ([("eu-west-a-0", RESET)], [(Cause.GPU_UNFIT, "GPU-eu-west-a-0")]),
        ([("eu-west-a-0", REBOOT)], [(Cause.HOST_UNFIT, "eu-west-a")]),
        ([("eu-west-a-0", GpuAction.DRAIN_HOST)], [(Cause.HOST_UNFIT, "eu-west-a")]),
        ([("eu-west-a-0", RESET), ("eu-west-a-1", RESET)], [(Cause.HOST_UNFIT, "eu-west-a")]),
        (
            [("eu-west-a-0", RESET), ("eu-west-b-1", RESET)],
            [(Cause.GPU_UNFIT, "GPU-eu-west-a-0"), (Cause.GPU_UNFIT, "GPU-eu-west-b-1")],
        ),
    ],
    ids=["one", "one that needs a reboot", "one that drains its host", "every one", "one on each of two hosts"],
)
def test_a_gpu_is_the_finding_unless_its_host_is(make, gpus, expected):
    fleet = make.gpu_grid(*(make.gpu(name, action) for name, action in gpus))
    assert [(found.cause, found.subject) for found in findings(make, fleet)] == expected


def test_the_only_gpu_of_a_host_is_still_a_gpu(make):
    fleet = make.gpu_grid(make.gpu("eu-west-a-0", RESET), hosts=2, each=1)
    assert [found.cause for found in findings(make, fleet)] == [Cause.GPU_UNFIT]


def test_a_finding_says_what_shows_it(make):
    (found,) = findings(make, make.gpu_grid(make.gpu("eu-west-a-0", RESET)))
    assert found.summary == "eu-west-a GPU 0 needs a reset (xid 48)."
    assert dict(found.evidence) == {
        "host": "eu-west-a",
        "gpu": "GPU-eu-west-a-0",
        "up": "yes",
        "reason": "none given",
        "recommended_action": "reset_gpu",
        "action_source": "xid 48",
        "replicas": "eu-west-a-0 ready",
    }


@pytest.mark.parametrize(
    ("gpu", "summary"),
    [
        ({"reason": "lost"}, "eu-west-a GPU 0 is down (lost)."),
        ({"action": RESET, "action_source": "driver"}, "eu-west-a GPU 0 needs a reset (driver)."),
        ({"action": REBOOT, "reason": "lost"}, "eu-west-a GPU 0 needs its host rebooted (xid 48)."),
        ({"action": GpuAction.DRAIN_GPU}, "eu-west-a GPU 0 must not be used (xid 48)."),
        ({"action": RESET, "simulated": True}, "eu-west-a simulated GPU 0 needs a reset (xid 48)."),
        ({"reason": "gone", "index": None}, "eu-west-a GPU-eu-west-a-0 is down (gone)."),
    ],
)
def test_the_sentence_names_device_and_need(make, gpu, summary):
    (found,) = findings(make, make.gpu_grid(make.gpu("eu-west-a-0", **gpu)))
    assert found.summary == summary


def test_a_host_that_we_reboot_is_silent_for_a_reason(make):
    fleet = make.gpu_grid()
    detected = Detected(silent=(Silent("eu-west-a", "eu-west", make.now - 60),))
    reboot = make.record(RebootHost("eu-west-a", "eu-west", "boot-1", "xid 79"), Stage.ORDERED)
    assert [found.cause for found in findings(make, fleet, detected=detected)] == [Cause.HOST_SILENT]
    assert findings(make, fleet, detected=detected, ledger=make.ledger(fleet, reboot)) == ()
    over = replace(reboot, stage=Stage.CLOSED)
    assert findings(make, fleet, detected=detected, ledger=make.ledger(fleet, over)) != ()


# ── the slow one ──────────────────────────────────────────────────────────────────────────────────────────────────────
def alarm(make):
    return Detected(alarms=(Alarm(Series(make.slo.id, "eu-west", is_region=True), make.now),))


def test_heat_explains_why_one_replica_is_slow(make):
    fleet = make.gpu_grid(make.gpu("eu-west-a-0", slowed=True))
    special = {"eu-west-a-0": make.tally(bad=0.8, rtf=0.4)}
    (found,) = findings(make, fleet, special=special, detected=alarm(make))
    assert (found.cause, found.subject) == (Cause.GPU_SLOWED, "eu-west-a-0")
    assert "eu-west-a GPU 0 is slowed down by heat or power braking" in found.summary
    assert dict(found.evidence)["gpu_slowed"] == "eu-west-a GPU 0"


def test_heat_elsewhere_explains_nothing(make):
    fleet = make.gpu_grid(make.gpu("eu-west-a-1", slowed=True))
    special = {"eu-west-a-0": make.tally(bad=0.8, rtf=0.4)}
    assert [found.cause for found in findings(make, fleet, special=special, detected=alarm(make))] == [
        Cause.REPLICA_SLOW
    ]


def older(fleet, *replicas):
    """The same fleet with an older model of GPU under these replicas."""
    uuids = {GpuUuid(f"GPU-{name}") for name in replicas}
    hosts = (
        replace(host, gpus=tuple(replace(gpu, model="A10") if gpu.uuid in uuids else gpu for gpu in host.gpus))
        for host in fleet.hosts
    )
    return Fleet(tuple(hosts))


def test_another_model_of_gpu_is_no_peer(make):
    slow = make.tally(bad=0.1, rtf=0.4)
    special = {"eu-west-b-0": slow, "eu-west-b-1": slow}
    mixed = older(make.gpu_grid(), "eu-west-b-0", "eu-west-b-1")
    alike = make.gpu_grid()
    assert Cause.REPLICA_SLOW in [f.cause for f in findings(make, alike, special=special, detected=alarm(make))]
    assert Cause.REPLICA_SLOW not in [f.cause for f in findings(make, mixed, special=special, detected=alarm(make))]
    blocks = make.signals(mixed, special).blocks
    assert slowest_replica("eu-west", blocks, alike, make.policy) == "eu-west-b-1"
    assert slowest_replica("eu-west", blocks, mixed, make.policy) is None


def test_a_withheld_replica_without_a_known_gpu_is_down_for_that_reason(make):
    fleet = make.changed(make.grid(), "eu-west-a-0", state=ReplicaState.CRASHED, withheld="GPU-x: lost")
    assert fleet.why_unfit(fleet.replica("eu-west-a-0")) == "GPU-x: lost"
