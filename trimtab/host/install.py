"""What an installation would change on a host, decided before anything is touched.

Installing again is safe and means "as this version would have it": files of ours are brought up to date, the
administrator's agent.env is kept, and what is new in it is offered beside it as agent.env.new.
"""

import difflib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import PurePosixPath

from agent.settings import AgentSettings, RuntimeKind
from chassis.settings import SettingsError
from trimtab.host import units
from trimtab.host.artefacts import AGENT_ENV, Artefact, artefacts
from trimtab.host.env_file import offers, read_env_file, secret_variables
from trimtab.host.errors import EnvFileError, InstallError
from trimtab.host.tree import Found, Tree

OFFER_SUFFIX = ".new"
PASSWORD = re.compile(r"(?<=://)[^/\s@]*@")
"""User and password of a URL."""
UNSEEN_BY_THE_UNIT = ("/home", "/root", "/tmp", "/var/tmp")  # noqa: S108  # compared, never written
"""`ProtectHome=` and `PrivateTmp=` hide these: a Python there would not start."""


class Change(StrEnum):
    """What becomes of one file."""

    CREATE = "create"
    REPLACE = "replace"
    PERMIT = "permit"
    """Right content, wrong owner or mode."""
    OFFER = "offer"
    """The administrator's: a newer one is put beside it."""
    WITHDRAW = "withdraw"
    """An offer that was taken up, or is no longer news, goes away."""
    KEEP = "keep"


@dataclass(frozen=True, slots=True)
class Step:
    """One file's way."""

    change: Change
    artefact: Artefact
    reasons: tuple[str, ...] = ()
    diff: str = ""
    """Unified, without the values of secrets."""

    @property
    def target(self) -> PurePosixPath:
        """The file that is written or removed."""
        path = self.artefact.path
        offered = self.change in {Change.OFFER, Change.WITHDRAW}
        return path.with_name(path.name + OFFER_SUFFIX) if offered else path


