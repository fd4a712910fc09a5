"""The four states of an SLO in a region, exactly one of which is 1.

- no_data: nothing is reported, so nothing is known.
- no_traffic: reported, but no event within ten minutes; or maintenance, when no event counts.
- breach: more bad events within the window than the objective allows.
- ok: none of these.

The first two are about now and outrank the others: a promise is neither kept nor broken where nobody asks, and what is left of
the budget is a series of its own.
"""

from enum import StrEnum

from contracts.metric_names import (
    LABEL_SLO,
    LABEL_STATE,
    RULE_BUDGET_REMAINING,
    RULE_EVENTS_TOTAL_INC1M,
    RULE_STATE,
)
from slo_rules import promql
from slo_rules.model import Slo
from slo_rules.rule_file import RecordingRule
from slo_rules.rules.recorded import (
    Surroundings,
    excluded_series,
    expected_regions,
    may_be_excluded,
    per_region,
    recorded,
)

TRAFFIC_RANGE_S = 600
"""A service with a request every few minutes has traffic; one without any for ten has none."""


class SloState(StrEnum):
    """Values of the `state` label."""

    OK = "ok"
    BREACH = "breach"
    NO_TRAFFIC = "no_traffic"
    NO_DATA = "no_data"


def state_rules(slo: Slo, around: Surroundings) -> tuple[RecordingRule, ...]:
    """One per state, in the order in which they read each other; the first decides which regions there are."""
    counts = recorded(RULE_EVENTS_TOTAL_INC1M, slo.id)
    no_data, no_traffic, breach = (
        per_region(recorded(RULE_STATE, slo.id, promql.equals(LABEL_STATE, state.value)))
        for state in (SloState.NO_DATA, SloState.NO_TRAFFIC, SloState.BREACH)
    )
    traffic = f"{per_region(promql.sum_over_time(counts, TRAFFIC_RANGE_S))} > 0"
    if may_be_excluded(slo, around):
        traffic = f"({traffic} unless on () {excluded_series(slo)})"
    spent = f"min by (region) ({recorded(RULE_BUDGET_REMAINING, slo.id)}) < 0"
    expressions = {
        SloState.NO_DATA: _no_data(slo, around, counts),
        SloState.NO_TRAFFIC: f"1 - {no_data} unless {traffic} or 0 * {no_data}",
        SloState.BREACH: f"(1 - {no_data} - {no_traffic} and {spent}) or 0 * {no_data}",
        SloState.OK: f"1 - {no_data} - {no_traffic} - {breach}",
    }
    return tuple(
        RecordingRule(RULE_STATE, expression, ((LABEL_SLO, slo.id), (LABEL_STATE, state.value)))
        for state, expression in expressions.items()
    )


def _no_data(slo: Slo, around: Surroundings, counts: str) -> str:
    """0 where counts are recorded, 1 for every other region that is expected; in maintenance none is missing."""
    found = f"0 * {per_region(counts)}"
    missing = expected_regions(slo, around, 1)
    if missing and may_be_excluded(slo, around):
        return f"{found}{expected_regions(slo, around, 0)} and on () {excluded_series(slo)}{missing}"
    return f"{found}{missing}"
