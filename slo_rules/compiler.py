"""SLOs in, Prometheus rules out: count events, never average ratios.

Per SLO two one-minute series are recorded, events and bad events per region; they are the only rules that touch raw
counters. Everything else adds those up: windows, regions and fleets combine exactly, at the cost of one sample a minute.

Alerts do not divide. `bad > θ·total + z·√(θ(1−θ)·total)` is the score test, the same as "the Wilson lower bound of the bad
ratio exceeds θ": silence gives 0 > 0, which is false, and a handful of requests is no verdict. Tiers and windows come
from `tiers`; thresholds are inlined, so a changed owner touches `slo_info` alone. Rules
name their SLO in `labels` although the series has it already: Prometheus tells rules apart by that.

The base interval is one minute for every SLO, so these alerts are the advisory path and the page. The controller reads the
same counters itself and acts sooner.
"""

from decimal import Decimal

from contracts.metric_names import (
    ALERT_SLO_BURN,
    ALERT_SLO_NO_DATA,
    JOB_REPLICAS,
    LABEL_JOB,
    LABEL_OUTCOME,
    LABEL_REGION,
    LABEL_SEVERITY,
    LABEL_SLI,
    LABEL_SLO,
    LABEL_TIER,
    LABEL_WINDOW,
    RULE_BUDGET_REMAINING,
    RULE_EVENTS_BAD_INC1M,
    RULE_EVENTS_TOTAL_INC1M,
    RULE_SLO_INFO,
    SLO_EVENTS_TOTAL,
)
from contracts.vocabulary import Outcome, Region
from slo_rules import promql
from slo_rules.annotations import REGION_OF_ALERT, annotate, literal
from slo_rules.errors import SloError
from slo_rules.fleet_alerts import fleet_group
from slo_rules.marks import marks
from slo_rules.model import Slo
from slo_rules.promise import promise_of, sli_of
from slo_rules.rule_file import AlertingRule, RecordingRule, RuleFile, RuleGroup
from slo_rules.tiers import Severity, Tier, derive_tiers, exact_budget

SLOS_MAX = 500
"""About 5,000 rules: what one Prometheus evaluates within a minute with room to spare."""
EVENTS_INTERVAL_S = 60
BUDGET_INTERVAL_S = 300
"""A budget over weeks does not move within five minutes, and its sum is the longest of all."""
EVENTS_RANGE_S = 120
"""`rate` wants four samples: correct with scrapes every 30 s or faster."""
MIN_BAD = 10
"""Fewer bad requests in the long window never alert: at one request a minute a ratio is gossip."""
MIN_BAD_SLACK = Decimal("0.5")
"""Recorded counts are extrapolated by `rate`, so the tenth event may read as 9.7."""
NO_DATA_FOR_S = 120
"""With the two minutes that `rate` still sees: told about four minutes after the last sample."""


def compile_slos(slos: tuple[Slo, ...], regions: tuple[Region, ...]) -> RuleFile:
    """Rules for `slos` and the fleet. `regions` are those expected to report: each gets its own missing-data alert.

    Raises `SloError` for a duplicate id, too many SLOs, or an SLO whose tiers could never fire.
    """
    if len(slos) > SLOS_MAX:
        raise SloError("slos", f"{len(slos)} are more than {SLOS_MAX}", "split them over several Prometheus servers")
    seen: set[str] = set()
    for slo in slos:
        if slo.id in seen:
            raise SloError("id", f"{slo.id} appears twice", "give every SLO its own name")
        seen.add(slo.id)
    groups = [group for slo in slos for group in (_events_group(slo, regions), _budget_group(slo))]
    return RuleFile((*groups, fleet_group()))


def _events_group(slo: Slo, regions: tuple[Region, ...]) -> RuleGroup:
    """Recording and alerts in one group: an alert sees the counts of its own evaluation, not of the one before."""
    return RuleGroup(
        f"slo-{slo.id}",
        EVENTS_INTERVAL_S,
        (
            RecordingRule(RULE_EVENTS_TOTAL_INC1M, _events_per_minute(slo), ((LABEL_SLO, slo.id),)),
            RecordingRule(
                RULE_EVENTS_BAD_INC1M,
                _events_per_minute(slo, promql.equals(LABEL_OUTCOME, Outcome.BAD.value)),
                ((LABEL_SLO, slo.id),),
            ),
            *(_burn_alert(slo, tier) for tier in derive_tiers(slo)),
            *(_no_data_alert(slo, region) for region in regions),
        ),
    )


