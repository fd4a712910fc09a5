"""How the line to the controller has been: counted for the metrics page, in words that are few and known beforehand."""

from dataclasses import dataclass, field
from enum import StrEnum

SERVER_ERRORS = 500
"""From here on a status means trouble of the controller (RFC 9110)."""


class SyncFailure(StrEnum):
    """Why a request got no usable answer."""

    CONNECTION = "connection"
    """Nobody listens, the name is unknown, or the line broke."""
    TIMEOUT = "timeout"
    TLS = "tls"
    """One end does not trust the other's certificate, or a certificate cannot be read."""
    UNAUTHORIZED = "unauthorized"
    """401: it does not know the token."""
    FORBIDDEN = "forbidden"
    """403: it knows the token, and the token may not do this: another host's, or this host was revoked."""
    SUPERSEDED = "superseded"
    """409: a newer agent speaks for this host."""
    TOO_LARGE = "too_large"
    """413: the report is more than it takes."""
    NOT_LEADING = "not_leading"
    """503: a standby, or no place."""
    CLIENT_ERROR = "status_4xx"
    """It does not understand us: another version, or a proxy in between."""
    SERVER_ERROR = "status_5xx"
    """A controller in trouble."""
    INVALID = "invalid_answer"


_OF_STATUS = {
    401: SyncFailure.UNAUTHORIZED,
    403: SyncFailure.FORBIDDEN,
    409: SyncFailure.SUPERSEDED,
    413: SyncFailure.TOO_LARGE,
    503: SyncFailure.NOT_LEADING,
}


def failure_of_status(status: int) -> SyncFailure:
    """Any status that is not success."""
    unknown = SyncFailure.SERVER_ERROR if status >= SERVER_ERRORS else SyncFailure.CLIENT_ERROR
    return _OF_STATUS.get(status, unknown)


@dataclass(slots=True)
class SyncRecord:
    """Since the agent started."""

    requests_total: int = 0
    failures_total: dict[SyncFailure, int] = field(default_factory=lambda: dict.fromkeys(SyncFailure, 0))
    last_success_unix_s: float | None = None

    def failed(self, why: SyncFailure) -> None:
        """One request got no usable answer."""
        self.failures_total[why] += 1
