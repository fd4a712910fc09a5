"""status, why, actions: what is, what was decided and why, what came of it."""

import asyncio
from typing import Annotated

import typer
from rich.console import Console

from trimtab.api_bodies import DecisionPage
from trimtab.api_client import ControllerApi
from trimtab.cli.options import JsonOption, console, session
from trimtab.cli.render import parts_table
from trimtab.cli.story_render import (
    actions_table,
    decision_line,
    evidence_line,
    fleet_table,
    gpus_table,
    status_lines,
    traffic_table,
    trouble_lines,
)
from trimtab.supervisor.home_lock import running_state

LINES_MAX = 500
FOLLOW_POLL_S = 1.0


def status(ctx: typer.Context, as_json: JsonOption = False) -> None:
    """Who leads, which replicas serve, how their GPUs are, where traffic goes; and the processes when the stack runs here.

    Examples: trimtab status · trimtab status --json
    """
    where = session(ctx)

    async def read() -> None:
        async with where.api() as api:
            state, fleet = await api.status(), await api.fleet()
        if as_json:
            typer.echo(f'{{"status": {state.model_dump_json()}, "fleet": {fleet.model_dump_json()}}}')
            return
        out = console()
        for line in status_lines(state):
            out.print(line)
        out.print(fleet_table(fleet))
        for line in trouble_lines(fleet):
            out.print(line)
        if (gpus := gpus_table(fleet)) is not None:
            out.print(gpus)
        out.print(traffic_table(fleet))
        stack = running_state(where.home)
        if stack is not None and where.url is None:
            out.print(parts_table(stack))

    asyncio.run(read())


def why(
    ctx: typer.Context,
    subject: Annotated[str, typer.Argument(help="A replica, a region or `fleet`; all of them by default.")] = "",
    lines: Annotated[int, typer.Option("--lines", "-n", min=1, max=LINES_MAX, help="How many of the last lines.")] = 40,
    action: Annotated[str, typer.Option(help="Only lines of this action.")] = "",
    as_json: JsonOption = False,
) -> None:
    """The story: what was seen, decided, refused and achieved, each with its evidence.

    Examples: trimtab why · trimtab why eu-west-a-0 · trimtab why eu-west --json
    """

    async def read() -> DecisionPage:
        async with session(ctx).api() as api:
            return await api.decisions(limit=lines, subject=subject or None, action_id=action or None)

    page = asyncio.run(read())
    if as_json:
        typer.echo(page.model_dump_json(indent=1))
        return
    _tell(page, console(), about=subject)


def actions(
    ctx: typer.Context,
    open_only: Annotated[bool, typer.Option("--open", help="Only those that are not closed yet.")] = False,
    limit: Annotated[int, typer.Option(min=1, max=LINES_MAX, help="How many of the newest.")] = 20,
    as_json: JsonOption = False,
) -> None:
    """What was done, newest first, with its verdict.

    Examples: trimtab actions · trimtab actions --open --json
    """

    async def read(api: ControllerApi) -> None:
        async with api:
            found = await api.actions(open_only=open_only, limit=limit)
        if as_json:
            typer.echo("[" + ",\n".join(action.model_dump_json() for action in found) + "]")
        else:
            console().print(actions_table(found))

    asyncio.run(read(session(ctx).api()))


def _tell(page: DecisionPage, out: Console, about: str) -> None:
    if not page.items:
        out.print(f"nothing was decided about {about} yet" if about else "nothing was decided yet")
    for line in page.items:
        out.print(decision_line(line), soft_wrap=True)
        if evidence := evidence_line(line):
            out.print(evidence, soft_wrap=True)
