"""A GPU that goes unseen: what the driver last said of it stands, so that a stuck worker condemns nobody."""

import pytest

from agent.core.gpu import GpuIdentity, GpuSample
from agent.core.gpu_record import GpuRecord, Moment, sampled, view, xid_seen
from agent.core.xid_history import Sighting, Witness
from agent.xid_table import shipped_table
from contracts.vocabulary import GpuAction, GpuUuid

TABLE = shipped_table()
FINE = {"recovery_action": 0.0}


def heard(record: GpuRecord, at_s: float, values: dict[str, float]) -> GpuRecord:
    return sampled(record, GpuSample(at_s=at_s, up=True, values=values))


def xid(record: GpuRecord, number: int, at_s: float) -> GpuRecord:
    record, is_new = xid_seen(record, Sighting(number, at_s, Witness.NVML), Moment(at_s, at_s), TABLE)
    assert is_new
    return record


@pytest.fixture
def record() -> GpuRecord:
    return GpuRecord(GpuIdentity(index=0, uuid=GpuUuid("GPU-0")), since_s=0.0)


def test_what_the_driver_has_pardoned_stays_pardoned_while_nothing_is_heard(record):
    record = heard(xid(record, 48, 100.0), 500.0, FINE)
    for now_s, up in ((500.0, True), (590.0, False)):
        gpu = view(record, now_s, TABLE, "580")
        assert (gpu.up, gpu.recommended_action, gpu.action_source) == (up, GpuAction.NONE, "")


def test_what_it_has_called_for_is_called_for_still(record):
    record = heard(record, 500.0, {"recovery_action": 1.0})
    gpu = view(record, 590.0, TABLE, "580")
    assert (gpu.up, gpu.recommended_action, gpu.action_source) == (False, GpuAction.RESET_GPU, "driver")


@pytest.mark.parametrize("at_s", [499.0, 505.0], ids=["just before", "after"])
def test_an_xid_that_may_be_what_silenced_the_driver_speaks_for_itself(record, at_s):
    record = xid(heard(record, 500.0, FINE), 48, at_s)
    gpu = view(record, 590.0, TABLE, "580")
    assert (gpu.recommended_action, gpu.action_source) == (GpuAction.RESET_GPU, "xid 48")


def test_a_driver_that_never_gives_a_verdict_leaves_it_to_the_xids(record):
    record = heard(xid(record, 48, 100.0), 500.0, {"temperature_celsius": 50.0})
    assert view(record, 590.0, TABLE, "550").recommended_action is GpuAction.RESET_GPU
