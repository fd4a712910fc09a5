"""The fleet as one immutable value: hosts, their replicas, and where the gateways are told to send traffic.

Built once per tick from the agents' reports; every phase reads the same snapshot, so a tick cannot contradict itself.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from contracts.vocabulary import (
    GpuUuid,
    HostId,
    Locality,
    OrderKind,
    ProfileId,
    ReflexKind,
    Region,
    ReplicaId,
    ReplicaState,
)
from controller.core.gpus import Gpu

SERVING_STATES = frozenset({ReplicaState.READY})
ENDED_STATES = frozenset({ReplicaState.CRASHED, ReplicaState.QUARANTINED, ReplicaState.STOPPED})
"""No process of it runs any more, so it holds no GPU."""


@dataclass(frozen=True, slots=True)
class Replica:
    """One serving process, as of the newest report."""

    id: ReplicaId
    locality: Locality
    address: str
    port: int
    state: ReplicaState
    reason: str
    generation: int
    state_age_s: float
    profile: ProfileId | None
    """None until it answered its first probe."""
    profiles: tuple[ProfileId, ...]
    progress_age_s: float
    in_flight: int
    queued_s: float
    slo_revision: int
    gpus: tuple[GpuUuid, ...] = ()
    """Devices it was given; empty where that is not known or there are none."""
    withheld: str = ""
    """Why its agent does not restart it: its GPU is unfit. Empty: nothing is withheld."""
    canaries_failed: int = 0
    """Canary utterances in a row that failed while there was no traffic."""

    @property
    def region(self) -> Region:
        """Where it serves."""
        return self.locality.region

    @property
    def ready(self) -> bool:
        """Can take traffic now."""
        return self.state in SERVING_STATES

    @property
    def ended(self) -> bool:
        """No process of it is left."""
        return self.state in ENDED_STATES


@dataclass(frozen=True, slots=True)
class Reflex:
    """Something an agent healed, or tried to heal, by itself."""

    host: HostId
    boot_id: str
    seq: int
    kind: ReflexKind
    replica: ReplicaId
    generation: int
    detected_unix_s: float
    healed_unix_s: float | None
    evidence: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Host:
    """One machine and its replicas."""

    locality: Locality
    boot_id: str
    seq: int
    runtime: str
    report_age_s: float
    """Age of the newest report on the controller's monotonic clock."""
    agent_address: str
    agent_port: int
    free_slots: tuple[ReplicaId, ...]
    replicas: tuple[Replica, ...]
    reflexes: tuple[Reflex, ...] = ()
    gpus: tuple[Gpu, ...] = ()
    machine_orders: frozenset[OrderKind] = frozenset()
    """Kinds of order about the machine that this host's own policy permits."""

    @property
    def id(self) -> HostId:
        """Short for `locality.host`."""
        return self.locality.host

    def holders(self, gpu: GpuUuid | None = None) -> tuple[Replica, ...]:
        """Replicas that have, or may have, a process here: on one GPU, or anywhere on the host.

        One whose GPUs are not known, or no whole devices, may use any.
        """
        devices = {device.uuid for device in self.gpus}
        return tuple(
            r
            for r in self.replicas
            if not r.ended and (gpu is None or gpu in r.gpus or not (r.gpus and devices.issuperset(r.gpus)))
        )

    @property
    def can_start(self) -> bool:
        """A replica could be started here: it reports a fit GPU, or works without any."""
        return not self.gpus or any(gpu.fit for gpu in self.gpus)


@dataclass(frozen=True, slots=True)
class Fleet:
    """Every host that has ever reported to this leader and was not forgotten.

    Indexed once, when it is built: every phase asks for regions and replicas many times.
    """

    hosts: tuple[Host, ...]
    _by_region: Mapping[Region, tuple[Replica, ...]] = field(init=False, repr=False, compare=False)
    _by_id: Mapping[ReplicaId, Replica] = field(init=False, repr=False, compare=False)
    _hosts_by_id: Mapping[HostId, Host] = field(init=False, repr=False, compare=False)
    _hosts_by_region: Mapping[Region, tuple[Host, ...]] = field(init=False, repr=False, compare=False)
    _gpus: Mapping[GpuUuid, tuple[Host, Gpu]] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        hosts: dict[Region, list[Host]] = {}
        for host in self.hosts:
            hosts.setdefault(host.locality.region, []).append(host)
        hosts_by_region = {region: tuple(hosts[region]) for region in sorted(hosts)}
        by_region = {
            region: tuple(replica for host in found for replica in host.replicas)
            for region, found in hosts_by_region.items()
        }
        object.__setattr__(self, "_hosts_by_region", hosts_by_region)
        object.__setattr__(self, "_by_region", by_region)
        object.__setattr__(self, "_by_id", {replica.id: replica for host in self.hosts for replica in host.replicas})
        object.__setattr__(self, "_hosts_by_id", {host.id: host for host in self.hosts})
        object.__setattr__(self, "_gpus", {gpu.uuid: (host, gpu) for host in self.hosts for gpu in host.gpus})

    def replicas(self, region: Region | None = None) -> Iterator[Replica]:
        """All replicas, or those of one region, in a stable order."""
        if region is not None:
            yield from self._by_region.get(region, ())
            return
        for host in self.hosts:
            yield from host.replicas

    def hosts_in(self, region: Region) -> tuple[Host, ...]:
        """Hosts of one region."""
        return self._hosts_by_region.get(region, ())

    def replica(self, replica_id: ReplicaId) -> Replica | None:
        """The replica of that id; None when no report names it."""
        return self._by_id.get(replica_id)

    def host(self, host_id: HostId) -> Host | None:
        """The host of that id; None when it never reported."""
        return self._hosts_by_id.get(host_id)

    def gpu(self, uuid: GpuUuid) -> tuple[Host, Gpu] | None:
        """The device of that id and its host; None when no report lists it."""
        return self._gpus.get(uuid)

    def gpus_of(self, replica: Replica) -> tuple[Gpu, ...]:
        """The devices that a replica was given, as far as its host reports them."""
        return tuple([found[1] for uuid in replica.gpus if (found := self._gpus.get(uuid)) is not None])

    def why_unfit(self, replica: Replica) -> str:
        """Why it must not be started where it is; empty when it may."""
        host = replica.locality.host
        return replica.withheld or next((gpu.trouble(host) for gpu in self.gpus_of(replica) if not gpu.fit), "")

    @property
    def regions(self) -> tuple[Region, ...]:
        """Regions that have at least one host, sorted."""
        return tuple(self._by_region)


@dataclass(frozen=True, slots=True, order=True)
class RegionShare:
    """Share of one gateway's traffic that goes to one region; 0 means standby: warm, checked, first in line on failure."""

    gateway: Region
    region: Region
    share: float


@dataclass(frozen=True, slots=True)
class TrafficIntent:
    """What the gateways should do. Together with the fleet it determines every endpoint list, so it is all that is journaled."""

    shares: tuple[RegionShare, ...]
    cordoned: frozenset[ReplicaId] = frozenset()
    """Replicas that get no new work; they finish what they have."""

    def share(self, gateway: Region, region: Region) -> float:
        """Wanted share, 0 when never mentioned."""
        return next((s.share for s in self.shares if (s.gateway, s.region) == (gateway, region)), 0.0)


def home_traffic(regions: tuple[Region, ...]) -> TrafficIntent:
    """Every gateway serves its own region and keeps the others on standby: the state that a shift returns to."""
    return TrafficIntent(
        shares=tuple(
            RegionShare(gateway=gateway, region=region, share=1.0 if gateway == region else 0.0)
            for gateway in regions
            for region in regions
        )
    )
