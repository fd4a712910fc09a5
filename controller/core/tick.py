"""One pass of the six phases as one pure function: the same input and memory give the same output, always.

All the world is in `TickInput`, all that is kept in between in `Memory`, all that shall happen in `TickOutput`. Nothing is
done here, and nothing that matters is remembered here alone: what a new leader needs goes into the record for the journal.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from contracts.agent_api import Receipt
from contracts.vocabulary import HostId, OrderKey, Region
from controller.core.actions import ActionRecord, Stage
from controller.core.actuation import FINAL, Progress, advance, traffic_after, with_cordons
from controller.core.capacity import CapacityState, RegionLoad, learn, loads
from controller.core.decision import Act, Agreed, Author, Decision, Hold, decide
from controller.core.detection import Detected, DetectionState, Scene, detect
from controller.core.diagnosis import Case, diagnose
from controller.core.facts import Facts, Published
from controller.core.findings import OF_HARDWARE, Finding
from controller.core.fleet import Fleet, TrafficIntent
from controller.core.gateways import GatewayObservation
from controller.core.helplessness import Helpless, Standing, where_helpless
from controller.core.intents import SetPaused
from controller.core.ledger import Ledger, machines_touched
from controller.core.narration import Narrator, hold_key, tell_advance, tell_begun, tell_decision, tell_reflexes
from controller.core.objectives import budgets_of
from controller.core.policy import Policy
from controller.core.safety import Kernel, why_unsafe
from controller.core.signals import Readings, Signals, SignalState, observe
from controller.core.situation import Situation
from controller.core.story import JournalState, OpenOrder, TickRecord
from controller.core.telemetry import SignalSample, SourceDown
from controller.core.traffic import complete
from controller.core.verification import Judged, verify


@dataclass(frozen=True, slots=True)
class Phases:
    """The six phases and the safety kernel, by name; a test that breaks one on purpose replaces it here."""

    observe: Callable[[SignalState, Readings, Policy], tuple[SignalState, Signals]] = observe
    detect: Callable[[DetectionState, Scene, Policy], tuple[DetectionState, Detected]] = detect
    diagnose: Callable[[Case, Detected], tuple[Finding, ...]] = diagnose
    why_unsafe: Kernel = why_unsafe
    decide: Callable[[Situation, Author], tuple[Decision, ...]] = decide
    advance: Callable[[ActionRecord, Facts], Progress] = advance
    verify: Callable[[ActionRecord, float, Situation, Author], Judged | None] = verify


@dataclass(frozen=True, slots=True)
class TickInput:
    """Everything read from outside for one tick."""

    now_unix_s: float
    tick_id: str
    """Unique; the ids of everything decided in this tick are made from it."""
    epoch: int
    fleet: Fleet
    sample: SignalSample | SourceDown
    gateways: tuple[GatewayObservation | SourceDown, ...]
    receipts: tuple[tuple[HostId, Receipt], ...]
    journal: JournalState
    published: Published | None
    """None until this leader has published once."""


@dataclass(frozen=True, slots=True)
class Memory:
    """What this leader keeps from tick to tick; it may be lost at any time and costs some evidence, never an action."""

    signals: SignalState = field(default_factory=SignalState)
    detection: DetectionState = field(default_factory=DetectionState)
    capacity: CapacityState = field(default_factory=CapacityState)
    troubled_unix_s: Mapping[Region, float] = field(default_factory=dict)
    """When each region last had a finding, or was first seen."""
    holds: frozenset[tuple[str, str, str]] = frozenset()
    """Holds already told."""


@dataclass(frozen=True, slots=True)
class TickOutput:
    """What shall be remembered, what shall be done, and what people may see."""

    memory: Memory
    record: TickRecord
    """Written before anything below is done."""
    orders: tuple[OpenOrder, ...]
    """All open orders, to be offered."""
    settled: tuple[OrderKey, ...]
    """Receipts that need not come again."""
    traffic: TrafficIntent
    findings: tuple[Finding, ...]
    signals: Signals
    loads: Mapping[Region, RegionLoad]
    actions: tuple[ActionRecord, ...]
    """Open ones, and those closed within `policy.history_s`, as they stand now."""
    helpless: tuple[Helpless, ...]

    @property
    def actions_open(self) -> int:
        """How many have no verdict yet."""
        return len(_open(self.actions))


def think(tick: TickInput, memory: Memory, policy: Policy, phases: Phases) -> TickOutput:
    """Observe, detect, diagnose, decide, act, verify."""
    author, narrator = Author(tick.epoch, tick.tick_id), Narrator.of(tick.now_unix_s, tick.epoch, tick.tick_id)

    readings = Readings(tick.now_unix_s, tick.sample, tick.gateways, tick.fleet)
    signal_state, signals = phases.observe(memory.signals, readings, policy)

    touched = frozenset(machines_touched(tick.journal.actions))
    scene = Scene(tick.now_unix_s, tick.fleet, signals, tick.journal.slos, touched)
    detection_state, detected = phases.detect(memory.detection, scene, policy)

    ledger = _ledger(tick, signals, memory.capacity.light_speedup(policy), policy)
    case = Case(tick.now_unix_s, tick.fleet, signals, ledger, tick.journal.slos, policy)
    findings = phases.diagnose(case, detected)

    memory = _remember(memory, tick, findings)
    memory = replace(memory, signals=signal_state, detection=detection_state)
    situation = _situation(tick, memory, ledger, (signals, findings), policy, phases)
    decisions = phases.decide(situation, author)
    begun = tuple(record for chosen in decisions for record in _begun(chosen))

    facts = _facts(tick, policy)
    moved = tuple(_Moved(record, phases.advance(record, facts)) for record in (*_open(tick.journal.actions), *begun))
    traffic = traffic_after(ledger.traffic, tuple((move.before.stage, move.record) for move in moved))

    current = {record.id: record for record in (*tick.journal.actions, *(move.record for move in moved))}
    after = situation.with_ledger(replace(ledger, actions=tuple(current.values()), traffic=traffic))
    budget = case.budget
    judged = tuple(
        verdict for move in moved if (verdict := phases.verify(move.record, budget, after, author)) is not None
    )
    undone = tuple(_Moved(j.undo, phases.advance(j.undo, facts)) for j in judged if j.undo is not None)
    traffic = traffic_after(traffic, tuple((move.before.stage, move.record) for move in undone))

    outcome = _Outcome(decisions, moved, judged, undone, traffic)
    if signals.closed is not None:
        troubled = frozenset(finding.region for finding in findings if finding.cause not in OF_HARDWARE)
        memory = replace(memory, capacity=learn(memory.capacity, signals.closed, tick.fleet, troubled))
    record, holds = _record(tick, memory, outcome, narrator)
    actions = outcome.after(tick.journal.actions)
    return TickOutput(
        memory=replace(memory, holds=holds | _still_told(memory, findings)),
        record=record,
        orders=_offered(tick, record, outcome),
        settled=_settled(tick, outcome),
        traffic=outcome.intent,
        findings=findings,
        signals=signals,
        loads=ledger.loads,
        actions=actions,
        helpless=where_helpless(decisions, detected.alarms, Standing(tick.now_unix_s, tick.fleet, actions, policy)),
    )


# ── what the phases are given ─────────────────────────────────────────────────────────────────────────────────────────
def _ledger(tick: TickInput, signals: Signals, light_speedup: float, policy: Policy) -> Ledger:
    return Ledger(
        actions=tick.journal.actions,
        traffic=complete(tick.journal.traffic, {*tick.fleet.regions, *policy.gateways}),
        loads=loads(tick.fleet, signals, light_speedup, policy),
        trust=signals.trust,
        gateway_rps=signals.gateway_rps,
        paused=tick.journal.paused,
    )


def _remember(memory: Memory, tick: TickInput, findings: tuple[Finding, ...]) -> Memory:
    troubled = {region: memory.troubled_unix_s.get(region, tick.now_unix_s) for region in tick.fleet.regions}
    troubled |= {finding.region: tick.now_unix_s for finding in findings if finding.cause not in OF_HARDWARE}
    return replace(memory, troubled_unix_s=troubled)


def _situation(
    tick: TickInput,
    memory: Memory,
    ledger: Ledger,
    seen: tuple[Signals, tuple[Finding, ...]],
    policy: Policy,
    phases: Phases,
) -> Situation:
    signals, findings = seen
    return Situation(
        now_unix_s=tick.now_unix_s,
        fleet=tick.fleet,
        signals=signals,
        findings=findings,
        intents=tick.journal.intents,
        ledger=ledger,
        troubled_unix_s=memory.troubled_unix_s,
        policy=policy,
        why_unsafe=phases.why_unsafe,
        budgets=budgets_of(tick.journal.slos),
    )


def _facts(tick: TickInput, policy: Policy) -> Facts:
    return Facts(
        now_unix_s=tick.now_unix_s,
        epoch=tick.epoch,
        fleet=tick.fleet,
        receipts={receipt.key: receipt for _host, receipt in tick.receipts},
        gateways=tick.gateways,
        published=tick.published,
        policy=policy,
    )


def _open(actions: tuple[ActionRecord, ...]) -> tuple[ActionRecord, ...]:
    return tuple(record for record in actions if record.stage is not Stage.CLOSED)


def _begun(chosen: Decision) -> tuple[ActionRecord, ...]:
    match chosen:
        case Act(record=record) | Agreed(change=ActionRecord() as record):
            return (record,)
        case _:
            return ()


# ── what comes of it ──────────────────────────────────────────────────────────────────────────────────────────────────
@dataclass(frozen=True, slots=True)
class _Moved:
    """One action before and after this tick's facts."""

    before: ActionRecord
    progress: Progress

    @property
    def record(self) -> ActionRecord:
        return self.progress.record


