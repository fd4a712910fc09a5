"""Act: an open action goes from stage to stage on observed facts alone: receipts, host reports and gateways.

Nothing here waits or assumes. A stage that sees no fact runs into its deadline, so that nothing is open for ever. No answer
to an order is Unknown: then the fleet is asked instead (has the incarnation changed, does the profile run?), and only that
decides. Orders carry keys made from the action's id, so a new leader that offers them again repeats nothing.
"""

from dataclasses import dataclass, replace

from contracts.agent_api import Receipt
from contracts.vocabulary import ReceiptStatus, RefusalReason, Region, ReplicaId, ReplicaState
from controller.core.actions import (
    Action,
    ActionRecord,
    MachineAction,
    RebootHost,
    ReplicaRef,
    ResetGpu,
    Restart,
    ScaleIn,
    ScaleOut,
    Shift,
    Stage,
    SwitchProfile,
    Verdict,
)
from controller.core.facts import Facts, Published
from controller.core.fleet import TrafficIntent
from controller.core.gateways import GatewayObservation
from controller.core.ledger import taken_from
from controller.core.orders import key_of, orders_for
from controller.core.policy import Policy
from controller.core.story import OpenOrder
from controller.core.traffic import cordoned, merged, row_of, rows_changed

FINAL = frozenset({ReceiptStatus.DONE, ReceiptStatus.FAILED, ReceiptStatus.REFUSED})
LOST = frozenset({ReceiptStatus.FAILED, ReceiptStatus.REFUSED})


@dataclass(frozen=True, slots=True)
class Progress:
    """One action after this tick's facts."""

    record: ActionRecord
    orders: tuple[OpenOrder, ...] = ()
    """To be issued now."""


@dataclass(frozen=True, slots=True)
class Wait:
    """No fact yet."""


@dataclass(frozen=True, slots=True)
class Executed:
    """It was done; what it achieved remains to be seen."""

    detail: str = ""


@dataclass(frozen=True, slots=True)
class Failed:
    """It was not done, or did not work."""

    why: str
    refused: bool = False
    """Its host would not begin it."""


State = Wait | Executed | Failed


def advance(record: ActionRecord, facts: Facts) -> Progress:
    """Move one action as far as the facts allow; verifying is the next phase's business."""
    match record.stage:
        case Stage.INTENDED:
            return _start(record, facts)
        case Stage.DRAINING:
            return _drain(record, facts)
        case Stage.ORDERED:
            return Progress(_after_order(record, facts))
        case Stage.VERIFYING | Stage.CLOSED:
            return Progress(record)


def enter(record: ActionRecord, stage: Stage, facts: Facts, within_s: float, detail: str = "") -> ActionRecord:
    """The record at its next stage, with the deadline of that stage."""
    return replace(
        record,
        stage=stage,
        stage_unix_s=facts.now_unix_s,
        stage_deadline_unix_s=facts.now_unix_s + within_s,
        detail=detail or record.detail,
    )


def close(record: ActionRecord, verdict: Verdict, now_unix_s: float, detail: str) -> ActionRecord:
    """The record at its end."""
    return replace(
        record,
        stage=Stage.CLOSED,
        stage_unix_s=now_unix_s,
        stage_deadline_unix_s=now_unix_s,
        verdict=verdict,
        detail=detail,
    )


def traffic_after(intent: TrafficIntent, moved: tuple[tuple[Stage, ActionRecord], ...]) -> TrafficIntent:
    """The intent after this tick's transitions: shifts that began are in, shifts that failed are taken back.

    Cordons are no memory of their own: they follow from the open actions, so one left behind by a dead leader is lifted
    by the next tick of any leader.
    """
    for former, record in moved:
        action = record.action
        if not isinstance(action, Shift):
            continue
        if former is Stage.INTENDED and record.stage is not Stage.CLOSED:
            intent = merged(intent, action.before, action.after)
        elif former is Stage.ORDERED and record.verdict is Verdict.FAILED:
            intent = merged(intent, action.after, action.before)
    return intent


