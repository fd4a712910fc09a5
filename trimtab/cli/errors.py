"""One place where expected trouble becomes a sentence and an exit code.

0 done · 1 it did not work · 2 it cannot work as asked (usage, missing programs).
"""

import click
from typer.core import TyperGroup

from trimtab.api_client import ApiError
from trimtab.chaos.processes import NoSuchTargetError
from trimtab.cli.options import error_console
from trimtab.stack.model import PlanError
from trimtab.stack.programs import MissingProgramsError
from trimtab.stack.settings import StackSettingsError
from trimtab.supervisor.errors import StackError

EXIT_FAILED = 1
EXIT_UNUSABLE = 2
UNUSABLE = (MissingProgramsError, StackSettingsError, PlanError)
FAILED = (StackError, ApiError, NoSuchTargetError)


class ReadableErrors(TyperGroup):
    """A command group whose commands may raise our errors; anything else is a defect and keeps its traceback."""

    def invoke(self, ctx: click.Context) -> object:
        """Run the command; translate what it raises."""
        try:
            return super().invoke(ctx)
        except UNUSABLE as error:
            error_console().print(f"[bold red]trimtab:[/] {error}", markup=True)
            ctx.exit(EXIT_UNUSABLE)
        except FAILED as error:
            error_console().print(f"[bold red]trimtab:[/] {error}", markup=True)
            ctx.exit(EXIT_FAILED)
