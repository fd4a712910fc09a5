"""slo list, apply, delete: objectives as OpenSLO documents."""

import asyncio
from pathlib import Path
from typing import Annotated

import typer

from slo_rules.load import load_files
from slo_rules.model import Slo
from trimtab.cli.options import JsonOption, console, session
from trimtab.cli.story_render import slos_table

slo_app = typer.Typer(no_args_is_help=True, help="Objectives: list, apply, delete.")


@slo_app.command("list")
def list_slos(ctx: typer.Context, as_json: JsonOption = False) -> None:
    """Every objective.

    Examples: trimtab slo list · trimtab slo list --json
    """

    async def read() -> None:
        async with session(ctx).api() as api:
            found = await api.slos()
        if as_json:
            typer.echo(found.model_dump_json(indent=1))
        else:
            console().print(slos_table(found))

    asyncio.run(read())


@slo_app.command()
def apply(
    ctx: typer.Context, file: Annotated[Path, typer.Argument(help="OpenSLO v1 documents in YAML.", exists=True)]
) -> None:
    """Create or replace the objectives of a file; replicas count against them within seconds.

    Example: trimtab slo apply slo_rules/objectives/speech-latency.yaml
    """
    slos = load_files([file])

    async def write() -> None:
        async with session(ctx).api() as api:
            for slo in slos:
                stored = await api.apply_slo(slo.id, slo_fields(slo))
                console().print(f"{stored.id}: {stored.objective:.2%} within {stored.threshold_s:g} s")

    asyncio.run(write())


@slo_app.command()
def delete(ctx: typer.Context, slo: Annotated[str, typer.Argument(help="Id of the objective.")]) -> None:
    """Delete an objective.

    Example: trimtab slo delete speech-latency
    """

    async def remove() -> None:
        async with session(ctx).api() as api:
            await api.delete_slo(slo)

    asyncio.run(remove())
    console().print(f"deleted {slo}")


def slo_fields(slo: Slo) -> dict[str, object]:
    """An objective as the API's body: every field but the id, which is in the path."""
    exact = slo.exact
    return {
        "objective": slo.objective,
        "threshold_s": exact.threshold_s if exact else None,
        "sli": exact.sli if exact else None,
        "window_s": slo.window.seconds,
        "page_within_s": slo.page_within_s,
        "description": slo.description,
        "owner": slo.owner,
    }
