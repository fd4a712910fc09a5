"""The Xid table ships with the package, and the driver's own verdict wins over it."""

import pytest

from agent.core.xid import GpuAction, XidTableError, parse_table, recommend
from agent.parts import xid_table

TABLE = xid_table()


@pytest.mark.parametrize(
    ("xid", "action"),
    [
        (13, GpuAction.RESTART_REPLICA),
        (94, GpuAction.RESTART_REPLICA),
        (45, GpuAction.NONE),
        (48, GpuAction.RESET_GPU),
        (119, GpuAction.RESET_GPU),
        (74, GpuAction.DRAIN_GPU),
        (79, GpuAction.REBOOT_HOST),
        (160, GpuAction.DRAIN_GPU),
    ],
)
def test_the_shipped_table(xid, action):
    assert TABLE.action_for(xid) is action


def test_the_table_names_its_source_and_date():
    assert "NVIDIA" in TABLE.source
    assert TABLE.date == "2025-10-29"


def test_the_most_drastic_of_several_xids_counts():
    assert recommend([13, 48, 45], None, TABLE) is GpuAction.RESET_GPU


def test_no_xid_and_no_verdict_recommend_nothing():
    assert recommend([], None, TABLE) is GpuAction.NONE


@pytest.mark.parametrize(("recovery_action", "action"), [(0, GpuAction.NONE), (2, GpuAction.REBOOT_HOST)])
def test_the_drivers_verdict_wins(recovery_action, action):
    assert recommend([48], recovery_action, TABLE) is action


def test_a_healthy_gpu_does_not_hide_that_its_program_must_be_restarted():
    assert recommend([31], 0, TABLE) is GpuAction.RESTART_REPLICA


def test_an_unknown_verdict_of_a_newer_driver_drains_the_host():
    assert recommend([], 17, TABLE) is GpuAction.DRAIN_HOST


@pytest.mark.parametrize(
    "document",
    [
        [],
        {"source": "s", "date": "d"},
        {"source": "s", "date": "d", "xids": [{"codes": [1], "meaning": "m", "action": "explode"}]},
        {"source": "s", "date": "d", "xids": [{"codes": [1, 1], "meaning": "m", "action": "none"}]},
    ],
    ids=["not a mapping", "no codes", "unknown action", "one code twice"],
)
def test_a_broken_table_is_refused(document):
    with pytest.raises(XidTableError):
        parse_table(document)
