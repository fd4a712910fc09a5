"""How much work is asked for, how much could be done, and what a lighter profile would change.

Load is measured in busy workers ("erlangs"): requests per second × seconds of work per request, refused requests
included. The seconds of work are the median over a region's replicas, so that one sick replica does not look like demand.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from statistics import median_low

from contracts.vocabulary import FULL_FP32, LIGHT_INT8, ProfileId, Region, ReplicaState
from controller.core.fleet import Fleet, Replica
from controller.core.policy import Policy
from controller.core.signals import KNOWN, Block, Signals

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
    ready: int
    pending: int
    """Replicas that are starting: capacity on its way."""
    rps: float
    service_s: float
    """Seconds of work per request, median over replicas; 0 when nothing was served."""
    workers: int
    """Per replica."""
    known: bool
    """False when the region's series are not to be trusted: then nothing may be taken away."""

    @property
    def offered_workers(self) -> float:
        """Workers that the present demand keeps busy."""
        return self.rps * self.service_s

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


def loads(fleet: Fleet, signals: Signals, policy: Policy) -> dict[Region, RegionLoad]:
    """Load of every region from the newest blocks; a region that served nothing borrows the fleet's cost per request."""
    blocks = signals.blocks[-LOAD_BLOCKS:]
    duration_s = sum(block.end_unix_s - block.start_unix_s for block in blocks)
    by_region: dict[Region, list[Replica]] = {region: [] for region in fleet.regions}
    for replica in fleet.replicas():
        by_region[replica.region].append(replica)
    costs = {region: _costs(replicas, signals, blocks) for region, replicas in by_region.items()}
    everywhere = [cost for found in costs.values() for cost in found]
    borrowed_s = median_low(everywhere) if everywhere else 0.0
    return {
        region: RegionLoad(
            region=region,
            ready=sum(replica.ready for replica in replicas),
            pending=sum(replica.state is ReplicaState.STARTING for replica in replicas),
            rps=signals.over_region(region, blocks).requests / duration_s if duration_s > 0 else 0.0,
            service_s=median_low(costs[region]) if costs[region] else borrowed_s,
            workers=policy.workers_per_replica,
            known=signals.trust.get(region) in KNOWN and bool(blocks),
        )
        for region, replicas in by_region.items()
    }


def is_light(replica: Replica) -> bool:
    """True when it runs a profile at the light end of the ladder."""
    return replica.profile in LIGHT_PROFILES


def region_is_light(fleet: Fleet, region: Region) -> bool:
    """True when any ready replica of the region runs light: its listeners hear less than full quality."""
    return any(replica.ready and is_light(replica) for replica in fleet.replicas(region))


def _costs(replicas: list[Replica], signals: Signals, blocks: tuple[Block, ...]) -> list[float]:
    tallies = (signals.over_replica(replica.id, blocks) for replica in replicas)
    return [tally.service_s / tally.admitted for tally in tallies if tally.admitted > 0]
