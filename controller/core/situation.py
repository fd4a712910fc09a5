"""Everything a decision may rest on, gathered into one value."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property

from contracts.vocabulary import GpuAction, HostId, Region, SloId
from controller.core.capacity import RegionLoad
from controller.core.findings import OF_HARDWARE, Finding
from controller.core.fleet import Fleet, Host
from controller.core.hardware import needs_reboot
from controller.core.ledger import Ledger, machines_touched
from controller.core.machine_checks import why_never
from controller.core.plans import reboot_host
from controller.core.policy import Policy
from controller.core.question import Question
from controller.core.refusals import Widespread
from controller.core.safety import Kernel, why_unsafe
from controller.core.signals import Signals
from controller.core.story import OperatorIntent


@dataclass(
    frozen=True
)  # without slots: what many findings ask in one tick is worked out once, and kept beside the fields
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
        """True while any finding is open there that is about its service."""
        return any(finding.region == region and finding.cause not in OF_HARDWARE for finding in self.findings)

    def calm_s(self, region: Region) -> float:
        """Seconds since the region's last finding or closed action."""
        since = max(self.troubled_unix_s.get(region, self.now_unix_s), self.ledger.ended_unix_s(region))
        return self.now_unix_s - since

    def well(self) -> tuple[Region, ...]:
        """Regions without any finding."""
        return tuple(region for region in self.fleet.regions if not self.is_troubled(region))

    @cached_property
    def shunned(self) -> frozenset[HostId]:
        """Hosts on which nothing more should be started: being worked on, about to be drained, or with no GPU to trust."""
        subjects = {finding.subject for finding in self.findings if finding.cause in OF_HARDWARE}
        return frozenset(
            {host.id for host in self.fleet.hosts if host.gpus and subjects and self._is_shunned(host, subjects)}
            | machines_touched(self.ledger.open).keys()
        )

    @cached_property
    def widespread(self) -> Mapping[Region, Widespread]:
        """Regions in which the devices are not to blame: too many are unfit at once, on several hosts."""
        found = ((region, self._widespread_in(region)) for region in self.fleet.regions)
        return {region: trouble for region, trouble in found if trouble is not None}

    @cached_property
    def reboots_planned(self) -> frozenset[HostId]:
        """Hosts of which a GPU needs a reboot, and all that stands against that is work for which there is room elsewhere."""
        return frozenset(host.id for host in self.fleet.hosts if self._is_reboot_planned(host))

    def with_ledger(self, ledger: Ledger) -> "Situation":
        """The same situation after something was begun."""
        return replace(self, ledger=ledger)

    # ── worked out once ───────────────────────────────────────────────────────────────────────────────────────────────
    def _is_shunned(self, host: Host, subjects: set[str]) -> bool:
        trusted = [gpu for gpu in host.gpus if gpu.fit and gpu.uuid not in subjects]
        drains = any(gpu.recommended_action is GpuAction.DRAIN_HOST for gpu in host.gpus)
        concerned = host.id in subjects or len(trusted) < len(host.gpus)
        return not trusted or drains or (concerned and host.id in self.reboots_planned)

    def _widespread_in(self, region: Region) -> Widespread | None:
        """What our own work hides is not counted."""
        touched = machines_touched(self.ledger.open)
        hosts = [host for host in self.fleet.hosts_in(region) if host.id not in touched]
        unfit = [sum(not gpu.fit for gpu in host.gpus) for host in hosts]
        count, gpus = sum(unfit), sum(len(host.gpus) for host in hosts)
        on_several = sum(number > 0 for number in unfit) > 1
        too_many = count > self.policy.gpus_unfit_share_max * gpus
        return Widespread(region, count, gpus) if on_several and too_many else None

    def _is_reboot_planned(self, host: Host) -> bool:
        doomed = needs_reboot(host, self.ledger, self.policy, self.now_unix_s)
        if not doomed or host.locality.region in self.widespread or not self._has_room_without(host):
            return False
        action = reboot_host(host, doomed[0].trouble(host.id))
        return why_never(Question(action, self.fleet, self.ledger, self.policy, self.now_unix_s)) is None

    def _has_room_without(self, host: Host) -> bool:
        """What serves on the other hosts of its region, and could be started there, is enough."""
        region, load = host.locality.region, self.load(host.locality.region)
        others = [other for other in self.fleet.hosts_in(region) if other.id != host.id]
        serving = sum(replica.ready for other in others for replica in other.replicas)
        startable = sum(len(other.free_slots) for other in others if other.can_start)
        needed = load.needed(self.policy.utilisation_max) if load is not None else 0
        return serving + startable >= max(needed, self.policy.replicas_min_of(region))
