"""Detect: what is certainly broken (hard), what has become too slow too often (soft), and what is refused (saturation).

Soft alarms come from a mixture e-detector (Shin, Ramdas, Rinaldo: "E-detectors", 2023). For one series with objective
1 − p0 and the bad fraction x of each block, every bet λ keeps evidence `M ← max(M, 1)·(1 + λ(x − p0))`. As long as the
expected x, given the past, is at most p0, the mean time to a false alarm is at least 1/α blocks when the alarm is raised
at mean(M) ≥ 1/α: whatever the distribution, so bursts inside compliant traffic do not add up to alarms. A test per request
would (889 false alarms a day on bursty traffic at 10 requests per second).
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from contracts.vocabulary import GpuUuid, HostId, Region, ReplicaId, ReplicaState, SloId
from controller.core.fitness import Unfit, Watches, watch_gpus
from controller.core.fleet import Fleet, Replica
from controller.core.objectives import budgets_of
from controller.core.policy import Policy
from controller.core.signals import Block, Signals, Tally
from slo_rules.model import Slo

BETS = (0.025, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8)
"""λ as shares of 1/p0, the largest bet that keeps evidence positive; small bets see small breaches, large ones outages."""
NO_EVIDENCE = (1.0,) * len(BETS)


class Series(NamedTuple):
    """One SLO at one place: a region or a replica."""

    slo: SloId
    place: Region | ReplicaId
    is_region: bool


@dataclass(frozen=True, slots=True)
class Watch:
    """What one series has shown so far."""

    evidence: tuple[float, ...] = NO_EVIDENCE
    onset_unix_s: float = 0.0
    """Start of the block in which evidence began to grow: the best guess of when the fault began."""
    alarmed: bool = False
    quiet_blocks: int = 0
    busy_unix_s: float = 0.0
    """End of the last block with events."""


@dataclass(frozen=True, slots=True)
class Refusals:
    """How long one region has refused too much, or has stopped to."""

    blocks: int = 0
    quiet_blocks: int = 0
    since_unix_s: float = 0.0
    saturated: bool = False


@dataclass(frozen=True, slots=True)
class DetectionState:
    """What detecting remembers; a new leader starts without evidence."""

    watches: Mapping[Series, Watch] = field(default_factory=dict)
    refusals: Mapping[Region, Refusals] = field(default_factory=dict)
    gpus: Watches = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Broken:
    """Hard: a replica that does not serve and was not healed locally in time."""

    replica: Replica
    since_unix_s: float


@dataclass(frozen=True, slots=True)
class Silent:
    """Hard: a host whose agent does not report."""

    host: HostId
    region: Region
    since_unix_s: float


@dataclass(frozen=True, slots=True)
class Alarm:
    """Soft: a series whose bad fraction exceeds its error budget beyond chance."""

    series: Series
    since_unix_s: float


@dataclass(frozen=True, slots=True)
class Saturated:
    """A region that refuses more than its error budget, block after block."""

    region: Region
    since_unix_s: float
    refused_ratio: float


@dataclass(frozen=True, slots=True)
class Detected:
    """All that stands out now."""

    broken: tuple[Broken, ...] = ()
    silent: tuple[Silent, ...] = ()
    unfit: tuple[Unfit, ...] = ()
    alarms: tuple[Alarm, ...] = ()
    saturated: tuple[Saturated, ...] = ()


@dataclass(frozen=True, slots=True)
class Scene:
    """What detection looks at in one tick."""

    now_unix_s: float
    fleet: Fleet
    signals: Signals
    slos: tuple[Slo, ...]
    touched: frozenset[HostId] = frozenset()
    """Hosts with an order of ours about the machine itself."""


def detect(state: DetectionState, scene: Scene, policy: Policy) -> tuple[DetectionState, Detected]:
    """One pass: hard faults from the reports in every tick, soft ones whenever a block has closed."""
    if scene.signals.closed is not None:
        state = _judge_block(state, scene.signals.closed, scene.slos, policy)
    watches, unfit = watch_gpus(state.gpus, scene.fleet, scene.touched, scene.now_unix_s, policy)
    state = replace(state, gpus=watches)
    return state, Detected(
        broken=tuple(_broken(scene, unfit, policy)),
        silent=tuple(_silent(scene, policy)),
        unfit=unfit,
        alarms=tuple(Alarm(series, watch.onset_unix_s) for series, watch in state.watches.items() if watch.alarmed),
        saturated=tuple(
            Saturated(region, r.since_unix_s, _refused_ratio(scene.signals, region))
            for region, r in state.refusals.items()
            if r.saturated
        ),
    )


def grow(evidence: tuple[float, ...], bad_ratio: float, error_budget: float) -> tuple[float, ...]:
    """One block of the e-detector; pure arithmetic, so it can be tested against its promise."""
    excess = (bad_ratio - error_budget) / error_budget
    return tuple([max(1.0, m) * (1.0 + bet * excess) for m, bet in zip(evidence, BETS, strict=True)])


def is_alarm(evidence: tuple[float, ...], policy: Policy) -> bool:
    """True when the mixture of all bets reaches 1/α."""
    return sum(evidence) >= policy.alarm_level * len(evidence)


# ── hard ──────────────────────────────────────────────────────────────────────────────────────────────────────────────
_DOWN = frozenset({ReplicaState.HUNG, ReplicaState.CRASHED, ReplicaState.QUARANTINED})


def _broken(scene: Scene, unfit: tuple[Unfit, ...], policy: Policy) -> list[Broken]:
    condemned = frozenset(each.gpu.uuid for each in unfit)
    found: list[Broken] = []
    for host in scene.fleet.hosts:
        if host.report_age_s > policy.report_age_s_max:
            continue  # what a silent host last said is no news about its replicas
        for replica in host.replicas:
            grace_s = _grace_s(replica, policy)
            if grace_s is None or replica.state_age_s <= grace_s:
                continue
            if not _is_the_gpus(replica, scene, condemned):
                found.append(Broken(replica, scene.now_unix_s - replica.state_age_s))
    return found


def _is_the_gpus(replica: Replica, scene: Scene, condemned: frozenset[GpuUuid]) -> bool:
    """Down because of its GPU: that is what has to be treated, and its agent starts it again afterwards. One that merely goes
    unseen is no reason before it is a finding itself, unless it is our own work that hides it."""
    hidden = replica.locality.host in scene.touched
    if hidden and replica.withheld:
        return True
    return any(
        not gpu.fit and (hidden or not gpu.merely_unseen or gpu.uuid in condemned)
        for gpu in scene.fleet.gpus_of(replica)
    )


def _grace_s(replica: Replica, policy: Policy) -> float | None:
    """How long this state is left to heal itself; None for states that are no fault."""
    if replica.state in _DOWN:
        return policy.reflex_grace_s
    if replica.state is ReplicaState.UNREADY:
        return policy.unready_s
    if replica.state is ReplicaState.STARTING:
        return policy.ready_within_s
    return None


def _silent(scene: Scene, policy: Policy) -> list[Silent]:
    return [
        Silent(host.id, host.locality.region, scene.now_unix_s - host.report_age_s)
        for host in scene.fleet.hosts
        if host.report_age_s > policy.host_silent_s
    ]


# ── soft ──────────────────────────────────────────────────────────────────────────────────────────────────────────────
def _judge_block(state: DetectionState, block: Block, slos: tuple[Slo, ...], policy: Policy) -> DetectionState:
    budgets = budgets_of(slos)
    ratios = dict(_bad_ratios(block, budgets))
    watches = {
        series: watch
        for series, watch in state.watches.items()
        # no events are no news: evidence neither grows nor fades, until it is too old to be about now
        if series not in ratios and series.slo in budgets and block.end_unix_s - watch.busy_unix_s <= policy.latch_s
    }
    for series, bad_ratio in ratios.items():
        watch = state.watches.get(series)
        budget = budgets[series.slo]
        if watch is None and bad_ratio <= budget:
            continue  # evidence at or below 1 counts as 1 in the next block: nothing to remember
        watch = _watched(watch or Watch(onset_unix_s=block.start_unix_s), bad_ratio, budget, block, policy)
        if watch.alarmed or max(watch.evidence) > 1.0:
            watches[series] = watch
    budget = min(budgets.values(), default=policy.error_budget_default)
    return replace(state, watches=watches, refusals=_refusals(state.refusals, block, budget, policy))


def _bad_ratios(block: Block, slos: Iterable[SloId]) -> Iterator[tuple[Series, float]]:
    """Bad fraction of every series that had events in the block."""
    places: list[tuple[Region | ReplicaId, bool, Tally]] = [
        *((region, True, tally) for region, tally in block.regions.items()),
        *((replica, False, tally) for replica, tally in block.replicas.items()),
    ]
    for slo in slos:
        for place, is_region, tally in places:
            good, bad = tally.slos.get(slo, (0.0, 0.0))
            if good + bad > 0:
                yield Series(slo, place, is_region), bad / (good + bad)


def _watched(watch: Watch, bad_ratio: float, error_budget: float, block: Block, policy: Policy) -> Watch:
    evidence = grow(watch.evidence, bad_ratio, error_budget)
    busy = replace(watch, evidence=evidence, busy_unix_s=block.end_unix_s)
    if not watch.alarmed:
        if not is_alarm(evidence, policy):
            return busy
        return replace(busy, evidence=NO_EVIDENCE, alarmed=True, quiet_blocks=0)
    quiet_blocks = watch.quiet_blocks + 1 if bad_ratio <= error_budget else 0
    if quiet_blocks >= policy.clear_blocks:
        return Watch(busy_unix_s=block.end_unix_s)
    return replace(busy, evidence=NO_EVIDENCE, quiet_blocks=quiet_blocks)


# ── saturation ────────────────────────────────────────────────────────────────────────────────────────────────────────
def _refusals(former: Mapping[Region, Refusals], block: Block, budget: float, policy: Policy) -> dict[Region, Refusals]:
    unseen = {
        region: state
        for region, state in former.items()
        if region not in block.regions and block.end_unix_s - state.since_unix_s <= policy.latch_s
    }
    seen = {
        region: _refused(former.get(region, Refusals()), tally, budget, block, policy)
        for region, tally in block.regions.items()
    }
    return unseen | {region: state for region, state in seen.items() if state != Refusals()}


def _refused(state: Refusals, tally: Tally, budget: float, block: Block, policy: Policy) -> Refusals:
    too_many = tally.requests >= policy.refused_count_min and tally.refused_ratio > budget
    if too_many:
        since_unix_s = state.since_unix_s if state.blocks else block.start_unix_s
        blocks = state.blocks + 1
        return Refusals(blocks, 0, since_unix_s, state.saturated or blocks >= policy.refused_blocks)
    quiet_blocks = state.quiet_blocks + 1
    if not state.saturated or quiet_blocks >= policy.clear_blocks:
        return Refusals()
    return replace(state, blocks=0, quiet_blocks=quiet_blocks)


def _refused_ratio(signals: Signals, region: Region) -> float:
    return signals.over_region(region, signals.blocks[-1:]).refused_ratio
