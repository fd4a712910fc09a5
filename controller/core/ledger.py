"""What is under way and what was tried: questions about actions that several phases ask."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from contracts.vocabulary import HostId, Region, ReplicaId
from controller.core.actions import (
    Action,
    ActionKind,
    ActionRecord,
    MachineAction,
    RebootHost,
    ResetGpu,
    Restart,
    ScaleIn,
    ScaleOut,
    Shift,
    Stage,
    SwitchProfile,
    Verdict,
)
from controller.core.capacity import RegionLoad
from controller.core.fleet import TrafficIntent
from controller.core.signals import Trust
from controller.core.traffic import regions_changed, rows_changed

DISRUPTIVE = frozenset({ActionKind.RESTART, ActionKind.SCALE_IN})
"""Kinds that take a replica away; a profile switch drops nothing."""
TRAFFIC = frozenset({ActionKind.SHIFT, ActionKind.RETURN_TRAFFIC})
PROFILE = frozenset({ActionKind.SWITCH_PROFILE, ActionKind.RESTORE_PROFILE})
SCALE = frozenset({ActionKind.SCALE_OUT, ActionKind.SCALE_IN})
MACHINE = frozenset({ActionKind.RESET_GPU, ActionKind.REBOOT_HOST})
"""Kinds that touch a machine on which nothing runs; they take nothing from anybody."""
UNHELPFUL = frozenset({Verdict.NO_EFFECT, Verdict.WORSE, Verdict.FAILED, Verdict.INCONCLUSIVE})
LOOP = "loop"
COMPENSATION = "compensation"


@dataclass(frozen=True, slots=True)
class Ledger:
    """Open and recent actions, and what the present load and traffic say about room for more."""

    actions: tuple[ActionRecord, ...]
    traffic: TrafficIntent
    loads: Mapping[Region, RegionLoad] = field(default_factory=dict)
    trust: Mapping[Region, Trust] = field(default_factory=dict)
    gateway_rps: Mapping[Region, float] = field(default_factory=dict)
    paused: bool = False

    def demand_rps(self, gateway: Region) -> float:
        """Requests per second that arrive at one gateway; its region's own load when the gateway was not read."""
        if gateway in self.gateway_rps:
            return self.gateway_rps[gateway]
        load = self.loads.get(gateway)
        return load.rps if load is not None else 0.0

    @property
    def open(self) -> tuple[ActionRecord, ...]:
        """Actions that are not closed."""
        return tuple(record for record in self.actions if record.stage is not Stage.CLOSED)

    def with_action(self, record: ActionRecord) -> "Ledger":
        """The ledger after one more action began, so that a tick cannot spend the same budget twice."""
        return replace(self, actions=(*self.actions, record))

    def without_history(self) -> "Ledger":
        """The ledger with open actions alone: what was tried before then asks for no patience."""
        return replace(self, actions=self.open)

    def tried(self, kind: ActionKind, target: str, since_unix_s: float) -> tuple[ActionRecord, ...]:
        """Closed actions of that kind on that target, oldest first."""
        found = [
            record
            for record in self.actions
            if record.stage is Stage.CLOSED
            and record.action.kind is kind
            and target_of(record.action) == target
            and record.stage_unix_s >= since_unix_s
        ]
        return tuple(sorted(found, key=lambda record: record.stage_unix_s))

    def newest(self, kinds: frozenset[ActionKind], region: Region) -> ActionRecord | None:
        """The latest action of these kinds that touched the region; None when there was none."""
        found = [r for r in self.actions if r.action.kind in kinds and region in regions_of(r.action)]
        return max(found, key=lambda record: record.intended_unix_s, default=None)

    def ended_unix_s(self, region: Region) -> float:
        """When the last action in the region closed; 0 when none did."""
        ends = [r.stage_unix_s for r in self.actions if r.stage is Stage.CLOSED and region in regions_of(r.action)]
        return max(ends, default=0.0)


def target_of(action: Action) -> str:
    """What cooldowns and attempts are counted for: the replica, the GPU, the host, or the region."""
    match action:
        case Restart() | ScaleIn():
            return action.replica
        case ResetGpu():
            return action.gpu
        case RebootHost():
            return action.host
        case Shift() | SwitchProfile() | ScaleOut():
            return action.region


def regions_of(action: Action) -> frozenset[Region]:
    """Regions whose service the action changes."""
    match action:
        case Shift():
            return frozenset(rows_changed(action.before, action.after)) | regions_changed(action.before, action.after)
        case Restart() | ScaleIn() | ScaleOut() | SwitchProfile():
            return frozenset({action.region})
        case ResetGpu() | RebootHost():
            return frozenset()


def taken_from(action: Action) -> tuple[HostId, Region, ReplicaId] | None:
    """The replica a disruptive action takes away for a while; None for all other actions."""
    match action:
        case Restart() | ScaleIn():
            return action.host, action.region, action.replica
        case Shift() | SwitchProfile() | ScaleOut() | ResetGpu() | RebootHost():
            return None


def hosts_of(action: Action) -> tuple[HostId, ...]:
    """Hosts that an action orders something from."""
    match action:
        case (
            Restart(host=host) | ScaleIn(host=host) | ScaleOut(host=host) | ResetGpu(host=host) | RebootHost(host=host)
        ):
            return (host,)
        case SwitchProfile(replicas=refs):
            return tuple(ref.host for ref in refs)
        case Shift():
            return ()


def is_judged_by_reports(action: Action) -> bool:
    """True when the word of its agent shows whether it helped; all others are judged by what clients got."""
    match action:
        case Restart(graceful=graceful) | ScaleIn(graceful=graceful):
            return not graceful
        case ResetGpu() | RebootHost():
            return True
        case Shift() | SwitchProfile() | ScaleOut():
            return False


def machines_touched(records: tuple[ActionRecord, ...]) -> dict[HostId, ActionRecord]:
    """Hosts with an open action on the machine itself, and that action."""
    return {
        record.action.host: record
        for record in records
        if record.stage is not Stage.CLOSED and isinstance(record.action, MachineAction)
    }


def unhelpful_streak(records: tuple[ActionRecord, ...]) -> int:
    """How many of the latest attempts in a row did not help."""
    streak = 0
    for record in reversed(records):
        if record.verdict not in UNHELPFUL:
            break
        streak += 1
    return streak


def describe(action: Action) -> str:
    """The action in a few words, for the story."""
    match action:
        case Restart():
            manner = "after a drain" if action.graceful else "at once"
            return f"restart {action.replica} {manner}"
        case Shift():
            return f"{_verb(action)} {_rows(action)}"
        case SwitchProfile():
            count = len(action.replicas)
            return f"switch {count} replica{'s' if count != 1 else ''} of {action.region} to {action.after}"
        case ScaleOut():
            return f"start {action.replica} in {action.region}"
        case ScaleIn():
            return f"{'drain and stop' if action.graceful else 'stop'} {action.replica}"
        case ResetGpu():
            return f"reset {action.name}"
        case RebootHost():
            return f"reboot {action.host}"


def _verb(action: Shift) -> str:
    return "return traffic:" if action.kind is ActionKind.RETURN_TRAFFIC else "shift traffic:"


def _rows(action: Shift) -> str:
    parts: list[str] = []
    for gateway in rows_changed(action.before, action.after):
        shares = ", ".join(
            f"{share.region} {share.share:.0%}" for share in action.after.shares if share.gateway == gateway
        )
        parts.append(f"gateway {gateway} → {shares}")
    return "; ".join(parts) or "nothing"
