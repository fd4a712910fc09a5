"""slo list, show, check, apply, export, templates, delete: objectives as OpenSLO documents."""

import asyncio
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from chassis.clock import SystemClock, utc_date
from slo_rules.check import check_set
from slo_rules.compiler import compile_slos
from slo_rules.load import load_set
from slo_rules.load_templates import template_names, template_summary, template_text
from slo_rules.openslo.documents import DocumentSet
from trimtab.cli.options import JsonOption, console, session
from trimtab.cli.slo_render import admission_lines, progress_lines, slo_table, slos_table
from trimtab.slo_bodies import Admission
from trimtab.slo_plot import budget_picture

slo_app = typer.Typer(no_args_is_help=True, help="Objectives: list, show, check, apply, export, templates, delete.")
FileArgument = Annotated[Path, typer.Argument(help="OpenSLO v1 documents in YAML.", exists=True, dir_okay=False)]
SloArgument = Annotated[str, typer.Argument(help="Id of the objective.")]
DaysOption = Annotated[int, typer.Option(min=0, max=90, help="How many days of the past to test on; 0: none.")]
DAYS_DEFAULT = 7


@slo_app.command("list")
def list_slos(ctx: typer.Context, as_json: JsonOption = False) -> None:
    """Every objective, and how far the newest revision has got.

    Examples: trimtab slo list · trimtab slo list --json
    """

    async def read() -> None:
        async with session(ctx).api() as api:
            found = await api.slos()
        if as_json:
            typer.echo(found.model_dump_json(indent=1))
            return
        console().print(slos_table(found))
        for line in progress_lines(found):
            console().print(line)

    asyncio.run(read())


@slo_app.command()
def show(ctx: typer.Context, slo: SloArgument, as_json: JsonOption = False) -> None:
    """Everything about one objective.

    Example: trimtab slo show speech-latency
    """

    async def read() -> None:
        async with session(ctx).api() as api:
            found = await api.slo(slo)
        if as_json:
            typer.echo(found.model_dump_json(indent=1))
        else:
            console().print(slo_table(found))

    asyncio.run(read())


@slo_app.command("export")
def export_slo(ctx: typer.Context, slo: SloArgument) -> None:
    """One objective as an OpenSLO document, to keep in a repository or to change and apply.

    Example: trimtab slo export speech-latency > speech-latency.yaml
    """

    async def read() -> None:
        async with session(ctx).api() as api:
            typer.echo(await api.slo_document(slo), nl=False)

    asyncio.run(read())


@slo_app.command()
def check(
    ctx: typer.Context,
    file: FileArgument,
    *,
    days: DaysOption = DAYS_DEFAULT,
    plot: Annotated[
        Path | None,
        typer.Option(
            help="Draw the budget over these days into this .svg file (no PNG: any browser shows and prints SVG)."
        ),
    ] = None,
    offline: Annotated[bool, typer.Option("--offline", help="Only compile; ask no controller.")] = False,
    strict: Annotated[bool, typer.Option("--strict", help="Warnings fail, too.")] = False,
    as_json: JsonOption = False,
) -> None:
    """What the objectives of a file would do: nothing is stored.

    The controller asks its Prometheus: are the metric and its bucket there, is it scraped often and kept long enough, what
    does it cost, and how often would it have paged?

    Exit status: 0 works, 1 an error was found (with --strict also a warning), 2 the file cannot be used.

    Examples: trimtab slo check my-slos.yaml · trimtab slo check my-slos.yaml --days 30 --plot budget.svg ·
    trimtab slo check my-slos.yaml --offline
    """
    found = _read(file)
    if plot is not None and plot.suffix.lower() != ".svg":
        raise typer.BadParameter(f"{plot} does not end in .svg, and no other format is drawn", param_hint="--plot")
    if offline:
        check_set(found)
        compile_slos(found.slos, (), today=utc_date(SystemClock().now_unix_s()))
        console().print(f"{len(found.slos)} objectives of {escape(file.name)} can be compiled")
        return

    async def ask() -> Admission:
        async with session(ctx).api() as api:
            return await api.check_slos(file.read_text(encoding="utf-8"), days=days, objectives=len(found.slos))

    admission = asyncio.run(ask())
    if as_json:
        typer.echo(admission.model_dump_json(indent=1))
    else:
        for line in admission_lines(admission):
            console().print(line, soft_wrap=True)
    _draw(admission, plot)
    raise typer.Exit(_status(admission, strict=strict))


@slo_app.command()
def apply(
    ctx: typer.Context,
    file: FileArgument,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Store nothing; say what it would do, as `check` does.")
    ] = False,
) -> None:
    """Create or replace the objectives of a file, all of them or none; replicas count against them within seconds.

    What is merely not there yet, a metric or a region, keeps no objective from being applied; `trimtab slo check` tells.

    Examples: trimtab slo apply slo_rules/objectives/speech-latency.yaml · trimtab slo apply my-slos.yaml --dry-run
    """
    if dry_run:
        check(ctx, file)
        return
    found = _read(file)

    async def write() -> None:
        async with session(ctx).api() as api:
            applied = await api.apply_slo_documents(file.read_text(encoding="utf-8"))
        for slo in applied.items:
            same = "" if slo.id in applied.changed else " (unchanged)"
            console().print(f"{slo.id}: {slo.objective:.2%} {escape(slo.promise)}{same}")
        for notice in found.notices:
            console().print(f"not used: {escape(str(notice))}")

    asyncio.run(write())


@slo_app.command()
def templates(
    name: Annotated[str | None, typer.Argument(help="Print this one, to change and apply.")] = None,
) -> None:
    """Objectives to begin with: for this product's own replicas, Envoy, Triton and vLLM.

    Examples: trimtab slo templates · trimtab slo templates vllm-first-token > my-slos.yaml
    """
    if name is not None:
        typer.echo(template_text(name), nl=False)
        return
    for known in template_names():
        console().print(f"{known}: {escape(template_summary(known))}")


@slo_app.command()
def delete(ctx: typer.Context, slo: SloArgument) -> None:
    """Delete an objective that no other names.

    Example: trimtab slo delete speech-latency
    """

    async def remove() -> None:
        async with session(ctx).api() as api:
            await api.delete_slo(slo)

    asyncio.run(remove())
    console().print(f"deleted {slo}")


def _read(file: Path) -> DocumentSet:
    """Read here, too, so that a fault names the file; raises `SloError`."""
    return load_set([file])


def _draw(admission: Admission, plot: Path | None) -> None:
    """One picture per objective that has a past; several get its name before the suffix."""
    if plot is None:
        return
    drawn = [report for report in admission.reports if report.past is not None]
    for report in drawn:
        path = plot if len(admission.reports) == 1 else plot.with_name(f"{plot.stem}-{report.id}{plot.suffix}")
        path.write_text(budget_picture(report), encoding="utf-8")
        console().print(f"drawn: {path}")
    if not drawn:
        console().print("there is no past to draw")


def _status(admission: Admission, *, strict: bool) -> int:
    severities = {finding.severity for report in admission.reports for finding in report.findings}
    return 1 if "error" in severities or (strict and "warning" in severities) else 0
