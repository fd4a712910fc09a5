"""What compiled rules share: the series they record, how often, and what an SLO's rules depend on besides the SLO."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date

from contracts.metric_names import LABEL_REGION, LABEL_SLO, RULE_EVENTS_TOTAL_INC1M, RULE_EXCLUDED
from contracts.vocabulary import Region, SloId
from slo_rules import promql
from slo_rules.indicators import Composite
from slo_rules.model import Slo

EVENTS_INTERVAL_S = 60
BUDGET_INTERVAL_S = 240
"""A budget over weeks does not move within minutes, and its sum is the longest of all. Below Prometheus' lookback of five
minutes, so that an instant query always finds the newest value."""

SPAN_S = 240
"""Of the counts that windows of weeks add up: `inc4m`."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """The other SLOs, the regions expected to report, and the day of compiling (None where no calendar is involved)."""

    slos: Mapping[SloId, Slo]
    regions: tuple[Region, ...]
    today: date | None = None


def recorded(record: str, slo: SloId, *more: promql.Matcher) -> str:
    """The series that `record` stores for one SLO."""
    return promql.selector(record, promql.equals(LABEL_SLO, slo), *more)


def per_region(series: str) -> str:
    """One sample per region and no other label, also where a second Prometheus has written its own."""
    return f"max by ({LABEL_REGION}) ({series})"


def expected_regions(slo: Slo, around: Surroundings, value: int) -> str:
    """` or ` and a sample of `value` for every region expected to report; nothing when none is.

    Metrics that are not ours may come without a `region` label. As long as such a series reports, it speaks for all regions
    and none is missing.
    """
    if not around.regions:
        return ""
    regions = " or ".join(
        f'label_replace(vector({value}), "{LABEL_REGION}", {promql.quote(_go_template_free(region))}, "", "")'
        for region in around.regions
    )
    return f" or (({regions}){speaks_for_all(slo)})"


def speaks_for_all(slo: Slo) -> str:
    """` unless …` for metrics that may lack a `region` label; nothing for our own replicas, which always have one."""
    if slo.exact is not None:
        return ""
    return f" unless on () {recorded(RULE_EVENTS_TOTAL_INC1M, slo.id, promql.equals(LABEL_REGION, ''))}"


def may_be_excluded(slo: Slo, around: Surroundings) -> bool:
    """Whether `RULE_EXCLUDED` can be there: for announced maintenance of `slo` or of a part of it."""
    return bool(slo.exclusions) or bool(excluded_parts(slo, around))


def excluded_parts(slo: Slo, around: Surroundings) -> tuple[SloId, ...]:
    """Parts of `slo` that have maintenance of their own."""
    if not isinstance(slo.indicator, Composite):
        return ()
    return tuple(part.slo for part in slo.indicator.parts if around.slos[part.slo].exclusions)


def excluded_series(slo: Slo) -> str:
    """The series that is there while nothing of `slo` counts."""
    return recorded(RULE_EXCLUDED, slo.id)


def _go_template_free(region: str) -> str:
    """`label_replace` reads `$` as a reference to a group; `$$` is the character."""
    return region.replace("$", "$$")
