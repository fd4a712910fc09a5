"""The end of a log file, read without reading the file."""

import os
from pathlib import Path

from agent.ports import LOG_LINE_CHARS_MAX, LOG_TAIL_LINES_MAX

TAIL_BYTES_MAX = 16_384
"""Holds twenty lines of any sane length."""


def file_tail(path: Path) -> tuple[str, ...]:
    """Last lines of `path`; empty when there is no such file."""
    try:
        with path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - TAIL_BYTES_MAX))
            content = file.read(TAIL_BYTES_MAX)
    except OSError:
        return ()
    return last_lines(content)


def last_lines(content: bytes) -> tuple[str, ...]:
    """The last `LOG_TAIL_LINES_MAX` lines, each cut to `LOG_LINE_CHARS_MAX`."""
    lines = content.decode("utf-8", errors="replace").splitlines()[-LOG_TAIL_LINES_MAX:]
    return tuple(line[:LOG_LINE_CHARS_MAX] for line in lines)
