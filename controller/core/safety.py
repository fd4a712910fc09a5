"""The safety kernel: may this be done now? Small and separate, so that it can be tested by itself and trusted.

It knows nothing of findings or ladders, and every plan passes it, whether the loop or an operator made it. It never blocks
giving traffic or quality back; for those only an operator's pause counts.
"""

from collections.abc import Callable, Mapping

from contracts.vocabulary import Region, ReplicaId
from controller.core.actions import Action, ActionKind, Restart, ScaleIn, ScaleOut, Shift, SwitchProfile
from controller.core.fleet import Fleet, Replica
from controller.core.ledger import (
    DISRUPTIVE,
    PROFILE,
    SCALE,
    TRAFFIC,
    UNHELPFUL,
    Ledger,
    hosts_of,
    is_judged_by_reports,
    regions_of,
    taken_from,
    target_of,
    unhelpful_streak,
)
from controller.core.machine_checks import (
    is_permitted,
    machine_attempts_are_left,
    machine_is_drained,
    machine_is_known,
    machine_is_left_alone,
    nothing_else_is_open_there,
    one_machine_per_region,
    rest_can_carry,
)
from controller.core.policy import Policy
from controller.core.question import Check, Question
from controller.core.refusals import (
    AttemptsExhausted,
    BelowConfigured,
    BelowNeededCapacity,
    Cooldown,
    CorrelatedFailure,
    GpuUnfit,
    HostBusy,
    HostUnfit,
    LastRoutableReplica,
    NoFreeSlot,
    NoSpareCapacity,
    Paused,
    Refusal,
    RegionBudget,
    RegionBusy,
    StaleSignals,
    TargetChanged,
)
from controller.core.signals import KNOWN, Trust
from controller.core.traffic import incoming, regions_raised, rows_of

Kernel = Callable[[Action, Fleet, Ledger, Policy, float], Refusal | None]


def why_unsafe(action: Action, fleet: Fleet, ledger: Ledger, policy: Policy, now_unix_s: float) -> Refusal | None:
    """The first reason against `action`; None when it may begin."""
    if ledger.paused:
        return Paused()
    question = Question(action, fleet, ledger, policy, now_unix_s)
    for check in CHECKS[action.kind]:
        refusal = check(question)
        if refusal is not None:
            return refusal
    return None


# ── is the target what was judged, and do we know enough? ─────────────────────────────────────────────────────────────
def _target_is_same(question: Question) -> Refusal | None:
    wanted: tuple[tuple[ReplicaId, int], ...]
    match question.action:
        case Restart(replica=replica, generation=generation) | ScaleIn(replica=replica, generation=generation):
            wanted = ((replica, generation),)
        case SwitchProfile(replicas=refs):
            wanted = tuple((ref.replica, ref.generation) for ref in refs)
        case _:
            wanted = ()
    for replica_id, generation in wanted:
        now = question.fleet.replica(replica_id)
        if now is None or now.generation != generation:
            return TargetChanged(replica_id)
    return None


def _hosts_report(question: Question) -> Refusal | None:
    for host_id in hosts_of(question.action):
        found = question.fleet.host(host_id)
        if found is None or found.report_age_s > question.policy.report_age_s_max:
            return StaleSignals(source=f"the report of {host_id}", state="too old" if found else "missing")
    return None


def _region_is_known(question: Question) -> Refusal | None:
    """Taking from a replica that serves needs fresh counters; healing one that is down needs only its agent's word."""
    if is_judged_by_reports(question.action):
        return None
    for region in sorted(_regions_relied_on(question.action)):
        trust = question.ledger.trust.get(region, Trust.DEAD)
        if trust not in KNOWN:
            return StaleSignals(source=f"the signal of {region}", state=str(trust))
    return None


def _regions_relied_on(action: Action) -> frozenset[Region]:
    if isinstance(action, Shift):
        return regions_raised(
            action.before, action.after
        )  # the relieved region may well be dark: that is why it is left
    return regions_of(action)


