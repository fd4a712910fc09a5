"""One region becomes many times slower, but every probe still passes. Only the objective can tell; traffic must move, and
return when the region is well again."""

import asyncio
from functools import partial

from trimtab.api_bodies import Decision
from trimtab.chaos.faults import SlowRegion
from trimtab.demo.checks import Promise
from trimtab.demo.report import ScenarioReport
from trimtab.demo.scenarios.observed import Outcome, facts_of, finding_of, judged
from trimtab.demo.scenarios.suffering import Span, detect_and_mitigate, grow_until_felt
from trimtab.demo.world import World, listener_of

PROMISE = Promise(actions=("shift", "return_traffic"), improved=("shift",))
WORSE = (0.88, 0.9)
"""Stopped share of each period after the first, moderate one."""
DETECT_WITHIN_S = 70.0
VERIFY_WITHIN_S = 50.0
HOME_WITHIN_S = 90.0


async def region_slow(world: World) -> ScenarioReport:
    """Slow the first region until the loop has shifted its traffic and verified that it helped; then let it recover."""
    region = world.regions[0]
    listeners = tuple(listener_of(replica) for replica in await world.serving(region))
    began_s, began_unix_s = world.clock.monotonic_s(), world.clock.now_unix_s()
    stop = asyncio.Event()
    fault = SlowRegion(world.tree, lambda: listeners, world.clock)
    world.narrator.fault(f"{region} gets a seventh of its time to run; its probes still pass")

    def worse(stopped_ratio: float) -> None:
        world.narrator.fault(f"{region} gets {1 - stopped_ratio:.0%} of its time to run")
        fault.slow_by(stopped_ratio)

    def is_first_act(line: Decision) -> bool:
        return line.kind == "act" and line.subject == region

    async with asyncio.TaskGroup() as group:
        group.create_task(fault.run(duration_s=DETECT_WITHIN_S + VERIFY_WITHIN_S, stop=stop))
        steps = [partial(worse, stopped_ratio) for stopped_ratio in WORSE]
        group.create_task(grow_until_felt(world, steps, region=region, is_over=stop.is_set))
        begun = await world.story.wait_for(began_unix_s, is_first_act, within_s=DETECT_WITHIN_S)
        if begun is not None:
            await world.finished("shift", began_unix_s, within_s=VERIFY_WITHIN_S)
        stop.set()
    span = Span(began_s, began_unix_s, ended_s=world.clock.monotonic_s())
    world.narrator.fault(f"{region} runs at full speed again")
    restore_s = await world.until(world.is_home, within_s=HOME_WITHIN_S)
    records = world.sent_since(began_s)
    detect_s, mitigate_s = detect_and_mitigate([r for r in records if r.gateway == region], begun, span, world)
    outcome = Outcome(
        name="slow-region",
        fault=f"{region} many times slower",
        detected_by=f"loop: {finding_of(begun)}" if begun else "",
        evidence=facts_of(begun) if begun else (),
        actions=await world.actions_since(began_unix_s),
        detect_s=detect_s,
        mitigate_s=mitigate_s,
        restore_s=restore_s,
        records=tuple(records),
    )
    return judged(outcome, PROMISE, world)
