"""SLOs in, Prometheus rules out: count events, never average ratios.

Per SLO two one-minute series are recorded, events and bad events per region; apart from latency for the eye they are the only
rules that touch raw series. Everything else adds those up: windows, regions and fleets combine exactly, at the cost of one
sample a minute. Rules name their SLO in `labels` although the series has it already: Prometheus tells rules apart by that.

Groups: per SLO one that runs every minute (counts, states, alerts: each sees what was recorded before it in the same
evaluation) and one that runs every four (budget, coverage). Prometheus evaluates groups side by side and spreads them over
their interval, so a thousand SLOs are a steady trickle and a slow one delays no other.

The base interval is one minute for every SLO, so these alerts are the advisory path and the page. The controller reads the
same counters itself and acts sooner.
"""

from datetime import date

from contracts.vocabulary import Region
from slo_rules.fleet_alerts import fleet_group
from slo_rules.model import Slo
from slo_rules.rule_file import RuleFile, RuleGroup
from slo_rules.rules.alerts import NO_DATA_FOR_S, alert_rules, burn_expression
from slo_rules.rules.budget import budget_rules
from slo_rules.rules.counts import count_rules
from slo_rules.rules.latency import latency_groups, quantile_rules
from slo_rules.rules.marks import marks
from slo_rules.rules.recorded import BUDGET_INTERVAL_S, EVENTS_INTERVAL_S, Surroundings
from slo_rules.rules.states import state_rules
from slo_rules.tiers import MIN_BAD, MIN_BAD_SLACK
from slo_rules.together import SLOS_MAX, check_together

__all__ = (
    "BUDGET_INTERVAL_S",
    "EVENTS_INTERVAL_S",
    "MIN_BAD",
    "MIN_BAD_SLACK",
    "NO_DATA_FOR_S",
    "SLOS_MAX",
    "burn_expression",
    "compile_slos",
)


def compile_slos(slos: tuple[Slo, ...], regions: tuple[Region, ...], today: date | None = None) -> RuleFile:
    """Rules for `slos` and the fleet. `regions` are those expected to report: each gets its own missing-data alert.

    `today` is needed for calendar windows only; what is compiled depends on its year. Raises `SloError` for an SLO that cannot
    be, by itself or among the others.
    """
    around = Surroundings(check_together(slos), regions, today)
    groups = [group for slo in slos for group in _groups(slo, around)]
    return RuleFile((*groups, *latency_groups(slos), fleet_group()))


def _groups(slo: Slo, around: Surroundings) -> tuple[RuleGroup, RuleGroup]:
    return (
        RuleGroup(
            f"slo-{slo.id}",
            EVENTS_INTERVAL_S,
            (*count_rules(slo, around), *state_rules(slo, around), *quantile_rules(slo), *alert_rules(slo, around)),
        ),
        RuleGroup(f"slo-{slo.id}-budget", BUDGET_INTERVAL_S, (*budget_rules(slo, around), *marks(slo, around.slos))),
    )