@dataclass(frozen=True, slots=True)
class _Outcome:
    """Everything the phases came to in one tick."""

    decisions: tuple[Decision, ...]
    moved: tuple[_Moved, ...]
    judged: tuple[Judged, ...]
    undone: tuple[_Moved, ...]
    shares: TrafficIntent

    @property
    def final(self) -> dict[str, ActionRecord]:
        """Every action that was open or began in this tick, as it stands at its end."""
        records = (
            *(move.record for move in (*self.moved, *self.undone)),
            *(verdict.record for verdict in self.judged),
        )
        return {record.id: record for record in records}

    def after(self, former: tuple[ActionRecord, ...]) -> tuple[ActionRecord, ...]:
        """The journaled actions with what this tick made of them, and those that it began."""
        return tuple(({record.id: record for record in former} | self.final).values())

    @property
    def intent(self) -> TrafficIntent:
        """Shares as decided, with exactly the cordons that open actions call for."""
        return with_cordons(self.shares, tuple(self.final.values()))


def _record(
    tick: TickInput, memory: Memory, outcome: _Outcome, narrator: Narrator
) -> tuple[TickRecord, frozenset[tuple[str, str, str]]]:
    reflexes, reflexes_seen = tell_reflexes(tick.fleet, tick.journal, narrator)
    holds = {hold_key(chosen): chosen for chosen in outcome.decisions if isinstance(chosen, Hold)}
    told = [
        tell_decision(chosen, narrator)
        for chosen in outcome.decisions
        if not (isinstance(chosen, Hold) and hold_key(chosen) in memory.holds)
    ]
    former = {record.id: record for record in tick.journal.actions}
    final = outcome.final
    for move in outcome.moved:
        told += tell_advance(move.before, final[move.record.id], narrator)
    told += [tell_begun(move.record, narrator) for move in outcome.undone]
    record = TickRecord(
        decisions=(*reflexes, *told),
        actions=tuple(record for id_, record in final.items() if former.get(record.id) != record),
        orders_issued=tuple(o for move in (*outcome.moved, *outcome.undone) for o in move.progress.orders),
        receipts=tuple(pair for pair in _answers(tick, outcome) if pair[1].key in _journaled(tick)),
        orders_dropped=_dropped(tick, outcome),
        traffic=outcome.intent if outcome.intent != tick.journal.traffic else None,
        intents_taken=tuple(intent.id for intent in tick.journal.intents),
        paused=_paused(outcome.decisions),
        reflexes_seen=reflexes_seen,
    )
    return record, frozenset(holds)


