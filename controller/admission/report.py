"""The answer to "what if": an objective, what was found about it, what it costs, and what it would have done."""

from dataclasses import dataclass
from typing import Protocol

from controller.admission.cost import Cost
from controller.admission.facts import SloFacts
from controller.admission.findings import Finding, Severity
from slo_rules.backtest import Backtest
from slo_rules.model import Slo
from slo_rules.tiers import Tier


@dataclass(frozen=True, slots=True)
class Asked:
    """One objective among those that it may name, and how far to look back."""

    slo: Slo
    among: tuple[Slo, ...]
    """Stored ones and those examined together."""
    days: int
    """0: without its past."""


@dataclass(frozen=True, slots=True)
class Report:
    """About one objective; nothing was stored."""

    slo: Slo
    tiers: tuple[Tier, ...]
    findings: tuple[Finding, ...]
    facts: SloFacts | None = None
    """None: Prometheus could not be asked."""
    cost: Cost | None = None
    """None: Prometheus could not be asked."""
    past: Backtest | None = None
    """None: there is no past to test it on."""
    past_source: str = ""
    """What the past was read from, when it is not what the objective will count."""

    @property
    def works(self) -> bool:
        """No finding is an error."""
        return all(finding.severity is not Severity.ERROR for finding in self.findings)


class AdmissionDesk(Protocol):
    """Says what an objective would do, before it is created."""

    async def examine(self, asked: Asked) -> Report:
        """Ask Prometheus about it, within bounds; a Prometheus that is down is a finding. Changes nothing."""
        ...
