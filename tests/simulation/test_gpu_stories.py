"""What the loop does about unfit GPUs: the ladder rung by rung, and what it leaves to people."""

import asyncio
from dataclasses import replace

import pytest

from contracts.vocabulary import OrderKind
from controller.core.actions import ActionRecord, RebootHost, ResetGpu, Verdict
from controller.core.policy import Policy
from controller.ports import OperatorIntent
from controller.rehearsal.run import BRISK, TRUSTED, TWO_GPU_REGIONS, Rehearsal, Script
from controller.simulation.faults import Fault, FaultKind

GPU = "eu-west-a/0"
ROOMY = tuple(replace(plan, hosts=3, slots_per_host=4) for plan in TWO_GPU_REGIONS)
"""With slots enough to do without any one host."""
NEEDS_RESET = Fault(FaultKind.GPU_NEEDS_RESET, GPU, 60)
LOST = Fault(FaultKind.GPU_LOST, GPU, 60)
BROKEN = Fault(FaultKind.GPU_BROKEN, GPU, 60)
GPUS = tuple(f"eu-west-{host}/{index}" for host in "ab" for index in range(3))
PATIENT = replace(TRUSTED, gpu_reset_within_s=Policy().gpu_reset_within_s)
"""Waits for a reset as long as in production."""


def play(
    *faults: Fault, until_s: float = 500.0, policy=TRUSTED, regions=TWO_GPU_REGIONS, lean=False, **script
) -> Rehearsal:
    """`lean`: no more replicas are configured than one, so that only the load says how many are needed."""
    policy = replace(policy, replicas_min=1 if lean else regions[0].hosts * regions[0].replicas_per_host)
    rehearsal = Rehearsal(Script(seed=1, faults=faults, policy=policy, regions=regions, **script))
    asyncio.run(rehearsal.play(until_s))
    return rehearsal


def actions(rehearsal: Rehearsal) -> list[ActionRecord]:
    return list(rehearsal.journal.load(rehearsal.world.clock.now_unix_s(), 86_400.0).actions)


def kinds(rehearsal: Rehearsal) -> list[str]:
    return [str(record.action.kind) for record in actions(rehearsal)]


def holds(rehearsal: Rehearsal) -> list[str]:
    return [dict(line.evidence)["refusal"] for line in rehearsal.journal.decisions if line.kind == "hold"]


def said(rehearsal: Rehearsal) -> str:
    return "\n".join(line.summary for line in rehearsal.journal.decisions)


def ask(rehearsal: Rehearsal, verb: str, **arguments: str) -> None:
    now_unix_s = rehearsal.world.clock.now_unix_s()
    rehearsal.journal.submit(OperatorIntent(f"{verb}-1", now_unix_s, "ada", verb, tuple(arguments.items())))


def test_a_gpu_that_needs_a_reset_is_replaced_then_drained_then_reset():
    rehearsal = play(NEEDS_RESET)
    assert kinds(rehearsal) == ["scale_out", "scale_in", "reset_gpu"]
    assert [record.verdict for record in actions(rehearsal)] == [Verdict.IMPROVED] * 3
    assert "eu-west-a simulated GPU 0 needs a reset (xid 48). So: reset eu-west-a simulated GPU 0." in said(rehearsal)
    assert "Nothing runs on eu-west-a simulated GPU 0; its order is out." in said(rehearsal)
    rehearsal.must_be_home()


def test_by_default_a_drained_gpu_is_left_to_a_person_who_is_told_once_what_to_do():
    rehearsal = play(NEEDS_RESET, policy=BRISK, until_s=1500)
    assert kinds(rehearsal) == ["scale_out", "scale_in"]
    assert holds(rehearsal).count("NotPermitted") == 1
    assert "xid 48 on eu-west-a simulated GPU 0: needs a reset of the GPU; not permitted here" in said(rehearsal)
    assert "gpu_reset_allowed" in said(rehearsal)
    rehearsal.must_be_home()


def test_the_hosts_own_policy_has_the_last_word():
    strict = tuple(replace(plan, permits=frozenset({OrderKind.REBOOT_HOST})) for plan in TWO_GPU_REGIONS)
    rehearsal = play(NEEDS_RESET, regions=strict)
    assert "reset_gpu" not in kinds(rehearsal)
    assert "not permitted here (the agent's policy on eu-west-a)" in said(rehearsal)


def test_a_lost_gpu_costs_no_restart_and_its_replica_is_replaced_at_once():
    rehearsal = play(LOST, policy=BRISK)
    assert kinds(rehearsal) == ["scale_out"]
    assert "needs a reboot of the host; not permitted here" in said(rehearsal)
    assert not rehearsal.world.hosts["eu-west-a"].machine.unfit_starts


