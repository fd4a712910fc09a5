"""Observe: raw counters become blocks with exact counts, and every series gets a word of trust.

Counters are differenced once per block and replica. A counter that went down belongs to a new incarnation: what it shows
has all happened since the restart, so it counts from zero. A replica that was not scraped contributes nothing, neither
zero traffic nor health, and its next block spans the gap.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from contracts.vocabulary import Region, ReplicaId, SloId
from controller.core.fleet import Fleet
from controller.core.gateways import GatewayObservation
from controller.core.policy import Policy
from controller.core.telemetry import ReplicaCounters, SignalSample, SourceDown


class Trust(StrEnum):
    """How far a series may be believed."""

    FRESH = "fresh"
    LATE = "late"
    """Older than it should be; the last value may still hold."""
    PARTIAL = "partial"
    """Some replicas of the region are missing from the sums."""
    ZERO_TRAFFIC = "zero_traffic"
    """Fresh, and nobody asked for anything."""
    DEAD = "dead"
    """Too old to mean anything, or never seen."""


KNOWN = frozenset({Trust.FRESH, Trust.ZERO_TRAFFIC})
"""What decisions that take something away may rest on."""


@dataclass(frozen=True, slots=True)
class Tally:
    """What happened at one replica, or at several together, within a span."""

    span_s: float = 0.0
    """Seconds observed, summed over replicas."""
    admitted: float = 0.0
    rejected: float = 0.0
    queue_s: float = 0.0
    service_s: float = 0.0
    audio_s: float = 0.0
    slos: Mapping[SloId, tuple[float, float]] = field(default_factory=dict)
    """(good, bad) events per SLO."""

    @property
    def requests(self) -> float:
        """Everything that was asked for, refused or not."""
        return self.admitted + self.rejected

    @property
    def rtf(self) -> float:
        """Seconds of work per second of audio; 0 without audio."""
        return self.service_s / self.audio_s if self.audio_s > 0 else 0.0

    @property
    def wait_s(self) -> float:
        """Mean wait before the first step of work."""
        return self.queue_s / self.admitted if self.admitted > 0 else 0.0

    @property
    def refused_ratio(self) -> float:
        """Share of requests refused for overload."""
        return self.rejected / self.requests if self.requests > 0 else 0.0

    def events(self, slo: SloId | None = None) -> tuple[float, float]:
        """(bad, total) of one SLO, or of all together when None."""
        if slo is not None:
            good, bad = self.slos.get(slo, (0.0, 0.0))
            return bad, good + bad
        bad = sum(counts[1] for counts in self.slos.values())
        return bad, bad + sum(counts[0] for counts in self.slos.values())

    @property
    def bad_ratio(self) -> float:
        """Share of bad events over all SLOs; 0 without events."""
        bad, total = self.events()
        return bad / total if total > 0 else 0.0


@dataclass(frozen=True, slots=True)
class Block:
    """One closed block: tallies per replica and per region."""

    start_unix_s: float
    end_unix_s: float
    replicas: Mapping[ReplicaId, Tally]
    regions: Mapping[Region, Tally]


@dataclass(frozen=True, slots=True)
class Signals:
    """What the later phases may know about requests."""

    blocks: tuple[Block, ...] = ()
    """Oldest first, bounded by `policy.blocks_kept`."""
    closed: Block | None = None
    """The block that ended in this very tick; None between ends."""
    trust: Mapping[Region, Trust] = field(default_factory=dict)
    replica_trust: Mapping[ReplicaId, Trust] = field(default_factory=dict)
    gateway_rps: Mapping[Region, float] = field(default_factory=dict)
    """Requests per second each gateway finished, over the last block."""

    def over_replica(self, replica: ReplicaId, blocks: Iterable[Block]) -> Tally:
        """One replica over several blocks."""
        return total(block.replicas[replica] for block in blocks if replica in block.replicas)

    def over_region(self, region: Region, blocks: Iterable[Block]) -> Tally:
        """One region over several blocks."""
        return total(block.regions[region] for block in blocks if region in block.regions)

    def since(self, unix_s: float) -> tuple[Block, ...]:
        """Blocks that lie wholly after `unix_s`."""
        return tuple(block for block in self.blocks if block.start_unix_s >= unix_s)


@dataclass(frozen=True, slots=True)
class SignalState:
    """What observing remembers from tick to tick."""

    newest: Mapping[ReplicaId, ReplicaCounters] = field(default_factory=dict)
    base: Mapping[ReplicaId, ReplicaCounters] = field(default_factory=dict)
    """Counters at the start of the open block."""
    block_start_unix_s: float | None = None
    """None before the first sample."""
    blocks: tuple[Block, ...] = ()
    gateways: Mapping[Region, float] = field(default_factory=dict)
    """Requests finished per gateway at the start of the open block."""
    gateway_rps: Mapping[Region, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Readings:
    """Everything that was read from outside about requests, in one tick."""

    now_unix_s: float
    sample: SignalSample | SourceDown
    gateways: tuple[GatewayObservation | SourceDown, ...]
    fleet: Fleet


def observe(state: SignalState, readings: Readings, policy: Policy) -> tuple[SignalState, Signals]:
    """Take in one reading; close the block when its time is over."""
    now_unix_s = readings.now_unix_s
    newest = dict(state.newest)
    if isinstance(readings.sample, SignalSample):
        newest.update({counters.replica: counters for counters in readings.sample.replicas})
    newest = {id_: c for id_, c in newest.items() if now_unix_s - c.sampled_unix_s <= 2 * policy.dead_s}
    start_unix_s = now_unix_s if state.block_start_unix_s is None else state.block_start_unix_s
    base = state.base if state.block_start_unix_s is not None else newest
    state = SignalState(newest, base, start_unix_s, state.blocks, state.gateways, state.gateway_rps)
    closed: Block | None = None
    if now_unix_s - start_unix_s >= policy.block_s:
        closed = _close(state, start_unix_s, now_unix_s)
        finished = _finished(readings.gateways)
        rates = _rates(state.gateways, finished, now_unix_s - start_unix_s)
        kept = (*state.blocks, closed)[-policy.blocks_kept :]
        state = SignalState(newest, newest, now_unix_s, kept, finished, rates)
    replica_trust = {replica: _replica_trust(c, state.blocks, now_unix_s, policy) for replica, c in newest.items()}
    signals = Signals(
        blocks=state.blocks,
        closed=closed,
        trust=_region_trust(replica_trust, readings.fleet, policy),
        replica_trust=replica_trust,
        gateway_rps=state.gateway_rps,
    )
    return state, signals


def total(tallies: Iterable[Tally]) -> Tally:
    """Sum of tallies; spans add up too, so rates are per replica."""
    span_s = admitted = rejected = queue_s = service_s = audio_s = 0.0
    slos: dict[SloId, tuple[float, float]] = {}
    for tally in tallies:
        span_s += tally.span_s
        admitted += tally.admitted
        rejected += tally.rejected
        queue_s += tally.queue_s
        service_s += tally.service_s
        audio_s += tally.audio_s
        for slo, (good, bad) in tally.slos.items():
            good_before, bad_before = slos.get(slo, (0.0, 0.0))
            slos[slo] = (good_before + good, bad_before + bad)
    return Tally(span_s, admitted, rejected, queue_s, service_s, audio_s, slos)


def difference(before: ReplicaCounters, after: ReplicaCounters) -> Tally:
    """What happened between two samples of one replica; a counter that fell means that all of `after` is new."""
    restarted = _restarted(before, after)
    slos_before = {} if restarted else {c.slo: (c.good, c.bad) for c in before.slos}
    slos: dict[SloId, tuple[float, float]] = {}
    for counter in after.slos:
        good, bad = slos_before.get(counter.slo, (0.0, 0.0))
        if counter.good >= good and counter.bad >= bad:
            slos[counter.slo] = (counter.good - good, counter.bad - bad)
        else:
            slos[counter.slo] = (counter.good, counter.bad)
    keep = 0.0 if restarted else 1.0
    return Tally(
        span_s=after.sampled_unix_s - before.sampled_unix_s,
        admitted=after.admitted - keep * before.admitted,
        rejected=after.rejected_overload - keep * before.rejected_overload,
        queue_s=after.queue_s - keep * before.queue_s,
        service_s=after.service_s - keep * before.service_s,
        audio_s=after.audio_s - keep * before.audio_s,
        slos=slos,
    )


def _restarted(before: ReplicaCounters, after: ReplicaCounters) -> bool:
    return (
        after.admitted < before.admitted
        or after.rejected_overload < before.rejected_overload
        or after.audio_s < before.audio_s
        or after.service_s < before.service_s
        or after.queue_s < before.queue_s
    )


def _close(state: SignalState, start_unix_s: float, now_unix_s: float) -> Block:
    tallies: dict[ReplicaId, Tally] = {}
    by_region: dict[Region, list[Tally]] = {}
    for replica, after in state.newest.items():
        before = state.base.get(replica)
        if before is None or after.sampled_unix_s <= before.sampled_unix_s:
            continue
        tallies[replica] = tally = difference(before, after)
        by_region.setdefault(after.region, []).append(tally)
    return Block(
        start_unix_s=start_unix_s,
        end_unix_s=now_unix_s,
        replicas=tallies,
        regions={region: total(parts) for region, parts in by_region.items()},
    )


def _finished(gateways: tuple[GatewayObservation | SourceDown, ...]) -> dict[Region, float]:
    return {
        gateway.gateway: sum(count for _region, count in gateway.completed)
        for gateway in gateways
        if isinstance(gateway, GatewayObservation)
    }


def _rates(before: Mapping[Region, float], after: Mapping[Region, float], span_s: float) -> dict[Region, float]:
    return {
        gateway: (finished - before[gateway]) / span_s
        for gateway, finished in after.items()
        if gateway in before and finished >= before[gateway]
    }


def _replica_trust(counters: ReplicaCounters, blocks: tuple[Block, ...], now_unix_s: float, policy: Policy) -> Trust:
    age_s = now_unix_s - counters.sampled_unix_s
    if age_s > policy.dead_s:
        return Trust.DEAD
    if age_s > policy.late_s:
        return Trust.LATE
    tally = blocks[-1].replicas.get(counters.replica) if blocks else None
    return Trust.ZERO_TRAFFIC if tally is not None and tally.requests == 0 else Trust.FRESH


def _region_trust(replicas: Mapping[ReplicaId, Trust], fleet: Fleet, policy: Policy) -> dict[Region, Trust]:
    """A region is as good as the series of its ready replicas; one that just started need not be scraped yet."""
    seen: dict[Region, list[Trust]] = {region: [] for region in fleet.regions}
    for replica in fleet.replicas():
        if replica.ready and (replica.id in replicas or replica.state_age_s > policy.late_s):
            seen[replica.region].append(replicas.get(replica.id, Trust.DEAD))
    return {region: _worst_that_matters(trusts, policy) for region, trusts in seen.items()}


def _worst_that_matters(trusts: list[Trust], policy: Policy) -> Trust:
    if not trusts:
        return Trust.DEAD
    known = sum(trust in KNOWN for trust in trusts)
    if known == 0:
        return Trust.LATE if Trust.LATE in trusts else Trust.DEAD
    if known < policy.coverage_min * len(trusts):
        return Trust.PARTIAL
    return Trust.FRESH if Trust.FRESH in trusts else Trust.ZERO_TRAFFIC
