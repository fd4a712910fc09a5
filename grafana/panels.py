"""What the fleet dashboard shows, row by row, from "are users served?" down to "does the machinery run?".

Plain values without Grafana's types: a test checks every expression with a real Prometheus and every name against
`contracts/metric_names.py`. Quantiles are here for the eye; verdicts come from exact counts.
"""

from dataclasses import dataclass
from enum import StrEnum

from contracts import metric_names as names
from contracts.vocabulary import Outcome, SliKind
from slo_rules import promql

RATE = "$__rate_interval"
"""Grafana's own choice: at least four scrapes, at most the width of a pixel."""
RECENT_S = 600
"""Compliance over ten minutes: the first tier's window under the default SLO."""
REGION = promql.matches(names.LABEL_REGION, "$region")
SLO = promql.matches(names.LABEL_SLO, "$slo")


class Look(StrEnum):
    """How a panel draws."""

    LINES = "lines"
    STACKED = "stacked"
    NUMBER = "number"


class Unit(StrEnum):
    """Grafana's ids of the units used here."""

    RATIO = "percentunit"
    SECONDS = "s"
    PER_SECOND = "reqps"
    COUNT = "short"
    CELSIUS = "celsius"
    WATTS = "watt"


@dataclass(frozen=True, slots=True)
class Query:
    """One expression, and what its series are called."""

    expr: str
    legend: str


@dataclass(frozen=True, slots=True)
class Panel:
    """One panel; `description` is what its information corner says."""

    title: str
    description: str
    unit: Unit
    queries: tuple[Query, ...]
    look: Look = Look.LINES
    alarming_below: tuple[float, float] | None = None
    """(red below, yellow below); None leaves the colours to the palette."""


@dataclass(frozen=True, slots=True)
class Row:
    """Panels under one heading."""

    title: str
    panels: tuple[Panel, ...]
    collapsed: bool = False


def fleet_rows() -> tuple[Row, ...]:
    """Every row of the dashboard, top to bottom."""
    return (_objectives(), _traffic(), _replicas(), _healing(), _gateway(), _loop(), _gpus())


def _objectives() -> Row:
    bad, total = (
        promql.sum_over_time(promql.selector(record, SLO, REGION), RECENT_S)
        for record in (names.RULE_EVENTS_BAD_INC1M, names.RULE_EVENTS_TOTAL_INC1M)
    )
    budget = promql.selector(names.RULE_BUDGET_REMAINING, SLO, REGION)
    firing = promql.selector("ALERTS", promql.equals("alertstate", "firing"))
    by_slo = _legend(names.LABEL_SLO, names.LABEL_REGION)
    return Row(
        "Objectives",
        (
            Panel(
                "Error budget left",
                "Share of the window's error budget that is not spent; below zero the objective is missed.",
                Unit.RATIO,
                (Query(budget, by_slo),),
                Look.NUMBER,
                alarming_below=(0.0, 0.25),
            ),
            Panel(
                "Good requests, last 10 minutes",
                "Exact share of good events. Gaps mean no traffic, which is neither good nor bad.",
                Unit.RATIO,
                (Query(f"1 - {bad} / ({total} > 0)", by_slo),),
            ),
            Panel("Error budget over time", "The same as a line.", Unit.RATIO, (Query(budget, by_slo),)),
            Panel(
                "Alerts firing",
                "By name and severity; each has a runbook in docs/runbooks.",
                Unit.COUNT,
                (Query(f"count by (alertname, {names.LABEL_SEVERITY}) ({firing})", _legend("alertname", "severity")),),
                Look.STACKED,
            ),
        ),
    )


