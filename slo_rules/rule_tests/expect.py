"""What a case may expect of an SLO's rules, in the words of the recorded series and of `ALERTS`."""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

from contracts.metric_names import (
    ALERT_SLO_BURN,
    LABEL_REGION,
    LABEL_SLO,
    LABEL_STATE,
    LABEL_TIER,
    RULE_BUDGET_REMAINING,
    RULE_STATE,
)
from contracts.vocabulary import Region, SloId
from slo_rules import promql
from slo_rules.model import Slo
from slo_rules.rule_tests.shape import Shape, shape_of
from slo_rules.rule_tests.traffic import Replica
from slo_rules.rules.states import SloState
from slo_rules.tiers import Tier, derive_tiers


@dataclass(frozen=True, slots=True)
class Expectation:
    """`expr` must be exactly `value` at that time."""

    at_s: int
    expr: str
    value: Decimal


@dataclass(frozen=True, slots=True)
class Case:
    """One scenario: what happens to each replica, and what must be true then."""

    name: str
    replicas: tuple[Replica, ...]
    expected: tuple[Expectation, ...]


@dataclass(frozen=True, slots=True)
class Tested:
    """An SLO under test and its surroundings; where a method takes no region, it is about the first."""

    slo: Slo
    others: Mapping[SloId, Slo]
    regions: tuple[Region, ...]
    """At least one."""
    tiers: tuple[Tier, ...]
    shape: Shape

    @classmethod
    def of(cls, slo: Slo, others: Mapping[SloId, Slo], regions: tuple[Region, ...]) -> "Tested":
        """`ValueError` without a region."""
        if not regions:
            msg = "a test needs at least one region to send traffic to"
            raise ValueError(msg)
        return cls(slo, others, regions, derive_tiers(slo, others), shape_of(slo, others))

    def quiet(self, at_s: int, tier: Tier | None = None, region: Region | None = None) -> Expectation:
        """No burn alert fires, or none of that tier."""
        return self.count(at_s, self.burning(tier, region), 0)

    def burning(self, tier: Tier | None = None, region: Region | None = None) -> str:
        """The firing burn alerts."""
        only = (promql.equals(LABEL_TIER, str(tier.number)),) if tier is not None else ()
        return self.alerts(ALERT_SLO_BURN, region, *only)

    def alerts(self, alert: str, region: Region | None = None, *more: promql.Matcher) -> str:
        """The firing alerts of that name."""
        return promql.selector(
            "ALERTS",
            promql.equals("alertname", alert),
            promql.equals("alertstate", "firing"),
            promql.equals(LABEL_SLO, self.slo.id),
            promql.equals(LABEL_REGION, region or self.regions[0]),
            *more,
        )

    def series(self, metric: str, region: Region | None = None, *more: promql.Matcher) -> str:
        """A recorded series."""
        where = promql.equals(LABEL_REGION, region or self.regions[0])
        return promql.selector(metric, promql.equals(LABEL_SLO, self.slo.id), where, *more)

    def of_slo(self, metric: str, *more: promql.Matcher) -> str:
        """A series that has no region."""
        return promql.selector(metric, promql.equals(LABEL_SLO, self.slo.id), *more)

    def budget_left(self, at_s: int, left: str, region: Region | None = None) -> Expectation:
        """The share of the budget that is left, to a hundredth."""
        return Expectation(at_s, f"sum(round({self.series(RULE_BUDGET_REMAINING, region)}, 0.01))", Decimal(left))

    def in_state(self, at_s: int, state: SloState, region: Region | None = None) -> Expectation:
        """In this state and in no other."""
        this = self.series(RULE_STATE, region, promql.equals(LABEL_STATE, state.value))
        return Expectation(at_s, f"sum({this}) * sum({self.series(RULE_STATE, region)})", Decimal(1))

    @staticmethod
    def count(at_s: int, series: str, value: int) -> Expectation:
        """How many series there are."""
        return Expectation(at_s, f"count({series}) or vector(0)", Decimal(value))
