"""Orders made from actions: complete, fenced by epoch and incarnation, void after their time, and named by the action.

The key is made from the action's id and its target, never drawn, so that offering the same intent again offers the same
key and an agent executes it at most once.
"""

from contracts.agent_api import Order
from contracts.vocabulary import GpuUuid, HostId, OrderKey, OrderKind, ReplicaId
from controller.core.actions import (
    ActionId,
    ActionRecord,
    RebootHost,
    ReplicaRef,
    ResetGpu,
    Restart,
    ScaleIn,
    ScaleOut,
    Shift,
    SwitchProfile,
)
from controller.core.policy import Policy
from controller.core.story import OpenOrder


def key_of(action: ActionId, target: ReplicaId | GpuUuid | HostId) -> OrderKey:
    """The one key under which this action orders something of this replica, GPU or host."""
    return OrderKey(f"{action}:{target}")


def orders_for(record: ActionRecord, epoch: int, now_unix_s: float, policy: Policy) -> tuple[OpenOrder, ...]:
    """What the agents must do for this action; nothing for a shift, which is the gateways' work."""
    not_after_unix_s = now_unix_s + policy.order_ttl_s

    def order(kind: OrderKind, host: HostId, target: ReplicaId | GpuUuid | HostId, **more: object) -> OpenOrder:
        fields = {
            "key": key_of(record.id, target),
            "kind": kind,
            "epoch": epoch,
            "generation": 0,
            "not_after_unix_s": not_after_unix_s,
            **more,
        }
        return OpenOrder(host, Order.model_validate(fields))

    def replica_order(kind: OrderKind, ref: ReplicaRef, **more: object) -> OpenOrder:
        return order(kind, ref.host, ref.replica, replica=ref.replica, generation=ref.generation, **more)

    match record.action:
        case Restart(host=host, replica=replica, generation=generation, graceful=graceful):
            grace_s = policy.grace_s if graceful else 0.0
            return (replica_order(OrderKind.RESTART, ReplicaRef(host, replica, generation), grace_s=grace_s),)
        case ScaleIn(host=host, replica=replica, generation=generation, graceful=graceful):
            grace_s = policy.grace_s if graceful else 0.0
            return (replica_order(OrderKind.STOP_REPLICA, ReplicaRef(host, replica, generation), grace_s=grace_s),)
        case ScaleOut(host=host, replica=replica, profile=profile):
            return (order(OrderKind.START_REPLICA, host, replica, replica=replica, profile=profile),)
        case SwitchProfile(replicas=refs, after=after):
            return tuple(replica_order(OrderKind.SWITCH_PROFILE, ref, profile=after) for ref in refs)
        case ResetGpu(host=host, gpu=gpu):
            return (order(OrderKind.RESET_GPU, host, gpu, gpu=gpu),)
        case RebootHost(host=host):
            return (order(OrderKind.REBOOT_HOST, host, host),)
        case Shift():
            return ()
