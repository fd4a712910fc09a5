"""One fault, one story: what the loop does about each kind of trouble, and what it does not."""

import asyncio
from dataclasses import replace

import pytest

from controller.core.actions import ActionKind, ActionRecord, Restart, Shift, Stage, Verdict
from controller.core.signals import Trust
from controller.core.telemetry import SourceDown
from controller.ports import OperatorIntent
from controller.rehearsal.run import BRISK, Rehearsal, Script
from controller.simulation.faults import Fault, FaultKind

HANG = Fault(FaultKind.HANG, "eu-west-a-0", 60)
NO_REFLEX = Fault(FaultKind.REFLEX_OFF, "eu-west-a")


def play(*faults: Fault, until_s: float = 300.0, **script) -> Rehearsal:
    rehearsal = Rehearsal(Script(seed=1, faults=faults, **script))
    asyncio.run(rehearsal.play(until_s))
    return rehearsal


def actions(rehearsal: Rehearsal) -> list[ActionRecord]:
    return list(rehearsal.journal.load(rehearsal.world.clock.now_unix_s(), 86_400.0).actions)


def kinds(rehearsal: Rehearsal) -> list[str]:
    return [str(record.action.kind) for record in actions(rehearsal)]


def lines(rehearsal: Rehearsal, kind: str) -> list[str]:
    return [line.summary for line in rehearsal.journal.decisions if line.kind == kind]


def test_in_steady_state_nothing_is_done_and_nothing_is_told():
    rehearsal = play(until_s=900)
    assert kinds(rehearsal) == []
    assert rehearsal.journal.decisions == []
    assert rehearsal.fragile.writes == 1, "only the first traffic intent is written"


def test_a_hung_replica_is_left_to_its_agent_and_the_reflex_is_told_once():
    rehearsal = play(HANG)
    assert kinds(rehearsal) == []
    assert lines(rehearsal, "reflex") == [
        "The agent on eu-west-a restarted hung replica eu-west-a-0.",
        "eu-west-a-0 serves again, 4.0 s after its agent saw the fault.",
    ]


@pytest.mark.parametrize("kind", [FaultKind.HANG, FaultKind.CRASH])
def test_a_dead_replica_that_its_agent_does_not_heal_is_restarted_at_once(kind):
    rehearsal = play(Fault(kind, "eu-west-a-0", 60), NO_REFLEX)
    (record,) = actions(rehearsal)
    assert isinstance(record.action, Restart)
    assert not record.action.graceful
    assert record.intended_unix_s - (rehearsal.world.clock.now_unix_s() - rehearsal.world.now_s) <= 70 + 1
    assert record.verdict is Verdict.IMPROVED
    rehearsal.must_be_home()


def test_a_slow_replica_is_drained_before_it_is_restarted():
    rehearsal = play(Fault(FaultKind.SLOW_REPLICA, "eu-west-a-0", 60, size=4))
    (record,) = actions(rehearsal)
    assert isinstance(record.action, Restart)
    assert record.action.graceful
    assert record.verdict is Verdict.IMPROVED
    told = lines(rehearsal, "act") + lines(rehearsal, "advance")
    assert "worse than its peers" in told[0]
    assert any("is drained" in line for line in told)
    rehearsal.must_be_home()


def test_a_sick_device_is_replaced_when_a_restart_does_not_help():
    rehearsal = play(Fault(FaultKind.SICK_DEVICE, "eu-west-a-0", 60, 400, size=4), until_s=500)
    assert kinds(rehearsal) == ["restart", "scale_out", "scale_in"]
    assert "eu-west-a-0" not in {replica.id for replica in rehearsal.world.replicas()}


def test_a_slow_region_is_relieved_as_far_as_others_have_room_and_gets_its_traffic_back_in_steps():
    rehearsal = play(Fault(FaultKind.SLOW_REGION, "eu-west", 60, 260, size=3), until_s=900)
    told = kinds(rehearsal)
    assert told[0] == "shift"
    first = actions(rehearsal)[0].action
    assert isinstance(first, Shift)
    assert 0 < first.after.share("eu-west", "us-east") < 1, "us-east has no room for all of it"
    steps = [
        a.action.after.share("eu-west", "eu-west") for a in actions(rehearsal) if a.action.kind == "return_traffic"
    ]
    assert steps[-3:] == [0.1, 0.5, 1.0]
    assert "restart" not in told
    rehearsal.must_be_home()


