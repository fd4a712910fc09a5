"""Verify: every action is an experiment, and this is its verdict.

The same ratio is taken before and after, in the scope of the action and at its peers at the same time, so that a falling
peak is not credited and a rising one not blamed (difference in differences). Events of bursty traffic are not independent:
their variance is taken larger. A replica that was healed is judged by being ready and making progress, a GPU that was reset
by being fit still. Worse is undone at once; too little traffic is called inconclusive, never success.
"""

from dataclasses import dataclass, replace
from math import sqrt

from contracts.vocabulary import GpuUuid, HostId, Region, SloId
from controller.core.actions import (
    Action,
    ActionId,
    ActionKind,
    ActionRecord,
    Measure,
    RebootHost,
    ResetGpu,
    Restart,
    ScaleIn,
    Stage,
    Verdict,
)
from controller.core.actuation import close
from controller.core.decision import Author, begin, why_not
from controller.core.ladders import reverse
from controller.core.ledger import COMPENSATION, LOOP, describe, hosts_of, is_judged_by_reports, regions_of
from controller.core.plans import Plan
from controller.core.policy import Policy
from controller.core.scopes import Scope, before_blocks, measure, scope_of, worst_slo
from controller.core.signals import Block
from controller.core.situation import Situation

GIVES_BACK = frozenset({ActionKind.RETURN_TRAFFIC, ActionKind.RESTORE_PROFILE, ActionKind.SCALE_IN})
"""Expected to do no harm rather than to help."""
RELIEVES = frozenset({ActionKind.SWITCH_PROFILE, ActionKind.SCALE_OUT, ActionKind.SHIFT})
GROWTH = 1.2
"""Events after over events before, from which on a relief is not blamed: the demand has grown meanwhile."""


@dataclass(frozen=True, slots=True)
class Judged:
    """A verdict, and what is to be done about it."""

    record: ActionRecord
    undo: ActionRecord | None
    """The compensation, already begun; None unless the verdict is worse and there is something to undo."""


def verify(record: ActionRecord, error_budget: float, situation: Situation, author: Author) -> Judged | None:
    """The verdict on an action whose window is over; None while it is not."""
    if record.stage is not Stage.VERIFYING or situation.now_unix_s < _due_unix_s(record, situation):
        return None
    if is_judged_by_reports(record.action):
        verdict, detail = _reported(record.action, situation)
    else:
        verdict, detail = _measured(record, error_budget, situation)
    closed = close(record, verdict, situation.now_unix_s, detail)
    plan = _undo(closed, situation)
    if plan is None:
        return Judged(closed, None)
    refusal = why_not(plan, _when_closed(closed, situation))
    if refusal is not None:
        return Judged(replace(closed, detail=f"{detail}; not taken back: {refusal}"), None)
    undo = replace(begin(plan, situation, author, number=0), id=ActionId(f"{record.id}-undo"))
    return Judged(closed, undo)


def compare(before: Measure, after: Measure, error_budget: float, policy: Policy) -> tuple[Verdict, float]:
    """Verdict and effect (change of the bad ratio, peers' change subtracted; negative is better)."""
    if after.total < policy.verdict_events_min:
        return Verdict.INCONCLUSIVE, 0.0
    ratio = after.bad / after.total
    effect, variance = ratio, _variance(after.bad, after.total)
    peers_after = after.peer_total >= policy.verdict_events_min
    if before.total >= policy.verdict_events_min:
        effect -= before.bad / before.total
        variance += _variance(before.bad, before.total)
        if peers_after and before.peer_total >= policy.verdict_events_min:
            effect -= after.peer_bad / after.peer_total - before.peer_bad / before.peer_total
            variance += _variance(after.peer_bad, after.peer_total) + _variance(before.peer_bad, before.peer_total)
    elif peers_after:
        effect -= after.peer_bad / after.peer_total
        variance += _variance(after.peer_bad, after.peer_total)
    else:
        effect -= error_budget
    noise = policy.verdict_z * sqrt(policy.overdispersion * variance)
    is_clear = abs(effect) > max(noise, policy.verdict_effect_min)
    if ratio <= error_budget:
        return Verdict.IMPROVED, effect
    if not is_clear:
        return Verdict.NO_EFFECT, effect
    return (Verdict.WORSE if effect > 0 else Verdict.IMPROVED), effect


def _due_unix_s(record: ActionRecord, situation: Situation) -> float:
    """A measured verdict waits for the block that spans the end of its window."""
    extra_s = 0.0 if is_judged_by_reports(record.action) else situation.policy.block_s
    return _settled_unix_s(record, situation) + record.expectation.window_s + extra_s


def _settled_unix_s(record: ActionRecord, situation: Situation) -> float:
    """When the window begins: a relief is not judged by the backlog that it found."""
    return record.stage_unix_s + (situation.policy.settle_s if record.action.kind in RELIEVES else 0.0)


def _reported(action: Action, situation: Situation) -> tuple[Verdict, str]:
    """What the fresh report of its host says."""
    for host_id in hosts_of(action):
        host = situation.fleet.host(host_id)
        if host is None or host.report_age_s > situation.policy.report_age_s_max:
            return Verdict.INCONCLUSIVE, "its agent does not report"
    match action:
        case Restart():
            return _healed(action, situation)
        case ResetGpu():
            return _cured(action.host, action.gpu, situation)
        case RebootHost():
            return _cured(action.host, None, situation)
        case ScaleIn():
            return Verdict.IMPROVED, "nothing of it is left to hold its GPU"
        case _:
            raise AssertionError(action)


