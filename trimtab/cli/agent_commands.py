"""trimtab agent: this host's agent, from installation to diagnosis."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Table

from chassis.clock import SystemClock
from trimtab.cli import install_commands
from trimtab.cli.errors import EXIT_FAILED, EXIT_UNUSABLE
from trimtab.cli.host_options import EnvFileOption
from trimtab.cli.options import JsonOption, console, session
from trimtab.host import examine
from trimtab.host.artefacts import AGENT_ENV
from trimtab.host.findings import Finding, Level, is_blocked

ENV_FILE = Path(AGENT_ENV)
STYLES = {
    Level.OK: "green",
    Level.NOTE: "cyan",
    Level.WARNING: "yellow",
    Level.UNKNOWN: "magenta",
    Level.BLOCKS: "bold red",
}

agent_app = typer.Typer(
    no_args_is_help=True, help="This host's agent: install it, check its settings, find what is wrong."
)
agent_app.command()(install_commands.install)
agent_app.command()(install_commands.uninstall)


@agent_app.command()
def check(ctx: typer.Context, env_file: EnvFileOption = ENV_FILE, as_json: JsonOption = False) -> None:
    """Would the agent start, and be heard? Settings, port, state directory, controller and token; changes nothing.

    Exit code 0: yes · 1: something is in the way · 2: the settings cannot be used at all.
    Examples: trimtab agent check · trimtab agent check --env-file ./agent.env --json
    """
    findings = examine.check(_examination(ctx, env_file))
    _show(findings, as_json=as_json)
    if any(finding.subject == "settings" and finding.level is Level.BLOCKS for finding in findings):
        raise typer.Exit(EXIT_UNUSABLE)
    _end(findings)


@agent_app.command()
def doctor(
    ctx: typer.Context,
    *,
    env_file: EnvFileOption = ENV_FILE,
    require_gpu: Annotated[bool, typer.Option("--require-gpu", help="A host without a GPU is a fault.")] = False,
    as_json: JsonOption = False,
) -> None:
    """What is missing or wrong on this host: driver, permissions, engine, clock, reachability, kernel, disk, unit.

    Exit code 0: nothing stands in the way · 1: something does. Takes twelve seconds at most, also on a wedged driver.
    Examples: trimtab agent doctor · trimtab agent doctor --require-gpu --json
    """
    findings = examine.doctor(_examination(ctx, env_file, gpus_required=require_gpu))
    _show(findings, as_json=as_json)
    _end(findings)


def findings_table(findings: Sequence[Finding]) -> Table:
    """One line each, with what to do below what was seen."""
    table = Table("subject", "", "what was seen, and what to do", show_lines=False)
    for finding in findings:
        fix = f"\n[bold]→[/] {escape(finding.fix)}" if finding.fix else ""
        style = STYLES[finding.level]
        table.add_row(finding.subject, f"[{style}]{finding.level}[/]", f"{escape(finding.evidence)}{fix}")
    return table


def _examination(ctx: typer.Context, env_file: Path, *, gpus_required: bool = False) -> examine.Examination:
    return examine.Examination(
        env_file=env_file,
        environment=session(ctx).environment,
        clock=SystemClock(),
        gpus_required=gpus_required,
    )


def _show(findings: Sequence[Finding], *, as_json: bool) -> None:
    if as_json:
        body = {"blocked": is_blocked(findings), "findings": [asdict(finding) for finding in findings]}
        typer.echo(json.dumps(body, indent=1))
    else:
        console().print(findings_table(findings))


def _end(findings: Sequence[Finding]) -> None:
    if is_blocked(findings):
        raise typer.Exit(EXIT_FAILED)
