"""What helps against what: for each cause its rungs, mildest effective remedy first.

Overload never climbs to a restart: a restart takes capacity away from those who have too little. Devices are restarted
after a drain, and replaced when that had no effect. Regions are relieved by traffic, as far as others have room, and the
others are made lighter first when they have none.
"""

from collections.abc import Callable, Iterator, Mapping

from contracts.vocabulary import Region, ReplicaId
from controller.core.actions import Action, ActionKind, Shift, SwitchProfile, Verdict
from controller.core.diagnosis import Cause, Finding
from controller.core.ledger import COMPENSATION, LOOP, target_of
from controller.core.plans import (
    Plan,
    lighten,
    needs_capacity,
    restart,
    scale_in,
    scale_out,
    shift_away,
    switch_profile,
)
from controller.core.situation import Situation
from controller.core.traffic import incoming, merged, rows_changed

Rungs = Iterator[Action | None]


def rungs(finding: Finding, situation: Situation) -> Iterator[Plan]:
    """Every remedy that exists here and has not proved useless lately, first choice first."""
    origin = COMPENSATION if finding.cause is Cause.BAD_CHANGE else LOOP
    for action in LADDERS[finding.cause](finding, situation):
        if action is not None and not _proved_useless(action, situation):
            yield Plan(action, finding.summary, finding.evidence, origin)


def reverse(action: Action, situation: Situation) -> Action | None:
    """What undoes an action; None for those that cannot be undone or have nothing left to undo."""
    match action:
        case Shift(before=before, after=after):
            back = merged(situation.ledger.traffic, after, before)
            if not rows_changed(situation.ledger.traffic, back):
                return None
            kind = ActionKind.SHIFT if action.kind is ActionKind.RETURN_TRAFFIC else ActionKind.RETURN_TRAFFIC
            return Shift(action.region, situation.ledger.traffic, back, kind)
        case SwitchProfile(region=region, before=before_profile):
            return switch_profile(situation.fleet, region, before_profile, situation.policy)
        case _ if action.kind is ActionKind.SCALE_IN:
            return scale_out(situation.fleet, action.region, situation.policy)
        case _:
            return None


def _proved_useless(action: Action, situation: Situation) -> bool:
    since_unix_s = situation.now_unix_s - situation.policy.rung_memory_s
    tried = situation.ledger.tried(action.kind, target_of(action), since_unix_s)
    return bool(tried) and tried[-1].verdict in {Verdict.NO_EFFECT, Verdict.WORSE}


def _replica_down(finding: Finding, situation: Situation) -> Rungs:
    replica = situation.fleet.replica(ReplicaId(finding.subject))
    if replica is not None:
        yield restart(replica, graceful=False)
    yield _replacement(finding.region, situation)


def _replica_slow(finding: Finding, situation: Situation) -> Rungs:
    replica = situation.fleet.replica(ReplicaId(finding.subject))
    if replica is not None:
        yield restart(replica, graceful=True)
        yield scale_in(replica)
    yield scale_out(situation.fleet, finding.region, situation.policy)
    yield from _relief(finding.region, situation)


def _region_slow(finding: Finding, situation: Situation) -> Rungs:
    yield from _relief(finding.region, situation)
    yield scale_out(situation.fleet, finding.region, situation.policy)


def _overload(finding: Finding, situation: Situation) -> Rungs:
    yield lighten(situation.fleet, finding.region, situation.policy)
    yield scale_out(situation.fleet, finding.region, situation.policy)
    yield shift_away(finding.region, situation.well(), situation.ledger, situation.policy)


def _host_silent(finding: Finding, situation: Situation) -> Rungs:
    yield _replacement(finding.region, situation)


def _bad_change(finding: Finding, situation: Situation) -> Rungs:
    blamed = next((record for record in situation.ledger.actions if record.id == finding.subject), None)
    yield reverse(blamed.action, situation) if blamed is not None else None


def _unexplained(finding: Finding, situation: Situation) -> Rungs:
    yield shift_away(finding.region, situation.well(), situation.ledger, situation.policy)


def _relief(region: Region, situation: Situation) -> Rungs:
    """Traffic away as far as there is room; more room by lighter receivers; a lighter self at last."""
    if incoming(situation.ledger.traffic, region) <= 0:
        return
    yield shift_away(region, situation.well(), situation.ledger, situation.policy)
    for receiver in situation.well():
        load = situation.load(receiver)
        if load is not None and load.ready:
            yield lighten(situation.fleet, receiver, situation.policy)
    yield lighten(situation.fleet, region, situation.policy)


def _replacement(region: Region, situation: Situation) -> Action | None:
    """One more replica if what still serves there, and is about to, is too little."""
    load = situation.load(region)
    if load is None:
        return None
    coming = load.ready + load.pending
    short = coming < situation.policy.replicas_min_of(region)
    if short or needs_capacity(load, coming, situation.policy):
        return scale_out(situation.fleet, region, situation.policy)
    return None


LADDERS: Mapping[Cause, Callable[[Finding, Situation], Rungs]] = {
    Cause.REPLICA_DOWN: _replica_down,
    Cause.BAD_CHANGE: _bad_change,
    Cause.OVERLOAD: _overload,
    Cause.REGION_SLOW: _region_slow,
    Cause.REPLICA_SLOW: _replica_slow,
    Cause.HOST_SILENT: _host_silent,
    Cause.UNEXPLAINED: _unexplained,
}