# ── budgets of disruption ─────────────────────────────────────────────────────────────────────────────────────────────
def _host_is_free(question: Question) -> Refusal | None:
    taken = taken_from(question.action)
    for record in question.ledger.open:
        other = taken_from(record.action)
        if taken is not None and other is not None and other[0] == taken[0]:
            return HostBusy(host=taken[0], action=record.id)
    return None


def _gpu_is_fit(question: Question) -> Refusal | None:
    action = question.action
    replica = question.fleet.replica(action.replica) if isinstance(action, Restart) else None
    why = question.fleet.why_unfit(replica) if replica is not None else ""
    return GpuUnfit(replica.id, why) if replica is not None and why else None


def _region_has_budget(question: Question) -> Refusal | None:
    taken = taken_from(question.action)
    if taken is None:
        return None
    others = [taken_from(record.action) for record in question.ledger.open]
    disrupted = sum(other is not None and other[1] == taken[1] for other in others)
    count = sum(1 for _ in question.fleet.replicas(taken[1]))
    disrupted_max = max(1, int(question.policy.region_disruption_share * count))
    return RegionBudget(taken[1], disrupted, disrupted_max) if disrupted >= disrupted_max else None


def _disruption_helps(question: Question) -> Refusal | None:
    since_unix_s = question.now_unix_s - question.policy.breaker_s
    unhelpful = sum(
        record.verdict in UNHELPFUL and record.stage_unix_s >= since_unix_s
        for record in question.ledger.actions
        if record.action.kind in DISRUPTIVE
    )
    return CorrelatedFailure(unhelpful) if unhelpful >= question.policy.breaker_failures else None


def _region_is_free(question: Question) -> Refusal | None:
    """One traffic move, one profile change and one scaling step per region: the next needs the result of the last."""
    group = next(group for group in (TRAFFIC, PROFILE, SCALE) if question.action.kind in group)
    mine = regions_of(question.action)
    for record in question.ledger.open:
        shared = mine & regions_of(record.action)
        if record.action.kind in group and shared:
            return RegionBusy(region=min(shared), action=record.id)
    return None


# ── patience ──────────────────────────────────────────────────────────────────────────────────────────────────────────
def _attempts_are_left(question: Question) -> Refusal | None:
    """Restarts count whether they helped or not: a replica that needs five a day needs a person."""
    target = target_of(question.action)
    since_unix_s = question.now_unix_s - question.policy.history_s
    tried = question.ledger.tried(question.action.kind, target, since_unix_s)
    attempts = len(tried) if question.action.kind is ActionKind.RESTART else unhelpful_streak(tried)
    return AttemptsExhausted(target, attempts) if attempts >= question.policy.attempts_max else None


def _has_rested(question: Question) -> Refusal | None:
    target = target_of(question.action)
    since_unix_s = question.now_unix_s - question.policy.history_s
    tried = question.ledger.tried(question.action.kind, target, since_unix_s)
    if not tried:
        return None
    wait_s = question.policy.cooldown_s * 2.0 ** min(unhelpful_streak(tried), 16)  # 2¹⁶ cooldowns exceed any cap
    left_s = tried[-1].stage_unix_s + min(wait_s, question.policy.cooldown_s_max) - question.now_unix_s
    return Cooldown(target, left_s) if left_s > 0 else None


# ── capacity ──────────────────────────────────────────────────────────────────────────────────────────────────────────
def _left(question: Question) -> tuple[Replica, frozenset[ReplicaId]] | None:
    """The serving target and who would serve without it; None when the target serves nobody anyway."""
    taken = taken_from(question.action)
    target = question.fleet.replica(taken[2]) if taken is not None else None
    if target is None or not target.ready:
        return None
    going = {other[2] for record in question.ledger.open if (other := taken_from(record.action)) is not None}
    going |= {target.id, *question.ledger.traffic.cordoned}
    load = question.ledger.loads.get(target.region)
    return target, (load.serving if load is not None else frozenset()) - going


def _somebody_is_left(question: Question) -> Refusal | None:
    left = _left(question)
    if left is None or left[1]:
        return None
    used = incoming(question.ledger.traffic, left[0].region) > 0
    alone = not any(r.ready and r.id != left[0].id for r in question.fleet.replicas())
    return LastRoutableReplica(left[0].id) if used or alone else None