def test_a_lost_gpu_comes_back_by_a_reboot_of_its_drained_host():
    rehearsal = play(LOST, Fault(FaultKind.REBOOT_TAKES, "eu-west-a", size=120), regions=ROOMY, until_s=700)
    told = kinds(rehearsal)
    assert told[:4] == ["scale_out", "scale_out", "scale_in", "reboot_host"]
    (reboot,) = [record for record in actions(rehearsal) if isinstance(record.action, RebootHost)]
    assert reboot.verdict is Verdict.IMPROVED
    assert "does not report" not in said(rehearsal), "its silence is our own doing"
    rehearsal.must_be_home()


def test_a_host_is_not_drained_for_a_reboot_that_is_not_permitted():
    rehearsal = play(LOST, policy=replace(TRUSTED, host_reboot_allowed=False), regions=ROOMY)
    assert kinds(rehearsal) == ["scale_out"]
    assert "NotPermitted" in holds(rehearsal)


def test_a_host_whose_work_fits_nowhere_else_is_not_rebooted():
    rehearsal = play(LOST)
    assert "reboot_host" not in kinds(rehearsal)
    assert "scale_in" not in kinds(rehearsal), "nor drained in vain"
    assert holds(rehearsal) == ["InUse"]


def test_a_reset_that_does_not_help_leads_to_a_reboot_and_that_to_inspection():
    rehearsal = play(BROKEN, regions=ROOMY, until_s=4000)
    machine = [r for r in actions(rehearsal) if isinstance(r.action, ResetGpu | RebootHost)]
    assert [str(record.action.kind) for record in machine] == ["reset_gpu", "reboot_host"]
    assert {record.verdict for record in machine} == {Verdict.NO_EFFECT}
    assert holds(rehearsal)[-1] == "NeedsInspection"
    assert "needs hardware inspection by a person" in said(rehearsal)


def test_two_resets_a_day_and_no_more_however_well_they_go():
    again = tuple(replace(NEEDS_RESET, from_s=60.0 + 600 * number) for number in range(3))
    rehearsal = play(*again, until_s=2400, policy=replace(TRUSTED, host_reboot_allowed=False))
    assert kinds(rehearsal).count("reset_gpu") == 2
    assert "needs a reboot of the host; not permitted here (the controller's policy: host_reboot_allowed)" in said(
        rehearsal
    )


def test_a_gpu_that_comes_and_goes_is_one_finding_and_drained_once():
    rehearsal = play(Fault(FaultKind.GPU_FLAPS, GPU, 60, 700, size=12), until_s=900)
    assert kinds(rehearsal).count("scale_in") == 1
    assert len(holds(rehearsal)) == len(set(holds(rehearsal))) <= 3
    rehearsal.must_be_home()


def test_one_bad_sample_is_no_finding():
    assert play(Fault(FaultKind.GPU_FLAPS, GPU, 61, 64, size=60)).journal.decisions == []


def test_an_xid_of_the_program_is_the_agents_business():
    assert kinds(play(Fault(FaultKind.GPU_XID_RESTART, GPU, 60))) == []


def test_a_replica_on_a_gpu_that_heat_slows_down_is_replaced_and_not_restarted():
    rehearsal = play(Fault(FaultKind.GPU_SLOWED, GPU, 60, 400, size=4))
    assert kinds(rehearsal) == ["scale_out", "scale_in"]
    assert "slowed down by heat or power braking" in said(rehearsal)
    rehearsal.must_be_home()


def test_a_region_with_a_gpu_that_waits_for_a_person_still_comes_home():
    surge = Fault(FaultKind.SURGE, "eu-west", 200, 320, size=3.5)
    rehearsal = play(NEEDS_RESET, surge, policy=BRISK, until_s=1200)
    assert "switch_profile" in kinds(rehearsal)
    rehearsal.must_be_home()


def test_a_leader_that_dies_at_any_write_of_a_reset_neither_loses_nor_repeats_it():
    calm = play(NEEDS_RESET)
    assert calm.fragile.writes > 8
    for write in range(1, calm.fragile.writes + 1):
        for crash in ({"crash_before": frozenset({write})}, {"crash_after": frozenset({write})}):
            rehearsal = play(NEEDS_RESET, until_s=700, **crash)
            assert rehearsal.crashes == 1
            assert [touch.kind for touch in rehearsal.world.hosts["eu-west-a"].machine.touches] == [OrderKind.RESET_GPU]
            rehearsal.must_be_home()


@pytest.mark.parametrize("write", range(12, 16))
def test_a_leader_that_dies_before_its_reboot_went_out_does_not_use_up_the_one_of_the_day(write):
    rehearsal = play(LOST, regions=ROOMY, until_s=900, crash_after=frozenset({write}))
    assert [touch.kind for touch in rehearsal.world.hosts["eu-west-a"].machine.touches] == [OrderKind.REBOOT_HOST]
    rehearsal.must_be_home()


