"""One region becomes five times slower, but every probe still passes. Only the objective can tell; traffic must move and return."""

import asyncio

from trimtab.api_bodies import Decision
from trimtab.chaos.faults import SlowRegion
from trimtab.demo.checks import Promise
from trimtab.demo.report import ScenarioReport
from trimtab.demo.scenarios.observed import Outcome, facts_of, judged
from trimtab.demo.timeline import well_since
from trimtab.demo.world import World, listener_of

PROMISE = Promise(actions=("shift", "return_traffic"))
DETECT_WITHIN_S = 60.0
VERIFY_WITHIN_S = 60.0
HOME_WITHIN_S = 90.0


async def region_slow(world: World) -> ScenarioReport:
    """Slow the first region until the loop has shifted its traffic and verified that it helped; then let it recover."""
    region = world.regions[0]
    listeners = tuple(listener_of(replica) for replica in (await world.api.fleet()).replicas(region))
    sent_from_s, at_unix_s = world.clock.monotonic_s(), world.clock.now_unix_s()
    stop = asyncio.Event()
    world.narrator.fault(f"{region} runs at a fifth of its speed; its probes still pass")

    def is_first_act(line: Decision) -> bool:
        return line.kind == "act" and line.subject == region

    async with asyncio.TaskGroup() as group:
        fault = SlowRegion(world.tree, lambda: listeners, world.clock)
        group.create_task(fault.run(duration_s=DETECT_WITHIN_S + VERIFY_WITHIN_S, stop=stop))
        begun = await world.story.wait_for(at_unix_s, is_first_act, within_s=DETECT_WITHIN_S)
        if begun is not None:
            await world.finished("shift", at_unix_s, within_s=VERIFY_WITHIN_S)
        stop.set()
    ended_s = world.clock.monotonic_s()
    world.narrator.fault(f"{region} runs at full speed again")
    restore_s = await world.until(world.is_home, within_s=HOME_WITHIN_S)
    records = world.sent_since(sent_from_s)
    detect_s = None if begun is None else begun.at_unix_s - at_unix_s
    well_s = well_since(
        [record for record in records if record.gateway == region],
        from_s=sent_from_s + (detect_s or 0.0),
        until_s=ended_s,
        threshold_s=world.sizing.threshold_s,
        objective=world.sizing.objective,
    )
    outcome = Outcome(
        name="slow-region",
        fault=f"{region} five times slower",
        detected_by="loop (objective missed)" if begun else "",
        evidence=facts_of(begun) if begun else (),
        actions=await world.actions_since(at_unix_s),
        detect_s=detect_s,
        mitigate_s=None if well_s is None else well_s - sent_from_s,
        restore_s=restore_s,
        records=tuple(records),
    )
    return judged(outcome, PROMISE, world)
