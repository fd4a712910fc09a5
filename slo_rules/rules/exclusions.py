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


def is_excluded(
    exclusions: tuple[Exclusion | WeeklyExclusion, ...], at_unix_s: int, *, range_s: int, delay_s: int = 0
) -> bool:
    """What `excluded` says at a moment, without a Prometheus."""
    for exclusion in exclusions:
        start_s, every_s, length_s = _times(exclusion)
        since_s = at_unix_s - start_s - delay_s
        if 0 < (since_s % every_s if every_s else since_s) < length_s + range_s:
            return True
    return False


def _during(exclusion: Exclusion | WeeklyExclusion, range_s: int, delay_s: int) -> str:
    """`0 < seconds since the start < length`, as a chain of comparisons that filter."""
    start_s, every_s, length_s = _times(exclusion)
    since = f"time() - {start_s + delay_s}"
    if every_s:
        since = f"({since}) % {every_s}"
    return f"vector({since}) > 0 < {promql.number(length_s + range_s)}"


def _times(exclusion: Exclusion | WeeklyExclusion) -> tuple[int, int, int]:
    """A start in Unix time, after how many seconds it comes again (0: never), and how long it lasts."""
    if isinstance(exclusion, Exclusion):
        return exclusion.starts_unix_s, 0, exclusion.ends_unix_s - exclusion.starts_unix_s
    days = (_DAYS.index(exclusion.weekday) - _EPOCH_DAY) % 7
    length_s = (exclusion.ends_minute - exclusion.starts_minute) * 60
    return days * DAY_S + exclusion.starts_minute * 60, WEEK_S, length_s
