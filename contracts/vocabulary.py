"""The words every process shares: ids, places, replica states, profiles and kinds of order.

Standard library only, so that every other package may import it. One word means one thing here, in metrics and in docs;
`docs/glossary.md` explains each to a newcomer.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import NewType

Region = NewType("Region", str)
HostId = NewType("HostId", str)
ReplicaId = NewType("ReplicaId", str)
SloId = NewType("SloId", str)
ProfileId = NewType("ProfileId", str)
GpuUuid = NewType("GpuUuid", str)
"""NVML's UUID of a device, `GPU-…`, or of a MIG instance, `MIG-…`: stable across reboots and driver reloads, unlike an index."""
OrderKey = NewType("OrderKey", str)
"""Idempotency key of one order: the same key is executed at most once by an agent, however often it is delivered."""


@dataclass(frozen=True, slots=True, order=True)
class Locality:
    """What fails together: a region, and inside it a host."""

    region: Region
    host: HostId


class ReplicaState(StrEnum):
    """What an agent knows about one serving process."""

    STARTING = "starting"
    """Spawned, not yet ready for the first time: probes are answered with patience until `start_deadline_s`."""
    READY = "ready"
    """Answers its readiness probe; busy replicas are ready too."""
    UNREADY = "unready"
    """Alive and answering, but says that it cannot serve (self-test failed, draining by its own hand)."""
    HUNG = "hung"
    """Probes go unanswered and the progress counter stands still."""
    CRASHED = "crashed"
    """The process ended without being asked to."""
    QUARANTINED = "quarantined"
    """Local restart budget spent: the agent leaves it down and tells the controller."""
    STOPPED = "stopped"
    """Ended because it was asked to."""


class ProfileRank(StrEnum):
    """The two ends of the quality ladder; a fleet runs FULL and falls back to LIGHT."""

    FULL = "full"
    LIGHT = "light"


@dataclass(frozen=True, slots=True)
class Profile:
    """One way to run the voice: vocoder × precision × engine."""

    vocoder: str
    precision: str
    engine: str
    rank: ProfileRank

    @property
    def id(self) -> ProfileId:
        """Stable name, e.g. `full-fp32-onnx`."""
        return ProfileId(f"{self.vocoder}-{self.precision}-{self.engine}")


FULL_FP32 = Profile(vocoder="full", precision="fp32", engine="onnx", rank=ProfileRank.FULL)
LIGHT_INT8 = Profile(vocoder="light", precision="int8", engine="onnx", rank=ProfileRank.LIGHT)
PROFILE_LADDER: tuple[Profile, ...] = (FULL_FP32, LIGHT_INT8)
"""Best quality first. A planner that wants relief moves right, one that restores moves left."""


class OrderKind(StrEnum):
    """What the controller may order an agent to do."""

    RESTART = "restart"
    SWITCH_PROFILE = "switch_profile"
    START_REPLICA = "start_replica"
    STOP_REPLICA = "stop_replica"
    RESET_GPU = "reset_gpu"
    """Reset one GPU that no replica uses any more. Off unless the agent's own policy allows it."""
    REBOOT_HOST = "reboot_host"
    """Reboot a host that serves nothing any more. Off unless the agent's own policy allows it."""


MACHINE_ORDERS = frozenset({OrderKind.RESET_GPU, OrderKind.REBOOT_HOST})
"""Orders about the machine, not about one replica."""


class ReceiptStatus(StrEnum):
    """What became of an order at the agent."""

    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    """Tried and did not work; the detail says why. The order is spent."""
    REFUSED = "refused"
    """Never tried: stale epoch, past `not_after`, wrong generation, unknown target, or budget."""


class RefusalReason(StrEnum):
    """Why an agent would not execute an order."""

    STALE_EPOCH = "stale_epoch"
    TOO_LATE = "too_late"
    GENERATION_MISMATCH = "generation_mismatch"
    UNKNOWN_REPLICA = "unknown_replica"
    NO_FREE_SLOT = "no_free_slot"
    TARGET_BUSY = "target_busy"
    NOT_DURABLE = "not_durable"
    """The host's disk did not take the receipt, so the order was not executed."""
    MEMORY_LOST = "memory_lost"
    """The host lost a part of its journal: an order from before may have been executed already."""
    NOT_PERMITTED = "not_permitted"
    """The policy of this host does not allow orders of this kind."""
    UNKNOWN_GPU = "unknown_gpu"
    GPU_IN_USE = "gpu_in_use"
    """A replica, or a program that is not ours, still runs there."""
    GPU_UNFIT = "gpu_unfit"
    """The replica would start on a GPU that is down or needs a reset."""


class ReflexKind(StrEnum):
    """What an agent does by itself, without the controller, inside its local budget."""

    RESTART_HUNG = "restart_hung"
    RESTART_CRASHED = "restart_crashed"
    RESTART_XID = "restart_xid"
    """The driver said that the program on the replica's GPU has to be restarted, and it lived on."""
    QUARANTINE = "quarantine"
    WITHHOLD = "withhold"
    """A restart was not done because the replica's GPU is down or needs a reset: it would only fail there again."""


class GpuAction(StrEnum):
    """What the state of a GPU calls for; ordered from harmless to drastic."""

    NONE = "none"
    RESTART_REPLICA = "restart_replica"
    DRAIN_GPU = "drain_gpu"
    RESET_GPU = "reset_gpu"
    DRAIN_HOST = "drain_host"
    REBOOT_HOST = "reboot_host"


UNFIT_FROM = GpuAction.DRAIN_GPU
"""From this action on, nothing should be started on the GPU."""


class SliKind(StrEnum):
    """Which duration of a request an SLO speaks about."""

    FIRST_AUDIO = "first_audio"
    """Request accepted → first audio byte ready to send."""
    TOTAL = "total"
    """Request accepted → last audio byte ready to send."""


class Outcome(StrEnum):
    """How one request counts against one SLO."""

    GOOD = "good"
    BAD = "bad"
