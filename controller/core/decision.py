"""Decide: for everything that is wrong, asked for or due to be given back, act or hold, and say why.

Each concern brings its remedies, first choice first. The kernel judges them in that order. A refusal that time will lift
(a cooldown, a busy host, unknown signals) means waiting: a harsher remedy is no answer to impatience. A refusal that is
about the remedy itself (no capacity left, attempts exhausted) opens the next rung. One concern begins at most one action per
tick, and everything begun counts against the budgets of what is decided after it.
"""

from dataclasses import dataclass, replace
from itertools import count

from contracts.vocabulary import GpuUuid, Region
from controller.core.actions import Action, ActionId, ActionRecord, Expectation, MachineAction, Shift, Stage
from controller.core.findings import OF_HARDWARE, Cause, Finding
from controller.core.homecoming import homeward
from controller.core.intents import SetPaused, plan_for
from controller.core.ladders import rungs, unremedied
from controller.core.ledger import COMPENSATION, SCALE, hosts_of, is_judged_by_reports, regions_of, taken_from
from controller.core.plans import Plan
from controller.core.policy import Policy
from controller.core.refusals import (
    Cooldown,
    HostBusy,
    NoRemedy,
    Paused,
    Refusal,
    RegionBudget,
    RegionBusy,
    StaleSignals,
)
from controller.core.scopes import before_blocks, measure, scope_of, worst_slo
from controller.core.situation import Situation
from controller.core.story import OperatorIntent
from controller.core.traffic import regions_raised

WAIT = (Cooldown, HostBusy, Paused, RegionBudget, RegionBusy, StaleSignals)
"""Refusals that time lifts."""


@dataclass(frozen=True, slots=True)
class Act:
    """Begin this action."""

    record: ActionRecord


@dataclass(frozen=True, slots=True)
class Hold:
    """Do nothing about this finding now, for this reason."""

    finding: Finding
    refusal: Refusal
    considered: tuple[str, ...]
    """Kinds of remedy that were judged."""


@dataclass(frozen=True, slots=True)
class Refused:
    """An operator's intent that cannot be carried out."""

    intent: OperatorIntent
    refusal: Refusal


@dataclass(frozen=True, slots=True)
class Agreed:
    """An operator's intent that was carried out: by beginning `record`, or by pausing or resuming."""

    intent: OperatorIntent
    change: ActionRecord | SetPaused


Decision = Act | Hold | Refused | Agreed


@dataclass(frozen=True, slots=True)
class Author:
    """Who decides: what every new record is signed with."""

    epoch: int
    tick_id: str
    """Unique per tick; action ids are made from it, so that deciding stays a pure function."""


def decide(situation: Situation, author: Author) -> tuple[Decision, ...]:
    """Everything to do and not to do now."""
    numbers = count(1)
    decisions: list[Decision] = []
    for intent in situation.intents:
        decision = _answer(intent, situation, author, next(numbers))
        situation = _after(situation, decision)
        decisions.append(decision)
    for finding in situation.findings:
        if not _is_treated(finding, situation):
            decision = _treat(finding, situation, author, next(numbers))
            situation = _after(situation, decision)
            decisions.append(decision)
    for plan in homeward(situation):
        if why_not(plan, situation) is None:
            act = Act(begin(plan, situation, author, next(numbers)))
            situation = _after(situation, act)
            decisions.append(act)
    return tuple(decisions)


def begin(plan: Plan, situation: Situation, author: Author, number: int) -> ActionRecord:
    """The record of an action at the moment it is intended, with what its effect will be measured by."""
    policy, now_unix_s = situation.policy, situation.now_unix_s
    scope = scope_of(plan.action, situation.fleet)
    blocks = before_blocks(now_unix_s, situation.signals, policy)
    slo = worst_slo(scope, situation.signals, blocks, situation.budgets)
    before = measure(scope, situation.signals, blocks, situation.fleet, slo=slo)
    return ActionRecord(
        id=ActionId(f"{author.tick_id}-{number}"),
        action=plan.action,
        cause=plan.cause,
        evidence=plan.evidence,
        expectation=Expectation(scope.name, _window_s(plan.action, policy), before, slo),
        stage=Stage.INTENDED,
        epoch=author.epoch,
        intended_unix_s=now_unix_s,
        stage_unix_s=now_unix_s,
        stage_deadline_unix_s=now_unix_s + policy.tick_s,
        origin=plan.origin,
    )


