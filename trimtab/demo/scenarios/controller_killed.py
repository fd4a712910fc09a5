"""The controller dies in the middle of an action. Its successor must finish that action, exactly once."""

from trimtab.api_bodies import Action, Replica
from trimtab.chaos.faults import kill
from trimtab.demo.checks import Promise
from trimtab.demo.report import ActionLine, ScenarioReport
from trimtab.demo.scenarios.observed import Outcome, judged
from trimtab.demo.world import World

PROMISE = Promise(actions=("restart",), nothing_refused=True)
ORDERED_WITHIN_S = 20.0
POLL_S = 0.05
"""The order is out for about a second: looked for often, to be in the middle of it."""
BACK_WITHIN_S = 30.0
FINISHED_WITHIN_S = 60.0


async def controller_killed(world: World) -> ScenarioReport:
    """Ask for a graceful restart, kill the controller once its order is out, wait for the verdict."""
    before = (await world.serving(world.regions[-1]))[0]
    sent_from_s, at_unix_s = world.clock.monotonic_s(), world.clock.now_unix_s()
    world.narrator.say(f"an operator asks for a restart of {before.replica}")
    await world.api.ask("restart", {"replica": before.replica})
    caught = await _order_out(world, at_unix_s)
    epoch = (await world.api.status()).epoch
    killed_s = world.clock.monotonic_s()
    pid = kill(world.tree, world.plan.controller)
    stage = caught.stage if caught else "nothing open"
    world.narrator.fault(f"the controller (process {pid}) is killed with -9; its action stands at: {stage}")
    back_s = await world.until(lambda: _leads_again(world), within_s=BACK_WITHIN_S)
    finished = await world.finished("restart", at_unix_s, within_s=FINISHED_WITHIN_S)
    finish_s = world.clock.monotonic_s() - killed_s if finished else None
    home_s = await world.until(world.is_home, within_s=FINISHED_WITHIN_S)
    lines = await world.actions_since(at_unix_s)
    after = next(replica for replica in (await world.api.fleet()).replicas() if replica.replica == before.replica)
    outcome = Outcome(
        name="kill-controller",
        fault=f"controller killed (-9) with an action {stage}",
        detected_by="supervisor" if back_s is not None else "",
        evidence=(f"epoch={epoch}", f"generation={before.generation}→{after.generation}"),
        actions=lines,
        detect_s=back_s,
        mitigate_s=finish_s,
        restore_s=None if home_s is None or finish_s is None else finish_s + home_s,
        records=tuple(world.sent_since(sent_from_s)),
        further_problems=_not_exactly_once(caught, before, after, lines),
    )
    return judged(outcome, PROMISE, world)


async def _order_out(world: World, since_unix_s: float) -> Action | None:
    """The action once its order is out and not yet answered; None when it was never seen in that state."""
    deadline_s = world.clock.monotonic_s() + ORDERED_WITHIN_S
    while world.clock.monotonic_s() < deadline_s:
        for action in await world.api.actions(open_only=True, limit=10):
            if action.intended_unix_s >= since_unix_s and action.order_keys:
                return action
        await world.clock.sleep(POLL_S)
    return None


async def _leads_again(world: World) -> bool:
    """Only the successor can answer: its predecessor is dead."""
    status = await world.api.status()
    return status.leader and status.last_tick_age_s is not None


def _not_exactly_once(
    caught: Action | None, before: Replica, after: Replica, lines: tuple[ActionLine, ...]
) -> tuple[str, ...]:
    """Problems that only this scenario can see: two witnesses, the agent's journal and the replica's generation."""
    if caught is None:
        return ("no action was open when the controller was killed",)
    problems = []
    executions = next((line.executions for line in lines if line.id == caught.id), 0)
    if executions != 1:
        problems.append(f"the order was executed {executions} times")
    if after.generation != before.generation + 1:
        problems.append(f"{before.replica} was restarted {after.generation - before.generation} times")
    return tuple(problems)
