"""All commands, put together."""

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from trimtab.cli import fault_commands, operator_commands, stack_commands, story_commands
from trimtab.cli.agent_commands import agent_app
from trimtab.cli.host_commands import host_app
from trimtab.cli.options import session
from trimtab.cli.slo_commands import slo_app

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Trimtab keeps a fleet of text-to-speech servers inside its objectives by itself.",
)
ON_THIS_MACHINE = "On this machine"
LOOKING = "Looking"
OPERATING = "Operating"
TRYING = "Trying it out"


@app.callback()
def main_options(
    ctx: typer.Context,
    home: Annotated[
        Path | None,
        typer.Option(envvar="TRIMTAB_HOME", help="Directory of the stack: configuration, journal, logs. [.trimtab/up]"),
    ] = None,
    url: Annotated[
        str | None, typer.Option(envvar="TRIMTAB_URL", help="Controller to talk to, instead of the local stack's.")
    ] = None,
    token: Annotated[
        str | None, typer.Option(envvar="TRIMTAB_TOKEN", help="Its operator token, instead of the local stack's.")
    ] = None,
    ca_file: Annotated[
        Path | None,
        typer.Option(
            envvar="TRIMTAB_CA_FILE", help="Who may have signed its certificate (PEM). [the system's authorities]"
        ),
    ] = None,
) -> None:
    """Options that hold for every command."""
    # Typer reads these variables itself, so that `--help` shows them: the one exception to reading the environment in
    # __main__ alone.
    ctx.obj = replace(session(ctx), chosen_home=home, url=url, token=token, ca_file=ca_file)


for command, panel in (
    (stack_commands.setup, ON_THIS_MACHINE),
    (stack_commands.up, ON_THIS_MACHINE),
    (stack_commands.down, ON_THIS_MACHINE),
    (stack_commands.logs, ON_THIS_MACHINE),
    (story_commands.status, LOOKING),
    (story_commands.why, LOOKING),
    (story_commands.actions, LOOKING),
    (operator_commands.pause, OPERATING),
    (operator_commands.resume, OPERATING),
    (operator_commands.restart, OPERATING),
    (operator_commands.shift, OPERATING),
    (operator_commands.switch, OPERATING),
    (operator_commands.reset_gpu, OPERATING),
    (operator_commands.reboot, OPERATING),
    (fault_commands.chaos, TRYING),
    (fault_commands.demo, TRYING),
):
    app.command(rich_help_panel=panel)(command)
# `scale eu-west -1`: a negative number is an argument, not an option.
app.command(rich_help_panel=OPERATING, context_settings={"ignore_unknown_options": True})(operator_commands.scale)
app.add_typer(agent_app, name="agent", rich_help_panel=ON_THIS_MACHINE)
app.add_typer(host_app, name="host", rich_help_panel=OPERATING)
app.add_typer(slo_app, name="slo", rich_help_panel=OPERATING)
