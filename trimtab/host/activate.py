"""What makes written files count: the user exists, modes are applied, systemd has read the units."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from trimtab.host import units
from trimtab.host.programs import NotRun, Programs
from trimtab.host.tree import Tree

WITHIN_S = 30.0
"""Each of these takes milliseconds; a system this slow is not fit for anything."""
CONF = "trimtab.conf"
"""Name of both entries; a bare name is looked up in the folders of the tree, a path would be one of this host."""


@dataclass(frozen=True, slots=True)
class Activation:
    """One command, and why it did not work; an empty reason: it did."""

    command: str
    trouble: str = ""


def make_user(tree: Tree, run: Programs) -> Activation:
    """The user and group, from the sysusers.d entry; does nothing where they exist."""
    return _activate(["systemd-sysusers", *_below(tree), CONF], run)


def apply_modes(tree: Tree, run: Programs) -> Activation:
    """Owners and modes of folders, from the tmpfiles.d entry."""
    return _activate(["systemd-tmpfiles", *_below(tree), "--create", CONF], run)


def reload_units(tree: Tree, run: Programs) -> Activation | None:
    """Let systemd read the units; None where systemd does not run, as in a folder or a container."""
    return _activate(["systemctl", "daemon-reload"], run) if _systemd_runs(tree) else None


def stop_unit(tree: Tree, run: Programs) -> Activation | None:
    """Stop the service and start it at no boot; None where systemd does not run."""
    return _activate(["systemctl", "disable", "--now", units.AGENT_UNIT], run) if _systemd_runs(tree) else None


def _systemd_runs(tree: Tree) -> bool:
    return tree.is_this_host and Path("/run/systemd/system").is_dir()


def _below(tree: Tree) -> Sequence[str]:
    return () if tree.is_this_host else (f"--root={tree.root}",)


def _activate(argv: Sequence[str], run: Programs) -> Activation:
    answer = run(argv, within_s=WITHIN_S)
    command = " ".join(argv)
    if isinstance(answer, NotRun):
        return Activation(command, answer.reason)
    return Activation(command, "" if answer.code == 0 else f"exit code {answer.code}: {answer.output[-300:]}")
