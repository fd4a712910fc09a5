"""What the agent leaves out of memory.

Some libraries import packages for command lines and coloured tracebacks whenever those are installed: httpx and structlog do.
An agent that shares its environment with the command line would carry 5 MB of them on every GPU host, unused.
"""

import sys
from collections.abc import Iterable

COMMAND_LINE_PACKAGES = ("click", "pygments", "rich")
"""Optional everywhere: whoever imports them goes on without."""


def leave_out(packages: Iterable[str]) -> None:
    """Let importing them fail as if they were not installed; before anything imports them."""
    for package in packages:
        sys.modules[package] = None  # type: ignore[assignment]  # how Python marks a module that must not be imported
