"""Options that several commands share, spelled once, and what `__main__` hands to every command."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

ROOT = Path(".trimtab")
"""Everything that set-up and runs leave behind, below the working directory; `make clean` removes it."""
UP_HOME = ROOT / "up"
DEMO_HOME = ROOT / "demo"
VOICE_DIR = ROOT / "voice"

# Typer reads these three variables itself, so that `--help` shows them: the one exception to "settings are read in
# __main__".
HomeOption = Annotated[
    Path, typer.Option("--home", envvar="TRIMTAB_HOME", help="Directory of the stack: configuration, journal, logs.")
]
VoiceOption = Annotated[
    Path, typer.Option("--voice-dir", envvar="TRIMTAB_VOICE_DIR", help="Where `trimtab setup` prepared the voice.")
]
PortOffsetOption = Annotated[
    int, typer.Option("--port-offset", help="Added to every port, so that several stacks can live side by side.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON for machines instead of a table for people.")]


@dataclass(frozen=True, slots=True)
class CliContext:
    """What commands need from outside: nothing below `__main__` reads the environment."""

    environment: Mapping[str, str]
    """What child processes inherit."""


def cli_context(ctx: typer.Context) -> CliContext:
    """The context that `__main__` passed; an empty one when a command is called as a library."""
    return ctx.obj if isinstance(ctx.obj, CliContext) else CliContext(environment={})


def console() -> Console:
    """Where results go."""
    return Console(highlight=False, soft_wrap=True)


def error_console() -> Console:
    """Where trouble goes."""
    return Console(stderr=True, highlight=False, soft_wrap=True)