@pytest.mark.parametrize("regions", [("eu-west",), ("eu-west", "us-east")])
def test_overload_is_met_with_a_lighter_profile_and_never_with_a_restart(regions):
    surges = [Fault(FaultKind.SURGE, region, 60, 260, size=3.5) for region in regions]
    rehearsal = play(*surges, until_s=900)
    told = kinds(rehearsal)
    assert told[0] == "switch_profile"
    assert ActionKind.RESTART not in told
    assert told.count("switch_profile") >= len(regions)
    assert told.count("restore_profile") >= len(regions)
    rehearsal.must_be_home()


def test_a_dead_host_is_not_shot_at_and_its_work_is_placed_elsewhere():
    rehearsal = play(Fault(FaultKind.HOST_DEAD, "eu-west-a", 60, 300), until_s=800)
    assert ActionKind.RESTART not in kinds(rehearsal)
    assert ActionKind.SCALE_OUT in kinds(rehearsal)
    rehearsal.must_be_home()


def test_a_silent_agent_alone_changes_nothing():
    rehearsal = play(Fault(FaultKind.HOST_SILENT, "eu-west-a", 60, 200))
    assert kinds(rehearsal) == []
    assert any("does not report" in line for line in lines(rehearsal, "hold"))


def test_without_signals_soft_faults_wait_and_hard_ones_are_healed():
    blind = Fault(FaultKind.SIGNALS_DOWN, "", 40, 260)
    slow = Fault(FaultKind.SLOW_REPLICA, "us-east-a-0", 70, size=4)
    rehearsal = play(blind, slow, Fault(FaultKind.HANG, "eu-west-a-0", 100), NO_REFLEX, until_s=250)
    (record,) = actions(rehearsal)
    assert record.action.replica == "eu-west-a-0"
    asyncio.run(rehearsal.play(450))
    assert [a.action.replica for a in actions(rehearsal)] == ["eu-west-a-0", "us-east-a-0"]
    rehearsal.must_be_home()


def test_a_lost_receipt_is_answered_by_the_fleet_itself():
    lost = Fault(FaultKind.RECEIPTS_LOST, "eu-west-a", 0, 300)
    rehearsal = play(HANG, NO_REFLEX, lost)
    (record,) = actions(rehearsal)
    assert record.verdict is Verdict.IMPROVED
    assert rehearsal.journal.load(0, 0).orders == (), "an order whose action is over is not offered for ever"


def test_a_lost_order_fails_by_its_deadline_and_is_tried_again_after_a_rest():
    lost = Fault(FaultKind.ORDERS_LOST, "eu-west-a", 0, 110)
    rehearsal = play(HANG, NO_REFLEX, lost)
    assert [record.verdict for record in actions(rehearsal)] == [Verdict.FAILED, Verdict.IMPROVED]
    assert "no answer from the agent" in actions(rehearsal)[0].detail
    rehearsal.must_be_home()


def test_a_replica_that_does_not_come_back_is_given_up_after_so_many_attempts():
    lost = Fault(FaultKind.ORDERS_LOST, "eu-west-a", 0)
    rehearsal = play(HANG, NO_REFLEX, lost, until_s=1200)
    restarts = [record for record in actions(rehearsal) if record.action.kind == "restart"]
    assert len(restarts) == BRISK.attempts_max
    assert any("a person is needed" in line for line in lines(rehearsal, "hold"))


@pytest.mark.parametrize("after", [False, True])
def test_a_controller_that_dies_at_any_journal_write_loses_and_repeats_nothing(after):
    faults = (
        Fault(FaultKind.SLOW_REPLICA, "eu-west-a-0", 60, size=4),
        Fault(FaultKind.SURGE, "us-east", 70, 200, size=3),
        Fault(FaultKind.ORDERS_REPEATED, "eu-west-a"),
    )
    calm = play(*faults, until_s=600)
    assert calm.fragile.writes > 10
    for write in range(1, calm.fragile.writes + 1):
        crash = {"crash_after": frozenset({write})} if after else {"crash_before": frozenset({write})}
        rehearsal = Rehearsal(Script(seed=1, faults=faults, **crash))
        asyncio.run(rehearsal.play_until_home(260, 1500))
        assert rehearsal.crashes == 1


def test_of_two_controllers_one_leads_and_the_other_takes_over_when_it_dies():
    rehearsal = Rehearsal(Script(seed=1, faults=(HANG, NO_REFLEX)))
    standby = rehearsal.new_controller("controller-b")
    rehearsal.controllers.append(standby)
    asyncio.run(rehearsal.play(50))
    first = rehearsal.controllers[0]
    assert (first.view.leader, standby.view.leader) == (True, False)
    assert standby.view.leader_name == "controller-1"
    rehearsal.controllers.remove(first)
    asyncio.run(rehearsal.play(300))
    assert standby.view.leader
    assert standby.view.epoch == 2
    rehearsal.must_be_home()


