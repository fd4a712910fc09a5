"""One frozen settings object per process, read once in `__main__`, passed down in parts.

Sources, strongest first: explicit arguments, environment (`TRIMTAB_<PROCESS>_<FIELD>`), then defaults. A bad value is an
error that names the variable and what would be accepted. The sentence below a field is its description, so that
`--help`, rendered files and the code say the same.
"""

import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Self

from pydantic import ValidationError
from pydantic_settings import BaseSettings, EnvSettingsSource, PydanticBaseSettingsSource, SettingsConfigDict
from pydantic_settings import SettingsError as UnreadableValueError


class SettingsError(Exception):
    """The settings cannot be used; the message lists each variable with its fault."""


class ProcessSettings(BaseSettings):
    """Base of every process's settings; subclasses set `env_prefix`."""

    model_config = SettingsConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    @classmethod
    def read(cls, **overrides: object) -> Self:
        """Read the environment, apply `overrides`, and translate faults into one `SettingsError`."""
        return cls.read_from(os.environ, **overrides)

    @classmethod
    def read_from(cls, variables: Mapping[str, str], **overrides: object) -> Self:
        """The same from `variables`: what a process started with exactly these would read."""
        with _readable_faults(cls.variable("")):
            source = EnvSettingsSource(cls)
            source.env_vars = {name.lower(): value for name, value in variables.items()}
            return cls.model_validate({**source(), **overrides})

    @classmethod
    def settings_customise_sources(  # pydantic-settings fixes the signature
        cls,
        settings_cls: type[BaseSettings],  # noqa: ARG003
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Arguments only: `read` is the one way in for the environment, so that a constructor never looks at it."""
        return (init_settings,)

    @classmethod
    def variable(cls, field: str) -> str:
        """Name of a field's environment variable."""
        return f"{cls.model_config.get('env_prefix', '')}{field.upper()}"


@contextmanager
def _readable_faults(prefix: str) -> Iterator[None]:
    try:
        yield
    except ValidationError as error:
        faults = "\n".join(f"  {_fault(prefix, fault['loc'], fault['msg'])}" for fault in error.errors())
        msg = f"invalid settings:\n{faults}"
        raise SettingsError(msg) from error
    except UnreadableValueError as error:
        # Lists and objects are read as JSON before validation; that fault knows its field only as a word of its message.
        field = re.search(r'field "(\w+)"', str(error))
        name = f"{prefix}{field.group(1).upper()}" if field else str(error)
        msg = f'invalid settings:\n  {name}: Input should be JSON, for example ["one","two"]'
        raise SettingsError(msg) from error


def _fault(prefix: str, location: tuple[int | str, ...], message: str) -> str:
    """`VARIABLE: what is wrong`; without a variable where several do not go together."""
    sentence = message.removeprefix("Value error, ")
    return f"{prefix}{'_'.join(map(str, location)).upper()}: {sentence}" if location else sentence


INHERITED = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "TZ", "PYTHONPATH", "VIRTUAL_ENV", "LD_LIBRARY_PATH")
"""What a child process may need from the shell that started us; everything else is told to it explicitly."""


def inherited_environment() -> dict[str, str]:
    """The variables that children get from ours; read once, by `__main__`."""
    return {name: value for name in INHERITED if (value := os.environ.get(name)) is not None}


SERVICE_MANAGER = ("NOTIFY_SOCKET", "WATCHDOG_USEC")
"""How systemd tells a service where and how often to report; never inherited, for a child must not speak for us."""


def service_manager_environment() -> dict[str, str]:
    """What the service manager told this process; empty when none did. Read once, by `__main__`."""
    return {name: value for name in SERVICE_MANAGER if (value := os.environ.get(name))}
