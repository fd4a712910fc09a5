"""The way home: traffic, full quality and the configured number of replicas are given back once it is calm.

Giving back is slower than taking and done in steps that are verified like any other action, because that is where
control loops start to swing. What an operator moved by hand stays where it was put.
"""

from collections.abc import Iterator

from contracts.vocabulary import Region, ReplicaState
from controller.core.actions import Action, ActionKind, ActionRecord, Stage, Verdict
from controller.core.capacity import FULL_PROFILE, RegionLoad, region_is_light
from controller.core.diagnosis import slowest_replica
from controller.core.fleet import Fleet, Replica
from controller.core.hardware import slowed_by
from controller.core.ledger import COMPENSATION, LOOP, PROFILE, SCALE, TRAFFIC, regions_of, unhelpful_streak
from controller.core.plans import Plan, restart, scale_in, scale_out, switch_profile, toward_home
from controller.core.situation import Situation
from controller.core.traffic import row_of


def homeward(situation: Situation) -> Iterator[Plan]:
    """What should be given back now, at most one plan per region: an action there must be judged before the next."""
    for region in situation.fleet.regions:
        load = situation.load(region)
        if load is None or _is_busy(region, situation) or situation.is_troubled(region):
            continue
        plan = (
            _configured_again(load, situation)
            or _sick_replica(load, situation)
            or _traffic_home(load, situation)
            or _full_quality(load, situation)
            or _quality_debt(load, situation)
            or _fewer_replicas(load, situation)
        )
        if plan is not None:
            yield plan


def _is_busy(region: Region, situation: Situation) -> bool:
    return any(region in regions_of(record.action) for record in situation.ledger.open)


def _by_hand(record: ActionRecord | None) -> bool:
    return record is not None and record.origin not in {LOOP, COMPENSATION}


def _configured_again(load: RegionLoad, situation: Situation) -> Plan | None:
    """A region that lost a replica for good gets another one."""
    replicas_min = situation.policy.replicas_min_of(load.region)
    present = sum(1 for replica in situation.fleet.replicas(load.region) if replica.state in _COUNTED)
    settled = situation.calm_s(load.region) >= situation.policy.takeover_s  # not every host need have reported yet
    if present >= replicas_min or not settled or _by_hand(situation.ledger.newest(SCALE, load.region)):
        return None
    action = scale_out(situation.fleet, load.region, situation.policy, situation.shunned)
    if action is None:
        return None
    return Plan(action, f"{load.region} has {present} of {replicas_min} configured replicas.")


def _sick_replica(load: RegionLoad, situation: Situation) -> Plan | None:
    """A replica that made the last step home fail: invisible while little is asked of it, so it is repaired first."""
    region = load.region
    last = situation.ledger.newest(frozenset({ActionKind.RETURN_TRAFFIC, ActionKind.RESTORE_PROFILE}), region)
    if last is None or last.verdict is None or last.verdict is Verdict.IMPROVED:
        return None
    # only while the step was tried: what was done since (another profile, say) would make equals look different
    tried = situation.signals.since(last.intended_unix_s)
    blocks = tuple(block for block in tried if block.end_unix_s <= last.stage_unix_s)
    slowest = slowest_replica(region, blocks, situation.fleet, situation.policy)
    replica = situation.fleet.replica(slowest) if slowest is not None else None
    since_unix_s = last.intended_unix_s
    if replica is None or situation.ledger.tried(ActionKind.RESTART, replica.id, since_unix_s):
        return None
    cause = f"{replica.id} works more slowly than its peers and made the last step home fail."
    action = _repair(replica, load, situation)
    return Plan(action, cause, (("step", last.id),)) if action is not None else None


def _repair(replica: Replica, load: RegionLoad, situation: Situation) -> Action | None:
    """A restart; or, where heat slows its GPU down, which no restart cures, another replica before this one goes."""
    if not slowed_by(replica, situation.fleet):
        return restart(replica, graceful=True)
    if load.ready > situation.policy.replicas_min_of(load.region):
        return scale_in(replica)
    return scale_out(situation.fleet, load.region, situation.policy, situation.shunned)


def _traffic_home(load: RegionLoad, situation: Situation) -> Plan | None:
    """The next half-open step, when the region can carry it and the last bad probe is long enough ago."""
    region, policy = load.region, situation.policy
    share = row_of(situation.ledger.traffic, region).get(region, 1.0)
    last = situation.ledger.newest(TRAFFIC, region)
    if share >= 1.0 or load.ready == 0 or _by_hand(last):
        return None
    if situation.calm_s(region) < _return_wait_s(region, situation):
        return None
    step = next(candidate for candidate in (*policy.probe_shares, 1.0) if candidate > share)
    added_workers = situation.ledger.demand_rps(region) * (step - share) * load.service_s
    if not load.known or (load.offered_workers + added_workers) > policy.utilisation_max * load.ready * load.workers:
        return None
    return Plan(
        toward_home(region, step, situation.ledger),
        f"{region} is calm again: {step:.0%} of its own traffic comes back.",
        (("share", f"{share:.2f}"), ("step", f"{step:.2f}"), ("utilisation", f"{load.utilisation:.2f}")),
    )