def _traffic() -> Row:
    events = promql.rate(promql.selector(names.SLO_EVENTS_TOTAL, SLO, REGION), RATE)
    histogram = promql.selector(
        f"{names.TTS_REQUEST_SECONDS}_bucket", REGION, promql.equals(names.LABEL_SLI, SliKind.TOTAL.value)
    )
    first_audio = promql.selector(
        f"{names.TTS_REQUEST_SECONDS}_bucket", REGION, promql.equals(names.LABEL_SLI, SliKind.FIRST_AUDIO.value)
    )
    waited, admitted = (
        promql.sum_by((names.LABEL_REGION,), promql.rate(promql.selector(metric, REGION), RATE))
        for metric in (names.TTS_QUEUE_SECONDS_TOTAL, names.TTS_ADMITTED_TOTAL)
    )
    return Row(
        "Traffic",
        (
            Panel(
                "Requests, good and bad",
                f"Events per second as the SLO counts them; refused and failed requests are {Outcome.BAD.value}.",
                Unit.PER_SECOND,
                (Query(promql.sum_by((names.LABEL_SLO, names.LABEL_OUTCOME), events), _legend("slo", "outcome")),),
                Look.STACKED,
            ),
            Panel("Whole answer: p50, p95, p99", "Interpolated.", Unit.SECONDS, _quantiles(histogram)),
            Panel("First audio: p50, p95, p99", "Interpolated.", Unit.SECONDS, _quantiles(first_audio)),
            Panel(
                "Mean wait before work",
                "High everywhere with flat service time is overload: lighten or scale, do not restart.",
                Unit.SECONDS,
                (Query(f"{waited} / ({admitted} > 0)", _legend("region")),),
            ),
            Panel(
                "Refused",
                "Requests turned away before any work, by reason.",
                Unit.PER_SECOND,
                (_rate_by(names.TTS_REJECTED_TOTAL, (names.LABEL_REASON,)),),
                Look.STACKED,
            ),
            Panel(
                "Work waiting",
                "Predicted seconds of work in the queues.",
                Unit.SECONDS,
                (Query(promql.selector(names.TTS_QUEUED_AUDIO_SECONDS, REGION), _legend("replica")),),
            ),
        ),
    )


def _replicas() -> Row:
    profiles = promql.selector(names.TTS_PROFILE_INFO, REGION)
    states = promql.selector(names.AGENT_REPLICA_STATE, REGION)
    return Row(
        "Replicas",
        (
            Panel(
                "Profile in use",
                "Replicas per profile; anything but the first of the ladder is lighter on purpose.",
                Unit.COUNT,
                (
                    Query(
                        promql.sum_by((names.LABEL_REGION, names.LABEL_PROFILE), profiles), _legend("region", "profile")
                    ),
                ),
                Look.STACKED,
            ),
            Panel(
                "States",
                "Replicas per state, as their agents see them.",
                Unit.COUNT,
                (Query(promql.sum_by((names.LABEL_REGION, names.LABEL_STATE), states), _legend("region", "state")),),
                Look.STACKED,
            ),
            Panel(
                "In flight",
                "Admitted and not yet finished. Work in flight while progress stands still is a hang.",
                Unit.COUNT,
                (Query(promql.selector(names.TTS_IN_FLIGHT, REGION), _legend("replica")),),
            ),
            Panel(
                "Progress",
                "Steps of work per second: the heartbeat that the agent watches.",
                Unit.COUNT,
                (_rate_by(names.TTS_PROGRESS_TOTAL, (names.LABEL_REPLICA,)),),
            ),
        ),
    )


def _healing() -> Row:
    heal = promql.selector(f"{names.AGENT_REPLICA_HEAL_SECONDS}_bucket", REGION)
    return Row(
        "Healing",
        (
            Panel(
                "Reflexes of the agents",
                "What agents did without being told.",
                Unit.COUNT,
                (_increase_by(names.AGENT_REFLEXES_TOTAL, (names.LABEL_KIND,), REGION),),
                Look.STACKED,
            ),
            Panel(
                "Down until ready, p95",
                "From the first missed probe or the exit to ready again.",
                Unit.SECONDS,
                (Query(promql.quantile(0.95, heal, (names.LABEL_KIND,), RATE), _legend("kind")),),
            ),
            Panel(
                "Decisions",
                "What the controller decided; refusals name their reason in its journal.",
                Unit.COUNT,
                (_increase_by(names.CONTROLLER_DECISIONS_TOTAL, (names.LABEL_KIND,)),),
                Look.STACKED,
            ),
            Panel(
                "Actions by verdict",
                "Closed actions, judged by the SLI they were meant to mend.",
                Unit.COUNT,
                (_increase_by(names.CONTROLLER_ACTIONS_TOTAL, (names.LABEL_KIND, names.LABEL_VERDICT)),),
                Look.STACKED,
            ),
            Panel(
                "Orders by outcome",
                "What became of the controller's orders at the agents.",
                Unit.COUNT,
                (_increase_by(names.AGENT_ORDERS_TOTAL, (names.LABEL_KIND, names.LABEL_OUTCOME), REGION),),
                Look.STACKED,
            ),
            Panel(
                "Actions open",
                "Under way or being verified.",
                Unit.COUNT,
                (Query(names.CONTROLLER_ACTIONS_OPEN, "open"),),
            ),
        ),
    )


