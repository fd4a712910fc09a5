"""Orders made from actions: complete, fenced by epoch and incarnation, void after their time, and named by the action.

The key is made from the action's id and the replica, never drawn, so that offering the same intent again offers the same
key and an agent executes it at most once.
"""

from contracts.agent_api import Order
from contracts.vocabulary import HostId, OrderKey, OrderKind, ReplicaId
from controller.core.actions import ActionId, ActionRecord, Restart, ScaleIn, ScaleOut, Shift, SwitchProfile
from controller.core.policy import Policy
from controller.core.story import OpenOrder


def key_of(action: ActionId, replica: ReplicaId) -> OrderKey:
    """The one key under which this action orders something of this replica."""
    return OrderKey(f"{action}:{replica}")


def orders_for(record: ActionRecord, epoch: int, now_unix_s: float, policy: Policy) -> tuple[OpenOrder, ...]:
    """What the agents must do for this action; nothing for a shift, which is the gateways' work."""
    not_after_unix_s = now_unix_s + policy.order_ttl_s

    def order(kind: OrderKind, host: HostId, replica: ReplicaId, generation: int = 0, **more: object) -> OpenOrder:
        fields = {
            "key": key_of(record.id, replica),
            "kind": kind,
            "epoch": epoch,
            "replica": replica,
            "generation": generation,
            "not_after_unix_s": not_after_unix_s,
            **more,
        }
        return OpenOrder(host, Order.model_validate(fields))

    match record.action:
        case Restart(host=host, replica=replica, generation=generation, graceful=graceful):
            grace_s = policy.grace_s if graceful else 0.0
            return (order(OrderKind.RESTART, host, replica, generation, grace_s=grace_s),)
        case ScaleIn(host=host, replica=replica, generation=generation):
            return (order(OrderKind.STOP_REPLICA, host, replica, generation, grace_s=policy.grace_s),)
        case ScaleOut(host=host, replica=replica, profile=profile):
            return (order(OrderKind.START_REPLICA, host, replica, profile=profile),)
        case SwitchProfile(replicas=refs, after=after):
            return tuple(
                order(OrderKind.SWITCH_PROFILE, ref.host, ref.replica, ref.generation, profile=after) for ref in refs
            )
        case Shift():
            return ()
