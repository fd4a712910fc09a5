"""One rule file on disk and, beside it, the last text that Prometheus took.

A process may end between any two steps. The file itself is replaced whole, so a reader never sees half of it; the copy of
the last good text tells the next process what to go back to when the file that it finds was never accepted.
"""

import os
from pathlib import Path

READABLE = 0o644
"""Prometheus runs as another user, and a service's umask may leave it nothing. Rules are no secret: its pages show them."""


class RuleFileStore:
    """Blocking; every method may raise `OSError`, and then the former content stands."""

    def __init__(self, path: Path) -> None:
        self.path = path
        # Neither matches a glob of rule files: they are hidden, and end differently.
        self._good = path.with_name(f".{path.name}.good")
        self._beside = path.with_name(f".{path.name}.tmp")

    def read(self) -> str | None:
        """The file's text; None when there is none."""
        return _read(self.path)

    def write(self, text: str) -> None:
        """Make `text` the file's content."""
        self._replace(self.path, text)

    def keep_as_good(self, text: str) -> None:
        """Remember `text` as what Prometheus took."""
        if _read(self._good) != text:
            self._replace(self._good, text)

    def go_back(self, former: str | None, refused: str) -> None:
        """Put back the last good text; without one, what stood there before, unless that is what was refused."""
        good = _read(self._good)
        text = good if good is not None and good != refused else former
        if text is None or text == refused:
            self.path.unlink(missing_ok=True)
        else:
            self._replace(self.path, text)

    def leave_no_gap(self, text: str) -> None:
        """Put back `text`, which Prometheus took once, where going back left no file: its refusal was about something else."""
        if _read(self.path) is None and _read(self._good) == text:
            self._replace(self.path, text)

    def _replace(self, path: Path, text: str) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with self._beside.open("w", encoding="utf-8") as file:
                file.write(text)
                file.flush()
                os.fchmod(file.fileno(), READABLE)
                os.fsync(file.fileno())  # a power cut must not leave an empty file under the right name
            self._beside.replace(path)
        except OSError:
            self._beside.unlink(missing_ok=True)  # half a file on a full disk is in the way of the next try
            raise


def _read(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
