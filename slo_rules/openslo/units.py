"""Durations and numbers of documents: exact both ways, so that 200ms is 0.2 and nothing beside it."""

import re
from decimal import Decimal

from slo_rules.errors import SloError
from slo_rules.promql import number

UNIT_S = {
    "ms": Decimal("0.001"),
    "s": Decimal(1),
    "m": Decimal(60),
    "h": Decimal(3_600),
    "d": Decimal(86_400),
    "w": Decimal(604_800),
}
_DURATION = re.compile(r"(\d{1,12}(?:\.\d{1,20})?)(ms|[smhdw])", re.ASCII)
_NUMBER = re.compile(r"\d{1,9}(?:\.\d{1,20})?", re.ASCII)
SHOWN_CHARS_MAX = 60


def shown(text: str) -> str:
    """`text` in quotes, cut where it would flood a message."""
    return repr(text) if len(text) <= SHOWN_CHARS_MAX else f"{text[:SHOWN_CHARS_MAX]!r}…"


def duration_s(text: str, *, path: str) -> Decimal:
    """`200ms` → 0.2, `30d` → 2592000, exactly; `SloError` at `path` for anything else, months and years included."""
    match = _DURATION.fullmatch(text)
    if match is None:
        problem = f"{shown(text)} is not a duration"
        raise SloError(path, problem, "write a number and one of ms, s, m, h, d, w, e.g. 200ms")
    return Decimal(match[1]) * UNIT_S[match[2]]


def whole_seconds(text: str, *, path: str) -> int:
    """The same for what is counted in whole seconds."""
    seconds = duration_s(text, path=path)
    if seconds % 1:
        raise SloError(path, f"{shown(text)} is not whole seconds", "write whole seconds or more, e.g. 60s")
    return int(seconds)


def duration_text(seconds: float) -> str:
    """The reverse, in the largest unit that needs no fraction: 2592000 → `30d`, 90 → `90s`, 0.2 → `200ms`."""
    exact = Decimal(str(seconds))
    unit = next((u for u in ("d", "h", "m", "s") if exact >= UNIT_S[u] and not exact % UNIT_S[u]), "ms")
    return number(exact / UNIT_S[unit]) + unit if unit != "ms" else f"{number(exact * 1000)}ms"


def positive_number(text: str, *, path: str) -> float:
    """`2` or `0.5`; `SloError` at `path` for anything else."""
    if not _NUMBER.fullmatch(text):
        raise SloError(path, f"{shown(text)} is not a number", "write a positive number, e.g. 2 or 0.5")
    return float(text)
