"""What one gateway is told, and what it reports back.

A plan is one complete, atomic message: membership, shares, drain and shedding together, so that no gateway can ever be
between two states.
"""

from dataclasses import dataclass

from contracts.vocabulary import Region, ReplicaId


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One address a gateway may send to."""

    replica: ReplicaId
    region: Region
    address: str
    port: int
    draining: bool


@dataclass(frozen=True, slots=True)
class GatewayPlan:
    """Everything one gateway should know: one atomic message."""

    gateway: Region
    shares: tuple[tuple[Region, float], ...]
    """(region, share 0..1); 0 = standby. Sums to 1 over the regions that have endpoints."""
    endpoints: tuple[Endpoint, ...]
    shed_ratio: float = 0.0
    """Share of requests refused at the gateway before they reach a replica."""


@dataclass(frozen=True, slots=True)
class GatewayObservation:
    """Cumulative counters of one gateway, the gateway's own word on what happened."""

    gateway: Region
    version: str
    completed: tuple[tuple[Region, float], ...]
    """Finished upstream requests per region."""
    failed: tuple[tuple[Region, float], ...]
    """Upstream 5xx per region."""
    in_flight: tuple[tuple[ReplicaId, int], ...]
    """Active requests per endpoint; a drain is over when its replica shows 0."""