def _cured(host_id: HostId, uuid: GpuUuid | None, situation: Situation) -> tuple[Verdict, str]:
    """One GPU, or with None every GPU of the host, is up and calls for nothing. What merely goes unseen cannot be judged."""
    host = situation.fleet.host(host_id)
    gpus = [gpu for gpu in host.gpus if uuid is None or gpu.uuid == uuid] if host is not None else []
    unfit = [gpu for gpu in gpus if not gpu.fit]
    if unfit:
        verdict = Verdict.INCONCLUSIVE if all(gpu.merely_unseen for gpu in unfit) else Verdict.NO_EFFECT
        return verdict, f"still unfit: {', '.join(gpu.trouble(host_id) for gpu in unfit)}"
    if gpus:
        which = "every GPU of it" if uuid is None else "it"
        return Verdict.IMPROVED, f"{which} is up and calls for nothing"
    if uuid is None:
        return Verdict.INCONCLUSIVE, "it is back, and shows no GPU to judge by"
    return Verdict.NO_EFFECT, "the driver does not show it any more"


def _healed(action: Restart, situation: Situation) -> tuple[Verdict, str]:
    replica = situation.fleet.replica(action.replica)
    if replica is None or not replica.ready:
        return Verdict.NO_EFFECT, f"it is {replica.state if replica else 'gone'} again"
    if replica.in_flight > 0 and replica.progress_age_s > situation.policy.reflex_grace_s:
        return Verdict.NO_EFFECT, f"it is ready but made no progress for {replica.progress_age_s:.0f} s"
    return Verdict.IMPROVED, "it is ready and makes progress"


def _measured(record: ActionRecord, error_budget: float, situation: Situation) -> tuple[Verdict, str]:
    scope, treated = scope_of(record.action, situation.fleet), _treated(record, situation)
    blocks = situation.signals.since(_settled_unix_s(record, situation))
    slo = _judged_by(record, scope, blocks, situation)
    after = measure(scope, situation.signals, blocks, situation.fleet, treated, slo)
    before = _before(record, scope, treated, situation, slo)
    budget = situation.budgets.get(slo, error_budget) if slo is not None else error_budget
    verdict, effect = compare(before, after, budget, situation.policy)
    kind = record.action.kind
    grown = before.total > 0 and after.total > GROWTH * before.total
    if verdict is Verdict.WORSE and (kind is ActionKind.SCALE_OUT or (kind in RELIEVES and grown)):
        verdict = Verdict.NO_EFFECT
    if verdict is Verdict.NO_EFFECT and kind in GIVES_BACK:
        verdict = Verdict.INCONCLUSIVE
    return verdict, _sentence(before, after, effect)


def _treated(record: ActionRecord, situation: Situation) -> frozenset[Region]:
    """Regions that other actions changed meanwhile: relieved at the same moment, they would hide the relief."""
    others = (
        other
        for other in situation.ledger.actions
        if other.id != record.id and (other.stage is not Stage.CLOSED or other.stage_unix_s >= record.intended_unix_s)
    )
    return frozenset(region for other in others for region in regions_of(other.action))


def _judged_by(record: ActionRecord, scope: Scope, blocks: tuple[Block, ...], situation: Situation) -> SloId | None:
    """The objective that was worst before; where none was in trouble, the one that is worst now."""
    if record.expectation.before.bad > 0:
        return record.expectation.slo
    return worst_slo(scope, situation.signals, blocks, situation.budgets) or record.expectation.slo


def _before(
    record: ActionRecord, scope: Scope, treated: frozenset[Region], situation: Situation, slo: SloId | None
) -> Measure:
    """What was measured when the action began, its peers restricted to those that still are peers."""
    stored = record.expectation.before
    if slo == record.expectation.slo and not treated - scope.regions:
        return stored
    blocks = before_blocks(record.intended_unix_s, situation.signals, situation.policy)
    measured = measure(scope, situation.signals, blocks, situation.fleet, treated, slo)
    if slo != record.expectation.slo:
        return measured
    return replace(stored, peer_bad=measured.peer_bad, peer_total=measured.peer_total)


def _sentence(before: Measure, after: Measure, effect: float) -> str:
    if after.total <= 0:
        return "no traffic to judge by"
    was = f"{before.bad / before.total:.1%}" if before.total > 0 else "unknown"
    return f"bad requests were {was}, are {after.bad / after.total:.1%}; effect against peers {effect:+.1%}"


def _when_closed(closed: ActionRecord, situation: Situation) -> Situation:
    """The situation in which the action no longer stands in the way of its own undoing."""
    actions = tuple(closed if record.id == closed.id else record for record in situation.ledger.actions)
    return situation.with_ledger(replace(situation.ledger, actions=actions))


def _undo(record: ActionRecord, situation: Situation) -> Plan | None:
    """What takes the action back; an operator's own action is judged, but left to the operator."""
    if record.verdict is not Verdict.WORSE or record.origin != LOOP:
        return None
    action = reverse(record.action, situation)
    if action is None:
        return None
    cause = f"Taking back: {describe(record.action)} made things worse."
    return Plan(action, cause, (("action", record.id),), COMPENSATION)


def _variance(bad: float, total: float) -> float:
    """Of a ratio; Laplace's rule keeps it above zero when all events went one way."""
    ratio = (bad + 1.0) / (total + 2.0)
    return ratio * (1.0 - ratio) / total
