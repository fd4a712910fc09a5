"""Announced maintenance as PromQL: true while it lasts, and until `rate` has forgotten what happened in it.

A count recorded at t speaks of the range before t. So a count is left out when its range touches maintenance: from just
after the start until one range past the end. What remains is exactly what would have been recorded without that hour.
"""

from slo_rules import promql
from slo_rules.windows import DAY_S, Exclusion, Weekday, WeeklyExclusion

WEEK_S = 7 * DAY_S
_DAYS = tuple(Weekday)
_EPOCH_DAY = _DAYS.index(Weekday.THURSDAY)
"""1970-01-01 was a Thursday, so weeks of Unix time begin on one."""


def excluded(exclusions: tuple[Exclusion | WeeklyExclusion, ...], *, range_s: int, delay_s: int = 0) -> str:
    """A vector with one sample while any of `exclusions` is on, else an empty one.

    `range_s`: how far back a count looks; `delay_s`: how old it is when it is recorded. `ValueError` for no exclusions.
    """
    if not exclusions:
        msg = "nothing is excluded"
        raise ValueError(msg)
    return " or ".join(_during(exclusion, range_s, delay_s) for exclusion in exclusions)


def _during(exclusion: Exclusion | WeeklyExclusion, range_s: int, delay_s: int) -> str:
    """`0 < seconds since the start < length`, as a chain of comparisons that filter."""
    if isinstance(exclusion, Exclusion):
        since = f"time() - {exclusion.starts_unix_s + delay_s}"
        length_s = exclusion.ends_unix_s - exclusion.starts_unix_s
    else:
        days = (_DAYS.index(exclusion.weekday) - _EPOCH_DAY) % 7
        since = f"(time() - {days * DAY_S + exclusion.starts_minute * 60 + delay_s}) % {WEEK_S}"
        length_s = (exclusion.ends_minute - exclusion.starts_minute) * 60
    return f"vector({since}) > 0 < {promql.number(length_s + range_s)}"