def _budget_group(slo: Slo) -> RuleGroup:
    """Budget left and the one series with everything about an SLO that may change."""
    bad = promql.sum_over_time(_recorded(RULE_EVENTS_BAD_INC1M, slo), slo.window.seconds)
    total = promql.sum_over_time(_recorded(RULE_EVENTS_TOTAL_INC1M, slo), slo.window.seconds)
    window = promql.duration(slo.window.seconds)
    info = (
        (LABEL_SLO, slo.id),
        ("objective", promql.number(slo.objective)),
        (LABEL_SLI, sli_of(slo)),
        (LABEL_WINDOW, window),
        ("owner", slo.owner),
    )
    return RuleGroup(
        f"slo-{slo.id}-budget",
        BUDGET_INTERVAL_S,
        (
            # At least one event below the line: an idle SLO has spent nothing, which 0 / 0 would not say.
            RecordingRule(
                RULE_BUDGET_REMAINING,
                f"1 - {bad} / clamp_min({total}, 1) / {promql.number(exact_budget(slo))}",
                ((LABEL_SLO, slo.id), (LABEL_WINDOW, window)),
            ),
            RecordingRule(RULE_SLO_INFO, "vector(1)", info),
            *marks(slo),
        ),
    )


def _burn_alert(slo: Slo, tier: Tier) -> AlertingRule:
    share = f"{promql.number(tier.theta * 100)} %"
    objective = f"{promql.number(Decimal(str(slo.objective)) * 100)} %"
    about = f" {literal(slo.description)}" if slo.description else ""
    return AlertingRule(
        ALERT_SLO_BURN,
        burn_expression(slo, tier),
        for_s=0,  # the two windows already are the waiting time
        labels=(
            (LABEL_SEVERITY, tier.severity.value),
            (LABEL_SLO, literal(slo.id)),
            (LABEL_TIER, str(tier.number)),
        ),
        annotations=annotate(
            ALERT_SLO_BURN,
            summary=f"SLO {literal(slo.id)} burns its error budget in {REGION_OF_ALERT}",
            description=(
                f"More than {share} of the requests of SLO {literal(slo.id)} were bad over "
                f"{promql.duration(tier.long_s)} and over {promql.duration(tier.short_s)} in {REGION_OF_ALERT}; "
                f"wanted: {objective} {literal(promise_of(slo))}.{about}"
            ),
            slo=slo.id,
        ),
    )


def burn_expression(slo: Slo, tier: Tier) -> str:
    """Significantly above θ over the long window, above it over the short one, and enough of them to matter."""
    bad, total = _recorded(RULE_EVENTS_BAD_INC1M, slo), _recorded(RULE_EVENTS_TOTAL_INC1M, slo)
    bad_long, total_long = (promql.sum_over_time(series, tier.long_s) for series in (bad, total))
    bad_short, total_short = (promql.sum_over_time(series, tier.short_s) for series in (bad, total))
    theta = promql.number(tier.theta)
    variance = promql.number(tier.theta * (1 - tier.theta))
    return (
        f"{bad_long} > {theta} * {total_long} + {promql.number(tier.z)} * sqrt({variance} * {total_long})"
        f" and {bad_short} > {theta} * {total_short}"
        f" and {bad_long} >= {promql.number(MIN_BAD - MIN_BAD_SLACK)}"
    )


def _no_data_alert(slo: Slo, region: Region) -> AlertingRule:
    series = promql.selector(
        RULE_EVENTS_TOTAL_INC1M, promql.equals(LABEL_SLO, slo.id), promql.equals(LABEL_REGION, region)
    )
    return AlertingRule(
        ALERT_SLO_NO_DATA,
        f"absent({series})",
        for_s=NO_DATA_FOR_S,
        labels=(
            (LABEL_SEVERITY, Severity.PAGE.value),
            (LABEL_SLO, literal(slo.id)),
            (LABEL_REGION, literal(region)),
        ),
        annotations=annotate(
            ALERT_SLO_NO_DATA,
            summary=f"SLO {literal(slo.id)} has no data from {REGION_OF_ALERT}",
            description=(
                f"No replica in {REGION_OF_ALERT} reports events of SLO {literal(slo.id)}. Nothing is known about it: "
                "this is neither health nor silence, and disruptive actions wait until data is back."
            ),
            slo=slo.id,
        ),
    )


def _events_per_minute(slo: Slo, *more: promql.Matcher) -> str:
    series = promql.selector(
        SLO_EVENTS_TOTAL, promql.equals(LABEL_JOB, JOB_REPLICAS), promql.equals(LABEL_SLO, slo.id), *more
    )
    per_second = promql.sum_by((LABEL_SLO, LABEL_REGION), promql.rate(series, promql.duration(EVENTS_RANGE_S)))
    return f"{EVENTS_INTERVAL_S} * {per_second}"


def _recorded(record: str, slo: Slo) -> str:
    return promql.selector(record, promql.equals(LABEL_SLO, slo.id))
