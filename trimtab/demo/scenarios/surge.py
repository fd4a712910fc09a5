"""More load than full quality can carry. Quality must give way before service does, and come back when the surge is over."""

import asyncio

from trimtab.api_bodies import Decision
from trimtab.demo.checks import Promise
from trimtab.demo.report import ScenarioReport
from trimtab.demo.scenarios.observed import Outcome, facts_of, finding_of, judged
from trimtab.demo.scenarios.suffering import Span, detect_and_mitigate, grow_until_felt
from trimtab.demo.world import World
from trimtab.load.generator import Stream

PROMISE = Promise(actions=("switch_profile", "restore_profile"), improved=("switch_profile", "scale_out"))
STEP_RATIO = 0.25
"""Of the full-quality capacity, per further wave."""
STEPS_MAX = 4
"""More waves than this would be more than the light profile carries, too."""
DETECT_WITHIN_S = 60.0
RELIEVED_WITHIN_S = 45.0
SCALE_OUT_WITHIN_S = 20.0
"""A debt of quality that lasts is paid with capacity; how fast depends on the machine, so it is shown, not promised."""
HOME_WITHIN_S = 120.0


async def surge(world: World) -> ScenarioReport:
    """Add load until every region speaks light and that is verified; then take the load away."""
    sizing = world.sizing
    began_s, began_unix_s = world.clock.monotonic_s(), world.clock.now_unix_s()
    stop = asyncio.Event()
    rates = [sizing.base_rps, sizing.surge_rps]
    async with asyncio.TaskGroup() as group:

        def add(rate_rps: float) -> None:
            lasts_s = DETECT_WITHIN_S + RELIEVED_WITHIN_S + SCALE_OUT_WITHIN_S
            group.create_task(world.load.run(Stream("surge", world.regions, rate_rps, lasts_s), stop))

        def another_wave() -> None:
            rates.append(STEP_RATIO * sizing.full_rps)
            add(rates[-1])
            world.narrator.fault(f"load rises to {sum(rates):.1f} sentences per second")

        def has_acted() -> bool:
            return bool(world.story.since(began_unix_s, _is_act))

        add(sizing.surge_rps)
        world.narrator.fault(f"load rises from {sizing.base_rps:.1f} to {sum(rates):.1f} sentences per second")
        waves = [another_wave] * STEPS_MAX
        group.create_task(grow_until_felt(world, waves, region=None, is_over=lambda: has_acted() or stop.is_set()))
        begun = await world.story.wait_for(began_unix_s, _is_act, within_s=DETECT_WITHIN_S)
        if begun is not None and await world.finished("switch_profile", began_unix_s, within_s=RELIEVED_WITHIN_S):
            await world.finished("scale_out", began_unix_s, within_s=SCALE_OUT_WITHIN_S)
        span = Span(began_s, began_unix_s, ended_s=world.clock.monotonic_s())
        stop.set()
    world.narrator.fault("the surge is over")
    restore_s = await world.until(world.is_home, within_s=HOME_WITHIN_S)
    records = world.sent_since(began_s)
    detect_s, mitigate_s = detect_and_mitigate(records, begun, span, world)
    outcome = Outcome(
        name="surge",
        fault=f"load of {sum(rates):.0f}/s, {sum(rates) / sizing.full_rps:.1f} times full-quality capacity",
        detected_by=f"loop: {finding_of(begun)}" if begun else "",
        evidence=facts_of(begun) if begun else (),
        actions=await world.actions_since(began_unix_s),
        detect_s=detect_s,
        mitigate_s=mitigate_s,
        restore_s=restore_s,
        records=tuple(records),
    )
    return judged(outcome, PROMISE, world)


def _is_act(line: Decision) -> bool:
    return line.kind == "act"
