"""What the agent leaves out of memory.

Some libraries import whatever is installed: httpx and structlog packages for command lines and coloured tracebacks, the
standard library compressions, the YAML reader a second parser. An agent that shares its environment with the command line
would carry 6 MB of them on every GPU host, unused.
"""

import sys
from collections.abc import Iterable
from types import ModuleType

UNUSED = ("bz2", "click", "lzma", "pygments", "rich", "yaml._yaml")
"""Optional everywhere: whoever imports them goes on without."""


def leave_out(packages: Iterable[str]) -> None:
    """Let importing them fail as if they were not installed; before anything imports them."""
    for package in packages:
        sys.modules[package] = None  # type: ignore[assignment]  # how Python marks a module that must not be imported


def stand_in(module: str, *names: str) -> None:
    """Let importing these names of a module succeed without the module; whoever calls one of them fails."""
    empty = ModuleType(module, "Left out, see agent.lean.")
    for name in names:
        setattr(empty, name, None)
    sys.modules[module] = empty
