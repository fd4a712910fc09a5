"""One burn per tier: total outage after long health, told when θ · long of it has passed, and over soon after its end.

Four moments pin a tier down. Before θ · long it is quiet: a window a third as long, or half the θ, would fire. Well after, it
fires: a window three times as long, or twice the θ, would not yet. Once the trouble ends it holds while most of the short
window is bad, and lets go when most is good: that is the short window's length.

Slow tiers look back for days. Their cases start from the recorded series, a few samples per short window, so that they stay
far below promtool's cap of 10,000 samples per query and run against the very file that ships.
"""

from dataclasses import dataclass
from decimal import Decimal

from contracts.vocabulary import Region
from slo_rules import promql
from slo_rules.rule_tests.cases import HISTORY_S, SCRAPE_S
from slo_rules.rule_tests.expect import Case, Tested
from slo_rules.rule_tests.shape import EVENTS_PER_MINUTE, Bounds
from slo_rules.rule_tests.traffic import MINUTE_S, Replica, Stretch
from slo_rules.tiers import Tier

FAST_LONG_S_MAX = 3_600
"""Two of these are 120 evaluations, a fraction of a second; slower tiers are tested in coarser steps."""
PAGE_HISTORY_S_MAX = 12 * 3_600
"""720 evaluations: what the exact promise of a page is worth."""
HISTORY_WINDOWS = 2
"""Health before the trouble, in long windows: one three times too long then sees too little trouble to fire."""
SAMPLES_PER_SHORT = 4
TOO_SOON, LATE_ENOUGH = Decimal("0.7"), Decimal("1.4")
"""Shares of θ · long: between half and twice of it, where a wrong θ would show, and clear of the evaluation grid."""
CLEAR_OF_THETA = Decimal("1.3")
"""How many times above or below θ the bad ratio of a short window is when a verdict is expected."""


@dataclass(frozen=True, slots=True)
class Grid:
    """The resolution of a suite: seconds between samples and between evaluations."""

    interval_s: int
    evaluation_s: int
    recorded: bool
    """Samples are those of the recorded series."""


RAW = Grid(SCRAPE_S, MINUTE_S, recorded=False)


@dataclass(frozen=True, slots=True)
class _Course:
    """Health for `down_s`, then total outage for `told_s`, then health again."""

    down_s: int
    soon_s: int
    """After the beginning of the outage; quiet until then."""
    told_s: int
    """After the beginning of the outage; fires from then on."""


def page_case(tested: Tested) -> Case:
    """The promise itself, from scrapes: a total outage pages within `page_within_s`, not before θ · long, and then ends."""
    first, promised_s = tested.tiers[0], _down(tested.slo.page_within_s, MINUTE_S)
    windows = HISTORY_WINDOWS if grid_of(first) == RAW else 1
    down_s = min(max(HISTORY_S, windows * first.long_s), PAGE_HISTORY_S_MAX)
    # A window longer than the history fills sooner, so only the deadline can be held against it.
    early = min(Decimal(1), LATE_ENOUGH - TOO_SOON) if tested.shape.slices else Decimal(1)
    soon_s = _down(early * first.theta * first.long_s, MINUTE_S) if first.long_s <= down_s else 0
    name = f"a total outage pages within {promql.duration(promised_s)}, and the page ends with it"
    return _burn(tested, first, RAW, _Course(down_s, soon_s, promised_s), name)


def burn_case(tested: Tested, tier: Tier) -> Case:
    """The same for any tier, on its own grid, by θ · long instead of the promise."""
    grid = grid_of(tier)
    down_s = HISTORY_WINDOWS * tier.long_s if grid.recorded else max(HISTORY_S, HISTORY_WINDOWS * tier.long_s)
    reach_s = tier.theta * tier.long_s
    patience_s = tested.shape.patience_s
    lag_s = patience_s if grid.recorded else 2 * MINUTE_S + tested.shape.delay_s + patience_s
    course = _Course(
        down_s // grid.evaluation_s * grid.evaluation_s,
        _down(TOO_SOON * reach_s, grid.evaluation_s),
        _up(LATE_ENOUGH * reach_s + lag_s, grid.evaluation_s),
    )
    share = promql.number(tier.theta * 100)
    name = f"tier {tier.number} tells of {share} % over {promql.duration(tier.long_s)}, and not for long after it"
    return _burn(tested, tier, grid, course, name)


def grid_of(tier: Tier) -> Grid:
    """From scrapes where that is affordable, and else a few recorded samples per short window."""
    if tier.long_s <= FAST_LONG_S_MAX:
        return RAW
    step_s = max(MINUTE_S, _down(Decimal(tier.short_s) / SAMPLES_PER_SHORT, MINUTE_S))
    return Grid(step_s, step_s, recorded=True)


