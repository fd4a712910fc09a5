"""What the agent remembers about one GPU, and the picture it gives of it now.

Everything that must outlive a sample, a worker or a reset is folded in here: counts of Xids and ECC events, throttle
seconds, what the device is called. A sample that is too old is *stale*: its values are dropped rather than served old.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from agent.core.clock_events import ClockEvents, observed
from agent.core.gpu import SLOWING_REASONS, Gpu, GpuIdentity, GpuSample, MigInstance
from agent.core.xid import VERDICT, Evidence, XidTable, action_of, recommend
from agent.core.xid_history import Sighting, XidHistory, cleared, seen
from contracts.vocabulary import GpuAction

SAMPLE_AGE_S_MAX = 3.0
"""Three intervals of a second: one late sample is no fault."""
DETAILS_AGE_S_MAX = 95.0
"""Three intervals of 30 seconds, and a little."""
ECC_SEVERITIES = ("single_bit", "double_bit")
CLOCK_MASK = "clock_event_reasons"
"""The raw bit mask among a sample's values; it is told as seconds and transitions."""
STALE, NOT_YET_READ = "stale", "not_yet_read"
"""Reasons of ours; every other comes from the driver."""


@dataclass(frozen=True, slots=True)
class Moment:
    """Now, on both clocks."""

    monotonic_s: float
    unix_s: float


@dataclass(frozen=True, slots=True)
class GpuRecord:
    """One GPU, for as long as the agent lives."""

    identity: GpuIdentity
    since_s: float
    """Monotonic time from which on nothing was heard while there is no sample: first mention, or the last reset."""
    sample: GpuSample | None = None
    details: Mapping[str, float] = field(default_factory=dict)
    """The slow readings."""
    details_at_s: float = 0.0
    clocks: ClockEvents = field(default_factory=ClockEvents)
    instances: tuple[MigInstance, ...] = ()
    """MIG instances as they were last seen: they do not vanish because their GPU is down."""
    xids: XidHistory = field(default_factory=XidHistory)
    ecc_events: Mapping[str, int] = field(default_factory=lambda: dict.fromkeys(ECC_SEVERITIES, 0))
    program_faults: int = 0
    """Xids so far that called for a restart of the program, without the undecided ones."""
    undecided: Mapping[int, float] = field(default_factory=dict)
    """Xids that call for it only if they stay alone → monotonic time of the newest one that was not judged yet."""


def sampled(record: GpuRecord, sample: GpuSample) -> GpuRecord:
    """A sample arrived. A device that is down loses its details, too: they are read again when it comes back."""
    if not sample.up:
        return replace(record, sample=sample, details={})
    mask = sample.values.get(CLOCK_MASK)
    clocks = record.clocks if mask is None else observed(record.clocks, int(mask), sample.at_s)
    values = {name: value for name, value in sample.values.items() if name != CLOCK_MASK}
    return replace(record, sample=replace(sample, values=values), clocks=clocks, instances=sample.mig)


def described(record: GpuRecord, identity: GpuIdentity, details: Mapping[str, float], at_s: float) -> GpuRecord:
    """The slow readings arrived."""
    return replace(record, identity=identity, details=details, details_at_s=at_s)


def xid_seen(record: GpuRecord, sighting: Sighting, at: Moment, table: XidTable) -> tuple[GpuRecord, bool]:
    """Somebody told of an Xid; False when it is counted already. One from long ago is counted, but wakes nobody up."""
    age_s = max(0.0, at.monotonic_s - sighting.at_s)
    record = _decided(record, at.monotonic_s, table)
    xids, is_new = seen(record.xids, sighting, at.unix_s - age_s)
    rule, faults, undecided = table.rule_for(sighting.xid), record.program_faults, record.undecided
    restarts = rule.action is GpuAction.RESTART_REPLICA and age_s <= table.expires_s.get(rule.action, float("inf"))
    if is_new and restarts and rule.alone_after_s:
        undecided = {**undecided, rule.xid: sighting.at_s}
    elif is_new and restarts:
        faults += 1
    return replace(record, xids=xids, program_faults=faults, undecided=undecided), is_new


def program_faults(record: GpuRecord, now_s: float, table: XidTable) -> int:
    """Xids so far that called for a restart of the program; one that must stay alone counts once it did."""
    evidence = Evidence(now_s=now_s, times_s=record.xids.times_s)
    actions = [action_of(table.rule_for(xid), at_s, evidence) for xid, at_s in record.undecided.items()]
    return record.program_faults + actions.count(GpuAction.RESTART_REPLICA)


