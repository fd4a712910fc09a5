"""Everything that a process plan is made from, in one value."""

from collections.abc import Mapping
from dataclasses import dataclass

from trimtab.stack.programs import Programs
from trimtab.stack.secrets import Tokens
from trimtab.stack.settings import Layout


@dataclass(frozen=True, slots=True)
class Blueprint:
    """The choices, and the facts of this machine."""

    layout: Layout
    programs: Programs
    tokens: Tokens
    environment: Mapping[str, str]
    """What every child inherits (PATH and the like)."""

    def env(self, prefix: str = "", fields: Mapping[str, str] | None = None) -> tuple[tuple[str, str], ...]:
        """The inherited variables, and `fields` under their process's prefix."""
        own = {f"{prefix}{name}": value for name, value in (fields or {}).items()}
        return tuple(sorted({**self.environment, **own}.items()))
