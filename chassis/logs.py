"""Structured logs: JSON lines for machines, coloured lines on a terminal.

Events are snake_case facts in the past tense with their data as keys. Called once, by `__main__`; importing any module
configures nothing.
"""

import io
import logging
import sys
from contextlib import suppress
from typing import TextIO, cast

import structlog


def configure_logs(*, process: str, level: str = "INFO", json: bool | None = None) -> None:
    """Route structlog and the standard library's logging to stderr; `json=None` means JSON unless stderr is a terminal."""
    as_json = not sys.stderr.isatty() if json is None else json
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    renderer: structlog.typing.Processor = (
        structlog.processors.JSONRenderer() if as_json else structlog.dev.ConsoleRenderer()
    )
    structlog.configure(
        processors=[*shared, structlog.processors.format_exc_info, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level]),
        logger_factory=structlog.PrintLoggerFactory(file=cast("TextIO", _Lossy(sys.stderr))),
        cache_logger_on_first_use=True,
    )
    logging.basicConfig(
        stream=sys.stderr, level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s %(message)s"
    )
    structlog.contextvars.bind_contextvars(process=process)


class _Lossy(io.TextIOBase):
    """A stream that loses what its target does not take: a full disk behind the log must not fail the work it is about."""

    def __init__(self, target: TextIO) -> None:
        self._target = target

    def write(self, text: str) -> int:
        with suppress(OSError):
            self._target.write(text)
        return len(text)

    def flush(self) -> None:
        with suppress(OSError):
            self._target.flush()


def logger(name: str) -> structlog.typing.FilteringBoundLogger:
    """A logger for one module; cheap, configured lazily on first use."""
    bound: structlog.typing.FilteringBoundLogger = structlog.get_logger(module=name)
    return bound
