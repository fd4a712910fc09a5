"""Where the loop can do nothing more: what a person has to be told, in one word per region and objective.

A hold is not yet helplessness. What time lifts (a cooldown, a busy host, a restart under way) is left to time, and a host
that is merely silent asks for nothing. What remains is a finding against which nothing may be done, or nothing is left
to be done; it is over as soon as the finding is, or as soon as something is tried again.

A finding about service speaks of every objective that is beyond its budget in its region. One about a machine or a dead
replica speaks of none: users are spoken for by the others.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import assert_never

from contracts.vocabulary import Region, ReplicaId, SloId
from controller.core.actions import ActionRecord, Stage
from controller.core.decision import Decision, Hold
from controller.core.detection import Alarm
from controller.core.findings import OF_HARDWARE, Cause
from controller.core.fleet import Fleet
from controller.core.ledger import UNHELPFUL, regions_of
from controller.core.policy import Policy
from controller.core.refusals import (
    AttemptsExhausted,
    BelowConfigured,
    BelowNeededCapacity,
    Cooldown,
    CorrelatedFailure,
    GpuUnfit,
    HostBusy,
    HostUnfit,
    InUse,
    LastRoutableReplica,
    NeedsInspection,
    NeedsPerson,
    NoFreeSlot,
    NoRemedy,
    NoSpareCapacity,
    NotPermitted,
    OnProbation,
    Paused,
    Refusal,
    RegionBudget,
    RegionBusy,
    StaleSignals,
    TargetChanged,
    Widespread,
)

_NOT_OF_SERVICE = OF_HARDWARE | {Cause.REPLICA_DOWN, Cause.HOST_SILENT}


class HelplessReason(StrEnum):
    """Why nothing more is done, as far as the loop can tell."""

    PAUSED = "paused"
    """Somebody told it to begin nothing."""
    NO_DATA = "no_data"
    """What it would act on is too old, or missing."""
    NO_CAPACITY = "no_capacity"
    """Every remedy would take more than there is to spare."""
    BUDGET_SPENT = "budget_spent"
    """As many attempts as a day allows were made."""
    NOTHING_HELPED = "nothing_helped"
    """What could be tried was tried lately, without effect."""
    NO_REMEDY = "no_remedy"
    """No remedy exists here for what is wrong."""
    NEEDS_PERSON = "needs_person"
    """The remedy is not permitted to the loop, or is a hand on the hardware."""


@dataclass(frozen=True, slots=True)
class Helpless:
    """The loop can do nothing more there."""

    region: Region
    reason: HelplessReason
    slo: SloId | None
    """Objective that is beyond its budget meanwhile; None when what is wrong is a machine or one replica."""


@dataclass(frozen=True, slots=True)
class Standing:
    """How things stand at the end of a tick."""

    now_unix_s: float
    fleet: Fleet
    actions: tuple[ActionRecord, ...]
    """Open and recent, this tick's included."""
    policy: Policy


def where_helpless(decisions: Iterable[Decision], alarms: Iterable[Alarm], standing: Standing) -> tuple[Helpless, ...]:
    """Every place, reason and objective once, sorted."""
    beyond = _beyond_budget(alarms, standing.fleet)
    worked_on = {
        region
        for record in standing.actions
        if record.stage is not Stage.CLOSED
        for region in regions_of(record.action)
    }
    found: set[Helpless] = set()
    for chosen in decisions:
        if not isinstance(chosen, Hold) or chosen.finding.cause is Cause.HOST_SILENT:
            continue
        region, of_service = chosen.finding.region, chosen.finding.cause not in _NOT_OF_SERVICE
        reason = _reason(chosen.refusal, region, standing)
        if reason is None or (of_service and region in worked_on):
            continue
        slos = beyond.get(region, frozenset()) if of_service else frozenset()
        found |= {Helpless(region, reason, slo) for slo in slos or {None}}
    return tuple(sorted(found, key=lambda each: (each.region, each.reason, each.slo or "")))


def _beyond_budget(alarms: Iterable[Alarm], fleet: Fleet) -> Mapping[Region, frozenset[SloId]]:
    """Objectives with an alarm in each region, be it about the region or about one of its replicas."""
    homes = {replica.id: replica.region for replica in fleet.replicas()}
    slos: dict[Region, frozenset[SloId]] = {}
    for alarm in alarms:
        place = alarm.series.place
        region = Region(place) if alarm.series.is_region else homes.get(ReplicaId(place))
        if region is not None:
            slos[region] = slos.get(region, frozenset()) | {alarm.series.slo}
    return slos


def _reason(refusal: Refusal, region: Region, standing: Standing) -> HelplessReason | None:  # noqa: PLR0911  # one line per sort
    """None for what time lifts."""
    match refusal:
        case Cooldown() | HostBusy() | RegionBudget() | RegionBusy() | TargetChanged() | OnProbation():
            return None
        case Paused():
            return HelplessReason.PAUSED
        case StaleSignals():
            return HelplessReason.NO_DATA
        case BelowNeededCapacity() | BelowConfigured() | LastRoutableReplica() | NoSpareCapacity() | NoFreeSlot():
            return HelplessReason.NO_CAPACITY
        case AttemptsExhausted():
            return HelplessReason.BUDGET_SPENT
        case CorrelatedFailure():
            return HelplessReason.NOTHING_HELPED
        case NoRemedy():
            return HelplessReason.NOTHING_HELPED if _tried_in_vain(region, standing) else HelplessReason.NO_REMEDY
        case GpuUnfit() | HostUnfit() | NotPermitted() | InUse() | NeedsInspection() | NeedsPerson() | Widespread():
            return HelplessReason.NEEDS_PERSON
    assert_never(refusal)


def _tried_in_vain(region: Region, standing: Standing) -> bool:
    """True when an action there closed without help, so lately that it is not repeated."""
    since_unix_s = standing.now_unix_s - standing.policy.rung_memory_s
    return any(
        record.verdict in UNHELPFUL and record.stage_unix_s >= since_unix_s and region in regions_of(record.action)
        for record in standing.actions
    )
