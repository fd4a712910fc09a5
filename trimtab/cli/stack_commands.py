"""setup, up, down, logs: the life of a stack on this machine."""

import shutil
import sys
from pathlib import Path
from typing import Annotated

import typer

from chassis.clock import blocking_sleep
from trimtab.cli.options import (
    VOICE_DIR,
    PortOffsetOption,
    VoiceOption,
    console,
    session,
)
from trimtab.cli.render import endpoints_table, follow_start
from trimtab.setup import install_programs, prepare_voice
from trimtab.stack.assemble import assemble
from trimtab.stack.settings import StackSettings, scratch_of
from trimtab.supervisor.launch import run_here, start_detached, stop_running
from trimtab.supervisor.preflight import last_lines

FOLLOW_POLL_S = 0.2
LINES_MAX = 10_000
LINE_BYTES = 400
"""An average line of a structured log, generously; only bounds how much of a file is read."""


def setup(
    ctx: typer.Context,
    voice_dir: VoiceOption = VOICE_DIR,
    dev: Annotated[
        bool, typer.Option("--dev", help="Also what the tests and simulated GPUs need (Docker, a C compiler).")
    ] = False,
) -> None:
    """Install missing Debian packages and prepare the voice; safe to repeat.

    Example: trimtab setup
    """
    out = console()
    install_programs(dev=dev, say=out.print)
    prepare_voice(voice_dir.resolve(), environment=session(ctx).environment, say=out.print)


def up(
    ctx: typer.Context,
    *,
    voice_dir: VoiceOption = VOICE_DIR,
    port_offset: PortOffsetOption = 0,
    regions: Annotated[int, typer.Option(help="How many regions, each with a gateway and an agent.")] = 2,
    replicas: Annotated[int, typer.Option(help="Replicas per region at the start.")] = 2,
    slots: Annotated[int, typer.Option(help="Replicas per region at most: what a scale-out may fill.")] = 3,
    gpus: Annotated[int, typer.Option(help="Simulated GPUs per host, 0 to 16; see `trimtab chaos --list`.")] = 0,
    controller_set: Annotated[
        list[str] | None, typer.Option(help="NAME=VALUE: one TRIMTAB_CONTROLLER_ setting; may be repeated.")
    ] = None,
    detach: Annotated[
        bool, typer.Option("--detach", "-d", help="Return when everything is ready, and leave it running.")
    ] = False,
) -> None:
    """Run the whole system on this machine until Ctrl-C: gateways, replicas, agents, controller, Prometheus and more.

    Examples: trimtab up · trimtab up --detach --gpus 8 · trimtab --home /tmp/other up --port-offset 1000
    """
    settings = StackSettings(
        home=session(ctx).home,
        voice_dir=voice_dir.resolve(),
        port_offset=port_offset,
        regions=regions,
        replicas=replicas,
        slots=slots,
        controller_env=tuple(_name_and_value(pair) for pair in controller_set or []),
        gpus=gpus,
    )
    out = console()
    plan = assemble(settings, session(ctx).environment)  # also before a detached start: a fault is told at once
    if not detach:
        run_here(plan, settings.home, follow_start(out))
        return
    with out.status("starting (up to a minute on a small machine) …"):
        state = start_detached(_foreground_argv(settings), settings.home)
    out.print(endpoints_table(state))
    out.print("trimtab status · trimtab logs · trimtab down")


def down(ctx: typer.Context) -> None:
    """Stop the stack that runs in the home directory, wherever it was started; fine when none runs.

    Example: trimtab down
    """
    home = session(ctx).home
    stopped = stop_running(home)
    shutil.rmtree(scratch_of(home), ignore_errors=True)  # a killed supervisor could not do it
    console().print("stopped" if stopped else f"nothing runs in {home}")


def logs(
    ctx: typer.Context,
    name: Annotated[str, typer.Argument(help="A process, as listed without a name.")] = "",
    lines: Annotated[int, typer.Option("--lines", "-n", min=1, max=LINES_MAX, help="How many of the last lines.")] = 40,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on as lines are written, until Ctrl-C.")] = False,
) -> None:
    """Show the log of one process, or list the processes and their logs.

    Examples: trimtab logs · trimtab logs controller -f · trimtab logs agent-eu-west -n 100
    """
    files = _log_files(session(ctx).home)
    if not name:
        if not files:
            typer.echo(f"no logs in {session(ctx).home} yet")
        for known, path in files.items():
            typer.echo(f"{known:32} {path}")
        return
    if name not in files:
        msg = f"no log of {name!r}; there are: {', '.join(files) or 'none yet'}"
        raise typer.BadParameter(msg)
    for line in last_lines(files[name], lines_max=lines, bytes_max=LINES_MAX * LINE_BYTES):
        typer.echo(line)
    if follow:
        _follow(files[name])


def _follow(path: Path) -> None:
    with path.open(encoding="utf-8", errors="replace") as file:
        file.seek(0, 2)
        while True:  # until Ctrl-C, as asked
            line = file.readline()
            if line:
                typer.echo(line, nl=False)
            else:
                blocking_sleep(FOLLOW_POLL_S)


def _log_files(home: Path) -> dict[str, Path]:
    """Name → file: one per supervised process, and below the agents one per replica."""
    ours = sorted((home / "logs").glob("*.log"))
    replicas = sorted((home / "agents").glob("**/*.log"))
    return {path.stem: path for path in (*ours, *replicas)}


def _name_and_value(pair: str) -> tuple[str, str]:
    name, separator, value = pair.partition("=")
    if not (name and separator):
        msg = f"{pair!r} is not NAME=VALUE"
        raise typer.BadParameter(msg)
    return name.upper(), value


def _foreground_argv(settings: StackSettings) -> list[str]:
    """The same `up` without `--detach`: what the daemon runs."""
    options = {
        "--voice-dir": settings.voice_dir,
        "--port-offset": settings.port_offset,
        "--regions": settings.regions,
        "--replicas": settings.replicas,
        "--slots": settings.slots,
        "--gpus": settings.gpus,
    }
    argv = [sys.executable, "-m", "trimtab", "--home", str(settings.home), "up"]
    for name, value in options.items():
        argv += [name, str(value)]
    for name, value in settings.controller_env:
        argv += ["--controller-set", f"{name}={value}"]
    return argv
