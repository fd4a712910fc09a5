"""What a GPU's condition calls for: the shipped table, its rules, and the driver's own verdict over it."""

import pytest

from agent.core.xid import Evidence, recommend
from agent.xid_table import XidTableError, parse_table, shipped_table
from contracts.vocabulary import GpuAction

TABLE = shipped_table()
NOW_S = 1000.0
NONE, RESTART, DRAIN, RESET, DRAIN_HOST, REBOOT = GpuAction


def judged(*xids, ago_s=5.0, values=None, reason=""):
    """What the table recommends when each of `xids` came once, `ago_s` ago."""
    times = dict.fromkeys(xids, (NOW_S - ago_s,))
    return recommend(Evidence(now_s=NOW_S, times_s=times, values=values or {}, reason=reason), TABLE)


NOTED_TABLE = {
    RESTART: [8, 13, 31, 32, 39, 40, 41, 45, 69, 70, 71, 72, 94],
    NONE: [43, 44, 63, 66, 67, 92, 93, 121, 137, 141, 154, 171, 172],
    RESET: [46, 48, 62, 64, 95, 109, 110, 119, 120, 136, 140, 143, 155, 156, 158],
    DRAIN: [74, 144, 145, 146, 147, 148, 149, 150],
    DRAIN_HOST: [54, 78],
    REBOOT: [79, 151],
}


@pytest.mark.parametrize(("action", "xid"), [(action, xid) for action, xids in NOTED_TABLE.items() for xid in xids])
def test_each_known_xid_calls_for_its_action(xid, action):
    assert judged(xid).action is action


def test_the_table_knows_no_other_xid():
    assert set(TABLE.rules) == {xid for xids in NOTED_TABLE.values() for xid in xids}


def test_the_table_names_its_source_and_date():
    assert "NVIDIA" in TABLE.source
    assert TABLE.date == "2025-10-29"


def test_an_unknown_xid_drains_the_gpu_and_is_named():
    unknown = judged(160)
    assert (unknown.action, unknown.source) == (DRAIN, "xid 160")


def test_the_most_drastic_of_several_xids_counts():
    assert (judged(13, 95, 45).action, judged(13, 95, 45).source) == (RESET, "xid 95")


def test_nothing_recommends_nothing():
    assert judged() == judged(43)
    assert (judged().action, judged().source) == (NONE, "")


# ── workflows ─────────────────────────────────────────────────────────────────────────────────────────────────────────
def test_a_clean_up_waits_two_seconds_for_the_error_it_follows():
    assert judged(45, ago_s=1.0).action is NONE
    assert judged(45, ago_s=2.5).action is RESTART


def test_a_clean_up_beside_another_error_says_nothing_by_itself():
    assert (judged(45, 43).action, judged(45, 74).source) == (NONE, "xid 74")


def test_a_double_bit_error_that_was_contained_restarts_the_program_only():
    assert (judged(48, 94).action, judged(48).action) == (RESTART, RESET)


def test_a_contained_error_long_before_does_not_excuse_a_double_bit_error():
    times = {48: (NOW_S - 1,), 94: (NOW_S - 50,)}
    assert recommend(Evidence(now_s=NOW_S, times_s=times), TABLE).action is RESET


def test_three_program_faults_in_ten_minutes_are_noted():
    thrice = Evidence(now_s=NOW_S, times_s={31: (NOW_S - 500, NOW_S - 300, NOW_S - 10)})
    spread = Evidence(now_s=NOW_S, times_s={31: (NOW_S - 900, NOW_S - 300, NOW_S - 10)})
    assert recommend(thrice, TABLE).notes == ("program_faults_repeated",)
    assert recommend(spread, TABLE).notes == ()


@pytest.mark.parametrize(
    ("xid", "note"), [(64, "rma_candidate"), (119, "reboot_if_reset_fails"), (63, "reset_when_idle")]
)
def test_what_only_people_can_do_is_noted(xid, note):
    assert judged(xid).notes == (note,)


