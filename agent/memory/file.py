"""The journal's file: lines appended and fsynced, or replaced whole. Everything here blocks and runs on one thread.

Each line carries a checksum, so that damage is found and not merely guessed from broken JSON. A line without its newline
is the trace of a crash while writing: what it says was never relied on, and it is dropped. After a write that failed, no
line is appended any more: it would follow a torn one and be lost with it. Only a whole new file, made beside the old
one and renamed, ends that state; a crash leaves the old file or the new one, never a mixture.
"""

import errno
import json
import os
import zlib
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from io import FileIO
from pathlib import Path

from agent.memory.entries import Entry

CORRUPT_KEPT = 3
"""Damaged journals kept for people: the newest; each is at most a few megabytes."""
BYTES_MAX = 64 * 1024 * 1024
"""A journal has a few megabytes. Something larger is no journal, and must not be read into memory."""
_CHECKSUM = b',"crc":'


@dataclass(frozen=True, slots=True)
class Contents:
    """What a file says."""

    entries: tuple[Entry, ...]
    damaged: int
    """Lines that are not what was written."""


class JournalFile:
    """One file of entries. Every method may raise `OSError`; `trouble` remembers the last until a rewrite succeeds."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.trouble = ""
        """Why nothing can be written now; empty when the last write was durable."""
        self.size_bytes = 0
        """Of the file, as far as it was read and written here."""
        self.failures_total = 0
        """Writes that failed."""
        self._file: FileIO | None = None

    def read(self) -> Contents:
        """Everything in the file; nothing when there is none."""
        try:
            with self.path.open("rb") as file:
                raw = file.read(BYTES_MAX + 1)
        except FileNotFoundError:
            return Contents((), 0)
        if len(raw) > BYTES_MAX:
            msg = f"{self.path} is larger than {BYTES_MAX} bytes"
            raise OSError(msg)
        self.size_bytes = len(raw)
        decoded = [decode(line) for line in raw.split(b"\n")[:-1]]
        entries = tuple(entry for entry in decoded if entry is not None)
        return Contents(entries, damaged=len(decoded) - len(entries))

    def append(self, entry: Entry) -> None:
        """Durable when it returns."""
        if self.trouble:
            raise OSError(self.trouble)
        try:
            if self._file is None:
                self._file = self._open_append()
            line = encode(entry)
            _write_whole(self._file, line)
            os.fsync(self._file.fileno())
            _refuse_deleted(self._file)
            self.size_bytes += len(line)
        except OSError as error:
            self._fail(error)
            raise

    def replace(self, entries: Iterable[Entry]) -> None:
        """The file says exactly this; durable when it returns, and everything that failed before is over."""
        self._close()
        beside = self.path.with_suffix(".new")
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with beside.open("wb") as file:
                file.writelines(encode(entry) for entry in entries)
                file.flush()
                os.fsync(file.fileno())
                self.size_bytes = file.tell()
            beside.replace(self.path)
            _sync_directory(self.path.parent)
        except OSError as error:
            with suppress(OSError):
                beside.unlink(missing_ok=True)  # on a full disk, half a file must not take the room of a whole one
            self._fail(error)
            raise
        self.trouble = ""

    def set_aside(self, now_unix_s: float) -> Path:
        """Keep what is there as `journal.corrupt-<time>`, at most `CORRUPT_KEPT` of them.

        A second name, not another place: should we die before the new file is there, the damage is found again instead
        of an empty directory that looks like a first start.
        """
        aside = self.path.with_name(f"{self.path.stem}.corrupt-{now_unix_s:.3f}")
        try:
            os.link(self.path, aside)
        except OSError:  # some file systems have no second names, and a directory cannot have one
            self.path.replace(aside)
        older = sorted(self.path.parent.glob(f"{self.path.stem}.corrupt-*"))[:-CORRUPT_KEPT]
        for path in older:
            with suppress(OSError):
                path.unlink()
        return aside

    def close(self) -> None:
        """Let go of the file."""
        self._close()

    def fail(self, reason: str) -> None:
        """Nothing can be written until a rewrite succeeds."""
        self.trouble = reason

    def _fail(self, error: OSError) -> None:
        self._close()
        self.failures_total += 1
        self.fail(f"{self.path}: {error.strerror or error}")

    def _open_append(self) -> FileIO:
        return self.path.open("ab", buffering=0)  # a buffer would write the rest of a failed line when it is closed

    def _close(self) -> None:
        file, self._file = self._file, None
        if file is not None:
            with suppress(OSError):  # what it could not write any more has failed already
                file.close()


def encode(entry: Entry) -> bytes:
    """`{"kind":…,"data":…,"crc":…}` and a newline."""
    kind, data = entry
    body = json.dumps({"kind": kind, "data": data}, separators=(",", ":"), allow_nan=False).encode()[:-1]
    return body + _CHECKSUM + str(zlib.crc32(body)).encode() + b"}\n"


def decode(line: bytes) -> Entry | None:
    """The entry of one line without its newline; None for damage. Lines of versions without a checksum are believed."""
    body, found, checksum = line.rpartition(_CHECKSUM)
    if found and checksum != str(zlib.crc32(body)).encode() + b"}":
        return None
    try:
        parsed = json.loads(line)
        return str(parsed["kind"]), parsed["data"]
    except (ValueError, KeyError, TypeError):
        return None


def _write_whole(file: FileIO, line: bytes) -> None:
    """A disk that fills up takes a part of the line before it refuses the next."""
    if file.write(line) != len(line):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def _refuse_deleted(file: FileIO) -> None:
    """What is written to a file without a name is gone at the next start."""
    if os.fstat(file.fileno()).st_nlink == 0:
        msg = "the journal was deleted while in use"
        raise OSError(msg)


def _sync_directory(directory: Path) -> None:
    handle = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
