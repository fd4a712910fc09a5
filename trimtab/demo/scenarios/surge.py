"""More load than full quality can carry. Quality must give way before service does, and come back when the surge is over."""

import asyncio

from trimtab.api_bodies import Decision
from trimtab.demo.checks import Promise
from trimtab.demo.report import ScenarioReport
from trimtab.demo.scenarios.observed import Outcome, facts_of, judged
from trimtab.demo.timeline import well_since
from trimtab.demo.world import World
from trimtab.load.generator import Stream

PROMISE = Promise(actions=("switch_profile", "restore_profile"))
DETECT_WITHIN_S = 45.0
RELIEVED_WITHIN_S = 45.0
SCALE_OUT_WITHIN_S = 20.0
"""A debt of quality that lasts is paid with capacity; how fast depends on the machine, so it is shown, not promised."""
HOME_WITHIN_S = 120.0


async def surge(world: World) -> ScenarioReport:
    """Add load until every region speaks light and that is verified; then take the load away."""
    sizing = world.sizing
    sent_from_s, at_unix_s = world.clock.monotonic_s(), world.clock.now_unix_s()
    stop = asyncio.Event()
    total_rps = sizing.base_rps + sizing.surge_rps
    world.narrator.fault(f"load rises from {sizing.base_rps:.1f} to {total_rps:.1f} sentences per second")
    lasts_s = DETECT_WITHIN_S + RELIEVED_WITHIN_S + SCALE_OUT_WITHIN_S
    async with asyncio.TaskGroup() as group:
        stream = Stream("surge", world.regions, sizing.surge_rps, lasts_s)
        group.create_task(world.load.run(stream, stop))
        begun = await world.story.wait_for(at_unix_s, _is_act, within_s=DETECT_WITHIN_S)
        if begun is not None and await world.finished("switch_profile", at_unix_s, within_s=RELIEVED_WITHIN_S):
            await world.finished("scale_out", at_unix_s, within_s=SCALE_OUT_WITHIN_S)
        ended_s = world.clock.monotonic_s()
        stop.set()
    world.narrator.fault("the surge is over")
    restore_s = await world.until(world.is_home, within_s=HOME_WITHIN_S)
    records = world.sent_since(sent_from_s)
    detect_s = None if begun is None else begun.at_unix_s - at_unix_s
    well_s = well_since(
        records,
        from_s=sent_from_s + (detect_s or 0.0),
        until_s=ended_s,
        threshold_s=sizing.threshold_s,
        objective=sizing.objective,
    )
    outcome = Outcome(
        name="surge",
        fault=f"load of {total_rps:.0f}/s, {total_rps / (sizing.full_rps):.1f} times full-quality capacity",
        detected_by="loop (overload)" if begun else "",
        evidence=facts_of(begun) if begun else (),
        actions=await world.actions_since(at_unix_s),
        detect_s=detect_s,
        mitigate_s=None if well_s is None else well_s - sent_from_s,
        restore_s=restore_s,
        records=tuple(records),
    )
    return judged(outcome, PROMISE, world)


def _is_act(line: Decision) -> bool:
    return line.kind == "act"
