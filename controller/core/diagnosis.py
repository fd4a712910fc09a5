"""Diagnose: whose fault is it? Replicas are compared with their peers, regions with the other regions.

One replica that works more slowly than its peers is a device or an engine. A region that works more slowly than the
others is the region. Waiting and refusals with ordinary service time are overload, and restarting anything would only
take capacity away. Trouble that starts right after our own action is blamed on it. What fits nothing is said to be
unexplained, and the loop then prefers moves that can be taken back.
"""

from bisect import bisect_left
from collections.abc import Iterable
from dataclasses import dataclass
from statistics import median

from contracts.vocabulary import Region, ReplicaId
from controller.core.actions import ActionKind, ActionRecord, Shift, Stage, Verdict
from controller.core.detection import Broken, Detected, Silent
from controller.core.findings import Cause, Evidence, Finding
from controller.core.fleet import Fleet, Replica
from controller.core.hardware import hardware_findings, kind_of_device, slowed_by
from controller.core.ledger import Ledger, machines_touched, regions_of
from controller.core.objectives import budgets_of
from controller.core.policy import Policy
from controller.core.signals import Block, Signals, Tally, total
from controller.core.traffic import regions_raised
from slo_rules.model import Slo

COVERED_MIN = 0.75
"""Share of the diagnosis window that a tally must cover: a replica that was not scraped lately shows another time."""


@dataclass(frozen=True, slots=True)
class Case:
    """What diagnosing looks at in one tick."""

    now_unix_s: float
    fleet: Fleet
    signals: Signals
    ledger: Ledger
    slos: tuple[Slo, ...]
    policy: Policy

    @property
    def budget(self) -> float:
        """The tightest error budget: what "too many" means."""
        return min(budgets_of(self.slos).values(), default=self.policy.error_budget_default)

    def tally(self, replica: Replica) -> Tally:
        """One replica over the diagnosis window."""
        return self.signals.over_replica(replica.id, self.signals.blocks[-self.policy.diagnosis_blocks :])

    def region_tally(self, region: Region) -> Tally:
        """One region over the diagnosis window."""
        return self.signals.over_region(region, self.signals.blocks[-self.policy.diagnosis_blocks :])


def diagnose(case: Case, detected: Detected) -> tuple[Finding, ...]:
    """Every finding of this tick, hardest first."""
    findings = [_down(broken) for broken in detected.broken]
    rebooting = machines_touched(case.ledger.actions)  # its silence is our own doing, and has a deadline
    findings += [_silent(silent, case) for silent in detected.silent if silent.host not in rebooting]
    findings += hardware_findings(detected.unfit)
    for region, since_unix_s in sorted(_troubled(detected, case.fleet).items()):
        findings += _soft(region, since_unix_s, case)
    order = list(Cause)
    return tuple(sorted(findings, key=lambda finding: (order.index(finding.cause), finding.subject)))


def _silent(silent: Silent, case: Case) -> Finding:
    return Finding(
        cause=Cause.HOST_SILENT,
        subject=silent.host,
        region=silent.region,
        since_unix_s=silent.since_unix_s,
        summary=f"Host {silent.host} does not report.",
        evidence=(("silent_s", f"{case.now_unix_s - silent.since_unix_s:.0f}"),),
    )


def _down(broken: Broken) -> Finding:
    replica = broken.replica
    return Finding(
        cause=Cause.REPLICA_DOWN,
        subject=replica.id,
        region=replica.region,
        since_unix_s=broken.since_unix_s,
        summary=f"Replica {replica.id} is {replica.state} and was not healed on its host.",
        evidence=(
            ("state", str(replica.state)),
            ("reason", replica.reason or "none given"),
            ("state_age_s", f"{replica.state_age_s:.1f}"),
            ("in_flight", str(replica.in_flight)),
            ("progress_age_s", f"{replica.progress_age_s:.1f}"),
        ),
    )


def _troubled(detected: Detected, fleet: Fleet) -> dict[Region, float]:
    """Regions with a soft alarm or saturation, and since when."""
    homes = {replica.id: replica.region for replica in fleet.replicas()}
    known = frozenset(fleet.regions)
    since: dict[Region, float] = {}
    for alarm in detected.alarms:
        place = alarm.series.place
        region = Region(place) if alarm.series.is_region else homes.get(ReplicaId(place))
        if region in known and region is not None:
            since[region] = min(since.get(region, alarm.since_unix_s), alarm.since_unix_s)
    for saturated in detected.saturated:
        if saturated.region in known:
            since[saturated.region] = min(since.get(saturated.region, saturated.since_unix_s), saturated.since_unix_s)
    return since


def _soft(region: Region, since_unix_s: float, case: Case) -> list[Finding]:
    """The differential: own change, sick replicas, sick region, overload, or unexplained.

    A region that nobody asked for anything lately shows nothing: its alarm fades or the first probe renews it. Right after
    a restart or a gap in the counters nothing can be compared yet, and the next block is waited for.
    """
    paces = _paces(region, case)
    comparable = [pace for pace in paces if _is_comparable(pace, case)]
    if case.region_tally(region).requests <= 0 or 2 * len(comparable) < len(paces):
        return []
    blamed = _own_change(region, since_unix_s, case)
    if blamed is not None:
        return [_bad_change(blamed, region, since_unix_s)]
    sick = _sick_replicas(comparable, case)
    if sick:
        return [_sick(replica, evidence, since_unix_s, case) for replica, evidence in sick]
    return [_regional(region, since_unix_s, case)]


