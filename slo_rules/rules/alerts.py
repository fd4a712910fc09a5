"""The alerts of one SLO: it burns, it has no data, or its bucket is missing.

A burn alert does not divide. `bad > θ·total + z·√(θ(1−θ)·total)` is the score test, the same as "the Wilson lower bound of the
bad ratio exceeds θ": silence gives 0 > 0, which is false, and a handful of requests is no verdict. Thresholds are inlined, so
a changed owner touches `slo_info` alone.
"""

from decimal import Decimal

from contracts.metric_names import (
    ALERT_SLO_BUCKET_MISSING,
    ALERT_SLO_BURN,
    ALERT_SLO_NO_DATA,
    LABEL_REGION,
    LABEL_SEVERITY,
    LABEL_SLO,
    LABEL_TIER,
    RULE_EVENTS_BAD_INC1M,
    RULE_EVENTS_TOTAL_INC1M,
)
from contracts.vocabulary import Region
from slo_rules import promql
from slo_rules.indicators import ClassicHistogram
from slo_rules.model import Slo
from slo_rules.rule_file import AlertingRule, Labels
from slo_rules.rules.raw_events import once, without_threshold_bucket
from slo_rules.rules.recorded import Surroundings, excluded_series, may_be_excluded, recorded, speaks_for_all
from slo_rules.tiers import PARENT_PATIENCE_S, Severity, Tier, derive_tiers
from slo_rules.together import ancestors
from slo_rules.words.annotations import REGION_OF_ALERT, annotate, literal
from slo_rules.words.promise import promise_of

NO_DATA_FOR_S = 120
"""With the two minutes that `rate` still sees: told about four minutes after the last sample."""
BUCKET_MISSING_FOR_S = 120
"""Two looks more: while a replica is replaced, its old and new series overlap."""


def alert_rules(slo: Slo, around: Surroundings) -> tuple[AlertingRule, ...]:
    """Burn tiers, fastest first, then missing data per expected region, then the missing bucket."""
    return (
        *(_burn(slo, tier, around) for tier in derive_tiers(slo, around.slos)),
        *(_no_data(slo, region, around) for region in around.regions),
        *((_bucket_missing(slo, slo.indicator),) if isinstance(slo.indicator, ClassicHistogram) else ()),
    )


def burn_expression(slo: Slo, tier: Tier) -> str:
    """Significantly above θ over the long window, above it over the short one, and enough of them to matter."""
    bad, total = recorded(RULE_EVENTS_BAD_INC1M, slo.id), recorded(RULE_EVENTS_TOTAL_INC1M, slo.id)
    bad_long, total_long = (promql.sum_over_time(series, tier.long_s) for series in (bad, total))
    bad_short, total_short = (promql.sum_over_time(series, tier.short_s) for series in (bad, total))
    theta = promql.number(tier.theta)
    variance = promql.number(tier.theta * (1 - tier.theta) * tier.event_max)
    margin = f" + {promql.number(tier.z)} * sqrt({variance} * {total_long})" if tier.z else ""
    return (
        # A comparison passes its left side on: the longest range is read once for both.
        f"({bad_long} >= {promql.number(tier.bad_min)}) > {theta} * {total_long}{margin}"
        f" and {bad_short} > {theta} * {total_short}"
    )


def _burn(slo: Slo, tier: Tier, around: Surroundings) -> AlertingRule:
    share = f"{promql.number(tier.theta * 100)} %"
    objective = f"{promql.number(Decimal(str(slo.objective)) * 100)} %"
    about = f" {literal(slo.description)}" if slo.description else ""
    counted = "requests" if slo.slices is None else "time slices"
    return AlertingRule(
        ALERT_SLO_BURN,
        f"{burn_expression(slo, tier)}{_unless_ancestor_burns(slo, tier, around)}",
        # Without a parent the two windows already are the waiting time.
        for_s=0 if slo.depends_on is None else PARENT_PATIENCE_S,
        labels=(*_labels(slo, tier.severity), (LABEL_TIER, str(tier.number))),
        annotations=annotate(
            ALERT_SLO_BURN,
            summary=f"SLO {literal(slo.id)} burns its error budget in {REGION_OF_ALERT}",
            description=(
                f"More than {share} of the {counted} of SLO {literal(slo.id)} were bad over "
                f"{promql.duration(tier.long_s)} and over {promql.duration(tier.short_s)} in {REGION_OF_ALERT}; "
                f"wanted: {objective} {literal(promise_of(slo))}.{about}"
            ),
            slo=slo.id,
        ),
    )


def _unless_ancestor_burns(slo: Slo, tier: Tier, around: Surroundings) -> str:
    """A page of the parent explains everything here, its ticket explains no page. A parent may itself be muted by its own."""
    if slo.depends_on is None:
        return ""
    firing = (promql.equals("alertname", ALERT_SLO_BURN), promql.equals("alertstate", "firing"))
    as_grave = (promql.equals(LABEL_SEVERITY, Severity.PAGE.value),) if tier.severity is Severity.PAGE else ()
    alerts = (
        promql.selector("ALERTS", *firing, promql.equals(LABEL_SLO, ancestor), *as_grave)
        for ancestor in ancestors(slo, around.slos)
    )
    return f" unless on ({LABEL_REGION}) ({' or '.join(alerts)})"


def _no_data(slo: Slo, region: Region, around: Surroundings) -> AlertingRule:
    series = recorded(RULE_EVENTS_TOTAL_INC1M, slo.id, promql.equals(LABEL_REGION, region))
    maintenance = f" unless on () {excluded_series(slo)}" if may_be_excluded(slo, around) else ""
    return AlertingRule(
        ALERT_SLO_NO_DATA,
        f"absent({series}){speaks_for_all(slo)}{maintenance}",
        for_s=NO_DATA_FOR_S,
        labels=(*_labels(slo, Severity.PAGE), (LABEL_REGION, literal(region))),
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


def _bucket_missing(slo: Slo, indicator: ClassicHistogram) -> AlertingRule:
    """Requests of these series are in no count, so nobody is accused for them; but nobody is watched there either."""
    edge = promql.number(indicator.threshold)
    return AlertingRule(
        ALERT_SLO_BUCKET_MISSING,
        f"count by ({LABEL_REGION}) ({once(without_threshold_bucket(indicator))}) > 0",
        for_s=BUCKET_MISSING_FOR_S,
        labels=_labels(slo, Severity.TICKET),
        annotations=annotate(
            ALERT_SLO_BUCKET_MISSING,
            summary=f"SLO {literal(slo.id)} cannot be judged everywhere in {REGION_OF_ALERT}",
            description=(
                f"{{{{ $value }}}} series of {literal(indicator.selector)} in {REGION_OF_ALERT} have no bucket with "
                f"the edge {edge}. Their requests are left out of SLO {literal(slo.id)}: give the histogram that bucket, "
                "or choose a threshold that is an edge everywhere."
            ),
            slo=slo.id,
        ),
    )


def _labels(slo: Slo, severity: Severity) -> Labels:
    return ((LABEL_SEVERITY, severity.value), (LABEL_SLO, literal(slo.id)))
