"""chaos and demo: break it, and watch it heal."""

import asyncio
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape

from chassis.clock import SystemClock
from trimtab.chaos.faults import FAULT_S_MAX, FAULTS, FaultName
from trimtab.chaos.inject import Injection, inject
from trimtab.cli.errors import EXIT_FAILED
from trimtab.cli.options import DEMO_HOME, VOICE_DIR, PortOffsetOption, VoiceOption, console, session
from trimtab.demo.report import DemoReport
from trimtab.demo.run import DemoChoices, demo_settings, run_demo
from trimtab.demo.scenarios import SCENARIOS
from trimtab.load.generator import RATE_RPS_MAX
from trimtab.stack.settings import GPUS_MAX

DEMO_PORT_OFFSET = 2000
"""Beside an `up` that may be running on the usual ports."""


def chaos(
    ctx: typer.Context,
    fault: Annotated[FaultName | None, typer.Argument(help="What to break; `--list` explains each.")] = None,
    target: Annotated[
        str, typer.Argument(help="A replica or a region, the first one by default; for xid, its number.")
    ] = "",
    *,
    duration_s: Annotated[
        float, typer.Option("--for", min=1, max=FAULT_S_MAX, help="Seconds that slow-region and surge last.")
    ] = 30.0,
    rate_rps: Annotated[
        float, typer.Option("--rate", min=0.1, max=RATE_RPS_MAX, help="Requests per second of a surge.")
    ] = 20.0,
    host: Annotated[str, typer.Option(help="Whose simulated GPU; the first host by default.")] = "",
    gpu: Annotated[
        int | None, typer.Option(min=0, max=GPUS_MAX - 1, help="Which simulated GPU; the first by default.")
    ] = None,
    list_them: Annotated[bool, typer.Option("--list", help="List the faults.")] = False,
) -> None:
    """Break one thing in the stack that runs here; then watch it heal with `trimtab why`.

    Examples: trimtab chaos --list · trimtab chaos freeze-replica eu-west-a-0 · trimtab chaos slow-region eu-west --for 60
    · trimtab chaos xid 79 --host eu-west-a --gpu 1 · trimtab chaos gpu-heal
    """
    if list_them or fault is None:
        for name, what in FAULTS.items():
            typer.echo(f"{name:16} {what}")
        return
    where = session(ctx)
    stack = where.stack()

    async def run() -> str:
        async with where.api() as api:
            return await inject(Injection(fault, target, duration_s, rate_rps, host, gpu), stack, api, SystemClock())

    console().print(asyncio.run(run()))


def demo(
    ctx: typer.Context,
    voice_dir: VoiceOption = VOICE_DIR,
    port_offset: PortOffsetOption = DEMO_PORT_OFFSET,
    only: Annotated[list[str] | None, typer.Option(help="Only this fault; may be repeated.")] = None,
) -> None:
    """Bring up a fresh stack, keep it under load, live through five faults, and report how each was healed.

    Takes under five minutes. Exit code 1 when a fault was not healed, an action was duplicated, or a request was lost that
    had to survive. The report is also in .trimtab/demo/demo-report.json, the voice in .trimtab/demo/demo.wav.

    Examples: trimtab demo · trimtab demo --only freeze --only surge
    """
    unknown = [name for name in only or [] if name not in SCENARIOS]
    if unknown:
        msg = f"{unknown[0]} is no fault of the demo; choose from {', '.join(SCENARIOS)}"
        raise typer.BadParameter(msg)
    where = session(ctx)
    home = (where.chosen_home or DEMO_HOME).resolve()
    settings = demo_settings(home, voice_dir.resolve(), port_offset)
    choices = DemoChoices(settings, tuple(name for name in SCENARIOS if name in (only or SCENARIOS)))
    out = console()
    report = run_demo(choices, where.environment, out, SystemClock())
    raise typer.Exit(tell_verdict(report, out))


def tell_verdict(report: DemoReport, out: Console) -> int:
    """The last lines of a demo, and its exit code: 0 only when every promise was kept."""
    for problem in report.problems:
        out.print(f"[bold red]not healed:[/] {escape(problem)}")
    if report.problems:
        return EXIT_FAILED
    out.print(f"[bold green]every fault was healed[/], in {report.duration_s:.0f} s")
    return 0
