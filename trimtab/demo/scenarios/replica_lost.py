"""A replica freezes, or dies. Its agent must bring it back within three seconds, and the gateway must not let anyone notice."""

from collections.abc import Callable

from trimtab.api_bodies import Decision
from trimtab.chaos.faults import freeze, kill
from trimtab.chaos.processes import ProcessTree
from trimtab.demo.checks import SERVING_AGAIN_S_MAX, Promise
from trimtab.demo.report import ActionLine, ScenarioReport
from trimtab.demo.scenarios.observed import Outcome, facts_of, judged
from trimtab.demo.world import World, listener_of
from trimtab.stack.model import Listener

PROMISE = Promise(mitigate_s_max=SERVING_AGAIN_S_MAX, nothing_refused=True)
GIVE_UP_S = 20.0
"""Far beyond the promise: measured anyway, then reported as broken."""
LOOK_AFTER_S = 4.0
"""Load goes on this long after the healing: requests that sat in the frozen replica are counted as well."""

Break = Callable[[ProcessTree, Listener], int]


async def replica_frozen(world: World) -> ScenarioReport:
    """SIGSTOP: the port stays open, nothing answers."""
    return await _lose(world, name="freeze", fault="a replica frozen (SIGSTOP)", break_it=freeze, number=0)


async def replica_killed(world: World) -> ScenarioReport:
    """SIGKILL."""
    return await _lose(world, name="kill", fault="a replica killed (SIGKILL)", break_it=kill, number=1)


async def _lose(world: World, *, name: str, fault: str, break_it: Break, number: int) -> ScenarioReport:
    victim = (await world.serving(world.regions[0]))[number]
    sent_from_s, at_unix_s = world.clock.monotonic_s(), world.clock.now_unix_s()
    pid = break_it(world.tree, listener_of(victim))
    world.narrator.fault(f"{fault}: {victim.replica}, process {pid}")
    mitigate_s = await world.serves_again(listener_of(victim), within_s=GIVE_UP_S)

    def is_about_victim(line: Decision) -> bool:
        return line.kind == "reflex" and line.subject == victim.replica

    begun = await world.story.wait_for(at_unix_s, is_about_victim, within_s=GIVE_UP_S)
    healed = await world.story.wait_for(
        at_unix_s, lambda line: is_about_victim(line) and "healed_s" in line.evidence, within_s=GIVE_UP_S
    )
    restore_s = await world.until(world.is_home, within_s=GIVE_UP_S)
    await world.clock.sleep(LOOK_AFTER_S)
    outcome = Outcome(
        name=name,
        fault=fault,
        detected_by="agent" if begun else "",
        evidence=facts_of(begun) if begun else (),
        actions=(*_reflex(begun, healed), *await world.actions_since(at_unix_s)),
        detect_s=_detect_s(mitigate_s, healed),
        mitigate_s=mitigate_s,
        restore_s=None if restore_s is None or mitigate_s is None else mitigate_s + restore_s,
        records=tuple(world.sent_since(sent_from_s)),
    )
    return judged(outcome, PROMISE, world)


def _detect_s(mitigate_s: float | None, healed: Decision | None) -> float | None:
    """The agent says how long healing took after it saw the fault; the rest of the outage is detection."""
    if mitigate_s is None or healed is None:
        return None
    return max(0.0, mitigate_s - float(healed.evidence["healed_s"]))


def _reflex(begun: Decision | None, healed: Decision | None) -> tuple[ActionLine, ...]:
    if begun is None:
        return ()
    verdict = "healed" if healed else ""
    return (ActionLine(id=begun.id, kind="reflex", subject=begun.subject, verdict=verdict, executions=1),)