def _gateway() -> Row:
    weight = promql.selector(names.CONTROLLER_REGION_WEIGHT, REGION)
    return Row(
        "Gateway",
        (
            Panel(
                "Share of each gateway's traffic",
                "Desired share per region; 0 is standby.",
                Unit.RATIO,
                (
                    Query(
                        promql.sum_by((names.LABEL_GATEWAY, names.LABEL_REGION), weight),
                        f"{_legend('gateway')} → {_legend('region')}",
                    ),
                ),
                Look.STACKED,
            ),
        ),
    )


def _loop() -> Row:
    tick = f"{names.CONTROLLER_TICK_SECONDS}_bucket"
    return Row(
        "Control loop",
        (
            Panel(
                "Ticks by outcome",
                "Per second.",
                Unit.COUNT,
                (_rate_by(names.CONTROLLER_TICKS_TOTAL, ("outcome",), anywhere=True),),
            ),
            Panel(
                "Tick, p95", "Duration of a tick.", Unit.SECONDS, (Query(promql.quantile(0.95, tick, (), RATE), "p95"),)
            ),
            Panel(
                "Leader and pause",
                "Exactly one leader; 1 for paused means that somebody holds the loop.",
                Unit.COUNT,
                (
                    Query(f"sum({names.CONTROLLER_LEADER})", "leaders"),
                    Query(f"max({names.CONTROLLER_PAUSED})", "paused"),
                ),
            ),
            Panel(
                "Age of the agents' reports",
                "Per host.",
                Unit.SECONDS,
                (Query(names.CONTROLLER_AGENT_AGE_SECONDS, _legend("host")),),
            ),
            Panel(
                "Trust in the signals",
                "Series per trust state; disruptive actions need fresh ones.",
                Unit.COUNT,
                (Query(promql.sum_by((names.LABEL_TRUST,), names.CONTROLLER_SIGNALS_TRUST), _legend("trust")),),
                Look.STACKED,
            ),
            Panel(
                "Sync failures",
                "Requests of agents that got no usable answer.",
                Unit.PER_SECOND,
                (_rate_by(names.AGENT_SYNC_FAILURES_TOTAL, (names.LABEL_HOST,)),),
            ),
        ),
    )


def _gpus() -> Row:
    """Closed by default: a host without a GPU has nothing to show here."""
    gpu = _legend(names.LABEL_HOST, names.LABEL_GPU)
    used, capacity = (
        promql.selector(metric, REGION) for metric in (names.GPU_MEMORY_USED_BYTES, names.GPU_MEMORY_TOTAL_BYTES)
    )
    return Row(
        "GPUs",
        (
            Panel(
                "Utilization",
                "Saturates early: high is not yet overload.",
                Unit.RATIO,
                (Query(promql.selector(names.GPU_UTILIZATION_RATIO, REGION), gpu),),
            ),
            Panel("Memory in use", "Share of the device's memory.", Unit.RATIO, (Query(f"{used} / {capacity}", gpu),)),
            Panel(
                "Temperature", "", Unit.CELSIUS, (Query(promql.selector(names.GPU_TEMPERATURE_CELSIUS, REGION), gpu),)
            ),
            Panel("Power", "", Unit.WATTS, (Query(promql.selector(names.GPU_POWER_WATTS, REGION), gpu),)),
        ),
        collapsed=True,
    )


def _quantiles(histogram: str) -> tuple[Query, ...]:
    by = (names.LABEL_REGION,)
    return tuple(
        Query(promql.quantile(q, histogram, by, RATE), f"p{q * 100:.0f} {_legend('region')}") for q in (0.5, 0.95, 0.99)
    )


def _rate_by(metric: str, labels: tuple[str, ...], *, anywhere: bool = False) -> Query:
    """Rate per label; `anywhere` for what has no region, such as the controller."""
    series = metric if anywhere else promql.selector(metric, REGION)
    return Query(promql.sum_by(labels, promql.rate(series, RATE)), _legend(*labels))


def _increase_by(metric: str, labels: tuple[str, ...], *matchers: promql.Matcher) -> Query:
    return Query(promql.sum_by(labels, promql.increase(promql.selector(metric, *matchers), RATE)), _legend(*labels))


def _legend(*labels: str) -> str:
    """Grafana's template that prints the values of `labels`."""
    return " ".join(f"{{{{{label}}}}}" for label in labels)
