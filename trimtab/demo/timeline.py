"""When did it get better? Pure questions about what the load felt."""

from collections.abc import Iterable

from trimtab.load.records import Fate, Record

CALM_S = 4.0
"""Well for this long counts as well: one lucky second is not a recovery."""
CALM_REQUESTS_MIN = 3
"""Fewer requests than this in the calm stretch prove nothing."""


def is_bad(record: Record, threshold_s: float) -> bool:
    """What the objective would count as bad: late, refused or failed."""
    return record.fate is not Fate.SPOKEN or record.latency_s > threshold_s


def well_since(
    records: Iterable[Record], *, from_s: float, until_s: float, threshold_s: float, objective: float
) -> float | None:
    """The earliest moment at or after `from_s` from which requests sent within `CALM_S` kept the objective.

    Moments are monotonic seconds; None when no such stretch of `CALM_S` ends before `until_s`.
    """
    window = sorted((record for record in records if from_s <= record.sent_s < until_s), key=lambda r: r.sent_s)
    candidates = [from_s, *(record.sent_s for record in window if is_bad(record, threshold_s))]
    for moment in candidates:
        if moment + CALM_S > until_s:
            return None
        stretch = [record for record in window if moment < record.sent_s <= moment + CALM_S]
        bad = sum(is_bad(record, threshold_s) for record in stretch)
        if len(stretch) >= CALM_REQUESTS_MIN and bad <= (1.0 - objective) * len(stretch):
            return moment
    return None
