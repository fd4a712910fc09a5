"""A fault that no remedy reaches: the loop tries what there is, says that it can do no more, and takes that back in the end."""

import asyncio
from dataclasses import replace

from controller.core.actions import ActionKind, Verdict
from controller.core.helplessness import HelplessReason
from controller.rehearsal.run import TWO_REGIONS, Rehearsal, Script
from controller.simulation.faults import Fault, FaultKind
from controller.simulation.world import SLO

ALONE = (replace(TWO_REGIONS[0], slots_per_host=TWO_REGIONS[0].replicas_per_host),)
"""One region, every slot in use: nowhere to shift to, nothing to add."""
SLOW = Fault(FaultKind.SLOW_REGION, "eu-west", 60, 300, size=6.0)


def test_a_region_that_nothing_relieves_is_given_up_until_it_is_well():
    rehearsal = Rehearsal(Script(seed=1, faults=(SLOW,), regions=ALONE))
    told: list[tuple[float, frozenset[HelplessReason]]] = []

    async def play() -> None:
        while rehearsal.world.now_s < 360:
            await rehearsal.tick()
            view = rehearsal.controllers[0].view
            assert {each.slo for each in view.helpless} <= {SLO}
            assert not (view.helpless and view.actions_open), "while something is tried, nothing is given up"
            told.append((rehearsal.world.now_s, frozenset(each.reason for each in view.helpless)))

    asyncio.run(play())
    (lightened,) = rehearsal.controllers[0].view.actions
    assert (lightened.action.kind, lightened.verdict) == (ActionKind.SWITCH_PROFILE, Verdict.NO_EFFECT)
    given_up = [at_s for at_s, reasons in told if reasons]
    assert SLOW.from_s < given_up[0] <= 120
    assert len(given_up) >= 30, "for minutes, tick after tick, so that an alert can wait for it to last"
    assert next(reasons for at_s, reasons in told if at_s == given_up[0]) == {HelplessReason.NOTHING_HELPED}
    assert given_up[-1] < 340
