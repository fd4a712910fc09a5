"""`trimtab host`: who may speak for a host."""

import asyncio
from typing import Annotated

import typer

from trimtab.cli.options import console, session

host_app = typer.Typer(no_args_is_help=True, help="Shut a host out of the fleet, and let it in again.")
Host = Annotated[str, typer.Argument(help="A host, e.g. eu-west-a.")]


@host_app.command()
def revoke(ctx: typer.Context, host: Host) -> None:
    """End the credentials of a host and let it have no other: for one that was stolen, broken into or taken away.

    It has seen the join token as well: change that too, which disturbs nobody who has joined (docs/security.md).

    Example: trimtab host revoke eu-west-a
    """

    async def shut_out() -> None:
        async with session(ctx).api() as api:
            await api.revoke_host(host)

    asyncio.run(shut_out())
    console().print(f"{host} is shut out; its agent goes on healing replicas, and hears nothing any more")


@host_app.command()
def readmit(ctx: typer.Context, host: Host) -> None:
    """Let a host join again that was revoked; its agent does so within a minute, with the join token.

    Example: trimtab host readmit eu-west-a
    """

    async def let_in() -> None:
        async with session(ctx).api() as api:
            await api.readmit_host(host)

    asyncio.run(let_in())
    console().print(f"{host} may join again")
