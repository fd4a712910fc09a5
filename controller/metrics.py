"""What the controller says about itself. Names come from `contracts.metric_names`; zero is exported before it is counted."""

from typing import get_args

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics, generate_latest

from contracts import metric_names as names
from controller.action_series import ACTION_LABELS, labels_of, recent
from controller.core.actions import ActionKind, ActionRecord, Stage, Verdict
from controller.core.fleet import TrafficIntent
from controller.core.helplessness import Helpless
from controller.core.narration import REFUSAL_EVIDENCE
from controller.core.refusals import Refusal
from controller.core.signals import Trust
from controller.loop import LoopView
from controller.ports import FleetSource, Journal, JournalState, Lease, LeaseHeld, TickRecord
from controller.rules_series import RulesSeries

TICK_BUCKETS_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
DECISION_KINDS = ("act", "hold", "refuse", "reflex", "advance", "verdict", "operator", "signal")
OK, FAILED = "ok", "failed"
HELPLESS_MAX = 1_000
"""Regions × objectives × reasons; a fleet in which more of them are lost at once needs no longer list."""


class ControllerMetrics:
    """One registry per process, filled by the app."""

    def __init__(self, fleet: FleetSource) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]  # creation times would double the series
        self._fleet = fleet
        self._registry = registry = CollectorRegistry()
        outcome, kind = [names.LABEL_OUTCOME], [names.LABEL_KIND]
        self._ticks = Counter(names.CONTROLLER_TICKS_TOTAL, "Passes of the loop.", outcome, registry=registry)
        self._tick_s = Histogram(
            names.CONTROLLER_TICK_SECONDS, "Duration of one pass.", registry=registry, buckets=TICK_BUCKETS_S
        )
        self._decisions = Counter(names.CONTROLLER_DECISIONS_TOTAL, "Lines of the story.", kind, registry=registry)
        self._refusals = Counter(
            names.CONTROLLER_REFUSALS_TOTAL, "Considered and not allowed.", [names.LABEL_REASON], registry=registry
        )
        self._actions = Counter(
            names.CONTROLLER_ACTIONS_TOTAL, "Closed actions.", [names.LABEL_KIND, "verdict"], registry=registry
        )
        self._alerts = Counter(names.CONTROLLER_ALERTS_RECEIVED_TOTAL, "Alerts by webhook.", registry=registry)
        self._leader = Gauge(names.CONTROLLER_LEADER, "1 while this process leads.", registry=registry)
        self._epoch = Gauge(names.CONTROLLER_EPOCH, "Epoch this process last led in.", registry=registry)
        self._paused = Gauge(names.CONTROLLER_PAUSED, "1 while new actions are paused.", registry=registry)
        self._open = Gauge(names.CONTROLLER_ACTIONS_OPEN, "Actions without a verdict.", registry=registry)
        self._trust = Gauge(names.CONTROLLER_SIGNALS_TRUST, "Series per state of trust.", ["trust"], registry=registry)
        self._weights = Gauge(
            names.CONTROLLER_REGION_WEIGHT,
            "Wanted share of a gateway's traffic.",
            ["gateway", names.LABEL_REGION],
            registry=registry,
        )
        self._ages = Gauge(
            names.CONTROLLER_AGENT_AGE_SECONDS, "Age of the newest report.", [names.LABEL_HOST], registry=registry
        )
        self._helpless = Gauge(
            names.CONTROLLER_HELPLESS,
            "1 where nothing more can be done.",
            [names.LABEL_REGION, names.LABEL_REASON, names.LABEL_SLO],
            registry=registry,
        )
        self._begun = Gauge(
            names.CONTROLLER_ACTION_BEGUN_TIMESTAMP_SECONDS,
            "Open and recent actions, and when each was begun.",
            ACTION_LABELS,
            registry=registry,
        )
        self.rules = RulesSeries(registry)
        """How the objectives' rules stand in Prometheus."""
        for known in (OK, FAILED):
            self._ticks.labels(known)
        for known in DECISION_KINDS:
            self._decisions.labels(known)
        for refusal in get_args(Refusal):
            self._refusals.labels(refusal.__name__)
        for action in ActionKind:
            for verdict in Verdict:
                self._actions.labels(action, verdict)

    def tick_ended(self, *, ok: bool, lasted_s: float) -> None:
        """Count one pass."""
        self._ticks.labels(OK if ok else FAILED).inc()
        self._tick_s.observe(lasted_s)

    def alerts_received(self, count: int) -> None:
        """Count alerts, repetitions included."""
        self._alerts.inc(count)

    def written(self, record: TickRecord) -> None:
        """Count what a pass put into the journal."""
        for decision in record.decisions:
            self._decisions.labels(decision.kind).inc()
            for _name, reason in (pair for pair in decision.evidence if pair[0] == REFUSAL_EVIDENCE):
                self._refusals.labels(reason).inc()
        for action in record.actions:
            if action.stage is Stage.CLOSED and action.verdict is not None:
                self._actions.labels(action.action.kind, action.verdict).inc()

    def seen(self, view: LoopView) -> None:
        """Take over what the loop last saw. One that does not lead knows nothing: what it last saw may be long over."""
        self._leader.set(view.leader)
        self._epoch.set(view.epoch)
        if not view.leader:
            view = LoopView()
        self._paused.set(view.paused)
        self._open.set(view.actions_open)
        trusts = list(view.trust.values())
        for trust in Trust:
            self._trust.labels(trust).set(trusts.count(trust))
        self._weigh(view.traffic)
        self._admit(view.helpless)
        self._tell(recent(view.actions, view.ticked_unix_s or 0.0))

    def render(self) -> bytes:
        """Everything in Prometheus' text format; ages are as of now."""
        self._ages.clear()
        for host in self._fleet.fleet().hosts:
            self._ages.labels(host.id).set(host.report_age_s)
        return generate_latest(self._registry)

    def _weigh(self, traffic: TrafficIntent) -> None:
        self._weights.clear()
        for share in traffic.shares:
            self._weights.labels(share.gateway, share.region).set(share.share)

    def _admit(self, helpless: tuple[Helpless, ...]) -> None:
        self._helpless.clear()
        for each in helpless[:HELPLESS_MAX]:
            self._helpless.labels(each.region, each.reason, each.slo or "").set(1)

    def _tell(self, actions: tuple[ActionRecord, ...]) -> None:
        self._begun.clear()
        for record in actions:
            self._begun.labels(**labels_of(record)).set(record.intended_unix_s)


class CountingJournal:
    """A `Journal` that counts what was really written: after the transaction, never before."""

    def __init__(self, journal: Journal, metrics: ControllerMetrics) -> None:
        self._journal = journal
        self._metrics = metrics

    def acquire(self, holder: str, now_unix_s: float, ttl_s: float) -> Lease | LeaseHeld:
        """Passed on."""
        return self._journal.acquire(holder, now_unix_s, ttl_s)

    def load(self, now_unix_s: float, history_s: float) -> JournalState:
        """Passed on."""
        return self._journal.load(now_unix_s, history_s)

    def write(self, epoch: int, record: TickRecord) -> None:
        """Passed on, then counted."""
        self._journal.write(epoch, record)
        self._metrics.written(record)
