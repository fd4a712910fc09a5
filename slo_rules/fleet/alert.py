"""One alert about the machinery as a value, and the words that several of them share."""

from dataclasses import dataclass

from contracts.metric_names import (
    LABEL_GPU,
    LABEL_HOST,
    LABEL_REPLICA,
    LABEL_SEVERITY,
)
from slo_rules.rule_file import AlertingRule
from slo_rules.tiers import Severity
from slo_rules.words.annotations import annotate
from slo_rules.words.done_so_far import done_so_far

NO_SEVERITY = "none"
"""Of what is no trouble at all: neither a page nor a ticket is routed by it."""
MINUTE_S = 60
REPLICA = f"{{{{ $labels.{LABEL_REPLICA} }}}}"
HOST = f"{{{{ $labels.{LABEL_HOST} }}}}"
GPU = f"GPU {{{{ $labels.{LABEL_GPU} }}}} on {HOST}"


@dataclass(frozen=True, slots=True)
class FleetAlert:
    """What fires, after how long, and what a person is told."""

    name: str
    expr: str
    severity: Severity | None
    """A page when users are, or soon will be, worse off and nobody else says so; a ticket when somebody has to do something
    by daylight. None for the one that is meant to fire."""
    for_s: int
    """Longer than healing takes when it works: then it means that healing did not."""
    summary: str
    description: str
    of_region: bool = True
    """The firing series has a region, so that it can be told what was done there."""
    of_slo: bool = False
    """And an SLO."""

    def rule(self) -> AlertingRule:
        """As Prometheus reads it."""
        told = (done_so_far(about_slo=self.of_slo),) if self.of_region else ()
        return AlertingRule(
            self.name,
            self.expr,
            for_s=self.for_s,
            labels=((LABEL_SEVERITY, self.severity.value if self.severity is not None else NO_SEVERITY),),
            annotations=(*annotate(self.name, summary=self.summary, description=self.description), *told),
        )
