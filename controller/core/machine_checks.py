"""The kernel's checks about machines: a GPU to reset, a host to reboot, and what must keep away from either meanwhile.

A reset or a reboot takes nothing from anybody, because nothing runs there any more when it begins; that, the permission of
both sides and the number of attempts are what these checks stand for. The agent checks the same again before it obeys.
"""

from contracts.vocabulary import OrderKind
from controller.core.actions import MachineAction, RebootHost, ResetGpu
from controller.core.fleet import Fleet
from controller.core.ledger import hosts_of, machines_touched, taken_from, target_of
from controller.core.policy import Policy
from controller.core.question import Question
from controller.core.refusals import (
    BelowNeededCapacity,
    HostBusy,
    InUse,
    NeedsInspection,
    NotPermitted,
    Refusal,
    RegionBusy,
    StaleSignals,
    TargetChanged,
)

_SWITCHES = {OrderKind.RESET_GPU: "gpu_reset_allowed", OrderKind.REBOOT_HOST: "host_reboot_allowed"}
"""What would have to be set."""


def why_not_permitted(action: MachineAction, fleet: Fleet, policy: Policy) -> NotPermitted | None:
    """Two policies must agree: the controller's, and that of the host which would do it."""
    match action:
        case ResetGpu():
            needs, allowed, kind = "a reset of the GPU", policy.gpu_reset_allowed, OrderKind.RESET_GPU
        case RebootHost():
            needs, allowed, kind = "a reboot of the host", policy.host_reboot_allowed, OrderKind.REBOOT_HOST
    if not allowed:
        return NotPermitted(action.because, needs, f"the controller's policy: {_SWITCHES[kind]}")
    host = fleet.host(action.host)
    if host is None or kind not in host.machine_orders:
        return NotPermitted(action.because, needs, f"the agent's policy on {action.host}")
    return None


def is_permitted(question: Question) -> Refusal | None:
    """Off unless both the controller and the host allow it."""
    action = question.action
    if not isinstance(action, MachineAction):
        return None
    return why_not_permitted(action, question.fleet, question.policy)


def machine_is_drained(question: Question) -> Refusal | None:
    """No replica has, or may have, a process there."""
    action = question.action
    host = question.fleet.host(action.host) if isinstance(action, MachineAction) else None
    if host is None or not isinstance(action, MachineAction):
        return None
    holders = host.holders(action.gpu) if isinstance(action, ResetGpu) else host.holders()
    target = action.name if isinstance(action, ResetGpu) else action.host
    return InUse(target, tuple(replica.id for replica in holders)) if holders else None


def nothing_else_is_open_there(question: Question) -> Refusal | None:
    """Nothing at all is being done on the host: what starts there now may end up on what is reset."""
    hosts = frozenset(hosts_of(question.action))
    for record in question.ledger.open:
        shared = hosts.intersection(hosts_of(record.action))
        if shared:
            return HostBusy(host=min(shared), action=record.id)
    return None


def one_machine_per_region(question: Question) -> Refusal | None:
    """What the first reset or reboot did is seen before the next begins: two at a time are twice the harm of a mistake."""
    action = question.action
    for record in question.ledger.open:
        other = record.action
        if isinstance(action, MachineAction) and isinstance(other, MachineAction) and other.region == action.region:
            return RegionBusy(region=action.region, action=record.id)
    return None


def rest_can_carry(question: Question) -> Refusal | None:
    """While the host is away its slots cannot be used: nobody may be about to need them."""
    action = question.action
    if not isinstance(action, RebootHost):
        return None
    load = question.ledger.loads.get(action.region)
    if load is None or not load.known:
        return StaleSignals(source=f"the load of {action.region}", state="unknown")
    going = {other[2] for record in question.ledger.open if (other := taken_from(record.action)) is not None}
    left, needed = len(load.serving - going), load.needed(question.policy.utilisation_max)
    return BelowNeededCapacity(action.region, left, needed) if left < needed else None


def machine_attempts_are_left(question: Question) -> Refusal | None:
    """Orders that went out count, unless the host refused them: one without an answer may well have been obeyed."""
    action, policy = question.action, question.policy
    if not isinstance(action, MachineAction):
        return None
    is_reset = isinstance(action, ResetGpu)
    attempts_max = policy.gpu_resets_max_per_day if is_reset else policy.host_reboots_max_per_day
    tried = question.ledger.tried(action.kind, target_of(action), question.now_unix_s - policy.history_s)
    ordered = sum(bool(record.order_keys) and not record.refused for record in tried)
    if ordered < attempts_max:
        return None
    return NeedsInspection(action.because, f"a {'reset' if is_reset else 'reboot'} was ordered {ordered}× in 24 h")


def why_never(question: Question) -> Refusal | None:
    """What waiting and draining will not change: then nothing else on the host is disturbed for it."""
    return is_permitted(question) or machine_attempts_are_left(question)


def machine_is_known(question: Question) -> Refusal | None:
    """The GPU is still there; the host still runs the boot that was judged."""
    action = question.action
    if not isinstance(action, MachineAction):
        return None
    host = question.fleet.host(action.host)
    if isinstance(action, RebootHost):
        return None if host is not None and host.boot_id == action.boot_id else TargetChanged(action.host)
    known = host is not None and any(gpu.uuid == action.gpu for gpu in host.gpus)
    return None if known else TargetChanged(action.name)


def machine_is_left_alone(question: Question) -> Refusal | None:
    """Nothing is ordered from a host while one of its GPUs is being reset, or it is being rebooted."""
    touched = machines_touched(question.ledger.open)
    for host in hosts_of(question.action):
        if host in touched:
            return HostBusy(host=host, action=touched[host].id)
    return None
