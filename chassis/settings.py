"""One frozen settings object per process, read once in `__main__`, passed down in parts.

Sources, strongest first: explicit arguments, environment (`TRIMTAB_<PROCESS>_<FIELD>`), then defaults. A bad value is an
error that names the variable and what would be accepted.
"""

import os
from typing import Self

from pydantic import ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict


class SettingsError(Exception):
    """The settings cannot be used; the message lists each variable with its fault."""


class ProcessSettings(BaseSettings):
    """Base of every process's settings; subclasses set `env_prefix`."""

    model_config = SettingsConfigDict(frozen=True, extra="forbid")

    @classmethod
    def read(cls, **overrides: object) -> Self:
        """Read the environment, apply `overrides`, and translate faults into one `SettingsError`."""
        prefix = cls.model_config.get("env_prefix", "")
        try:
            return cls.model_validate(cls(**overrides))  # type: ignore[arg-type]  # overrides are validated by pydantic
        except ValidationError as error:
            faults = "\n".join(
                f"  {prefix}{'_'.join(str(part) for part in fault['loc']).upper()}: {fault['msg']}"
                for fault in error.errors()
            )
            msg = f"invalid settings:\n{faults}"
            raise SettingsError(msg) from error


INHERITED = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "TZ", "PYTHONPATH", "VIRTUAL_ENV", "LD_LIBRARY_PATH")
"""What a child process may need from the shell that started us; everything else is told to it explicitly."""


def inherited_environment() -> dict[str, str]:
    """The variables that children get from ours; read once, by `__main__`."""
    return {name: value for name in INHERITED if (value := os.environ.get(name)) is not None}