def _burn(tested: Tested, tier: Tier, grid: Grid, course: _Course, name: str) -> Case:
    """The first region recovers at once; a region beside it gets better only, to a little below θ."""
    down_s, up_s = course.down_s, course.down_s + course.told_s
    delay_s = 0 if grid.recorded else tested.shape.delay_s
    holds_s, over_s = (after_s + delay_s for after_s in _after_the_end(tested, tier, grid, Decimal(0)))
    half_way = TOO_SOON * tier.theta
    mended_s = _after_the_end(tested, tier, grid, half_way)[1] + delay_s
    mending = Region(f"{tested.regions[0]}, mending")
    may_mend = grid.recorded or not tested.shape.slices  # a minute is a good one or a bad one
    lengths_s = (down_s, course.told_s, max(over_s, mended_s))
    fires = tested.burning(tier)
    return Case(
        name,
        (
            _replica(tested, tested.regions[0], grid, lengths_s, Decimal(0)),
            *((_replica(tested, mending, grid, lengths_s, half_way),) if may_mend else ()),
            *(_replica(tested, region, grid, (sum(lengths_s), 0, 0), Decimal(0)) for region in tested.regions[1:]),
        ),
        (
            tested.quiet(down_s),
            tested.quiet(down_s + course.soon_s, tier),
            tested.count(up_s, fires, 1),
            *(tested.quiet(up_s, region=region) for region in tested.regions[1:]),
            tested.count(up_s + holds_s, fires, 1),
            tested.quiet(up_s + over_s, tier),
            *((tested.quiet(up_s + mended_s, tier, mending),) if may_mend else ()),
        ),
    )


def _replica(
    tested: Tested, region: Region, grid: Grid, lengths_s: tuple[int, int, int], bad_after: Decimal
) -> Replica:
    """Health, outage and what comes after, with that bad ratio."""
    per_minute = tested.shape.healthy_minute if grid.recorded else EVENTS_PER_MINUTE
    per_sample = per_minute * grid.interval_s / MINUTE_S
    ratios = (Decimal(0), Decimal(1), bad_after)
    return Replica(
        region,
        tuple(
            Stretch(length_s, per_sample * (1 - bad), per_sample * bad)
            for length_s, bad in zip(lengths_s, ratios, strict=True)
            if length_s
        ),
        recorded=grid.recorded,
    )


def _after_the_end(tested: Tested, tier: Tier, grid: Grid, bad_after: Decimal) -> tuple[int, int]:
    """Seconds after the end of an outage at which the tier last surely fires, and first surely does not."""
    lingering = () if grid.recorded else tested.shape.lingering
    end_s = 2 * tier.short_s + (len(lingering) + 3) * grid.evaluation_s
    moments = range(0, end_s, grid.evaluation_s)
    ratios = [(moment, _bad_ratios(tier.short_s, grid, moment, lingering, bad_after)) for moment in moments]
    holds_s = max(moment for moment, ratio in ratios if ratio.least > CLEAR_OF_THETA * tier.theta)
    over_s = min(moment for moment, ratio in ratios if ratio.most < tier.theta / CLEAR_OF_THETA)
    return holds_s, over_s


def _bad_ratios(short_s: int, grid: Grid, after_s: int, lingering: tuple[Bounds, ...], bad_after: Decimal) -> Bounds:
    """Bad ratio of the short window so long after an outage: with its left edge, as Prometheus 2 reads it, and without."""
    nothing = Bounds(Decimal(0), Decimal(0))
    counts: list[Bounds] = []
    for age_s in range(0, short_s + 1, grid.evaluation_s):
        minutes = (after_s - age_s) // grid.evaluation_s
        if minutes <= 0:
            counts.append(Bounds(Decimal(1), Decimal(1)))
        else:
            counts.append(lingering[minutes - 1] if minutes <= len(lingering) else nothing)
    windows = (counts, counts[: (short_s - 1) // grid.evaluation_s + 1])
    return Bounds(
        min(_mean([count.least for count in window], bad_after) for window in windows),
        max(_mean([count.most for count in window], bad_after) for window in windows),
    )


def _mean(shares: list[Decimal], bad_after: Decimal) -> Decimal:
    return sum((share + (1 - share) * bad_after for share in shares), Decimal(0)) / len(shares)


def _down(seconds: Decimal | float, step_s: int) -> int:
    return int(seconds) // step_s * step_s


def _up(seconds: Decimal, step_s: int) -> int:
    return -(-int(seconds) // step_s) * step_s
