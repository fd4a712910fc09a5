"""How the line to the controller has been: counted for the metrics page, in words that are few and known beforehand."""

from dataclasses import dataclass, field
from enum import StrEnum


class SyncFailure(StrEnum):
    """Why a request got no usable answer."""

    CONNECTION = "connection"
    """Nobody listens, the name is unknown, TLS failed, or the line broke."""
    TIMEOUT = "timeout"
    CLIENT_ERROR = "status_4xx"
    """The controller does not know us: a credential, most often."""
    SERVER_ERROR = "status_5xx"
    """No leader, or a controller in trouble."""
    INVALID = "invalid_answer"


def failure_of_status(status: int) -> SyncFailure:
    """Any status that is not success."""
    return SyncFailure.SERVER_ERROR if status >= 500 else SyncFailure.CLIENT_ERROR  # noqa: PLR2004  # RFC 9110


@dataclass(slots=True)
class SyncRecord:
    """Since the agent started."""

    requests_total: int = 0
    failures_total: dict[SyncFailure, int] = field(default_factory=lambda: dict.fromkeys(SyncFailure, 0))
    last_success_unix_s: float | None = None

    def failed(self, why: SyncFailure) -> None:
        """One request got no usable answer."""
        self.failures_total[why] += 1