def cordons(records: tuple[ActionRecord, ...]) -> frozenset[ReplicaId]:
    """Replicas that must get no new work: the targets of open drains."""
    held: set[ReplicaId] = set()
    for record in records:
        taken = taken_from(record.action)
        if taken is not None and _drains(record) and record.stage in {Stage.DRAINING, Stage.ORDERED}:
            held.add(taken[2])
    return frozenset(held)


def with_cordons(intent: TrafficIntent, records: tuple[ActionRecord, ...]) -> TrafficIntent:
    """The intent with exactly the cordons that the open actions call for."""
    return cordoned(intent, cordons(records))


# ── starting ──────────────────────────────────────────────────────────────────────────────────────────────────────────
def _drains(record: ActionRecord) -> bool:
    return isinstance(record.action, Restart | ScaleIn) and record.action.graceful


def _start(record: ActionRecord, facts: Facts) -> Progress:
    if isinstance(record.action, Shift):
        return Progress(enter(record, Stage.ORDERED, facts, facts.policy.publish_within_s))
    if _drains(record) or isinstance(record.action, MachineAction):
        return Progress(enter(record, Stage.DRAINING, facts, facts.policy.drain_s))
    return _order(record, facts)


def _drain(record: ActionRecord, facts: Facts) -> Progress:
    match record.action:
        case ResetGpu() | RebootHost():
            return _look_once_more(record.action, record, facts)
        case Restart() | ScaleIn():
            return _drain_replica(record.action, record, facts)
        case _:
            return _order(record, facts)


def _drain_replica(action: Restart | ScaleIn, record: ActionRecord, facts: Facts) -> Progress:
    replica = facts.fleet.replica(action.replica)
    if replica is None and not facts.is_heard(action.host):
        if facts.now_unix_s < record.stage_deadline_unix_s:
            return Progress(record)
        detail = f"{action.host} did not report while it was draining"
        return Progress(close(record, Verdict.FAILED, facts.now_unix_s, detail))
    if replica is None or replica.generation != action.generation:
        detail = "the replica changed by another hand while it was draining"
        return Progress(close(record, Verdict.FAILED, facts.now_unix_s, detail))
    if _is_drained(replica.id, replica.in_flight, facts):
        return _order(record, facts)
    if facts.now_unix_s >= record.stage_deadline_unix_s:
        return _order(replace(record, detail="the drain ran into its deadline"), facts)
    return Progress(record)


def _is_drained(replica: ReplicaId, in_flight: int, facts: Facts) -> bool:
    """Every gateway that answers runs the cordon, and neither the agent nor any of them sees work in flight."""
    published = facts.published
    if published is None or replica not in published.intent.cordoned or in_flight > 0:
        return False
    answering = [gateway for gateway in facts.gateways if isinstance(gateway, GatewayObservation)]
    told = bool(answering) and all(gateway.version == published.version for gateway in answering)
    seen = [dict(gateway.in_flight).get(replica, 0) for gateway in answering]
    return (published.confirmed or told) and not any(seen)


def _running(published: Published, facts: Facts) -> frozenset[Region]:
    """Gateways that say themselves that they run it: one that cannot be reached must not hold up what concerns others."""
    read = (gateway for gateway in facts.gateways if isinstance(gateway, GatewayObservation))
    return frozenset(gateway.gateway for gateway in read if gateway.version == published.version)


def _order(record: ActionRecord, facts: Facts) -> Progress:
    orders = orders_for(record, facts.epoch, facts.now_unix_s, facts.policy)
    keys = tuple(issued.order.key for issued in orders)
    within_s = _answered_within_s(record.action, facts.policy)
    return Progress(enter(replace(record, order_keys=keys), Stage.ORDERED, facts, within_s), orders)