# ── own change ────────────────────────────────────────────────────────────────────────────────────────────────────────
def _own_change(region: Region, since_unix_s: float, case: Case) -> ActionRecord | None:
    """A closed, reversible action of ours that gave the region more to do shortly before the trouble began."""
    for record in case.ledger.actions:
        suspicious = (
            record.stage is Stage.CLOSED
            and record.verdict in {Verdict.NO_EFFECT, Verdict.INCONCLUSIVE, Verdict.IMPROVED}
            and _burdens(record, region)
            and 0 <= since_unix_s - record.intended_unix_s <= case.policy.bad_change_s
            and case.now_unix_s - record.stage_unix_s <= case.policy.bad_change_s
        )
        if suspicious and not _superseded(record, region, case.ledger):
            return record
    return None


def _burdens(record: ActionRecord, region: Region) -> bool:
    """True when the action took capacity from the region or sent it more work."""
    action = record.action
    if isinstance(action, Shift):
        return region in regions_raised(action.before, action.after)
    takes = action.kind in {ActionKind.RESTORE_PROFILE, ActionKind.SCALE_IN}
    return takes and action.region == region


def _superseded(record: ActionRecord, region: Region, ledger: Ledger) -> bool:
    """True when something else was done in the region afterwards: then that is where to look."""
    return any(
        other.intended_unix_s > record.intended_unix_s and region in regions_of(other.action)
        for other in ledger.actions
    )


def _bad_change(record: ActionRecord, region: Region, since_unix_s: float) -> Finding:
    return Finding(
        cause=Cause.BAD_CHANGE,
        subject=record.id,
        region=region,
        since_unix_s=since_unix_s,
        summary=f"Trouble in {region} began right after our own {record.action.kind} there.",
        evidence=(
            ("action", record.id),
            ("after_s", f"{since_unix_s - record.intended_unix_s:.0f}"),
        ),
    )


# ── one replica ───────────────────────────────────────────────────────────────────────────────────────────────────────
def slowest_replica(region: Region, blocks: tuple[Block, ...], fleet: Fleet, policy: Policy) -> ReplicaId | None:
    """The replica that worked most slowly, if it stood out from its peers over `blocks`; None when nobody did."""
    rtf = {replica: rtf_then for replica in fleet.replicas(region) if (rtf_then := _rtf(replica, blocks)) > 0}
    worst = max(rtf, key=lambda replica: (rtf[replica], replica.id), default=None)
    if worst is None:
        return None
    alike = _likeness(worst, fleet)
    peers = [value for replica, value in rtf.items() if replica != worst and _likeness(replica, fleet) == alike]
    return worst.id if peers and rtf[worst] >= policy.slow_ratio * median(peers) else None


def _likeness(replica: Replica, fleet: Fleet) -> tuple[str, str]:
    """Replicas of one region whose pace can be compared: the same profile on the same model of GPU."""
    return str(replica.profile), kind_of_device(replica, fleet)


def _sick(replica: Replica, evidence: Evidence, since_unix_s: float, case: Case) -> Finding:
    """Worse than its peers; when the hardware slows its GPU down, that is why."""
    slowed = slowed_by(replica, case.fleet)
    why = f": {slowed} is slowed down by heat or power braking" if slowed else ""
    return Finding(
        cause=Cause.GPU_SLOWED if slowed else Cause.REPLICA_SLOW,
        subject=replica.id,
        region=replica.region,
        since_unix_s=since_unix_s,
        summary=f"Replica {replica.id} is worse than its peers{why}.",
        evidence=(*evidence, ("gpu_slowed", slowed)) if slowed else evidence,
    )


def _rtf(replica: Replica, blocks: tuple[Block, ...]) -> float:
    return total(block.replicas[replica.id] for block in blocks if replica.id in block.replicas).rtf


@dataclass(frozen=True, slots=True)
class _Pace:
    """How one replica did over the diagnosis window."""

    replica: Replica
    tally: Tally
    rtf: float
    bad_ratio: float
    wait_s: float


def _sick_replicas(comparable: list[_Pace], case: Case) -> list[tuple[Replica, Evidence]]:
    """Replicas worse than their peers; nobody when more than half of them are, for then it is not the replica."""
    sick: list[tuple[Replica, Evidence]] = []
    groups: dict[tuple[str, str], list[_Pace]] = {}
    for pace in comparable:
        groups.setdefault(_likeness(pace.replica, case.fleet), []).append(pace)
    for alike in (groups[likeness] for likeness in sorted(groups)):
        rtfs, bad_ratios = sorted(pace.rtf for pace in alike), sorted(pace.bad_ratio for pace in alike)
        waits = sorted(pace.wait_s for pace in alike)
        for pace in alike if len(alike) > 1 else ():
            peers = _Peers(
                count=len(alike) - 1,
                rtf=median_without(rtfs, pace.rtf),
                bad_ratio=median_without(bad_ratios, pace.bad_ratio),
                wait_s=median_without(waits, pace.wait_s),
            )
            evidence = _worse_than(pace, peers, case)
            if evidence:
                sick.append((pace.replica, evidence))
    return sick if 2 * len(sick) <= len(comparable) else []


