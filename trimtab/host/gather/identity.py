"""Who the agent is on this host, and what the kernel would let that user do.

Asked with the numbers in the file system, never by trying: `doctor` often runs as root, who may do everything.
"""

import grp
import os
import pwd
from pathlib import Path

from agent.settings import RuntimeKind
from trimtab.host.facts import Identity
from trimtab.host.units import USER, groups_of

READ, WRITE, SEARCH = 4, 2, 1


def agent_identity(runtime: RuntimeKind | None) -> Identity:
    """The service's user with the groups that its unit adds; whoever asks, where that user does not exist."""
    try:
        entry = pwd.getpwnam(USER)
    except KeyError:
        user_id = os.geteuid()
        return Identity(False, _name_of(user_id), user_id, frozenset({os.getegid(), *os.getgroups()}))
    added = [group for name in (groups_of(runtime) if runtime else ()) if (group := _group_id(name)) is not None]
    own = os.getgrouplist(entry.pw_name, entry.pw_gid)
    return Identity(True, entry.pw_name, entry.pw_uid, frozenset({*own, *added}))


def permits(state: os.stat_result, identity: Identity, wanted: int) -> bool:
    """Whether owner, group and mode let `identity` do what the bits in `wanted` say."""
    if identity.user_id == 0:
        return True
    if state.st_uid == identity.user_id:
        granted = state.st_mode >> 6
    elif state.st_gid in identity.group_ids:
        granted = state.st_mode >> 3
    else:
        granted = state.st_mode
    return granted & wanted == wanted


def may_use(path: Path, identity: Identity, wanted: int = READ | WRITE) -> bool:
    """The same for a path, every folder on the way to it included; False for one that is not there."""
    try:
        real = path.resolve(strict=True)
        return permits(real.stat(), identity, wanted) and all(
            permits(folder.stat(), identity, SEARCH) for folder in real.parents
        )
    except OSError:
        return False


def _group_id(name: str) -> int | None:
    try:
        return grp.getgrnam(name).gr_gid
    except KeyError:
        return None


def _name_of(user_id: int) -> str:
    try:
        return pwd.getpwuid(user_id).pw_name
    except KeyError:
        return str(user_id)
