"""Everything a decision may rest on, gathered into one value."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from contracts.vocabulary import Region, SloId
from controller.core.capacity import RegionLoad
from controller.core.diagnosis import Finding
from controller.core.fleet import Fleet
from controller.core.ledger import Ledger
from controller.core.policy import Policy
from controller.core.safety import Kernel, why_unsafe
from controller.core.signals import Signals
from controller.core.story import OperatorIntent


@dataclass(frozen=True, slots=True)
class Situation:
    """The state of the world as the earlier phases see it, at one instant."""

    now_unix_s: float
    fleet: Fleet
    signals: Signals
    findings: tuple[Finding, ...]
    intents: tuple[OperatorIntent, ...]
    ledger: Ledger
    troubled_unix_s: Mapping[Region, float]
    """When each region last had a finding; the start of this leadership when it never had."""
    policy: Policy
    why_unsafe: Kernel = why_unsafe
    budgets: Mapping[SloId, float] = field(default_factory=dict)
    """Error budget of every objective."""

    def load(self, region: Region) -> RegionLoad | None:
        """Load of a region; None when the fleet does not know it."""
        return self.ledger.loads.get(region)

    def is_troubled(self, region: Region) -> bool:
        """True while any finding is open there."""
        return any(finding.region == region for finding in self.findings)

    def calm_s(self, region: Region) -> float:
        """Seconds since the region's last finding or closed action."""
        since = max(self.troubled_unix_s.get(region, self.now_unix_s), self.ledger.ended_unix_s(region))
        return self.now_unix_s - since

    def well(self) -> tuple[Region, ...]:
        """Regions without any finding."""
        return tuple(region for region in self.fleet.regions if not self.is_troubled(region))

    def with_ledger(self, ledger: Ledger) -> "Situation":
        """The same situation after something was begun."""
        return replace(self, ledger=ledger)
