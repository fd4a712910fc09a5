"""The lines that a dashboard draws beside what was measured: the objective, and the threshold of every alert tier.

A dashboard knows no SLO, and a label is no number: so both are recorded as series of one constant. The window of a tier is
a label, because that is what the dashboard has to put into its own query.
"""

from collections.abc import Mapping

from contracts.metric_names import (
    LABEL_SEVERITY,
    LABEL_SLO,
    LABEL_TIER,
    LABEL_WINDOW,
    RULE_OBJECTIVE,
    RULE_TIER_THRESHOLD,
)
from contracts.vocabulary import SloId
from slo_rules import promql
from slo_rules.model import Slo
from slo_rules.rule_file import RecordingRule
from slo_rules.tiers import Tier, derive_tiers


def marks(slo: Slo, others: Mapping[SloId, Slo]) -> tuple[RecordingRule, ...]:
    """The objective, and one threshold per tier with its long window; `others` hold the parts of a composite."""
    objective = RecordingRule(RULE_OBJECTIVE, f"vector({promql.number(slo.objective)})", ((LABEL_SLO, slo.id),))
    return (objective, *(_threshold(slo, tier) for tier in derive_tiers(slo, others)))


def _threshold(slo: Slo, tier: Tier) -> RecordingRule:
    labels = (
        (LABEL_SLO, slo.id),
        (LABEL_TIER, str(tier.number)),
        (LABEL_SEVERITY, tier.severity.value),
        (LABEL_WINDOW, promql.duration(tier.long_s)),
    )
    return RecordingRule(RULE_TIER_THRESHOLD, f"vector({promql.number(tier.theta)})", labels)
