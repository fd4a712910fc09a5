"""PromQL that several dashboards share: which series a variable selects, rates and counts per label, zero instead of nothing.

A query whose answer is empty in health would look like one that is broken: those that count troubles answer with a zero
named "none" instead, so that an empty panel always means missing data.
"""

from contracts import metric_names as names
from grafana.model import Annotation, Colour, Query, State, Variable
from slo_rules import promql
from slo_rules.promql import Matcher

RATE = "$__rate_interval"
"""Grafana's own choice: at least four scrapes, at most the width of a pixel."""
RANGE = "$__range"
"""The time range that the reader has chosen."""
REGION, HOST, REPLICA, SLO, GPU = (
    promql.matches(label, f"${label}")
    for label in (names.LABEL_REGION, names.LABEL_HOST, names.LABEL_REPLICA, names.LABEL_SLO, names.LABEL_GPU)
)
ALERTS = "ALERTS"
"""Written by Prometheus: one series per alert that is pending or firing."""
FIRING = promql.equals("alertstate", "firing")
NONE = "none"
QUANTILES = (0.5, 0.95, 0.99)


def regions(*, several: bool = True) -> Variable:
    """`$region`: those whose agents report."""
    return Variable(names.LABEL_REGION, names.AGENT_REPLICA_UP, several=several)


def hosts() -> Variable:
    """`$host`, within the regions."""
    return Variable(names.LABEL_HOST, names.AGENT_REPLICA_UP, (REGION,))


def replicas(*, several: bool = True) -> Variable:
    """`$replica`, within the regions and hosts."""
    return Variable(names.LABEL_REPLICA, names.AGENT_REPLICA_UP, (REGION, HOST), several=several)


def slos(*, several: bool = True) -> Variable:
    """`$slo`: those whose rules are in force."""
    return Variable(names.LABEL_SLO, names.RULE_SLO_INFO, several=several)


def legend(*labels: str) -> str:
    """Grafana's template that prints the values of `labels`."""
    return " ".join(f"{{{{{label}}}}}" for label in labels)


def gauge(metric: str, by: tuple[str, ...], *matchers: Matcher) -> Query:
    """Sum of a gauge per label."""
    return Query(promql.sum_by(by, promql.selector(metric, *matchers)), legend(*by))


def rate_by(metric: str, by: tuple[str, ...], *matchers: Matcher) -> Query:
    """Per-second increase of a counter, per label."""
    return Query(promql.sum_by(by, promql.rate(promql.selector(metric, *matchers), RATE)), legend(*by))


def increase_by(metric: str, by: tuple[str, ...], *matchers: Matcher) -> Query:
    """How often something happened around each point, per label."""
    return Query(promql.sum_by(by, promql.increase(promql.selector(metric, *matchers), RATE)), legend(*by))


def happened_by(metric: str, by: tuple[str, ...], *matchers: Matcher) -> Query:
    """How often something happened within the chosen time range, per label; only what happened at all."""
    events = promql.sum_by(by, promql.increase(promql.selector(metric, *matchers), RANGE))
    # Whole events: an increase is extrapolated to the ends of the range, and two become 2.01.
    return Query(or_none(f"round({events}) > 0", by[0]), legend(*by))


def mean(seconds: str, count: str, by: tuple[str, ...], *matchers: Matcher) -> Query:
    """Seconds per event from two counters; absent while there is no event, which is neither fast nor slow."""
    spent, events = (
        promql.sum_by(by, promql.rate(promql.selector(metric, *matchers), RATE)) for metric in (seconds, count)
    )
    return Query(f"{spent} / ({events} > 0)", legend(*by))


def quantiles(histogram: str, by: tuple[str, ...], *matchers: Matcher) -> tuple[Query, ...]:
    """p50, p95 and p99 of a classic histogram: for the eye, never for a verdict."""
    buckets = promql.selector(f"{histogram}_bucket", *matchers)
    return tuple(
        Query(promql.quantile(q, buckets, by, RATE), " ".join(filter(None, (f"p{q * 100:.0f}", legend(*by)))))
        for q in QUANTILES
    )


def or_none(expr: str, label: str) -> str:
    """`expr`, or a zero called "none" while it has no series: nothing to report is not an empty panel."""
    return f'({expr}) or label_replace(vector(0) unless on () ({expr}), "{label}", "{NONE}", "", "")'


def coded(metric: str, label: str, states: tuple[State, ...], by: tuple[str, ...], *matchers: Matcher) -> str:
    """One series per `by` from a family with a series per state: the value of the state it is in."""
    chosen = (
        f"({promql.selector(metric, promql.equals(label, state.text), *matchers)} == 1) * {state.value}"
        for state in states
    )
    return f"max by ({', '.join(by)}) ({' or '.join(chosen)})"


def alerts_firing(*matchers: Matcher) -> Query:
    """How many alerts fire, by name and severity; without the one that always does, to prove that alerting works."""
    by = f"alertname, {names.LABEL_SEVERITY}"
    serious = promql.Matcher(names.LABEL_SEVERITY, "!=", NONE)
    count = f"count by ({by}) ({promql.selector(ALERTS, FIRING, serious, *matchers)})"
    return Query(or_none(count, "alertname"), legend("alertname", names.LABEL_SEVERITY))


def pages(*matchers: Matcher) -> Annotation:
    """Marks while somebody is being paged."""
    firing = promql.selector(ALERTS, FIRING, promql.equals(names.LABEL_SEVERITY, "page"), *matchers)
    return Annotation("Pages", firing, legend("alertname", names.LABEL_REGION), Colour.RED)


def helpless(*matchers: Matcher) -> Query:
    """Where, and why, the loop can do nothing more."""
    by = (names.LABEL_REASON, names.LABEL_REGION)
    return Query(
        or_none(promql.sum_by(by, promql.selector(names.CONTROLLER_HELPLESS, *matchers)), names.LABEL_REASON),
        legend(*by),
    )


def actions(*matchers: Matcher) -> Annotation:
    """Marks where an action of the loop was begun that has been judged by now, with its verdict.

    One that is still open would be marked again at every stage; the control loop's own page lists those.
    """
    closed = promql.equals(names.LABEL_STAGE, "closed")
    begun = promql.selector(names.CONTROLLER_ACTION_BEGUN_TIMESTAMP_SECONDS, closed, *matchers)
    text = legend(names.LABEL_KIND, names.LABEL_SUBJECT, names.LABEL_VERDICT)
    return Annotation("Actions and their verdicts", f"{begun} * 1000", text, Colour.BLUE, at_value=True)