def _return_wait_s(region: Region, situation: Situation) -> float:
    """Short between steps that went well; doubled for every probe in a row that did not."""
    since_unix_s = situation.now_unix_s - situation.policy.history_s
    probes = situation.ledger.tried(ActionKind.RETURN_TRAFFIC, region, since_unix_s)
    failed = unhelpful_streak(probes)
    last = situation.ledger.newest(TRAFFIC, region)
    if last is not None and last.action.kind is ActionKind.RETURN_TRAFFIC and last.verdict is Verdict.IMPROVED:
        return 0.0
    return min(situation.policy.return_wait_s * 2.0 ** min(failed, 16), situation.policy.return_wait_s_max)


def _full_quality(load: RegionLoad, situation: Situation) -> Plan | None:
    """Back to FULL when calm and when full quality is predicted to fit with room."""
    region, policy = load.region, situation.policy
    if not region_is_light(situation.fleet, region) or _by_hand(situation.ledger.newest(PROFILE, region)):
        return None
    if situation.calm_s(region) < _restore_wait_s(region, situation) or not load.known:
        return None
    predicted = load.full_utilisation
    if predicted > policy.utilisation_home:
        return None
    action = switch_profile(situation.fleet, region, FULL_PROFILE, policy)
    if action is None:
        return None
    evidence = (("utilisation", f"{load.utilisation:.2f}"), ("predicted_full", f"{predicted:.2f}"))
    return Plan(action, f"{region} is calm and can carry full quality again.", evidence)


def _restore_wait_s(region: Region, situation: Situation) -> float:
    """`calm_s`, doubled for every restore in a row that had to be taken back."""
    since_unix_s = situation.now_unix_s - situation.policy.history_s
    restores = situation.ledger.tried(ActionKind.RESTORE_PROFILE, region, since_unix_s)
    worse = sum(1 for record in restores[-4:] if record.verdict is Verdict.WORSE)  # 2⁴ waits: over an hour
    return situation.policy.calm_s * 2.0**worse


def _quality_debt(load: RegionLoad, situation: Situation) -> Plan | None:
    """Light for too long under a load that full quality could not carry: buy quality with capacity."""
    region, policy = load.region, situation.policy
    last = situation.ledger.newest(PROFILE, region)
    if not region_is_light(situation.fleet, region) or last is None or _by_hand(last) or last.stage is not Stage.CLOSED:
        return None
    debt_s = situation.now_unix_s - last.stage_unix_s
    coming = (load.ready + load.pending) * load.workers
    fits = load.rps * load.full_service_s <= policy.utilisation_home * coming
    if debt_s < policy.quality_debt_s or fits or not load.known:
        return None
    action = scale_out(situation.fleet, region, policy, situation.shunned)
    if action is None:
        return None
    evidence = (("light_for_s", f"{debt_s:.0f}"), ("predicted_full", f"{load.full_utilisation:.2f}"))
    return Plan(action, f"{region} has run light for too long; with more replicas it can sound full again.", evidence)


def _fewer_replicas(load: RegionLoad, situation: Situation) -> Plan | None:
    """One replica fewer when more than configured run and the rest can carry the load at full quality."""
    region, policy = load.region, situation.policy
    if load.ready <= policy.replicas_min_of(region) or region_is_light(situation.fleet, region):
        return None
    if region in situation.widespread:  # what is stopped now could not be started again
        return None
    if _by_hand(situation.ledger.newest(SCALE, region)) or situation.calm_s(region) < policy.calm_s or not load.known:
        return None
    if load.offered_workers > policy.utilisation_home * (load.ready - 1) * load.workers:
        return None
    candidates = [replica for replica in situation.fleet.replicas(region) if replica.ready]
    victim = min(candidates, key=lambda replica: _preference(replica, situation.fleet))
    evidence = (("ready", str(load.ready)), ("utilisation", f"{load.utilisation:.2f}"))
    return Plan(scale_in(victim), f"{region} has more replicas than configured and does not need them.", evidence)


def _preference(replica: Replica, fleet: Fleet) -> tuple[bool, int, float, str]:
    """Those on an unfit GPU first, then least work to drain, then the youngest."""
    return not fleet.why_unfit(replica), replica.in_flight, replica.state_age_s, replica.id


_COUNTED = frozenset(
    {ReplicaState.READY, ReplicaState.STARTING, ReplicaState.HUNG, ReplicaState.UNREADY, ReplicaState.CRASHED}
)
"""Present or coming back; quarantined and stopped replicas are gone."""
