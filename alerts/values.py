"""A values file → settings: one YAML document, as in `alerts/example.yaml`, which names every field.

Parsed strictly and converted once: an unknown field is refused, because a misspelled receiver is a page that nobody gets.
"""

from pathlib import Path
from typing import Annotated

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import ErrorDetails

from alerts.channels import Smtp, Webhook
from alerts.errors import AlertmanagerSettingsError
from alerts.settings import AlertmanagerSettings, Audience, ControllerWebhook, Links, OfficeHours, Team

FILE_BYTES_MAX = 262_144
"""A hundred regions with ten channels each; more is not a values file."""
EXAMPLE = Path(__file__).parent / "example.yaml"
"""Every field, with its meaning."""
_KINDS = frozenset({"slack", "pagerduty", "email", "webhook"})
"""pydantic puts the kind of a channel into the path of a fault; a values file has no such step."""
_FIXES = {
    "missing": "add it",
    "string_type": 'write text, in quotes where it looks like a number, e.g. "17:00"',
    "union_tag_not_found": "add kind: slack, pagerduty, email or webhook",
    "union_tag_invalid": "use slack, pagerduty, email or webhook",
    "unexpected_keyword_argument": "remove it; alerts/example.yaml has every field (secrets come from files)",
    "extra_forbidden": "remove it; alerts/example.yaml has every field (secrets come from files)",
}


class _Values(BaseModel):
    """The document; the fields of each part are those of the settings of the same name."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    controller: ControllerWebhook
    people: Audience = Audience()
    regions: Annotated[dict[str, Audience], Field(default_factory=dict)]
    smtp: Smtp | None = None
    links: Links = Links()
    ticket_hours: OfficeHours | None = None
    heartbeat: Webhook | None = None


def load_values(path: Path) -> AlertmanagerSettings:
    """Settings from a file; `AlertmanagerSettingsError` names the file or the path of the field at fault."""
    try:
        if path.stat().st_size > FILE_BYTES_MAX:
            raise AlertmanagerSettingsError(str(path), f"is larger than {FILE_BYTES_MAX} bytes", "name a values file")
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise AlertmanagerSettingsError(str(path), "cannot be read", "name a readable UTF-8 file") from error
    return parse_values(text)


def parse_values(text: str) -> AlertmanagerSettings:
    """Settings from the text of a values file; `AlertmanagerSettingsError` names the path of the field at fault."""
    try:
        document = yaml.safe_load(text)
    except yaml.YAMLError as error:
        where = " ".join(str(error).split())
        raise AlertmanagerSettingsError("values", f"not valid YAML: {where}", "check around that line") from error
    if not isinstance(document, dict):
        raise AlertmanagerSettingsError("values", "holds no settings", "start from alerts/example.yaml")
    try:
        values = _Values.model_validate(document)
    except ValidationError as error:
        # One fault at a time: the first usually explains the rest.
        raise _fault(error.errors(include_url=False, include_input=False)[0]) from error
    return AlertmanagerSettings(
        controller=values.controller,
        people=values.people,
        teams=tuple(_team(region, audience) for region, audience in values.regions.items()),
        smtp=values.smtp,
        links=values.links,
        ticket_hours=values.ticket_hours,
        heartbeat=values.heartbeat,
    )


def _team(region: str, audience: Audience) -> Team:
    try:
        return Team(region, audience)
    except AlertmanagerSettingsError as error:
        raise error.inside(f"regions[{region}]") from error


def _fault(details: ErrorDetails) -> AlertmanagerSettingsError:
    path = ""
    for step in details["loc"]:
        if isinstance(step, int):
            path += f"[{step}]"
        elif step not in _KINDS:
            path += f".{step}" if path else step
    cause = details.get("ctx", {}).get("error")
    if isinstance(cause, AlertmanagerSettingsError):
        return cause.inside(path)
    fix = _FIXES.get(details["type"], "compare with alerts/example.yaml")
    return AlertmanagerSettingsError(path or "values", details["msg"], fix)
