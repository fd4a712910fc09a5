"""After silence, a handful of requests: what is too few, what chance explains, and what is believed.

Every sample has a region of its own in one and the same case: rules tell regions apart, and so one run judges them all.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal

from contracts.vocabulary import Region
from slo_rules.rule_tests.cases import EVENTS_PER_SCRAPE, HISTORY_S, SCRAPE_S
from slo_rules.rule_tests.expect import Case, Tested
from slo_rules.rule_tests.traffic import MINUTE_S, Replica, Stretch
from slo_rules.tiers import Tier

RECORDED_WITHIN_S = 2 * MINUTE_S
"""When a minute's burst is recorded and still inside the shortest window."""
SAMPLE_EVENTS = 80
"""Expected bad events of a small sample at θ: enough that the floor is passed, few enough that chance is large."""
BY_CHANCE, BEYOND_CHANCE = Decimal("0.7"), Decimal("1.3")
"""Margins of significance above θ."""


@dataclass(frozen=True, slots=True)
class _Sample:
    """A little traffic, and whether a tier makes something of it."""

    what: str
    tier: Tier
    stretches: tuple[Stretch, ...]
    fires: bool

    @property
    def region(self) -> Region:
        return Region(f"{self.what}, tier {self.tier.number}")


def sample_case(tested: Tested) -> Case:
    """One case with all samples; `tested` must have silence."""
    samples = [
        sample for tier in tested.tiers for sample in (_slices(tested, tier) if tested.shape.slices else _events(tier))
    ]
    heard_s = HISTORY_S + RECORDED_WITHIN_S + tested.shape.delay_s + tested.shape.patience_s
    return Case(
        "after silence neither a few slow requests nor what chance explains alert anybody; more than that does",
        tuple(Replica(sample.region, sample.stretches) for sample in samples),
        tuple(
            tested.count(heard_s, tested.burning(sample.tier, sample.region), int(sample.fires)) for sample in samples
        ),
    )


def _events(tier: Tier) -> Iterator[_Sample]:
    few, enough = tier.event_max * (_enough(tier) - 1), tier.event_max * _enough(tier)
    yield _Sample("too few", tier, _minute(few), fires=False)
    yield _Sample("enough", tier, _minute(enough), fires=True)
    yield _Sample("within chance", tier, _around_theta(tier, BY_CHANCE), fires=False)
    yield _Sample("beyond chance", tier, _around_theta(tier, BEYOND_CHANCE), fires=True)
    # In one scrape of a minute or in the other: neither is overlooked.
    yield _Sample("early in a minute", tier, _silent_but(SCRAPE_S, 2 * enough, HISTORY_S), fires=True)
    yield _Sample("late in a minute", tier, _silent_but(SCRAPE_S, 2 * enough, HISTORY_S + SCRAPE_S), fires=True)


def _slices(tested: Tested, tier: Tier) -> Iterator[_Sample]:
    """A slice counts for every minute that sees part of it: one bad scrape is as many bad minutes as the range is long."""
    slice_s = int(MINUTE_S / tested.shape.healthy_minute * tier.event_max)
    minutes = max(3, _enough(tier, least=0) * slice_s // MINUTE_S + 1)
    bad = EVENTS_PER_SCRAPE * minutes * MINUTE_S / SCRAPE_S
    yield _Sample(
        "enough", tier, _silent_but(minutes * MINUTE_S, bad, HISTORY_S - (minutes - 1) * MINUTE_S), fires=True
    )
    if tested.shape.range_s <= 2 * MINUTE_S:
        yield _Sample("too few", tier, _silent_but(SCRAPE_S, EVENTS_PER_SCRAPE, HISTORY_S), fires=False)


def _enough(tier: Tier, least: int = 10) -> int:
    """The fewest events, all of them bad, that a tier believes: n > θn + z·√(θ(1−θ)n), and no fewer than the floor."""
    return max(least, int(tier.z * tier.z * tier.theta / (1 - tier.theta)) + 1)


def _around_theta(tier: Tier, margins: Decimal) -> tuple[Stretch, ...]:
    """A burst whose bad events are so many margins of significance above θ."""
    total = tier.event_max * SAMPLE_EVENTS / tier.theta
    margin = tier.z * (tier.event_max * tier.theta * (1 - tier.theta) * total).sqrt()
    bad = round(tier.theta * total + margins * margin, 3)
    return _minute(bad, good=round(total - bad, 3))


def _minute(bad: Decimal, good: Decimal = Decimal(0)) -> tuple[Stretch, ...]:
    """A minute and not a scrape: an evaluation may see one of two scrapes twice, but a whole minute exactly once."""
    return _silent_but(MINUTE_S, bad, HISTORY_S, good)


def _silent_but(seconds: int, bad: Decimal, after_s: int, good: Decimal = Decimal(0)) -> tuple[Stretch, ...]:
    """Silence, these events evenly within so many seconds, and silence again."""
    scrapes = seconds // SCRAPE_S
    nothing = Decimal(0)
    return (
        Stretch(after_s, nothing, nothing),
        Stretch(seconds, good / scrapes, bad / scrapes),
        Stretch(HISTORY_S, nothing, nothing),
    )
