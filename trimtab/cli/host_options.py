"""Options of the `trimtab agent` commands."""

from pathlib import Path
from typing import Annotated

import typer

RootOption = Annotated[
    Path, typer.Option("--root", help="Install into this folder instead of the running system: an image, a test.")
]
EnvFileOption = Annotated[Path, typer.Option("--env-file", help="The agent's settings.")]
DryRunOption = Annotated[bool, typer.Option("--dry-run", help="Only show what would change.")]
HostIdOption = Annotated[str | None, typer.Option("--host-id", help="Name of this host in the fleet. [its host name]")]
RegionOption = Annotated[str | None, typer.Option("--region", help="Region this host serves.")]
ControllerOption = Annotated[str | None, typer.Option("--controller-url", help="Where the controller listens.")]
TokenFileOption = Annotated[
    Path | None,
    typer.Option("--token-file", help="File with the controller's agent token; - reads standard input."),
]
RuntimeOption = Annotated[str | None, typer.Option("--runtime", help="How replicas run: process, docker …")]
SetOption = Annotated[
    list[str] | None,
    typer.Option("--set", help="NAME=VALUE: any other setting, with or without its prefix; may be repeated."),
]
PythonOption = Annotated[
    str | None, typer.Option("--python", help="Interpreter of the unit. [the one this command runs in]")
]
