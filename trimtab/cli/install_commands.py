"""trimtab agent install, uninstall: the agent as a service of this host."""

import platform
import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape

from agent.settings import ENV_PREFIX, AgentSettings, RuntimeKind
from trimtab.cli.host_options import (
    ControllerOption,
    DryRunOption,
    HostIdOption,
    PythonOption,
    RegionOption,
    RootOption,
    RuntimeOption,
    SetOption,
    TokenFileOption,
)
from trimtab.cli.options import console
from trimtab.host import units
from trimtab.host.activate import Activation, apply_modes, make_user, reload_units, stop_unit
from trimtab.host.artefacts import AGENT_ENV, DROP_IN, installed_defaults, packaged
from trimtab.host.env_file import secret_variables
from trimtab.host.errors import InstallError
from trimtab.host.install import Change, Plan, Request, Step, carry_out, plan_installation
from trimtab.host.programs import run_program
from trimtab.host.tree import Tree, may_change

TOKEN_CHARS_MAX = 4_096
"""A token is tens of characters; more is another file."""
SYSTEM_ROOT = Path("/")
VERBS = {
    Change.CREATE: "create ",
    Change.REPLACE: "update ",
    Change.PERMIT: "permit ",
    Change.OFFER: "offer  ",
    Change.WITHDRAW: "remove ",
    Change.KEEP: "keep   ",
}


def install(
    *,
    root: RootOption = SYSTEM_ROOT,
    dry_run: DryRunOption = False,
    host_id: HostIdOption = None,
    region: RegionOption = None,
    controller_url: ControllerOption = None,
    token_file: TokenFileOption = None,
    runtime: RuntimeOption = None,
    set_: SetOption = None,
    python: PythonOption = None,
) -> None:
    """Set this host up for the agent: user, settings, systemd unit. Again after an upgrade; nothing of yours is overwritten.

    Examples: trimtab agent install --region eu-west --controller-url https://controller:8700 --token-file - ·
    trimtab agent install --dry-run · trimtab agent install --root ./image --set slots=4
    """
    tree = _tree(root, writes=not dry_run)
    named = {
        "host_id": host_id,
        "region": region,
        "controller_url": controller_url,
        "token": _token(token_file),
        "runtime": runtime,
    }
    values = {AgentSettings.variable(name): value for name, value in named.items() if value is not None}
    request = Request({**values, **_assignments(set_ or ())}, python or _own_python(tree))
    defaults = installed_defaults()
    if tree.is_this_host:
        defaults[AgentSettings.variable("host_id")] = host_name(platform.node())
    plan = plan_installation(tree, request, defaults)
    out = console()
    _show(out, plan.steps)
    if not dry_run:
        _carry_out(out, tree, plan)
    _next_steps(out, plan, tree, dry_run=dry_run)


def uninstall(
    *,
    root: RootOption = SYSTEM_ROOT,
    remove: Annotated[bool, typer.Option("--remove", help="Do it; without, it is only shown.")] = False,
    purge: Annotated[bool, typer.Option("--purge", help="Also the settings, with the token.")] = False,
) -> None:
    """Show what an installation left on this host, and with --remove stop the service and take it away.

    Examples: trimtab agent uninstall · trimtab agent uninstall --remove --purge
    """
    tree = _tree(root, writes=remove)
    out = console()
    ours = [artefact.path for artefact in packaged()] + [DROP_IN]
    settings = [AGENT_ENV, AGENT_ENV.with_name(f"{AGENT_ENV.name}.new")] if purge else []
    there = [path for path in (*ours, *settings) if tree.look(path) is not None]
    _activate(out, [stop_unit] if remove else [], tree)
    for path in there:
        out.print(f"{'removed' if remove else 'would remove'} {path}", soft_wrap=True)
        if remove:
            tree.remove(path)
    _activate(out, [reload_units] if remove else [], tree)
    kept = units.STATE_DIR if purge else f"{units.STATE_DIR} and {AGENT_ENV}"
    out.print(
        f"stays: {kept} (the journal answers repeated orders; remove it by hand once no controller knows this host)"
    )


def host_name(node: str) -> str:
    """A host's own name as an id: lower case, without its domain."""
    return re.sub(r"[^a-z0-9-]+", "-", node.partition(".")[0].lower()).strip("-")[:63] or "host"


