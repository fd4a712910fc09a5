"""How much work is asked for, how much could be done, and what a lighter profile would change.

Load is measured in busy workers ("erlangs"): requests per second × seconds of work per request, refused requests
included. The seconds of work are the median over a region's replicas, so that one sick replica does not look like demand;
where profiles are mixed, the slower profile's, so that nobody counts on the faster one.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from statistics import median_low

from contracts.vocabulary import FULL_FP32, LIGHT_INT8, HostId, ProfileId, Region, ReplicaId, ReplicaState
from controller.core.fleet import Fleet, Replica
from controller.core.policy import Policy
from controller.core.signals import KNOWN, Block, Signals, Trust

LOAD_BLOCKS = 3
"""Load is averaged over 30 s: shorter is noise, longer follows a surge too late."""
RTF_WEIGHT = 0.2
"""Weight of the newest block in the learned real-time factor: settles within a minute, survives one odd block."""
LIGHT_PROFILES = frozenset({LIGHT_INT8.id})
FULL_PROFILE = FULL_FP32.id
LIGHT_PROFILE = LIGHT_INT8.id


@dataclass(frozen=True, slots=True)
class RegionLoad:
    """Demand and supply of one region."""

    region: Region
    serving: frozenset[ReplicaId]
    """Replicas believed to serve: ready by a fresh report, or by fresh counters while their agent is silent."""
    pending: int
    """Replicas that are starting: capacity on its way."""
    rps: float
    service_s: float
    """Seconds of work per request now; 0 when nothing was served anywhere."""
    full_service_s: float
    """Seconds of work per request if the region ran at full quality."""
    workers: int
    """Per replica."""
    known: bool
    """False when the region's series are not to be trusted: then nothing may be taken away."""

    @property
    def ready(self) -> int:
        """How many serve."""
        return len(self.serving)

    @property
    def offered_workers(self) -> float:
        """Workers that the present demand keeps busy."""
        return self.rps * self.service_s

    @property
    def full_utilisation(self) -> float:
        """Predicted utilisation of the ready replicas at full quality; infinite when there are none but demand."""
        if self.ready == 0:
            return math.inf if self.rps > 0 else 0.0
        return self.rps * self.full_service_s / (self.ready * self.workers)

    @property
    def utilisation(self) -> float:
        """Offered work over ready workers; infinite when there is demand and nobody to serve it."""
        if self.ready == 0:
            return math.inf if self.offered_workers > 0 else 0.0
        return self.offered_workers / (self.ready * self.workers)

    def needed(self, utilisation_max: float) -> int:
        """Ready replicas that the present demand needs."""
        return math.ceil(self.offered_workers / (utilisation_max * self.workers) - 1e-9)

    def spare_rps(self, utilisation_target: float) -> float:
        """Requests per second it could take on top; 0 when it has none, or its cost per request is unknown."""
        spare_workers = utilisation_target * self.ready * self.workers - self.offered_workers
        return max(0.0, spare_workers) / self.service_s if self.service_s > 0 else 0.0


@dataclass(frozen=True, slots=True)
class CapacityState:
    """Learned real-time factors per profile."""

    rtf: Mapping[ProfileId, float] = field(default_factory=dict)

    def light_speedup(self, policy: Policy) -> float:
        """How many times cheaper LIGHT is than FULL: learned once both were seen, a careful prior before."""
        full, light = self.rtf.get(FULL_PROFILE), self.rtf.get(LIGHT_PROFILE)
        return max(1.0, full / light) if full and light else policy.light_speedup_prior


def learn(state: CapacityState, block: Block, fleet: Fleet, troubled: frozenset[Region]) -> CapacityState:
    """Update real-time factors from one block of the regions that are well and run one profile."""
    rtf = dict(state.rtf)
    for region, tally in block.regions.items():
        profiles = {replica.profile for replica in fleet.replicas(region) if replica.ready}
        if region in troubled or len(profiles) != 1 or tally.rtf <= 0:
            continue
        profile = profiles.pop()
        if profile is not None:
            former = rtf.get(profile, tally.rtf)
            rtf[profile] = former + RTF_WEIGHT * (tally.rtf - former)
    return CapacityState(rtf)


def loads(fleet: Fleet, signals: Signals, light_speedup: float, policy: Policy) -> dict[Region, RegionLoad]:
    """Load of every region from the newest blocks; a region that served nothing borrows the fleet's cost per request."""
    blocks = signals.blocks[-LOAD_BLOCKS:]
    duration_s = sum(block.end_unix_s - block.start_unix_s for block in blocks)
    by_region: dict[Region, list[Replica]] = {region: [] for region in fleet.regions}
    for replica in fleet.replicas():
        by_region[replica.region].append(replica)
    heard = frozenset(host.id for host in fleet.hosts if host.report_age_s <= policy.report_age_s_max)
    costs = {region: _Costs.of(replicas, blocks) for region, replicas in by_region.items()}
    everywhere = _Costs(
        full=[cost for found in costs.values() for cost in found.full],
        light=[cost for found in costs.values() for cost in found.light],
    )
    return {
        region: RegionLoad(
            region=region,
            serving=_serving(replicas, heard, signals),
            pending=sum(replica.state is ReplicaState.STARTING for replica in replicas),
            rps=signals.over_region(region, blocks).requests / duration_s if duration_s > 0 else 0.0,
            service_s=costs[region].now_s or everywhere.now_s,
            full_service_s=costs[region].full_s(light_speedup) or everywhere.full_s(light_speedup),
            workers=policy.workers_per_replica,
            known=signals.trust.get(region) in KNOWN and bool(blocks),
        )
        for region, replicas in by_region.items()
    }


def _serving(replicas: list[Replica], heard: frozenset[HostId], signals: Signals) -> frozenset[ReplicaId]:
    """Two paths: what an agent last said counts while it is fresh, and beyond that while the counters still move."""
    return frozenset(
        replica.id
        for replica in replicas
        if replica.ready and (replica.locality.host in heard or signals.replica_trust.get(replica.id) is Trust.FRESH)
    )


@dataclass(frozen=True, slots=True)
class _Costs:
    """Seconds of work per request at each replica that served some, by rank of its profile."""

    full: list[float]
    light: list[float]

    @classmethod
    def of(cls, replicas: list[Replica], blocks: tuple[Block, ...]) -> "_Costs":
        costs = cls([], [])
        for replica in replicas:
            tallies = [block.replicas[replica.id] for block in blocks if replica.id in block.replicas]
            admitted = sum(tally.admitted for tally in tallies)
            if admitted > 0:
                cost_s = sum(tally.service_s for tally in tallies) / admitted
                (costs.light if is_light(replica) else costs.full).append(cost_s)
        return costs

    @property
    def now_s(self) -> float:
        """Of the slowest profile present; 0 when nothing was served."""
        return max((median_low(costs) for costs in (self.full, self.light) if costs), default=0.0)

    def full_s(self, light_speedup: float) -> float:
        """At full quality: measured where it runs, predicted from the light profile elsewhere."""
        if self.full:
            return median_low(self.full)
        return median_low(self.light) * light_speedup if self.light else 0.0


def is_light(replica: Replica) -> bool:
    """True when it runs a profile at the light end of the ladder."""
    return replica.profile in LIGHT_PROFILES


def region_is_light(fleet: Fleet, region: Region) -> bool:
    """True when any ready replica of the region runs light: its listeners hear less than full quality."""
    return any(replica.ready and is_light(replica) for replica in fleet.replicas(region))
