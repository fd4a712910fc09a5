"""The engines that are compared: what each compiles an SLO to, what it calls a page, and where its budget stands."""

from collections.abc import Callable
from dataclasses import dataclass

from bench.rulelab import pyrra, sloth
from contracts.metric_names import LABEL_REGION, LABEL_SEVERITY, LABEL_SLO, RULE_BUDGET_REMAINING
from contracts.vocabulary import Region
from slo_rules import promql
from slo_rules.compiler import compile_slos
from slo_rules.fleet_alerts import fleet_group
from slo_rules.model import Slo
from slo_rules.rule_file import AlertingRule, RuleFile
from slo_rules.tiers import Severity

REGION = Region("eu-west")
"""All traffic of the comparison is in one region, so that one budget stands against one budget."""


@dataclass(frozen=True, slots=True)
class Engine:
    """One way from an SLO to rules."""

    name: str
    rules: Callable[[Slo], RuleFile]
    budget_left: Callable[[Slo], str]
    """PromQL: one sample, the share of the error budget that is left."""
    page: tuple[str, str]
    """The label that marks an alert as one that wakes a person."""
    eval_s: int
    """Between two evaluations of its alerts."""

    def pages(self, slo: Slo) -> tuple[AlertingRule, ...]:
        """The alerts that wake a person."""
        return tuple(alert for alert in self.rules(slo).alerts if self.page in alert.labels)

    def paging(self) -> str:
        """PromQL: the pages that fire now."""
        name, value = self.page
        return promql.selector("ALERTS", promql.equals("alertstate", "firing"), promql.equals(name, value))


def _ours(slo: Slo) -> RuleFile:
    compiled = compile_slos((slo,), (REGION,))
    return RuleFile(tuple(group for group in compiled.groups if group.name != fleet_group().name))


def _our_budget(slo: Slo) -> str:
    return promql.selector(RULE_BUDGET_REMAINING, promql.equals(LABEL_SLO, slo.id), promql.equals(LABEL_REGION, REGION))


SLOTH = Engine(
    "Sloth",
    sloth.sloth_rules,
    lambda slo: sloth.of(sloth.BUDGET_LEFT, slo),
    (sloth.SEVERITY, "page"),
    sloth.INTERVAL_S,
)
PYRRA = Engine("Pyrra", pyrra.pyrra_rules, pyrra.budget_left, (pyrra.SEVERITY, pyrra.CRITICAL), pyrra.BURN_INTERVAL_S)
OURS = Engine("Trimtab", _ours, _our_budget, (LABEL_SEVERITY, Severity.PAGE.value), 60)
ENGINES = (SLOTH, PYRRA, OURS)
