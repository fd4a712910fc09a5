"""From a promise to alert tiers: how bad, over which window, before somebody is told.

A tier fires when the bad ratio exceeds θ over a long window and still does over a short one. Fixed multiples made for
99.9 % do not carry over: 14.4 × 5 % = 72 % hardly pages and 14.4 × 10 % never does. So the input is what a person can
judge, the time to page when everything is bad, and the windows follow: a bad ratio of 1 crosses θ after θ · long.

Promises: every tier can fire; the first pages within `page_within_s` of a total outage; slower tiers look for milder
burns, down to exactly the budget. An SLO for which this cannot hold is refused with the field to change.
"""

from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum

from slo_rules.errors import SloError
from slo_rules.model import Slo

THETA_MAX = Decimal("0.5")
"""Half of all requests bad is worth a page under any objective."""
LAG_S = 180
"""Outage → recorded → alert: 60 s of smear from `rate[2m]`, up to 60 s to the next evaluation, up to 30 s to the next
scrape, and 30 s for the significance margin, which is under 20 s of traffic at 10 requests per second."""
SHORT_S_MIN = 120
"""Two recorded samples: one alone would let a single burst hold an alert up."""
LONG_S_MIN = 2 * SHORT_S_MIN
"""A long window no longer than its short one adds nothing."""
SHORT_SHARE = 12
"""short = long / 12, the ratio of Google's SRE workbook: an alert ends about that soon after the trouble does."""
Z_FAR = Decimal("2.33")
"""One-sided 99 %, where θ is at least twice the budget: honest traffic has to double its bad ratio before it is asked."""
Z_NEAR = Decimal(5)
"""Where θ is nearer to the budget than that, chance alone reaches it: with 2.33 an SLO that runs at exactly its objective
opens three tickets in four months at 95 %, and pages six times a day at 50 %: measured by
`bench/rulelab/false_pages.py`."""
PAGE_WITHIN_S_MIN = LAG_S + int(THETA_MAX * LONG_S_MIN)
"""Anything sooner belongs to the controller's own detector, which does not wait for a rule evaluation."""


class Severity(StrEnum):
    """Who has to look: somebody now, or somebody this week."""

    PAGE = "page"
    TICKET = "ticket"


@dataclass(frozen=True, slots=True)
class Tier:
    """One pair of windows and its threshold; valid from birth (`SloError` otherwise)."""

    number: int
    """1 is the fastest; Alertmanager mutes a tier while a lower one fires."""
    severity: Severity
    theta: Decimal
    """Bad ratio to exceed, 0..1."""
    long_s: int
    short_s: int
    z: Decimal = Z_FAR
    """Standard deviations above θ that the bad count has to be, so that chance does not alert."""

    def __post_init__(self) -> None:
        if not 0 < self.theta < 1:
            raise SloError("theta", f"a bad ratio never exceeds {self.theta}: it could not fire", "use a value in 0..1")
        if not SHORT_S_MIN <= self.short_s < self.long_s:
            raise SloError(
                "short_s",
                f"{self.short_s} is not within {SHORT_S_MIN}..{self.long_s}",
                "use at least two samples, and less than the long window",
            )


@dataclass(frozen=True, slots=True)
class Rung:
    """How a tier relates to the budget and to the wanted time to page."""

    number: int
    severity: Severity
    burn_rate: Decimal
    """θ in multiples of the error budget, before the cap at `THETA_MAX`."""
    patience: Decimal
    """θ · long in multiples of the first tier's."""


LADDER = (
    Rung(1, Severity.PAGE, Decimal(10), Decimal(1)),
    Rung(2, Severity.PAGE, Decimal(5), Decimal(3)),
    Rung(3, Severity.TICKET, Decimal(2), Decimal("7.2")),
    Rung(4, Severity.TICKET, Decimal(1), Decimal("43.2")),
)
"""Chosen so that 95 % over 30 days with a page within 8 min looks at 10 m, 1 h, 6 h and 3 d."""


def exact_budget(slo: Slo) -> Decimal:
    """1 − objective without binary noise: 0.05 for 0.95, not 0.050000000000000044."""
    return 1 - Decimal(str(slo.objective))


def derive_tiers(slo: Slo) -> tuple[Tier, ...]:
    """Tiers of `slo`, fastest first; `SloError` names the field when the wanted page cannot be."""
    reach_s = _reach_s(slo)
    tiers: list[Tier] = []
    for rung in LADDER:
        theta = min(rung.burn_rate * exact_budget(slo), THETA_MAX)
        if tiers and theta >= tiers[-1].theta:
            continue  # with the threshold of a faster tier it would never be the first to tell
        # Beyond half the window a tier would report on a budget that is being refilled as it looks.
        long_s = _whole_minutes(min(rung.patience * reach_s / theta, Decimal(slo.window.seconds) / 2))
        short_s = max(SHORT_S_MIN, _whole_minutes(Decimal(long_s) / SHORT_SHARE))
        z = Z_FAR if theta >= 2 * exact_budget(slo) else Z_NEAR
        tiers.append(Tier(rung.number, rung.severity, theta, long_s, short_s, z))
    return tuple(tiers)


def _reach_s(slo: Slo) -> Decimal:
    """Seconds of total outage that the first tier may let pass, once the lag of the rules is taken off."""
    if slo.page_within_s < PAGE_WITHIN_S_MIN:
        raise SloError(
            "page_within_s",
            f"{slo.page_within_s:g} leaves no window after {LAG_S} s of scrape and evaluation lag",
            f"use {PAGE_WITHIN_S_MIN} or more",
        )
    reach_s = Decimal(str(slo.page_within_s)) - LAG_S
    budget_s = exact_budget(slo) * slo.window.seconds
    if budget_s < PAGE_WITHIN_S_MIN - LAG_S:
        raise SloError(
            "window_s",
            f"a budget of {budget_s:.0f} bad seconds is spent before any page can come",
            f"use {int((PAGE_WITHIN_S_MIN - LAG_S) / exact_budget(slo))} or more, or a lower objective",
        )
    if reach_s > budget_s:
        raise SloError(
            "page_within_s",
            f"at {slo.page_within_s:g} s the whole budget of {budget_s:.0f} bad seconds is spent",
            f"use {int(budget_s) + LAG_S} or less, or a longer window_s",
        )
    return reach_s


def _whole_minutes(seconds: Decimal) -> int:
    """Down to the recording interval; down, because a shorter window only pages sooner."""
    return int(seconds // 60) * 60