def _tree(root: Path, *, writes: bool) -> Tree:
    tree = Tree(root.resolve())
    if writes and not may_change(tree):
        msg = "only root may change this host: run it with sudo, look first with --dry-run, or install into a --root"
        raise InstallError(msg)
    return tree


def _own_python(tree: Tree) -> str:
    return str(Path(sys.prefix) / "bin" / "python") if tree.is_this_host else units.PYTHON


def _token(file: Path | None) -> str | None:
    """Never an argument: those are seen by everybody who lists processes."""
    if file is None:
        return None
    try:
        text = sys.stdin.read(TOKEN_CHARS_MAX) if str(file) == "-" else file.read_text(encoding="utf-8")
    except OSError as error:
        msg = f"cannot read the token from {file}: {error}"
        raise InstallError(msg) from error
    token = text.strip()
    if not token or len(token.split()) != 1 or len(token) >= TOKEN_CHARS_MAX:
        msg = f"{file} does not hold one token"
        raise InstallError(msg)
    return token


def _assignments(given: Sequence[str]) -> dict[str, str]:
    found = {}
    for item in given:
        name, equals, value = item.partition("=")
        field = name.strip().removeprefix(ENV_PREFIX).lower()
        if not equals or field not in AgentSettings.model_fields:
            msg = f"--set {name}: not NAME=VALUE with the name of a setting (`python -m agent --help` lists them)"
            raise InstallError(msg)
        if AgentSettings.variable(field) in secret_variables(AgentSettings):
            msg = f"--set {name}: everybody who lists processes could read it; use --token-file"
            raise InstallError(msg)
        found[AgentSettings.variable(field)] = value
    return found


def _show(out: Console, steps: Sequence[Step]) -> None:
    for step in steps:
        artefact = step.artefact
        note = f"{artefact.mode:04o} root:{artefact.group}, {artefact.why}"
        out.print(f"{VERBS[step.change]} {step.target}  [dim]({escape(note)})[/]", soft_wrap=True)
        for reason in step.reasons:
            out.print(f"        {escape(reason)}", soft_wrap=True)
        if step.diff:
            out.print(f"[dim]{escape(step.diff)}[/]", soft_wrap=True)


def _carry_out(out: Console, tree: Tree, plan: Plan) -> None:
    """The user comes before the files that belong to it, and the units are read after they are written."""
    ours = [step for step in plan.steps if not step.artefact.administrators]
    settings = [step for step in plan.steps if step.artefact.administrators]
    carry_out(tree, ours)
    _activate(out, [make_user], tree)
    carry_out(tree, settings)
    _activate(out, [apply_modes, reload_units], tree)


def _activate(out: Console, actions: Sequence[Callable[..., Activation | None]], tree: Tree) -> None:
    for action in actions:
        done = action(tree, run_program)
        if done is None:
            continue
        if done.trouble:
            out.print(f"[yellow]not done[/] {escape(done.command)}: {escape(done.trouble)}", soft_wrap=True)
        else:
            out.print(f"ran     {escape(done.command)}", soft_wrap=True)


def _next_steps(out: Console, plan: Plan, tree: Tree, *, dry_run: bool) -> None:
    steps = []
    if plan.faults:
        steps.append(f"edit {AGENT_ENV}: {plan.faults}")
    if plan.runtime is not RuntimeKind.PROCESS and plan.missing_groups:
        steps.append("install Docker, whose package makes the group `docker`, then run `trimtab agent install` again")
    if any(step.change is Change.OFFER for step in plan.steps):
        steps.append(
            f"compare and take over: diff {AGENT_ENV} {AGENT_ENV}.new; mv {AGENT_ENV}.new {AGENT_ENV}; trimtab agent install"
        )
    is_first = any(step.change is Change.CREATE for step in plan.steps if step.artefact.administrators)
    start = f"systemctl enable --now {units.AGENT_UNIT}" if is_first else f"systemctl restart {units.AGENT_UNIT}"
    steps += ["trimtab agent check", start, "trimtab agent doctor"]
    where = "" if tree.is_this_host else f" on the host that {tree.root} becomes"
    out.print(f"\nnothing was changed; after a real run{where}:" if dry_run else f"\nnext{where}:")
    for number, step in enumerate(steps, start=1):
        out.print(f"  {number}. {escape(step)}", soft_wrap=True)
