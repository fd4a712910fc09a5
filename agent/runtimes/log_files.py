"""Where child processes write, and what happens when there is no place: a voice matters more than its log.

A directory that takes nothing (read-only, full, gone) sends the output of new processes to the null device and says so; the
next start of each tries again. On a disk that is full a file can still be made, but a program whose `print` fails may end
of it, so a little room is asked for as well.
"""

import errno
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from contracts.vocabulary import ReplicaId

NOWHERE = Path(os.devnull)
ROOM_BYTES_MIN = 1024 * 1024
"""Less than this is left to the journal, which needs it more."""


@dataclass(slots=True)
class LogFiles:
    """One file per replica in `directory`, and the one before it."""

    directory: Path
    on_trouble: Callable[[str | None], None]
    """Told why processes run without a log, and None when all have one again."""
    _without: dict[ReplicaId, str] = field(default_factory=dict)

    def path(self, replica: ReplicaId) -> Path:
        """Where a replica's log is, when it has one."""
        return self.directory / f"{replica}.log"

    def fresh(self, replica: ReplicaId) -> Path:
        """An empty log for a new process; the former one's is kept as `.log.1`. Never fails: `NOWHERE` is a place too."""
        path = self.path(replica)
        try:
            self.directory.mkdir(parents=True, exist_ok=True)
            _require_room(self.directory)
            if path.exists():
                path.replace(path.with_suffix(".log.1"))
            path.touch()
        except OSError as error:
            self._without[replica] = f"{replica} runs without a log: {error.strerror or error}: {self.directory}"
            path = NOWHERE
        else:
            self._without.pop(replica, None)
        self.on_trouble(next(iter(self._without.values()), None))
        return path


def _require_room(directory: Path) -> None:
    if shutil.disk_usage(directory).free < ROOM_BYTES_MIN:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
