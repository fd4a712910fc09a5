"""Cases for what only some SLOs have: announced maintenance, and another SLO on which they depend."""

from decimal import Decimal

from contracts.metric_names import ALERT_SLO_BURN, ALERT_SLO_NO_DATA, LABEL_REGION, LABEL_SLO, LABEL_TIER
from slo_rules import promql
from slo_rules.model import Slo
from slo_rules.rule_tests.cases import EVENTS_PER_SCRAPE, HISTORY_S
from slo_rules.rule_tests.expect import Case, Tested
from slo_rules.rule_tests.traffic import MINUTE_S, Absence, Replica, Stretch, metrics_of
from slo_rules.tiers import Severity

_GOOD, _NONE = EVENTS_PER_SCRAPE, Decimal(0)
AFTERWARDS_S = 600


def maintenance_case(tested: Tested, starts_s: int, ends_s: int) -> Case:
    """Everything fails and then nothing reports while maintenance is announced: nobody is told, and nothing is spent."""
    half_s = (ends_s - starts_s) // 2 // MINUTE_S * MINUTE_S
    end_s = ends_s + AFTERWARDS_S
    stretches = (
        Stretch(starts_s, _GOOD, _NONE),
        Stretch(half_s, _NONE, _GOOD),
        Absence(ends_s - starts_s - half_s),
        Stretch(AFTERWARDS_S, _GOOD, _NONE),
    )
    return Case(
        "announced maintenance alerts nobody and spends nothing",
        (Replica(tested.regions[0], stretches),),
        (
            tested.quiet(starts_s + half_s),
            tested.count(ends_s, tested.alerts(ALERT_SLO_NO_DATA), 0),
            tested.quiet(end_s),
            tested.budget_left(end_s, "1"),
        ),
    )


def consequence_case(tested: Tested, parent: Slo) -> Case:
    """The SLO and `parent`, on which it depends, fail together; where their metrics can be told apart, also alone."""
    told_s = HISTORY_S + int(max(tested.slo.page_within_s, parent.page_within_s)) // MINUTE_S * MINUTE_S + MINUTE_S
    outage = (Stretch(HISTORY_S, _GOOD, _NONE), Stretch(told_s - HISTORY_S, _NONE, _GOOD))
    health = (Stretch(told_s, _GOOD, _NONE),)
    region, *others = tested.regions
    shared = metrics_of(tested.slo, tested.others) & metrics_of(parent, tested.others)
    if shared:
        others = []
    above = promql.selector(
        "ALERTS",
        promql.equals("alertname", ALERT_SLO_BURN),
        promql.equals("alertstate", "firing"),
        promql.equals(LABEL_SLO, parent.id),
        promql.equals(LABEL_REGION, region),
        promql.equals(LABEL_TIER, str(tested.tiers[0].number)),
    )
    return Case(
        "while the SLO on which it depends burns in a region, nobody is paged about the consequence there",
        (
            Replica(region, outage),
            Replica(region, outage, of=parent.id),
            *(Replica(other, outage) for other in others),
            *(Replica(other, health, of=parent.id) for other in others),
        ),
        (
            tested.count(told_s, above, 1),
            *(tested.quiet(told_s, tier) for tier in tested.tiers if tier.severity is Severity.PAGE),
            *(tested.count(told_s, tested.burning(tested.tiers[0], other), 1) for other in others),
        ),
    )
