"""pause, resume, restart, scale, shift, switch, reset-gpu, reboot: what operators ask the loop for.

An intent is judged by the same safety kernel as the loop's own plans, so each command waits for the answer and says it:
exit code 0 when the loop took it up, 1 when it refused or did not answer.
"""

import asyncio
from collections.abc import Mapping
from typing import Annotated

import typer

from chassis.clock import Clock, SystemClock
from trimtab.api_bodies import Decision
from trimtab.api_client import ApiError
from trimtab.cli.options import Session, console, session
from trimtab.cli.story_render import decision_line

ANSWER_WITHIN_S = 15.0
"""Three ticks of the slowest usual loop."""
POLL_S = 0.3
ANSWERS = frozenset({"operator", "refuse"})
REPLICAS_PER_COMMAND_MAX = 8
"""A larger step than this is a plan for daylight, not for one command."""

Region = Annotated[str, typer.Argument(help="A region, e.g. eu-west.")]
Host = Annotated[str, typer.Argument(help="A host, e.g. eu-west-a.")]


def pause(ctx: typer.Context) -> None:
    """Stop the loop from beginning new actions; it goes on watching, and finishes what is open.

    Example: trimtab pause
    """
    _ask(session(ctx), "pause", {})


def resume(ctx: typer.Context) -> None:
    """Let the loop act again.

    Example: trimtab resume
    """
    _ask(session(ctx), "resume", {})


def restart(
    ctx: typer.Context, replica: Annotated[str, typer.Argument(help="A replica, as `trimtab status` names it.")]
) -> None:
    """Drain one replica, restart it, wait until it is ready, and give it traffic again.

    Example: trimtab restart eu-west-a-0
    """
    _ask(session(ctx), "restart", {"replica": replica})


def scale(
    ctx: typer.Context,
    region: Region,
    by: Annotated[int, typer.Argument(help="How many replicas more (+1) or fewer (-1).")],
) -> None:
    """Start or stop replicas in a region.

    Examples: trimtab scale eu-west +1 · trimtab scale eu-west -1
    """
    if not 1 <= abs(by) <= REPLICAS_PER_COMMAND_MAX:
        msg = f"{by} is not a step: choose -{REPLICAS_PER_COMMAND_MAX} to +{REPLICAS_PER_COMMAND_MAX}, but not 0"
        raise typer.BadParameter(msg)
    for _ in range(abs(by)):
        _ask(session(ctx), "scale_out" if by > 0 else "scale_in", {"region": region})


def shift(
    ctx: typer.Context,
    source: Annotated[str, typer.Argument(metavar="FROM", help="Region to relieve.")],
    target: Annotated[str, typer.Argument(metavar="TO", help="Region that takes the traffic.")],
    share: Annotated[float, typer.Option(min=0.01, max=1.0, help="Share of the gateway's traffic to move.")] = 1.0,
    gateway: Annotated[str, typer.Option(help="Whose traffic; by default the gateway of FROM.")] = "",
) -> None:
    """Move traffic between regions.

    Examples: trimtab shift eu-west us-east --share 0.5 · trimtab shift us-east eu-west --gateway eu-west
    """
    arguments: dict[str, str | float] = {"from": source, "to": target, "share": share}
    _ask(session(ctx), "shift", arguments | ({"gateway": gateway} if gateway else {}))


def switch(
    ctx: typer.Context,
    region: Region,
    profile: Annotated[str, typer.Argument(help="A profile, e.g. full-fp32-onnx or light-int8-onnx.")],
) -> None:
    """Run the replicas of a region on another profile; no request is dropped.

    Example: trimtab switch eu-west light-int8-onnx
    """
    _ask(session(ctx), "switch_profile", {"region": region, "profile": profile})


def reset_gpu(
    ctx: typer.Context,
    host: Host,
    gpu: Annotated[str, typer.Argument(help="Its index there, or its UUID, as `trimtab status` shows them.")],
) -> None:
    """Reset one GPU that nothing uses any more. Off unless both the controller's and the host's policy allow it.

    Example: trimtab reset-gpu eu-west-a 3
    """
    _ask(session(ctx), "reset_gpu", {"host": host, "gpu": gpu})


def reboot(ctx: typer.Context, host: Host) -> None:
    """Reboot one host that serves nothing any more. Off unless both the controller's and the host's policy allow it.

    Example: trimtab reboot eu-west-a
    """
    _ask(session(ctx), "reboot_host", {"host": host})


def _ask(where: Session, verb: str, arguments: Mapping[str, str | float]) -> None:
    answer = asyncio.run(_ask_and_wait(where, verb, arguments, SystemClock()))
    console().print(decision_line(answer))
    if answer.kind == "refuse":
        raise typer.Exit(1)


async def _ask_and_wait(where: Session, verb: str, arguments: Mapping[str, str | float], clock: Clock) -> Decision:
    async with where.api() as api:
        after = (await api.decisions(limit=1)).next_after
        intent = await api.ask(verb, arguments)
        deadline_s = clock.monotonic_s() + ANSWER_WITHIN_S
        while clock.monotonic_s() < deadline_s:
            for line in (await api.decisions(after=after, limit=100)).items:
                if _answers(line, intent.id, arguments):
                    return line
            await clock.sleep(POLL_S)
    msg = f"intent {intent.id} is recorded, but nothing was decided within {ANSWER_WITHIN_S:g} s. Does anybody lead? Try `trimtab status`."
    raise ApiError(msg)


def _answers(line: Decision, intent_id: str, arguments: Mapping[str, str | float]) -> bool:
    """The line names the intent; or, where an action was begun, carries the same arguments as evidence."""
    if line.kind not in ANSWERS:
        return False
    told = {name: str(value) for name, value in arguments.items()}
    return line.evidence.get("intent") == intent_id or bool(told and told.items() <= line.evidence.items())
