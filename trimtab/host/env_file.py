"""agent.env: rendered from the settings' own model, so that it can name no setting that does not exist and miss none.

A file that an administrator owns is never rewritten. When the program has new settings, or other defaults, or a value was
asked for that the file does not have, the whole file is offered beside it with the administrator's values carried over, as
Debian does with its conffiles: `diff`, then `mv`. The comparison is about settings, not about text: an administrator's
own comments and order are nobody's business.
"""

import json
import re
import textwrap
from collections.abc import Mapping
from dataclasses import dataclass

from pydantic import SecretStr, TypeAdapter
from pydantic.fields import FieldInfo

from chassis.settings import ProcessSettings
from trimtab.host.env_text import parse_env, quoted

WIDTH = 110
HEADER = """\
# Settings of the Trimtab agent on this host, read by trimtab-agent.service when it starts.
# A line that begins with #{prefix} shows a default: take the # away to set another value.
# Lists are JSON. After a change: trimtab agent check && systemctl restart trimtab-agent
"""
REQUIRED = "(required)"
UNSET = "(not set)"
_OFFERED = r"^#\s?({prefix}[A-Z0-9_]+)=(.*)$"


@dataclass(frozen=True, slots=True)
class EnvFile:
    """What a file says: assignments, and defaults it shows in comments."""

    values: Mapping[str, str]
    shown: Mapping[str, str]
    """Commented-out settings, with the default as it is written there; a secret that somebody left in a comment is not repeated."""


def read_env_file(text: str, model: type[ProcessSettings]) -> EnvFile:
    """Raises `EnvFileError` for a line that systemd would skip or misread."""
    values = {found.name: found.value for found in parse_env(text)}
    offered = re.compile(_OFFERED.format(prefix=re.escape(model.variable(""))), re.MULTILINE)
    shown = {match[1]: match[2].strip() for match in offered.finditer(text)}
    defaults = {model.variable(name): default_text(field) for name, field in model.model_fields.items()}
    untold = {name: defaults[name] for name in secret_variables(model) if name in shown}
    return EnvFile(values=values, shown={**shown, **untold})


def render_env_file(model: type[ProcessSettings], values: Mapping[str, str]) -> str:
    """Every setting with its description; those in `values` set, the others commented out with their default.

    Variables that the model does not know, of other programs say, are kept at the end.
    """
    blocks = [HEADER.format(prefix=model.variable(""))]
    known = {model.variable(name): field for name, field in model.model_fields.items()}
    for variable, field in known.items():
        blocks.append(f"{_comment(field)}\n{_setting(variable, field, values)}\n")
    others = "".join(f"{name}={quoted(value)}\n" for name, value in values.items() if name not in known)
    if others:
        blocks.append(f"# Variables that are not settings of this agent.\n{others}")
    return "\n".join(blocks)


def offers(current: EnvFile, wanted: EnvFile) -> tuple[str, ...]:
    """Why `wanted` should be shown to whoever owns `current`: one sentence for each difference; empty: nothing is new."""
    mentioned = current.values.keys() | current.shown.keys()
    told = [f"{name} is new" for name in sorted((wanted.values.keys() | wanted.shown.keys()) - mentioned)]
    told += [
        f"{name} is no setting any more"
        for name in sorted(current.shown.keys() - wanted.shown.keys() - wanted.values.keys())
    ]
    told += [
        f"{name} has another default: {wanted.shown[name]} instead of {current.shown[name]}"
        for name in sorted(current.shown.keys() & wanted.shown.keys() - current.values.keys())
        if current.shown[name] != wanted.shown[name]
    ]
    told += [
        f"{name} is set otherwise in the file"
        for name, value in sorted(wanted.values.items())
        if current.values.get(name) != value and name in mentioned
    ]
    return tuple(told)


def secret_variables(model: type[ProcessSettings]) -> tuple[str, ...]:
    """Settings whose value is never shown."""
    return tuple(model.variable(name) for name, field in model.model_fields.items() if field.annotation is SecretStr)


def default_text(field: FieldInfo) -> str:
    """The default as a right-hand side, or why there is none."""
    if field.is_required():
        return REQUIRED
    default = field.get_default(call_default_factory=True)
    if default is None:
        return UNSET
    return quoted(as_variable(default))


def as_variable(value: object) -> str:
    """A setting's value as its environment variable holds it; lists and objects are JSON."""
    if isinstance(value, SecretStr):
        return value.get_secret_value()
    plain = TypeAdapter(type(value)).dump_python(value, mode="json")
    return plain if isinstance(plain, str) else json.dumps(plain, separators=(",", ":"))


def _comment(field: FieldInfo) -> str:
    text = re.sub(r"\s+", " ", field.description or "").replace("`", "")
    return textwrap.fill(text, WIDTH, initial_indent="# ", subsequent_indent="# ")


def _setting(variable: str, field: FieldInfo, values: Mapping[str, str]) -> str:
    if variable in values:
        return f"{variable}={quoted(values[variable])}"
    return f"#{variable}={default_text(field)}"