def _answered_within_s(action: Action, policy: Policy) -> float:
    match action:
        case ResetGpu():
            return policy.gpu_reset_within_s
        case RebootHost():
            return policy.host_reboot_within_s
        case _:
            return policy.ready_within_s


# ── after the order ───────────────────────────────────────────────────────────────────────────────────────────────────
def _after_order(record: ActionRecord, facts: Facts) -> ActionRecord:
    match _state(record, facts):
        case Executed(detail=detail):
            window_s = record.expectation.window_s + 2 * facts.policy.block_s  # the last block must have closed
            return enter(record, Stage.VERIFYING, facts, window_s, detail)
        case Failed(why=why, refused=refused):
            return close(replace(record, refused=refused), Verdict.FAILED, facts.now_unix_s, why)
        case Wait():
            return record


def _state(record: ActionRecord, facts: Facts) -> State:
    match record.action:
        case Restart() as action:
            return _restarted(action, record, facts)
        case SwitchProfile() as action:
            return _switched(action, record, facts)
        case ScaleOut() as action:
            return _started(action, record, facts)
        case ScaleIn() as action:
            replica = facts.fleet.replica(action.replica)
            unlisted = replica is None and facts.is_heard(action.host)
            gone = unlisted or (replica is not None and replica.state is ReplicaState.STOPPED)
            return _or_lost(gone, "it never stopped", record, facts)
        case ResetGpu() as action:
            return _reset(action, record, facts)
        case RebootHost() as action:
            return _rebooted(action, record, facts)
        case Shift() as action:
            return _shifted(action, record, facts)


def _restarted(action: Restart, record: ActionRecord, facts: Facts) -> State:
    replica = facts.fleet.replica(action.replica)
    changed = replica is not None and replica.generation > action.generation
    if not changed or replica is None:
        return _or_lost(is_done=False, why="no restart was seen", record=record, facts=facts)
    if replica.ready:
        return Executed()
    late = facts.now_unix_s >= record.stage_deadline_unix_s
    return Failed("it was restarted but did not become ready in time") if late else Wait()


def _started(action: ScaleOut, record: ActionRecord, facts: Facts) -> State:
    replica = facts.fleet.replica(action.replica)
    if replica is None or replica.state is ReplicaState.STOPPED:
        return _or_lost(is_done=False, why="it never started", record=record, facts=facts)
    if replica.ready:
        return Executed()
    late = facts.now_unix_s >= record.stage_deadline_unix_s
    return Failed("it started but did not become ready in time") if late else Wait()


def _or_lost(is_done: bool, why: str, record: ActionRecord, facts: Facts) -> State:
    """Done as the fleet shows it; else lost when the agent said so, or when nothing can come of the order any more."""
    if is_done:
        return Executed()
    receipts = facts.answers(record)
    lost = next((receipt for receipt in receipts if receipt.status in LOST), None)
    if lost is not None:
        return _lost_by(lost)
    if facts.now_unix_s >= record.stage_deadline_unix_s:
        return Failed(f"{why} before its deadline")
    if not receipts and facts.is_void(record):
        return Failed(f"no answer from the agent, and {why}")
    return Wait()


def _lost_by(receipt: Receipt) -> Failed:
    """A host that has lost its memory refuses what it may have executed; every other refusal means that it never happened."""
    words = ", ".join(word for word in (receipt.refusal, receipt.detail) if word) or "no reason given"
    never = receipt.status is ReceiptStatus.REFUSED and receipt.refusal is not RefusalReason.MEMORY_LOST
    return Failed(f"the agent answered {receipt.status}: {words}", refused=never)


def _switched(action: SwitchProfile, record: ActionRecord, facts: Facts) -> State:
    """Over when every replica runs the profile, is gone, or will not run it."""
    switched = lost = 0
    for ref in action.replicas:
        runs, out = _profile_state(ref, action, record, facts)
        switched, lost = switched + runs, lost + out
    is_over = switched + lost == len(action.replicas) or facts.now_unix_s >= record.stage_deadline_unix_s
    if not is_over:
        return Wait()
    if switched == 0:
        return Failed(f"none of {len(action.replicas)} replicas runs {action.after}")
    return Executed(f"{switched} of {len(action.replicas)} replicas run {action.after}")