def test_a_leader_that_slept_through_its_lease_is_fenced_and_stands_down():
    rehearsal = Rehearsal(Script(seed=1, faults=(HANG, NO_REFLEX)))
    sleeper = rehearsal.controllers[0]
    asyncio.run(rehearsal.play(60))
    rehearsal.controllers[:] = [rehearsal.new_controller("controller-b")]
    asyncio.run(rehearsal.play(120))
    assert rehearsal.controllers[0].view.leader
    asyncio.run(sleeper.tick())
    assert not sleeper.view.leader


def test_an_operator_is_obeyed_within_the_limits_and_told_when_not():
    rehearsal = Rehearsal(Script(seed=1))
    asyncio.run(rehearsal.play(30))
    ask(rehearsal, "i1", "restart", replica="eu-west-a-0")
    ask(rehearsal, "i2", "restart", replica="eu-west-a-1")
    ask(rehearsal, "i3", "restart", replica="nowhere-0")
    asyncio.run(rehearsal.play(40))
    ask(rehearsal, "i4", "scale_in", region="us-east")
    asyncio.run(rehearsal.play(200))
    assert kinds(rehearsal) == ["restart"]
    refusals = [dict(line.evidence)["refusal"] for line in rehearsal.journal.decisions if line.kind == "refuse"]
    assert refusals == ["HostBusy", "NoRemedy", "BelowConfigured"]


def test_a_pause_stops_new_actions_and_lets_open_ones_finish():
    rehearsal = Rehearsal(Script(seed=1, faults=(Fault(FaultKind.SURGE, "eu-west", 60, 400, size=3),)))
    ask(rehearsal, "p", "pause")
    asyncio.run(rehearsal.play(200))
    assert kinds(rehearsal) == []
    assert rehearsal.controllers[0].view.paused
    assert any("paused by an operator" in line for line in lines(rehearsal, "hold"))
    ask(rehearsal, "r", "resume")
    asyncio.run(rehearsal.play(300))
    assert kinds(rehearsal)[0] == "switch_profile"


def test_what_an_operator_shifted_stays_until_the_operator_shifts_it_back():
    rehearsal = Rehearsal(Script(seed=1))
    asyncio.run(rehearsal.play(60))
    ask(rehearsal, "s", "shift", **{"from": "eu-west", "to": "us-east", "share": "0.3"})
    asyncio.run(rehearsal.play(900))
    assert rehearsal.controllers[0].view.traffic.share("eu-west", "us-east") == pytest.approx(0.3)
    ask(rehearsal, "b", "shift", **{"gateway": "eu-west", "from": "us-east", "to": "eu-west"})
    asyncio.run(rehearsal.play(1000))
    rehearsal.must_be_home()


def test_gateways_that_do_not_take_up_a_plan_fail_the_shift_and_it_is_taken_back():
    slow = Fault(FaultKind.SLOW_REGION, "eu-west", 60, 150, size=3)
    rehearsal = play(slow, Fault(FaultKind.GATEWAYS_STUCK, "", 50, 140), until_s=100)
    failed = next(record for record in actions(rehearsal) if record.action.kind == "shift")
    assert failed.stage is Stage.CLOSED
    assert failed.verdict is Verdict.FAILED
    assert rehearsal.journal.load(0, 0).traffic.share("eu-west", "eu-west") == 1.0


def test_a_source_that_hangs_costs_a_tick_its_timeout_and_is_down_not_zero():
    class Hanging:
        async def sample(self):
            await asyncio.Event().wait()

    rehearsal = Rehearsal(Script(seed=1, policy=replace(BRISK, source_timeout_s=0.01)))
    controller = rehearsal.controllers[0]
    controller._signals = Hanging()
    assert isinstance(asyncio.run(controller._sample()), SourceDown)
    asyncio.run(rehearsal.play(30))
    assert set(controller.view.trust.values()) == {Trust.DEAD}
    assert kinds(rehearsal) == []


def ask(rehearsal: Rehearsal, intent_id: str, verb: str, **arguments: str) -> None:
    rehearsal.journal.submit(
        OperatorIntent(
            id=intent_id,
            at_unix_s=rehearsal.world.clock.now_unix_s(),
            operator="ada",
            verb=verb,
            arguments=tuple(arguments.items()),
        )
    )