def _decided(record: GpuRecord, now_s: float, table: XidTable) -> GpuRecord:
    """What waited long enough is judged for good: an Xid of much later is nobody's companion."""
    waiting = {xid: at_s for xid, at_s in record.undecided.items() if now_s - at_s < table.rule_for(xid).alone_after_s}
    return replace(record, program_faults=program_faults(record, now_s, table), undecided=waiting)


def ecc_seen(record: GpuRecord, severity: str) -> GpuRecord:
    """The driver told of an ECC error; raises `KeyError` for a severity that does not exist."""
    return replace(record, ecc_events={**record.ecc_events, severity: record.ecc_events[severity] + 1})


def reset_done(record: GpuRecord, at_s: float) -> GpuRecord:
    """The device was reset: its Xids are counted but call for nothing any more, and its old sample says nothing."""
    return replace(record, xids=cleared(record.xids, at_s), undecided={}, sample=None, since_s=at_s, details={})


def view(record: GpuRecord, now_s: float, table: XidTable, driver_version: str) -> Gpu:
    """The picture now."""
    sample = record.sample
    age_s = now_s - (record.since_s if sample is None else sample.at_s)
    reason = _why_not_up(sample, age_s)
    fresh = sample if sample is not None and not reason else None
    values = {} if fresh is None else _values(record, fresh, now_s)
    judged = recommend(_evidence(record, values, reason, now_s), table)
    known, clocks = dict.fromkeys(table.rules, 0), record.clocks
    return Gpu(
        identity=record.identity,
        up=fresh is not None,
        reason=reason,
        sample_age_s=age_s,
        values=values,
        processes=None if fresh is None else fresh.processes,
        mig=() if fresh is None else fresh.mig,
        clock_event_seconds={} if clocks.active is None else clocks.seconds,
        clock_event_transitions={} if clocks.active is None else clocks.transitions,
        slowed=None if fresh is None else _slowed(clocks, fresh.at_s),
        xid_counts={**known, **record.xids.counts},
        xid_last_unix_s=record.xids.last_unix_s,
        ecc_events=record.ecc_events,
        recommended_action=judged.action,
        action_source=judged.source,
        notes=judged.notes,
        driver_version=driver_version,
    )


def _why_not_up(sample: GpuSample | None, age_s: float) -> str:
    """Empty when the sample is fresh and good."""
    if sample is None:
        return NOT_YET_READ
    return STALE if age_s > SAMPLE_AGE_S_MAX else sample.reason


def _evidence(record: GpuRecord, values: Mapping[str, float], reason: str, now_s: float) -> Evidence:
    """While a GPU goes unseen, the driver's last verdict stands; only an Xid that may be what silenced it is judged alone.

    Otherwise every worker that is stuck, or out of the way of a reset, would revive Xids that the driver has pardoned.
    """
    times_s, last = record.xids.times_s, record.sample
    if reason == STALE and last is not None and VERDICT in last.values:
        after_s = last.at_s - SAMPLE_AGE_S_MAX
        newer = {xid: late for xid, times in times_s.items() if (late := tuple(t for t in times if t > after_s))}
        times_s, values = (newer, {}) if newer else (times_s, {VERDICT: last.values[VERDICT]})
    return Evidence(now_s=now_s, times_s=times_s, values=values, reason=reason)


def _slowed(clocks: ClockEvents, sample_at_s: float) -> bool | None:
    """By the reasons that came with this very sample."""
    if clocks.active is None or clocks.seen_s != sample_at_s:
        return None
    return bool(SLOWING_REASONS & clocks.active)


def _values(record: GpuRecord, sample: GpuSample, now_s: float) -> Mapping[str, float]:
    """Both tiers, and what follows from them."""
    details = record.details if now_s - record.details_at_s <= DETAILS_AGE_S_MAX else {}
    values = {**details, **sample.values}
    margin_c = _margin_c(values)
    if margin_c is not None:
        values["temperature_margin_celsius"] = margin_c
    for clock in ("sm_clock", "memory_clock"):
        now_hertz, max_hertz = values.get(f"{clock}_hertz"), values.get(f"{clock}_max_hertz")
        if now_hertz is not None and max_hertz:
            values[f"{clock}_ratio"] = now_hertz / max_hertz
    return values


def _margin_c(values: Mapping[str, float]) -> float | None:
    """Degrees left before the hardware slows down: the driver's own figure, or threshold less temperature."""
    told = values.get("temperature_margin_celsius")
    if told is not None:
        return told
    limit_c, now_c = values.get("temperature_slowdown_celsius"), values.get("temperature_celsius")
    return None if limit_c is None or now_c is None else limit_c - now_c
