"""From a promise to alert tiers: how bad, over which window, before somebody is told.

A tier fires when the bad ratio exceeds θ over a long window and still does over a short one. Fixed multiples made for
99.9 % do not carry over: 14.4 × 5 % = 72 % hardly pages and 14.4 × 10 % never does. So the input is what a person can
judge, the time to page when everything is bad, and the windows follow: a bad ratio of 1 crosses θ after θ · long.

Promises: every tier can fire; the first pages within `page_within_s` of a total outage; slower tiers look for milder
burns, down to exactly the budget. An SLO for which this cannot hold is refused with the field to change.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import ROUND_CEILING, Decimal
from enum import StrEnum
from types import MappingProxyType

from contracts.vocabulary import SloId
from slo_rules.errors import SloError
from slo_rules.indicators import Composite
from slo_rules.model import Slo
from slo_rules.rules.events import range_s_of
from slo_rules.rules.raw_events import PART_DELAY_S
from slo_rules.together import members

THETA_MAX = Decimal("0.5")
"""Half of all requests bad is worth a page under any objective."""
SMEAR_S = 60
"""A count of the last two minutes has seen an outage by half after one."""
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
MIN_BAD = 10
"""Fewer bad requests in the long window never alert: at one request a minute a ratio is gossip."""
MIN_BAD_SLACK = Decimal("0.5")
"""Recorded counts are extrapolated by `rate`, so the tenth event may read as 9.7."""
MIN_BAD_MINUTES = 3
"""Of an SLO that budgets time slices: a single bad burst is seen by two evaluations."""
PARENT_PATIENCE_S = 60
"""An alert with a parent waits for one more evaluation: rule groups run independently, and the parent should speak first."""
_NOBODY: Mapping[SloId, Slo] = MappingProxyType({})


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
    bad_min: Decimal = MIN_BAD - MIN_BAD_SLACK
    """Least bad count over the long window, in the unit that is recorded: events, slices, or weighted events."""
    event_max: Decimal = Decimal(1)
    """The most that one event counts: the variance of a weighted sum grows with it."""

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


def derive_tiers(slo: Slo, others: Mapping[SloId, Slo] = _NOBODY) -> tuple[Tier, ...]:
    """Tiers of `slo`, fastest first; `SloError` names the field when the wanted page cannot be.

    `others` are the SLOs that a composite's parts are looked up in: without them its parts are taken to count events.
    """
    judge = _Judge.of(slo, others)
    reach_s = _reach_s(slo, judge.lag_s)
    tiers: list[Tier] = []
    for rung in LADDER:
        theta = min(rung.burn_rate * exact_budget(slo), THETA_MAX)
        if tiers and theta >= tiers[-1].theta:
            continue  # with the threshold of a faster tier it would never be the first to tell
        # Beyond half the window a tier would report on a budget that is being refilled as it looks.
        long_s = _whole_minutes(min(rung.patience * reach_s / theta, Decimal(slo.window.seconds) / 2))
        short_s = max(SHORT_S_MIN, _whole_minutes(Decimal(long_s) / SHORT_SHARE))
        z = judge.z_far if theta >= 2 * exact_budget(slo) else Z_NEAR
        tiers.append(Tier(rung.number, rung.severity, theta, long_s, short_s, z, judge.bad_min, judge.event_max))
        judge.check_reachable(tiers[-1])
    return tuple(tiers)


@dataclass(frozen=True, slots=True)
class _Judge:
    """What the source of the counts asks of every tier."""

    lag_s: int
    slice_s: int
    """0 when events are counted."""
    z_far: Decimal
    bad_min: Decimal
    event_max: Decimal

    @classmethod
    def of(cls, slo: Slo, others: Mapping[SloId, Slo]) -> "_Judge":
        """Slices are verdicts on time, not samples of it: far from the budget they need no margin, and a few are enough."""
        slice_s = max((member.slices.seconds for member in members(slo, others) if member.slices), default=0)
        event_max = Decimal(1)
        if isinstance(slo.indicator, Composite):
            event_max = max(Decimal(str(part.weight)) for part in slo.indicator.parts)
        least = MIN_BAD_MINUTES * Decimal(60) / slice_s if slice_s else Decimal(MIN_BAD)
        slack = MIN_BAD_SLACK * Decimal(60) / slice_s if slice_s else MIN_BAD_SLACK
        z_far = Decimal(0) if slice_s else Z_FAR
        return cls(_lag_s(slo, others), slice_s, z_far, event_max * (least - slack), event_max)

    def check_reachable(self, tier: Tier) -> None:
        """Raise when the margin leaves no room: there are never more bad slices than slices. Events may be many."""
        if not self.slice_s:
            return
        slices = Decimal(tier.long_s) / self.slice_s
        margin = tier.z * (tier.theta * (1 - tier.theta) * slices).sqrt()
        if tier.theta * slices + margin >= slices:
            raise SloError(
                "objective",
                f"of {slices:.0f} slices never enough are bad to be sure that more than {tier.theta} of them are",
                f"use {1 - THETA_MAX / 2} or more, or shorter slices",
            )


def _lag_s(slo: Slo, others: Mapping[SloId, Slo]) -> int:
    """From an outage to its alert, without the time that the long window takes."""
    lag_s = LAG_S
    if isinstance(slo.indicator, Composite):
        lag_s += PART_DELAY_S
    if slo.depends_on is not None:
        lag_s += PARENT_PATIENCE_S
    # A slice is bad once its share of bad events is; the smear of `rate` is part of that.
    turned_bad_s = [
        (1 - Decimal(str(member.slices.target))) * range_s_of(member)
        for member in members(slo, others)
        if member.slices is not None
    ]
    return lag_s + max(0, int(max(turned_bad_s, default=Decimal(0)).to_integral_value(ROUND_CEILING)) - SMEAR_S)


def _reach_s(slo: Slo, lag_s: int) -> Decimal:
    """Seconds of total outage that the first tier may let pass, once the lag of the rules is taken off."""
    least_s = int(THETA_MAX * LONG_S_MIN)
    if slo.page_within_s < lag_s + least_s:
        raise SloError(
            "page_within_s",
            f"{slo.page_within_s:g} leaves no window after {lag_s} s of scrape and evaluation lag",
            f"use {lag_s + least_s} or more",
        )
    reach_s = Decimal(str(slo.page_within_s)) - lag_s
    budget_s = exact_budget(slo) * slo.window.seconds
    if budget_s < least_s:
        raise SloError(
            "window_s",
            f"a budget of {budget_s:.0f} bad seconds is spent before any page can come",
            f"use {int(least_s / exact_budget(slo))} or more, or a lower objective",
        )
    if reach_s > budget_s:
        raise SloError(
            "page_within_s",
            f"at {slo.page_within_s:g} s the whole budget of {budget_s:.0f} bad seconds is spent",
            f"use {int(budget_s) + lag_s} or less, or a longer window_s",
        )
    return reach_s


def _whole_minutes(seconds: Decimal) -> int:
    """Down to the recording interval; down, because a shorter window only pages sooner."""
    return int(seconds // 60) * 60
