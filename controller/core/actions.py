"""The actions as values: four on replicas and traffic, two on machines; and the record of one action's life from intent to verdict.

An action is complete: who, what, which incarnation, what it should achieve and how to undo it. The executor has nothing
left to choose. `ActionRecord` is what the journal keeps; its `stage` only moves forward.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import NewType

from contracts.vocabulary import GpuUuid, HostId, OrderKey, ProfileId, Region, ReplicaId, SloId
from controller.core.fleet import TrafficIntent

ActionId = NewType("ActionId", str)


class ActionKind(StrEnum):
    """The verbs; restorative ones give back what an earlier action took."""

    RESTART = "restart"
    SHIFT = "shift"
    SWITCH_PROFILE = "switch_profile"
    SCALE_OUT = "scale_out"
    SCALE_IN = "scale_in"
    RESET_GPU = "reset_gpu"
    REBOOT_HOST = "reboot_host"
    RETURN_TRAFFIC = "return_traffic"
    RESTORE_PROFILE = "restore_profile"


@dataclass(frozen=True, slots=True)
class Restart:
    """Drain (unless hung), restart one replica, wait until ready, give it traffic again."""

    host: HostId
    region: Region
    replica: ReplicaId
    generation: int
    graceful: bool
    kind: ActionKind = ActionKind.RESTART


@dataclass(frozen=True, slots=True)
class Shift:
    """Move a gateway's traffic between regions; RETURN_TRAFFIC is the same act towards home."""

    region: Region
    """Region that is relieved (or, on return, given its traffic back)."""
    before: TrafficIntent
    after: TrafficIntent
    kind: ActionKind = ActionKind.SHIFT


@dataclass(frozen=True, slots=True)
class ReplicaRef:
    """One incarnation of one replica on its host."""

    host: HostId
    replica: ReplicaId
    generation: int


@dataclass(frozen=True, slots=True)
class SwitchProfile:
    """Run the replicas of one region on another profile; one order per replica, nothing is dropped."""

    region: Region
    replicas: tuple[ReplicaRef, ...]
    before: ProfileId
    after: ProfileId
    kind: ActionKind = ActionKind.SWITCH_PROFILE


@dataclass(frozen=True, slots=True)
class ScaleOut:
    """Start one replica in a free slot."""

    host: HostId
    region: Region
    replica: ReplicaId
    profile: ProfileId
    kind: ActionKind = ActionKind.SCALE_OUT


@dataclass(frozen=True, slots=True)
class ScaleIn:
    """Drain (unless it serves nobody) and stop one replica."""

    host: HostId
    region: Region
    replica: ReplicaId
    generation: int
    kind: ActionKind = ActionKind.SCALE_IN
    graceful: bool = True


@dataclass(frozen=True, slots=True)
class ResetGpu:
    """Reset one GPU on which nothing runs any more."""

    host: HostId
    region: Region
    gpu: GpuUuid
    name: str
    """For people: `eu-west-a GPU 3`."""
    because: str
    """What calls for it: `xid 48 on eu-west-a GPU 3`."""
    kind: ActionKind = ActionKind.RESET_GPU


@dataclass(frozen=True, slots=True)
class RebootHost:
    """Reboot one host on which nothing runs any more."""

    host: HostId
    region: Region
    boot_id: str
    """Boot that was judged: the reboot has happened when the host reports under another."""
    because: str
    kind: ActionKind = ActionKind.REBOOT_HOST


MachineAction = ResetGpu | RebootHost
Action = Restart | Shift | SwitchProfile | ScaleOut | ScaleIn | MachineAction


class Stage(StrEnum):
    """Where an action stands. Every stage but CLOSED has a deadline, so nothing stays open for ever."""

    INTENDED = "intended"
    """Journaled; nothing touched yet."""
    DRAINING = "draining"
    """Target cordoned; its work in flight is finishing. For a machine: a report newer than the intent must show it empty."""
    ORDERED = "ordered"
    """Orders issued, or traffic published; no final answer yet. No answer is Unknown, never success."""
    VERIFYING = "verifying"
    """Executed; the observation window is running."""
    CLOSED = "closed"


class Verdict(StrEnum):
    """What an action came to."""

    IMPROVED = "improved"
    NO_EFFECT = "no_effect"
    WORSE = "worse"
    """Compensated at once, if that is safe."""
    INCONCLUSIVE = "inconclusive"
    """Too little traffic or data to say."""
    FAILED = "failed"
    """An order failed, was refused, or its deadline passed without an answer that it was executed."""


@dataclass(frozen=True, slots=True)
class Measure:
    """A ratio with its counts: `bad` of `total` events in the observed scope, and of its peers at the same time."""

    bad: float
    total: float
    peer_bad: float
    peer_total: float


@dataclass(frozen=True, slots=True)
class Expectation:
    """What the action should achieve, and for how long to look before judging."""

    scope: str
    """What is measured, e.g. `region=eu-west` or `replica=eu-west-0`."""
    window_s: float
    before: Measure
    slo: SloId | None = None
    """Objective whose events `before` counts: the one furthest beyond its budget then. None: all of them together."""


@dataclass(frozen=True, slots=True)
class ActionRecord:
    """One action's life; the journal stores the newest version under `id`."""

    id: ActionId
    action: Action
    cause: str
    """Finding that led here, one sentence for `trimtab why`."""
    evidence: tuple[tuple[str, str], ...]
    expectation: Expectation
    stage: Stage
    epoch: int
    intended_unix_s: float
    stage_unix_s: float
    """When it entered `stage`."""
    stage_deadline_unix_s: float
    order_keys: tuple[OrderKey, ...] = ()
    origin: str = "loop"
    """loop, or the operator who asked for it."""
    verdict: Verdict | None = None
    detail: str = ""
    refused: bool = False
    """Its host would not begin it: it never happened."""