def _enough_is_left(question: Question) -> Refusal | None:
    left = _left(question)
    if left is None:
        return None
    region = left[0].region
    load = question.ledger.loads.get(region)
    if load is None or not load.known:
        return StaleSignals(source=f"the load of {region}", state="unknown")
    needed = load.needed(question.policy.utilisation_max)
    return BelowNeededCapacity(region, len(left[1]), needed) if len(left[1]) < needed else None


def _configured_is_left(question: Question) -> Refusal | None:
    action = question.action
    target = question.fleet.replica(action.replica) if isinstance(action, ScaleIn) else None
    if not isinstance(action, ScaleIn) or target is None or not target.ready:
        return None  # nobody loses what does not serve
    replicas_min = question.policy.replicas_min_of(action.region)
    ready = sum(replica.ready and replica.id != action.replica for replica in question.fleet.replicas(action.region))
    return BelowConfigured(action.region, replicas_min) if ready < replicas_min else None


def _receivers_can_carry(question: Question) -> Refusal | None:
    action = question.action
    if not isinstance(action, Shift):
        return None
    before, after = rows_of(action.before), rows_of(action.after)
    for region in sorted(regions_raised(action.before, action.after)):
        load = question.ledger.loads.get(region)
        if load is None or not load.known or load.ready == 0:
            return StaleSignals(source=f"the load of {region}", state="unknown")
        added = sum(
            question.ledger.demand_rps(gateway) * (row.get(region, 0.0) - before.get(gateway, {}).get(region, 0.0))
            for gateway, row in after.items()
        )
        utilisation = load.utilisation + added * load.service_s / (load.ready * load.workers)
        if utilisation > question.policy.utilisation_max + 1e-6:
            return NoSpareCapacity(region, utilisation, question.policy.utilisation_max)
    return None


def _slot_is_free(question: Question) -> Refusal | None:
    action = question.action
    if not isinstance(action, ScaleOut):
        return None
    host = question.fleet.host(action.host)
    if host is None or action.replica not in host.free_slots:
        return NoFreeSlot(action.region)
    return None if host.can_start else HostUnfit(host.id)


_TAKES_A_REPLICA: tuple[Check, ...] = (
    _target_is_same,
    _hosts_report,
    _region_is_known,
    machine_is_left_alone,
    _host_is_free,
    _region_has_budget,
    _disruption_helps,
    _attempts_are_left,
    _has_rested,
    _somebody_is_left,
    _enough_is_left,
)
_TOUCHES_A_MACHINE: tuple[Check, ...] = (
    is_permitted,
    machine_attempts_are_left,
    machine_is_known,
    _hosts_report,
    nothing_else_is_open_there,
    one_machine_per_region,
    machine_is_drained,
    _disruption_helps,
    _attempts_are_left,
    _has_rested,
)
CHECKS: Mapping[ActionKind, tuple[Check, ...]] = {
    ActionKind.RESTART: (_gpu_is_fit, *_TAKES_A_REPLICA),
    ActionKind.SCALE_IN: (*_TAKES_A_REPLICA, _region_is_free, _configured_is_left),
    ActionKind.SHIFT: (_region_is_known, _region_is_free, _has_rested, _receivers_can_carry),
    ActionKind.SWITCH_PROFILE: (
        _target_is_same,
        _hosts_report,
        machine_is_left_alone,
        _region_is_free,
        _attempts_are_left,
        _has_rested,
    ),
    ActionKind.SCALE_OUT: (
        _hosts_report,
        _slot_is_free,
        machine_is_left_alone,
        _region_is_free,
        _attempts_are_left,
        _has_rested,
    ),
    ActionKind.RESET_GPU: _TOUCHES_A_MACHINE,
    ActionKind.REBOOT_HOST: (*_TOUCHES_A_MACHINE, rest_can_carry),
    ActionKind.RETURN_TRAFFIC: (),
    ActionKind.RESTORE_PROFILE: (),
}
"""What each kind must pass, cheapest and most telling first."""
