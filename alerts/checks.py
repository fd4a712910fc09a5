"""What a setting must look like; every check raises `AlertmanagerSettingsError` with the field, the problem and the fix.

Settings end in a YAML file, in templates and in mail headers, so characters that mean something there are refused here.
"""

import re
from urllib.parse import urlsplit

from alerts.errors import AlertmanagerSettingsError

_URL = re.compile(r"^https?://[!#-;=?-Z_a-z~%\[\]]+$")
"""Printable ASCII without spaces, quotes, angle brackets, backslashes and braces, which end a URL in some medium."""
_HOST_PORT = re.compile(r"^[A-Za-z0-9.-]+:[0-9]{1,5}$")
_ADDRESS = re.compile(r"^[^@\s,;<>\"{}]+@[^@\s,;<>\"{}]+$")


def check_url(field: str, value: str, *, example: str) -> None:
    """An http(s) URL with a host and without credentials, which Alertmanager's status page would show to everybody."""
    parts = urlsplit(value) if _URL.match(value) else None
    if parts is None or not parts.hostname:
        raise AlertmanagerSettingsError(field, f"{value!r} is not an http(s) URL", f"write {example}")
    if parts.username is not None or parts.password is not None:
        raise AlertmanagerSettingsError(
            field, "has credentials in it, which the status page shows", "move them to a file"
        )


def check_url_prefix(field: str, value: str, *, example: str) -> None:
    """A URL that paths are appended to: nothing after a `?` or `#` would still be a path."""
    check_url(field, value, example=example)
    if "?" in value or "#" in value:
        raise AlertmanagerSettingsError(field, f"{value!r} has more than a path", f"write {example}")


def check_file(field: str, value: str | None) -> None:
    """An absolute path, as Alertmanager sees it; None where a file is optional."""
    if value is not None and (not value.startswith("/") or not value.isprintable()):
        raise AlertmanagerSettingsError(
            field,
            f"{value!r} is not an absolute path",
            f"write where Alertmanager reads it, e.g. /etc/alertmanager/{field}",
        )


def check_host_port(field: str, value: str) -> None:
    """`mail.example:587`."""
    if not _HOST_PORT.match(value):
        raise AlertmanagerSettingsError(field, f"{value!r} is not HOST:PORT", "write e.g. mail.example:587")


def check_address(field: str, value: str) -> None:
    """One mail address; no commas or line breaks, which would make two headers of one."""
    if not _ADDRESS.match(value):
        raise AlertmanagerSettingsError(field, f"{value!r} is not one mail address", "write e.g. oncall@example.org")
