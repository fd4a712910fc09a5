"""What helps against what: for each cause its rungs, mildest effective remedy first.

Overload never climbs to a restart: a restart takes capacity away from those who have too little. Devices are restarted
after a drain, and replaced when that had no effect. Regions are relieved by traffic, as far as others have room, and the
others are made lighter first when they have none.

Hardware climbs from what costs nobody anything: capacity elsewhere, then the unfit GPU drained, then its reset, then the
host drained and rebooted. The last two happen only where both policies permit them; elsewhere the story names what a person
has to do.
"""

from collections.abc import Callable, Iterator, Mapping

from contracts.vocabulary import GpuAction, GpuUuid, HostId, Region, ReplicaId, ReplicaState
from controller.core.actions import Action, ActionKind, Shift, SwitchProfile, Verdict
from controller.core.findings import Cause, Finding
from controller.core.fleet import Host, Replica
from controller.core.gpus import Gpu
from controller.core.hardware import needs_reboot
from controller.core.ledger import COMPENSATION, LOOP, target_of
from controller.core.plans import (
    Plan,
    lighten,
    needs_capacity,
    reboot_host,
    reset_gpu,
    restart,
    scale_in,
    scale_out,
    shift_away,
    switch_profile,
)
from controller.core.refusals import GpuUnfit, NeedsInspection, NeedsPerson, NoRemedy, OnProbation, Refusal
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
            return scale_out(situation.fleet, action.region, situation.policy, situation.shunned)
        case _:
            return None


def unremedied(finding: Finding, situation: Situation) -> Refusal:
    """Why nothing is left to be tried, in the words of whoever has to do it instead."""
    match finding.cause:
        case Cause.HOST_SILENT:
            return NoRemedy("the replicas may be well without their agent, and what else serves is enough")
        case Cause.HOST_UNFIT | Cause.GPU_UNFIT:
            return _unremedied_hardware(finding, situation)
        case Cause.REPLICA_DOWN:
            replica = situation.fleet.replica(ReplicaId(finding.subject))
            why = situation.fleet.why_unfit(replica) if replica is not None else ""
            if why:
                return GpuUnfit(ReplicaId(finding.subject), why)
    return NoRemedy("no remedy is left that applies here")


def _proved_useless(action: Action, situation: Situation) -> bool:
    since_unix_s = situation.now_unix_s - situation.policy.rung_memory_s
    tried = situation.ledger.tried(action.kind, target_of(action), since_unix_s)
    return bool(tried) and tried[-1].verdict in {Verdict.NO_EFFECT, Verdict.WORSE}


def _replica_down(finding: Finding, situation: Situation) -> Rungs:
    replica = situation.fleet.replica(ReplicaId(finding.subject))
    if replica is not None and not situation.fleet.why_unfit(replica):
        yield restart(replica, graceful=False)
    yield _replacement(finding.region, situation)


def _replica_slow(finding: Finding, situation: Situation) -> Rungs:
    replica = situation.fleet.replica(ReplicaId(finding.subject))
    if replica is not None:
        yield restart(replica, graceful=True)
        yield scale_in(replica)
    yield _another(finding.region, situation)
    yield from _relief(finding.region, situation)


def _gpu_slowed(finding: Finding, situation: Situation) -> Rungs:
    """A restart does not cool a GPU: its replica is replaced elsewhere."""
    replica = situation.fleet.replica(ReplicaId(finding.subject))
    if replica is not None:
        yield from _cleared((replica,), situation)
    yield from _relief(finding.region, situation)


def _region_slow(finding: Finding, situation: Situation) -> Rungs:
    yield from _relief(finding.region, situation)
    yield _another(finding.region, situation)


def _overload(finding: Finding, situation: Situation) -> Rungs:
    yield lighten(situation.fleet, finding.region, situation.policy)
    yield _another(finding.region, situation)
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


def _another(region: Region, situation: Situation) -> Action | None:
    """One more replica where it could work."""
    return scale_out(situation.fleet, region, situation.policy, situation.shunned)


def _replacement(region: Region, situation: Situation, leaving: int = 0) -> Action | None:
    """One more replica if what serves there, and is about to, is too little once `leaving` of it are gone."""
    load = situation.load(region)
    if load is None:
        return None
    coming = max(0, load.ready + load.pending - leaving)
    short = coming < situation.policy.replicas_min_of(region)
    if short or needs_capacity(load, coming, situation.policy):
        return _another(region, situation)
    return None


