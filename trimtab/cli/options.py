"""Options that several commands share, and what a command knows about where it runs."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from trimtab.api_client import ControllerApi
from trimtab.stack.secrets import read_tokens
from trimtab.supervisor.errors import StackError
from trimtab.supervisor.home_lock import running_state
from trimtab.supervisor.state import StackState

ROOT = Path(".trimtab")
"""Everything that set-up and runs leave behind, below the working directory; `make clean` removes it."""
UP_HOME = ROOT / "up"
DEMO_HOME = ROOT / "demo"
VOICE_DIR = ROOT / "voice"

LOG_COLUMNS = 160

VoiceOption = Annotated[
    Path, typer.Option("--voice-dir", envvar="TRIMTAB_VOICE_DIR", help="Where `trimtab setup` prepared the voice.")
]
PortOffsetOption = Annotated[
    int, typer.Option("--port-offset", help="Added to every port, so that several stacks can live side by side.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON for machines instead of text for people.")]


@dataclass(frozen=True, slots=True)
class Session:
    """Where this command runs, and with whom it talks."""

    environment: Mapping[str, str]
    """What child processes inherit."""
    chosen_home: Path | None = None
    """None: each command's own default."""
    url: str | None = None
    """None: the controller of the stack in the home directory."""
    token: str | None = None
    """None: the operator's token of the stack in the home directory, which no other controller is shown."""
    ca_file: Path | None = None
    """None: the system's authorities."""

    @property
    def home(self) -> Path:
        """Directory of the stack that `up` runs."""
        return (self.chosen_home or UP_HOME).resolve()

    def stack(self) -> StackState:
        """The stack that runs in the home directory; raises `StackError` when none does."""
        state = running_state(self.home)
        if state is None:
            msg = f"nothing runs in {self.home}. Start it with `trimtab up`, or name another one with --home or --url."
            raise StackError(msg)
        return state

    def api(self) -> ControllerApi:
        """A client for the controller this command means."""
        tokens = read_tokens(self.home) if self.url is None else None
        token = self.token if self.token is not None else (tokens.operator if tokens else "")
        return ControllerApi(self.url or self.stack().controller_url, token=token, ca_file=self.ca_file)


def session(ctx: typer.Context) -> Session:
    """What the main command made of its options."""
    found = ctx.find_object(Session)
    return found if found is not None else Session(environment={})


def console() -> Console:
    """Where results go: as wide as the terminal, or as a log can be read."""
    out = Console(highlight=False)
    return out if out.is_terminal else Console(highlight=False, width=LOG_COLUMNS)


def error_console() -> Console:
    """Where trouble goes; never wrapped, so that commands in messages can be copied."""
    return Console(stderr=True, highlight=False, soft_wrap=True)
