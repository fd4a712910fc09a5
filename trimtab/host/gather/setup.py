"""Facts about what an agent needs before it starts."""

import difflib
import os
import socket
from collections.abc import Mapping
from contextlib import closing
from ipaddress import ip_address
from pathlib import Path

import httpx

from agent.settings import ENV_PREFIX, AgentSettings
from chassis.settings import SettingsError
from trimtab.host.env_file import read_env_file, secret_variables
from trimtab.host.errors import EnvFileError
from trimtab.host.facts import FilesFacts, Identity, PortFacts, SettingsFacts, StateFacts
from trimtab.host.gather.identity import READ, SEARCH, WRITE, may_use
from trimtab.host.units import STATE_DIR
from trimtab.stack.model import Listener
from trimtab.supervisor.preflight import owner_of

LIVEZ_TIMEOUT_S = 1.0
"""An agent answers from memory, also while everything else hangs."""
ALIVE = "alive\n"
MEANT_AT_LEAST = 0.6
"""Similarity from which a misspelled variable is worth a suggestion."""


def settings_facts(path: Path) -> SettingsFacts:
    """The file as the service would read it: systemd's syntax, then the agent's own model."""
    try:
        text, state = path.read_text(encoding="utf-8"), path.stat()
    except FileNotFoundError:
        return SettingsFacts(str(path), trouble="no such file")
    except (OSError, UnicodeDecodeError) as error:
        return SettingsFacts(str(path), trouble=f"cannot be read: {error}")
    try:
        values = read_env_file(text, AgentSettings).values
    except EnvFileError as error:
        return SettingsFacts(str(path), trouble=str(error), mode=state.st_mode & 0o777)
    faults, settings = _read(values)
    return SettingsFacts(
        path=str(path),
        mode=state.st_mode & 0o777,
        has_secret=any(values.get(name) for name in secret_variables(AgentSettings)),
        faults=faults,
        unknown=_unknown(values),
        settings=settings,
    )


def other_variables(path: Path) -> dict[str, str]:
    """What the file sets besides our settings: the service's children see it too."""
    try:
        values = read_env_file(path.read_text(encoding="utf-8"), AgentSettings).values
    except (OSError, UnicodeDecodeError, EnvFileError):
        return {}
    return {name: value for name, value in values.items() if not name.startswith(ENV_PREFIX)}


def files_facts(settings: AgentSettings, identity: Identity) -> FilesFacts:
    """Files that hold tokens, certificates and keys."""
    named = {
        AgentSettings.variable(name): path
        for name in ("token_file", "ca_file", "client_cert_file", "client_key_file")
        if (path := getattr(settings, name)) is not None
    }
    secrets = (AgentSettings.variable("token_file"), AgentSettings.variable("client_key_file"))
    stranger = Identity(exists=True, user="others", user_id=-1, group_ids=frozenset())
    return FilesFacts(
        unreadable={name: str(path) for name, path in named.items() if not may_use(path, identity, READ)},
        too_open={name: str(named[name]) for name in secrets if name in named and may_use(named[name], stranger, READ)},
    )


def port_facts(settings: AgentSettings) -> PortFacts:
    """Who listens where the agent will."""
    address, port = str(settings.address), settings.port
    if not _can_bind(address, 0):
        return PortFacts(address, port, bound_here=False, free=False)
    if _can_bind(address, port):
        return PortFacts(address, port, bound_here=True, free=True)
    owner = owner_of(Listener(address, port))
    return PortFacts(address, port, bound_here=True, free=False, agent_answers=_is_agent(address, port), owner=owner)


def state_facts(settings: AgentSettings, identity: Identity) -> StateFacts:
    """The directory, and the file system it is on."""
    path = settings.state_dir
    made_by_unit = str(path) == STATE_DIR
    if not path.is_dir():
        return StateFacts(str(path), exists=False, made_by_unit=made_by_unit)
    state, disk = path.stat(), os.statvfs(path)
    return StateFacts(
        path=str(path),
        exists=True,
        made_by_unit=made_by_unit,
        writable=may_use(path, identity, WRITE | SEARCH),
        read_only=bool(disk.f_flag & os.ST_RDONLY),
        free_bytes=disk.f_bavail * disk.f_frsize,
        free_files_ratio=disk.f_favail / disk.f_files if disk.f_files else 1.0,
        owner_id=state.st_uid,
        mode=state.st_mode & 0o777,
    )


def _read(values: Mapping[str, str]) -> tuple[dict[str, str], AgentSettings | None]:
    try:
        return {}, AgentSettings.read_from(values)
    except SettingsError as error:
        return dict(_named_fault(line.strip()) for line in str(error).splitlines()[1:]), None


def _named_fault(line: str) -> tuple[str, str]:
    name, _, fault = line.partition(": ")
    return (name, fault) if name.startswith(ENV_PREFIX) else ("", line)


def _unknown(values: Mapping[str, str]) -> dict[str, str]:
    known = [AgentSettings.variable(name) for name in AgentSettings.model_fields]
    ours = [name for name in values if name.upper().startswith(ENV_PREFIX) and name.upper() not in known]
    return {name: next(iter(difflib.get_close_matches(name, known, 1, MEANT_AT_LEAST)), "") for name in ours}


def _can_bind(address: str, port: int) -> bool:
    family = socket.AF_INET6 if ip_address(address).version == 6 else socket.AF_INET  # noqa: PLR2004  # IPv6
    with closing(socket.socket(family, socket.SOCK_STREAM)) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address, port))
            probe.listen(1)
        except OSError:
            return False
    return True


def _is_agent(address: str, port: int) -> bool:
    host = f"[{address}]" if ":" in address else address
    try:
        answer = httpx.get(f"http://{host}:{port}/livez", timeout=LIVEZ_TIMEOUT_S, trust_env=False)
    except httpx.HTTPError:
        return False
    return answer.is_success and answer.text == ALIVE