# ── hardware ──────────────────────────────────────────────────────────────────────────────────────────────────────────
def _unfit_hardware(finding: Finding, situation: Situation) -> Rungs:
    host, gpus = _afflicted(finding, situation)
    if host is not None and gpus:
        yield from _unfit(host, gpus, situation)


def _afflicted(finding: Finding, situation: Situation) -> tuple[Host | None, tuple[Gpu, ...]]:
    """The host of a finding and its GPUs that are unfit now; none while they are on probation."""
    if finding.cause is Cause.HOST_UNFIT:
        host = situation.fleet.host(HostId(finding.subject))
        return host, tuple(gpu for gpu in host.gpus if not gpu.fit) if host is not None else ()
    found = situation.fleet.gpu(GpuUuid(finding.subject))
    if found is None:
        return None, ()
    return found[0], () if found[1].fit else (found[1],)


def _unfit(host: Host, gpus: tuple[Gpu, ...], situation: Situation) -> Rungs:
    """Capacity elsewhere, then nothing left on the GPU, then a reset, then the whole host."""
    yield _replacement(host.locality.region, situation)
    if host.locality.region in situation.widespread:
        return
    yield from _cleared(_must_leave(host, gpus), situation)
    doomed = [
        gpu for gpu in needs_reboot(host, situation.ledger, situation.policy, situation.now_unix_s) if gpu in gpus
    ]
    if host.id in situation.reboots_planned:
        yield from _cleared(host.holders(), situation)
    else:
        for gpu in gpus:
            if gpu.recommended_action is GpuAction.RESET_GPU and gpu not in doomed:
                yield reset_gpu(host, gpu)
    if doomed:
        yield reboot_host(host, doomed[0].trouble(host.id))


def _must_leave(host: Host, gpus: tuple[Gpu, ...]) -> tuple[Replica, ...]:
    """Replicas that hold what is unfit; one that serves, or is starting, on a GPU that is merely unseen is believed, and stays."""
    if any(gpu.recommended_action is GpuAction.DRAIN_HOST for gpu in gpus):
        return host.holders()
    at_fault = {gpu.uuid for gpu in gpus if not gpu.merely_unseen}
    unseen = {gpu.uuid for gpu in gpus if gpu.merely_unseen}
    return tuple(
        replica
        for replica in host.holders()
        if at_fault.intersection(replica.gpus) or (unseen.intersection(replica.gpus) and not _is_counted(replica))
    )


def _cleared(leaving: tuple[Replica, ...], situation: Situation) -> Rungs:
    """What serves elsewhere must be enough first; then they go one by one, those that serve nobody first."""
    if not leaving:
        return
    yield _replacement(leaving[0].region, situation, sum(_is_counted(replica) for replica in leaving))
    for replica in sorted(leaving, key=lambda replica: (replica.ready, replica.in_flight, replica.id)):
        yield scale_in(replica)


def _is_counted(replica: Replica) -> bool:
    """It serves, or is about to."""
    return replica.ready or replica.state is ReplicaState.STARTING


def _unremedied_hardware(finding: Finding, situation: Situation) -> Refusal:
    host, gpus = _afflicted(finding, situation)
    if host is None or not gpus:
        return OnProbation(situation.policy.gpu_fit_s)
    if host.locality.region in situation.widespread:
        return situation.widespread[host.locality.region]
    worst = max(gpus, key=lambda gpu: gpu.severity)
    because = worst.trouble(host.id)
    if worst.merely_unseen:
        return NeedsPerson(because, "what serves there is left alone; a person must look at it")
    if needs_reboot(host, situation.ledger, situation.policy, situation.now_unix_s):
        return NeedsInspection(because, "a reboot did not cure it")
    return NeedsPerson(because, "nothing runs there any more; a person must look at it")


LADDERS: Mapping[Cause, Callable[[Finding, Situation], Rungs]] = {
    Cause.REPLICA_DOWN: _replica_down,
    Cause.HOST_UNFIT: _unfit_hardware,
    Cause.GPU_UNFIT: _unfit_hardware,
    Cause.GPU_SLOWED: _gpu_slowed,
    Cause.BAD_CHANGE: _bad_change,
    Cause.OVERLOAD: _overload,
    Cause.REGION_SLOW: _region_slow,
    Cause.REPLICA_SLOW: _replica_slow,
    Cause.HOST_SILENT: _host_silent,
    Cause.UNEXPLAINED: _unexplained,
}