# ── time ──────────────────────────────────────────────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize(("xid", "still_s", "over_s"), [(31, 59, 61), (74, 3599, 3601), (95, 86_399, 86_401)])
def test_old_xids_expire(xid, still_s, over_s):
    assert judged(xid, ago_s=still_s).action is not NONE
    assert judged(xid, ago_s=over_s).action is NONE


# ── the driver ────────────────────────────────────────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize(
    ("field_230", "action"),
    [(0, NONE), (1, RESET), (2, REBOOT), (3, DRAIN), (4, RESET), (5, DRAIN), (6, RESET), (7, REBOOT), (17, DRAIN_HOST)],
)
def test_the_drivers_verdict_wins_over_the_table(field_230, action):
    wins = judged(95, values={"recovery_action": float(field_230)})
    assert (wins.action, wins.source) == (action, "" if action is NONE else "driver")


def test_a_healthy_gpu_does_not_hide_that_its_program_must_be_restarted():
    restart = judged(31, values={"recovery_action": 0.0})
    assert (restart.action, restart.source) == (RESTART, "xid 31")


@pytest.mark.parametrize(("reason", "action"), [("gpu_lost", REBOOT), ("reset_required", RESET), ("stale", NONE)])
def test_an_error_that_every_call_gives_is_a_verdict(reason, action):
    assert judged(reason=reason).action is action


def test_a_stale_gpu_is_judged_by_its_xids():
    assert judged(79, reason="stale").source == "xid 79"


# ── memory health ─────────────────────────────────────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize(
    ("value", "action", "note"),
    [
        ("ecc_volatile_uncorrected_total", DRAIN, "uncorrected_ecc"),
        ("remapped_rows_failure", DRAIN, "rma_candidate"),
        ("remapped_rows_pending", NONE, "reset_when_idle"),
    ],
)
def test_memory_health_contributes_without_a_verdict(value, action, note):
    sick, well = judged(values={value: 1.0}), judged(values={value: 0.0})
    assert (sick.action, sick.notes, well.notes) == (action, (note,), ())
    assert sick.source == ("" if action is NONE else note)


def test_an_uncorrected_error_that_an_xid_explains_calls_for_what_the_xid_calls_for():
    assert judged(94, values={"ecc_volatile_uncorrected_total": 1.0}).action is RESTART


def test_a_verdict_silences_the_action_of_a_health_rule_but_not_its_note():
    quiet = judged(values={"remapped_rows_failure": 1.0, "recovery_action": 0.0})
    assert (quiet.action, quiet.notes) == (NONE, ("rma_candidate",))


# ── the file ──────────────────────────────────────────────────────────────────────────────────────────────────────────
GOOD = {
    "source": "s",
    "date": "d",
    "expires_s": {},
    "recovery_actions": {},
    "reasons": {},
    "health": [],
    "xids": [{"codes": [1], "meaning": "m", "action": "none"}],
}


def test_a_small_table_can_be_read():
    assert parse_table(GOOD).rules[1].meaning == "m"


@pytest.mark.parametrize(
    ("document", "fault"),
    [
        ([], "valid dictionary"),
        ({**GOOD, "xids": [{"codes": [1], "meaning": "m", "action": "explode"}]}, "explode"),
        ({**GOOD, "xids": [{"codes": [1, 1], "meaning": "m", "action": "none"}]}, "twice"),
        ({**GOOD, "xids": [{"codes": [0], "meaning": "m", "action": "none"}]}, "greater than or equal to 1"),
        ({**GOOD, "surprise": 1}, "surprise"),
        ({name: part for name, part in GOOD.items() if name != "reasons"}, "reasons"),
    ],
    ids=["not a mapping", "unknown action", "one code twice", "impossible code", "unknown key", "a part missing"],
)
def test_a_broken_table_is_refused_and_the_fault_named(document, fault):
    with pytest.raises(XidTableError, match=fault):
        parse_table(document)