def _paces(region: Region, case: Case) -> list[_Pace]:
    """Every ready replica of the region that did some work."""
    tallies = ((replica, case.tally(replica)) for replica in case.fleet.replicas(region) if replica.ready)
    return [
        _Pace(replica, tally, tally.rtf, tally.bad_ratio, tally.wait_s)
        for replica, tally in tallies
        if tally.audio_s > 0
    ]


def _is_comparable(pace: _Pace, case: Case) -> bool:
    """True when the tally is about this incarnation and covers the same time as its peers' tallies."""
    window_s = case.policy.diagnosis_blocks * case.policy.block_s
    return pace.tally.span_s >= COVERED_MIN * window_s and pace.replica.state_age_s >= window_s


@dataclass(frozen=True, slots=True)
class _Peers:
    """Medians of the others."""

    count: int
    rtf: float
    bad_ratio: float
    wait_s: float


def median_without(ordered: list[float], value: float) -> float:
    """Median of a sorted list with one occurrence of `value` left out; at least one other value must be there."""
    left_out = bisect_left(ordered, value)
    rest = len(ordered) - 1
    low, high = (rest - 1) // 2, rest // 2
    return (ordered[low + (low >= left_out)] + ordered[high + (high >= left_out)]) / 2


def _worse_than(pace: _Pace, peers: _Peers, case: Case) -> Evidence:
    """What shows that a replica is sick; empty when it does not stand out."""
    slow = peers.rtf > 0 and pace.rtf >= case.policy.slow_ratio * peers.rtf
    failing = pace.bad_ratio >= max(case.policy.bad_ratio * peers.bad_ratio, 2 * case.budget)
    waits_s = max(2 * peers.wait_s, case.policy.queue_wait_s / 4)  # a longer queue would explain it
    failing = failing and pace.tally.refused_ratio <= case.budget and pace.wait_s <= waits_s
    if not slow and not failing:
        return ()
    return (
        ("rtf", f"{pace.rtf:.3f}"),
        ("peers_rtf", f"{peers.rtf:.3f}"),
        ("bad_ratio", f"{pace.bad_ratio:.3f}"),
        ("peers_bad_ratio", f"{peers.bad_ratio:.3f}"),
        ("peers", str(peers.count)),
    )


# ── one region, or everything ─────────────────────────────────────────────────────────────────────────────────────────
def _regional(region: Region, since_unix_s: float, case: Case) -> Finding:
    tally = case.region_tally(region)
    others = [case.region_tally(other) for other in _alike(region, case)]
    others = [other for other in others if other.audio_s > 0]
    evidence = _regional_evidence(tally, others, case)
    cause, summary = _verdict_on(region, tally, others, case)
    return Finding(cause, region, region, since_unix_s, summary, evidence)


def _verdict_on(region: Region, tally: Tally, others: list[Tally], case: Case) -> tuple[Cause, str]:
    others_rtf = median(other.rtf for other in others) if others else 0.0
    if others_rtf > 0 and tally.rtf >= case.policy.slow_ratio * others_rtf:
        return Cause.REGION_SLOW, f"Region {region} works more slowly than the others."
    if tally.refused_ratio > case.budget or tally.wait_s >= case.policy.queue_wait_s:
        return (
            Cause.OVERLOAD,
            f"Region {region} is asked for more than it can do; its replicas work at their usual pace.",
        )
    if others and all(other.bad_ratio <= case.budget < tally.bad_ratio for other in others):
        return Cause.REGION_SLOW, f"Region {region} misses its objective while the others keep theirs."
    return Cause.UNEXPLAINED, f"Region {region} misses its objective and nothing singles out why."


def _alike(region: Region, case: Case) -> Iterable[Region]:
    mine = _kinds(case.fleet, region)
    return [other for other in case.fleet.regions if other != region and _kinds(case.fleet, other) == mine]


def _kinds(fleet: Fleet, region: Region) -> frozenset[tuple[str, str]]:
    return frozenset(_likeness(replica, fleet) for replica in fleet.replicas(region) if replica.ready)


def _regional_evidence(tally: Tally, others: list[Tally], case: Case) -> Evidence:
    rtf = f"{median(other.rtf for other in others):.3f}" if others else "no peers"
    return (
        ("bad_ratio", f"{tally.bad_ratio:.3f}"),
        ("refused_ratio", f"{tally.refused_ratio:.3f}"),
        ("wait_s", f"{tally.wait_s:.3f}"),
        ("rtf", f"{tally.rtf:.3f}"),
        ("other_regions_rtf", rtf),
        ("window_s", f"{case.policy.diagnosis_blocks * case.policy.block_s:.0f}"),
    )
