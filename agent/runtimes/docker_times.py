"""The engine's own clock: every time that is compared comes from it, so the agent's clock does not matter."""

import re
from datetime import datetime

NANO = 1_000_000_000
_STAMP = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?(Z|[+-]\d\d:\d\d)")


def unix_ns(stamp: str) -> int:
    """`2026-01-02T03:04:05.123456789Z` → nanoseconds since the epoch; Python's own parser stops at microseconds.

    Raises `ValueError` for anything else than RFC 3339.
    """
    found = _STAMP.fullmatch(stamp)
    if found is None:
        msg = f"not a time of the engine: {stamp!r}"
        raise ValueError(msg)
    second, fraction, offset = found.groups()
    return int(datetime.fromisoformat(second + offset).timestamp()) * NANO + int((fraction or "0").ljust(9, "0"))