@dataclass(frozen=True, slots=True)
class Request:
    """What was asked for."""

    values: Mapping[str, str]
    """Variables to set, by name."""
    python: str = units.PYTHON


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything an installation does, and what is left for a person."""

    steps: tuple[Step, ...]
    runtime: RuntimeKind
    faults: str
    """Why the settings cannot be used yet; empty when they can."""
    missing_groups: tuple[str, ...]


def plan_installation(tree: Tree, request: Request, defaults: Mapping[str, str]) -> Plan:
    """Compare the host with what it should be. `defaults` fill what neither the file nor the request sets.

    Raises `InstallError` for a request that cannot be met; nothing is changed here.
    """
    if tree.is_this_host and any(map(PurePosixPath(request.python).is_relative_to, UNSEEN_BY_THE_UNIT)):
        msg = f"the service could not see {request.python}: install the package into /opt/trimtab, or name --python"
        raise InstallError(msg)
    current = _current_values(tree)
    values = {**defaults, **(current or {}), **request.values}
    _refuse_faults_of(request, values)
    in_force = values if current is None else current  # the unit fits the settings that count, not those on offer
    runtime = _runtime(in_force)
    groups = tuple(name for name in units.groups_of(runtime) if tree.group_id(name) is not None)
    choices = units.HostChoices(runtime, groups, _stop_grace_s(in_force))
    wanted = artefacts(choices, values, python=request.python)
    return Plan(
        steps=tuple(step for artefact in wanted for step in _steps(artefact, tree)),
        runtime=runtime,
        faults=faults_of(in_force),
        missing_groups=tuple(name for name in units.groups_of(runtime) if name not in groups),
    )


def faults_of(values: Mapping[str, str]) -> str:
    """Why an agent with these variables would not start; empty when it would."""
    try:
        AgentSettings.read_from(values)
    except SettingsError as error:
        return str(error)
    return ""


def carry_out(tree: Tree, steps: Sequence[Step]) -> None:
    """Do it; raises `InstallError` at the first file that refuses."""
    for step in steps:
        match step.change:
            case Change.CREATE | Change.REPLACE | Change.OFFER:
                tree.write(replace(step.artefact, path=step.target))
            case Change.PERMIT:
                tree.permit(step.artefact)
            case Change.WITHDRAW:
                tree.remove(step.target)
            case Change.KEEP:
                pass


def _current_values(tree: Tree) -> dict[str, str] | None:
    """What the file that is there sets; None when there is none."""
    found = tree.look(AGENT_ENV)
    if found is None:
        return None
    try:
        return dict(read_env_file(found.content, AgentSettings).values)
    except EnvFileError as error:
        msg = f"{AGENT_ENV}: {error}. Mend that line first; it is yours, so it is not rewritten."
        raise InstallError(msg) from error


def _refuse_faults_of(request: Request, values: Mapping[str, str]) -> None:
    """A request that the settings refuse is a mistake of now; what the file lacks is told as a next step."""
    faults = faults_of(values).splitlines()
    own = [line.strip() for line in faults if line.strip().partition(":")[0] in request.values]
    if own:
        raise InstallError("\n".join(own))


def _runtime(values: Mapping[str, str]) -> RuntimeKind:
    named = values.get(AgentSettings.variable("runtime"), AgentSettings.model_fields["runtime"].default)
    try:
        return RuntimeKind(named)
    except ValueError as error:
        msg = f"{AgentSettings.variable('runtime')}: {named!r} is none of {', '.join(RuntimeKind)}"
        raise InstallError(msg) from error


def _stop_grace_s(values: Mapping[str, str]) -> float:
    default = float(AgentSettings.model_fields["stop_grace_s"].default)
    try:
        return float(values.get(AgentSettings.variable("stop_grace_s"), default))
    except ValueError:
        return default


def _steps(artefact: Artefact, tree: Tree) -> tuple[Step, ...]:
    found = tree.look(artefact.path)
    if found is None:
        return (Step(Change.CREATE, artefact),)
    if artefact.administrators:
        return _offer(artefact, found, tree)
    if found.content != artefact.content and not artefact.once:
        return (Step(Change.REPLACE, artefact, diff=_diff(found.content, artefact)),)
    return (Step(Change.PERMIT if _is_too_open(artefact, found, tree) else Change.KEEP, artefact),)


def _offer(artefact: Artefact, found: Found, tree: Tree) -> tuple[Step, ...]:
    keep = Step(Change.PERMIT if _is_too_open(artefact, found, tree) else Change.KEEP, artefact)
    news = offers(read_env_file(found.content, AgentSettings), read_env_file(artefact.content, AgentSettings))
    reasons = tuple(PASSWORD.sub("…@", reason) for reason in news)
    offer = Step(Change.OFFER, artefact, reasons, _diff(found.content, artefact))
    offered = tree.look(offer.target)
    if reasons:
        waits = offered is not None and offered.content == artefact.content
        return (replace(keep, reasons=reasons),) if waits else (keep, offer)
    return (keep, Step(Change.WITHDRAW, artefact)) if offered is not None else (keep,)


def _is_too_open(artefact: Artefact, found: Found, tree: Tree) -> bool:
    """More people may use it than should, or its group is another one."""
    group_id = tree.group_id(artefact.group)
    return bool(found.mode & ~artefact.mode) or (
        artefact.administrators and group_id is not None and found.group_id != group_id
    )


def _diff(before: str, artefact: Artefact) -> str:
    lines = difflib.unified_diff(
        before.splitlines(), artefact.content.splitlines(), str(artefact.path), f"{artefact.path} (new)", "", "", 1, ""
    )
    return "\n".join(_without_secret(line) for line in lines)


def _without_secret(line: str) -> str:
    """A line of a diff, also of an assignment that was commented out; a password inside a URL is one as well."""
    name, _, value = line.partition("=")
    if value and name[1:].strip("# \t") in secret_variables(AgentSettings):
        return f"{name}=…"
    return PASSWORD.sub("…@", line)