def _profile_state(ref: ReplicaRef, action: SwitchProfile, record: ActionRecord, facts: Facts) -> tuple[bool, bool]:
    """(runs the new profile, never will)."""
    replica = facts.fleet.replica(ref.replica)
    receipt = facts.receipts.get(key_of(record.id, ref.replica))
    if replica is not None and replica.profile == action.after:
        return True, False
    gone = facts.is_heard(ref.host) if replica is None else replica.generation != ref.generation
    refused = receipt is not None and receipt.status in LOST
    return False, gone or refused or (receipt is None and facts.is_void(record))


def _shifted(action: Shift, record: ActionRecord, facts: Facts) -> State:
    published = facts.published
    concerned = rows_changed(action.before, action.after)
    told = published is not None and all(
        row_of(published.intent, gateway) == row_of(action.after, gateway) for gateway in concerned
    )
    if published is not None and told and (published.confirmed or _running(published, facts).issuperset(concerned)):
        return Executed()
    if published is not None and told and published.rejection:
        return Failed(f"a gateway rejected it: {published.rejection}")
    late = facts.now_unix_s >= record.stage_deadline_unix_s
    return Failed("not every gateway that it concerns confirmed it in time") if late else Wait()


# ── machines ──────────────────────────────────────────────────────────────────────────────────────────────────────────
def _look_once_more(action: MachineAction, record: ActionRecord, facts: Facts) -> Progress:
    """The order goes out only when a report made after the intent shows that nothing runs there."""
    host = facts.heard(action.host)
    if host is None or facts.now_unix_s - host.report_age_s <= record.intended_unix_s:
        if facts.now_unix_s < record.stage_deadline_unix_s:
            return Progress(record)
        return Progress(close(record, Verdict.FAILED, facts.now_unix_s, f"{action.host} did not report"))
    holders = host.holders(action.gpu) if isinstance(action, ResetGpu) else host.holders()
    if holders:
        detail = f"{', '.join(replica.id for replica in holders)} runs there again"
        return Progress(close(record, Verdict.FAILED, facts.now_unix_s, detail))
    if isinstance(action, RebootHost) and host.boot_id != action.boot_id:
        return Progress(close(record, Verdict.FAILED, facts.now_unix_s, "another hand restarted it"))
    return _order(record, facts)


def _reset(action: ResetGpu, record: ActionRecord, facts: Facts) -> State:
    """Tried, by the agent's word; without an answer, by the GPU being fit after the order has become void.

    The agent calls a reset failed when the GPU is unfit afterwards. It was tried all the same, and that is for verifying to
    judge; only one that was refused never happened.
    """
    for receipt in facts.answers(record):
        if receipt.status is ReceiptStatus.DONE:
            return Executed(receipt.detail)
        if receipt.status is ReceiptStatus.FAILED:
            return Executed(f"its agent calls it failed: {receipt.detail or 'no reason given'}")
    found = facts.fleet.gpu(action.gpu)
    fit = found is not None and found[1].fit and facts.is_heard(action.host) and facts.is_void(record)
    return _or_lost(fit, "no reset was seen", record, facts)


def _rebooted(action: RebootHost, record: ActionRecord, facts: Facts) -> State:
    """It reports under another boot and calls it done: an agent that was merely started again reports under another one, too.

    Without an answer, by that other boot alone, once the order has become void.
    """
    host, answers = facts.heard(action.host), facts.answers(record)
    by_its_word = any(receipt.status is ReceiptStatus.DONE for receipt in answers)
    is_back = host is not None and host.boot_id != action.boot_id
    is_done = is_back and (by_its_word or (not answers and facts.is_void(record)))
    return _or_lost(is_done, "it did not come back under another boot", record, facts)
