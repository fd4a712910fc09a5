"""Tokens on disk: the host's own credential, written atomically for its owner alone, and the join token that others write."""

import json
import os
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path

CREDENTIAL_FILE = "credential.json"
"""In the state directory."""
OWNER_ONLY = 0o600
TOKEN_BYTES_MAX = 4_096
"""A token has some dozens of characters; a larger file is not one."""


@dataclass(frozen=True, slots=True)
class Credential:
    """A token of this host's own. Times are the controller's."""

    host: str
    token: str = field(repr=False)
    renew_unix_s: float
    expires_unix_s: float


def read_credential(path: Path, host: str) -> Credential | None:
    """The credential that this host kept; None when there is none, or it is another host's, as after cloning a disk.

    Raises `OSError` when it cannot be read, and `ValueError` when it is damaged.
    """
    try:
        with path.open(encoding="utf-8") as file:
            said = json.loads(file.read(TOKEN_BYTES_MAX))
    except FileNotFoundError:
        return None
    try:
        kept = Credential(
            host=str(said["host"]),
            token=str(said["token"]),
            renew_unix_s=float(said["renew_unix_s"]),
            expires_unix_s=float(said["expires_unix_s"]),
        )
    except (KeyError, TypeError) as error:
        msg = f"{path} holds no credential"
        raise ValueError(msg) from error
    return kept if kept.host == host else None


def write_credential(path: Path, credential: Credential) -> None:
    """A crash leaves the former one or this one. Raises `OSError`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_suffix(".new")
    beside.unlink(missing_ok=True)
    handle = os.open(
        beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, OWNER_ONLY
    )  # never readable by others, not even once
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            json.dump(asdict(credential), file)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
    except OSError:
        with suppress(OSError):
            beside.unlink(missing_ok=True)
        raise


@dataclass(slots=True)
class JoinToken:
    """The token that all hosts share: a setting, or a file that somebody may replace while we run."""

    value: str = field(default="", repr=False)
    path: Path | None = None
    _stamp: tuple[int, int, int] | None = None

    def read(self) -> str:
        """The newest token; empty when there is none. Raises `OSError` or `ValueError` when the file cannot be used, and a
        later call tries again."""
        if self.path is None:
            return self.value
        stat = self.path.stat()
        stamp = (stat.st_mtime_ns, stat.st_size, stat.st_ino)
        if stamp != self._stamp:
            with self.path.open(encoding="utf-8") as file:
                self.value = file.read(TOKEN_BYTES_MAX).strip()
            self._stamp = stamp
        return self.value