def _window_s(action: Action, policy: Policy) -> float:
    if isinstance(action, MachineAction):
        return policy.verify_gpu_s
    return policy.verify_restart_s if is_judged_by_reports(action) else policy.verify_s


def _answer(intent: OperatorIntent, situation: Situation, author: Author, number: int) -> Decision:
    asked = plan_for(intent, situation)
    if isinstance(asked, NoRemedy):
        return Refused(intent, asked)
    if isinstance(asked, SetPaused):
        return Agreed(intent, asked)
    refusal = why_not(asked, situation)
    return Refused(intent, refusal) if refusal is not None else Agreed(intent, begin(asked, situation, author, number))


def _treat(finding: Finding, situation: Situation, author: Author, number: int) -> Decision:
    """The first remedy that is safe, or the reason that counts: the first to be waited for, else the first choice's."""
    considered: list[str] = []
    first: Refusal | None = None
    for plan in rungs(finding, situation):
        considered.append(plan.action.kind)
        refusal = why_not(plan, situation)
        if refusal is None:
            return Act(begin(plan, situation, author, number))
        first = first or refusal
        if isinstance(refusal, WAIT):
            return Hold(finding, refusal, tuple(considered))
    return Hold(finding, first or unremedied(finding, situation), tuple(considered))


def why_not(plan: Plan, situation: Situation) -> Refusal | None:
    """The kernel's word on a plan. Undoing a step of ours may follow it at once, but must be as safe as any other step."""
    ledger = situation.ledger.without_history() if plan.origin == COMPENSATION else situation.ledger
    return situation.why_unsafe(plan.action, situation.fleet, ledger, situation.policy, situation.now_unix_s)


def _is_treated(finding: Finding, situation: Situation) -> bool:
    """True while an action on it is open: its result must be seen before anything else is tried."""
    if finding.cause in OF_HARDWARE:
        return _is_worked_on(finding, situation)
    for record in situation.ledger.open:
        taken = taken_from(record.action)
        if taken is not None and taken[2] == finding.subject:
            return True
        is_soft = finding.cause is not Cause.REPLICA_DOWN and not is_judged_by_reports(record.action)
        if is_soft and finding.region in _tried_on(record.action):
            return True
    return False


def _is_worked_on(finding: Finding, situation: Situation) -> bool:
    """True while anything is ordered from the host, or its region is being scaled: each rung needs the last one's result."""
    gpu = situation.fleet.gpu(GpuUuid(finding.subject))
    host = gpu[0].id if gpu is not None else finding.subject
    return any(
        host in hosts_of(record.action) or (record.action.kind in SCALE and finding.region in regions_of(record.action))
        for record in situation.ledger.open
    )


def _tried_on(action: Action) -> frozenset[Region]:
    """Regions in which the action is an experiment; one that a return merely relieves may be treated meanwhile."""
    if isinstance(action, Shift):
        return regions_raised(action.before, action.after) | {action.region}
    return regions_of(action)


def _after(situation: Situation, decision: Decision) -> Situation:
    """The situation in which the next concern is judged."""
    match decision:
        case Act(record=record) | Agreed(change=ActionRecord() as record):
            return situation.with_ledger(situation.ledger.with_action(record))
        case Agreed(change=SetPaused(paused=paused)):
            return situation.with_ledger(replace(situation.ledger, paused=paused))
        case Hold() | Refused() | Agreed():
            return situation