# ── what is left alone ────────────────────────────────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize("takes_s", [25.0, 140.0], ids=["seconds", "until its agent gives up"])
def test_a_reset_hides_the_other_gpus_of_its_host_and_nobody_there_is_disturbed(takes_s):
    rehearsal = play(NEEDS_RESET, Fault(FaultKind.RESET_TAKES, "eu-west-a", size=takes_s), policy=PATIENT)
    assert kinds(rehearsal) == ["scale_out", "scale_in", "reset_gpu"]
    assert actions(rehearsal)[-1].verdict is Verdict.IMPROVED
    assert "is down" not in said(rehearsal)
    assert "GPUs are unfit" not in said(rehearsal)
    assert set(holds(rehearsal)) <= {"OnProbation"}
    rehearsal.must_be_home()


def test_what_crashes_during_a_reset_is_started_again_by_its_agent_afterwards():
    slow = Fault(FaultKind.RESET_TAKES, "eu-west-a", size=80)
    rehearsal = play(NEEDS_RESET, slow, Fault(FaultKind.CRASH, "eu-west-a-1", 200), policy=PATIENT, until_s=900)
    assert "restart" not in kinds(rehearsal)
    assert "did not restart, while its GPU is unfit, replica eu-west-a-1" in said(rehearsal)
    rehearsal.must_be_home()


@pytest.mark.parametrize(
    ("kind", "calm_s"),
    [
        (FaultKind.GPU_NEEDS_RESET, TRUSTED.calm_s),
        (FaultKind.GPU_BROKEN, TRUSTED.calm_s),
        (FaultKind.GPU_FLAPS, 600),  # in between it is as calm as ever
    ],
)
def test_what_befalls_a_whole_region_at_once_is_not_its_devices_and_costs_nobody(kind, calm_s):
    everywhere = [Fault(kind, gpu, 30, 600, size=12) for gpu in GPUS]
    rehearsal = play(*everywhere, policy=replace(TRUSTED, calm_s=calm_s), lean=True, until_s=600)
    assert not [record for record in actions(rehearsal) if record.action.region == "eu-west"]
    assert set(holds(rehearsal)) <= {"Widespread", "OnProbation"}
    assert "6 of 6 GPUs of eu-west are unfit at once" in said(rehearsal)
    assert holds(rehearsal).count("Widespread") == 2, "once per host"


def test_three_bad_gpus_on_two_hosts_are_three_bad_gpus():
    bad = (GPUS[0], *GPUS[4:])
    rehearsal = play(*(replace(NEEDS_RESET, where=gpu) for gpu in bad), lean=True, until_s=1500)
    resets = {record.action.gpu for record in actions(rehearsal) if isinstance(record.action, ResetGpu)}
    assert len(resets) == len(bad)


def test_machines_of_one_region_are_touched_one_after_the_other():
    rehearsal = play(*(replace(NEEDS_RESET, where=f"eu-west-{host}/2") for host in "ab"))
    first, second = sorted(actions(rehearsal), key=lambda record: record.intended_unix_s)
    assert {first.action.host, second.action.host} == {"eu-west-a", "eu-west-b"}
    assert second.intended_unix_s >= first.stage_unix_s


def test_a_gpu_that_waits_for_a_reboot_does_not_keep_another_from_its_reset():
    lost = Fault(FaultKind.GPU_LOST, "eu-west-a/2", 60)
    rehearsal = play(lost, NEEDS_RESET, policy=replace(TRUSTED, host_reboot_allowed=False))
    assert kinds(rehearsal) == ["scale_out", "scale_in", "reset_gpu"]
    assert "needs a reboot of the host; not permitted here" in said(rehearsal)


# ── operators ─────────────────────────────────────────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize(
    ("policy", "refusal"), [(BRISK, "NotPermitted"), (TRUSTED, "InUse")], ids=["not permitted", "in use"]
)
def test_an_operator_meets_the_same_guards(policy, refusal):
    rehearsal = play(until_s=30, policy=policy)
    ask(rehearsal, "reset_gpu", host="eu-west-a", gpu="0")
    ask(rehearsal, "reboot_host", host="eu-west-a")
    asyncio.run(rehearsal.play(60))
    assert kinds(rehearsal) == []
    refusals = [dict(line.evidence)["refusal"] for line in rehearsal.journal.decisions if line.kind == "refuse"]
    assert refusals == [refusal, refusal]


def test_an_operator_resets_an_idle_gpu_where_it_is_permitted():
    rehearsal = play(until_s=30)
    ask(rehearsal, "reset_gpu", host="eu-west-a", gpu="2")
    asyncio.run(rehearsal.play(200))
    (record,) = actions(rehearsal)
    assert (record.action.kind, record.origin, record.verdict) == ("reset_gpu", "ada", Verdict.IMPROVED)
    assert "ada: reset eu-west-a simulated GPU 2." in said(rehearsal)