def _still_told(memory: Memory, findings: tuple[Finding, ...]) -> frozenset[tuple[str, str, str]]:
    """What was said about unfit hardware is said once, though for days there are other words in between."""
    lasting = {(finding.subject, str(finding.cause)) for finding in findings if finding.cause in OF_HARDWARE}
    return frozenset(key for key in memory.holds if key[:2] in lasting)


def _paused(decisions: tuple[Decision, ...]) -> bool | None:
    changes = [c.change.paused for c in decisions if isinstance(c, Agreed) and isinstance(c.change, SetPaused)]
    return changes[-1] if changes else None


def _journaled(tick: TickInput) -> frozenset[OrderKey]:
    return frozenset(issued.order.key for issued in tick.journal.orders)


def _awaited(outcome: _Outcome) -> frozenset[OrderKey]:
    """Keys of actions that still wait for their orders."""
    ordered = (record for record in outcome.final.values() if record.stage is Stage.ORDERED)
    return frozenset(key for record in ordered for key in record.order_keys)


def _answers(tick: TickInput, outcome: _Outcome) -> tuple[tuple[HostId, Receipt], ...]:
    """Final receipts that have served their purpose. Until its action has moved on, a receipt is asked for again in every
    tick rather than remembered: an action with many orders needs all of them at once."""
    awaited = _awaited(outcome)
    return tuple(
        (host, receipt) for host, receipt in tick.receipts if receipt.status in FINAL and receipt.key not in awaited
    )


def _settled(tick: TickInput, outcome: _Outcome) -> tuple[OrderKey, ...]:
    return tuple(receipt.key for _host, receipt in _answers(tick, outcome))


def _dropped(tick: TickInput, outcome: _Outcome) -> tuple[OrderKey, ...]:
    """Journaled orders whose action has moved on without an answer."""
    awaited = _awaited(outcome)
    answered = frozenset(receipt.key for _host, receipt in tick.receipts if receipt.status in FINAL)
    return tuple(sorted(_journaled(tick) - awaited - answered))


def _offered(tick: TickInput, record: TickRecord, outcome: _Outcome) -> tuple[OpenOrder, ...]:
    """Every order still awaited, under this leader's epoch: a former leader's would be refused as stale."""
    awaited = _awaited(outcome)
    newest = {issued.order.key: issued for issued in (*tick.journal.orders, *record.orders_issued)}
    return tuple(
        OpenOrder(issued.host, issued.order.model_copy(update={"epoch": tick.epoch}))
        for key, issued in newest.items()
        if key in awaited
    )
