"""Is one promise kept: how much budget is left, how fast it burns, and which replica burns it?

Windows and thresholds are those of the SLO's own alerts: they are recorded with the rules, so a dashboard that knows no
SLO draws the line at which each of them pages.
"""

from contracts import metric_names as names
from contracts.dashboards import DashboardUid
from contracts.vocabulary import Outcome
from grafana import queries, states
from grafana.model import Dashboard, Limits, Link, Look, Panel, Query, Row, Unit, Variable, Words
from grafana.queries import RANGE, REGION, SLO
from slo_rules import promql

BY_REGION = (names.LABEL_REGION,)
BAD = promql.selector(names.RULE_EVENTS_BAD_INC1M, SLO, REGION)
TOTAL = promql.selector(names.RULE_EVENTS_TOTAL_INC1M, SLO, REGION)
TO_REPLICA = Link("This replica", DashboardUid.REPLICA, (names.LABEL_REGION, names.LABEL_HOST, names.LABEL_REPLICA))
TO_REGION = Link("This region", DashboardUid.REGION, (names.LABEL_REGION,))
WINDOW = f"${names.LABEL_WINDOW}"
NEXT = """
- the page that came: `docs/runbooks/SLOBurn.md`
- what was seen, decided, refused and achieved: `trimtab why`, `trimtab why REGION`
- what another promise would have cost: `trimtab slo check FILE`
- every promise in force: `trimtab slo list`
"""


def slo() -> Dashboard:
    """One objective, in one or more regions."""
    return Dashboard(
        DashboardUid.SLO,
        "Trimtab SLO",
        "Is one promise kept, how fast does its budget burn, and who burns it?",
        (
            queries.slos(several=False),
            queries.regions(),
            Variable(names.LABEL_WINDOW, names.RULE_TIER_THRESHOLD, (SLO,)),
        ),
        (_kept(), _burning(), _blame()),
        (queries.pages(SLO), queries.actions()),
    )


def _kept() -> Row:
    budget = promql.selector(names.RULE_BUDGET_REMAINING, SLO, REGION)
    coverage = promql.selector(names.RULE_COVERAGE, SLO, REGION)
    region = queries.legend(*BY_REGION)
    return Row(
        "Is the promise kept?",
        (
            Panel(
                "Good events in this time range",
                "Share of good events between the ends of the chosen time range, beside the objective. Exact counts.",
                Unit.RATIO,
                (
                    Query(f"1 - sum_over_time({BAD}[{RANGE}]) / (sum_over_time({TOTAL}[{RANGE}]) > 0)", region),
                    Query(promql.selector(names.RULE_OBJECTIVE, SLO), "objective"),
                ),
                Look.NUMBER,
                width=6,
                height=6,
            ),
            Panel(
                "Error budget left",
                "Share of the window's error budget that is not spent. Below zero the objective is missed.",
                Unit.RATIO,
                (Query(budget, region),),
                Look.NUMBER,
                limits=Limits(yellow=0.25, red=0.0),
                width=6,
                height=6,
            ),
            Panel(
                "Coverage",
                "Share of the window's minutes so far that were observed. A budget over half of them is half a statement.",
                Unit.RATIO,
                (Query(coverage, region),),
                Look.NUMBER,
                width=6,
                height=6,
            ),
            Panel(
                "The promise",
                "What was promised, over which window, and who owns it.",
                Unit.COUNT,
                (Query(promql.selector(names.RULE_SLO_INFO, SLO), queries.legend(names.LABEL_SLO)),),
                Look.TABLE,
                columns=("promise", "objective", names.LABEL_SLI, names.LABEL_WINDOW, "owner"),
                width=6,
                height=6,
            ),
            *_history(),
        ),
    )


def _history() -> tuple[Panel, ...]:
    budget = promql.selector(names.RULE_BUDGET_REMAINING, SLO, REGION)
    state = queries.coded(names.RULE_STATE, names.LABEL_STATE, states.SLO, BY_REGION, SLO, REGION)
    region = queries.legend(*BY_REGION)
    return (
        Panel(
            "State",
            "No traffic is neither good nor bad. No data is not health: disruptive actions wait until it is back.",
            Unit.COUNT,
            (Query(state, region),),
            Look.STATES,
            states=states.SLO,
            links=(TO_REGION,),
            width=12,
        ),
        Panel(
            "Error budget over time",
            "It falls while events are bad, and comes back as old ones leave the window.",
            Unit.RATIO,
            (Query(budget, region),),
            limits=Limits(yellow=0.25, red=0.0),
            width=12,
        ),
    )


def _burning() -> Row:
    bad, total = f"sum_over_time({BAD}[{WINDOW}])", f"sum_over_time({TOTAL}[{WINDOW}])"
    threshold = promql.selector(names.RULE_TIER_THRESHOLD, SLO, promql.equals(names.LABEL_WINDOW, WINDOW))
    return Row(
        "How fast does it burn?",
        (
            Panel(
                f"Bad events over {WINDOW}",
                "Share of bad events over this tier's window, and the threshold above which the tier alerts. An alert "
                "also asks that it is significant and still goes on.",
                Unit.RATIO,
                (
                    Query(f"{bad} / ({total} > 0)", queries.legend(*BY_REGION)),
                    Query(threshold, f"{queries.legend(names.LABEL_SEVERITY)} threshold"),
                ),
                links=(TO_REGION,),
                repeat=names.LABEL_WINDOW,
                width=6,
            ),
        ),
    )


def _blame() -> Row:
    bad = promql.equals(names.LABEL_OUTCOME, Outcome.BAD.value)
    replica = (names.LABEL_REGION, names.LABEL_HOST, names.LABEL_REPLICA)
    events = promql.selector(names.SLO_EVENTS_TOTAL, SLO, REGION)
    bad_rate, rate = (
        promql.sum_by(replica, promql.rate(series, queries.RATE))
        for series in (promql.selector(names.SLO_EVENTS_TOTAL, SLO, REGION, bad), events)
    )
    quantile = promql.selector(names.RULE_LATENCY_QUANTILE, SLO, REGION)
    return Row(
        "Why, and whose?",
        (
            Panel(
                "Events per minute, good and bad",
                "What everything on this page is made of: two series per region, recorded every minute.",
                Unit.COUNT,
                (Query(f"sum ({TOTAL}) - sum ({BAD})", "good"), Query(f"sum ({BAD})", "bad")),
                Look.STACKED,
            ),
            Panel(
                "p50, p95 and p99",
                "Interpolated from buckets over five minutes, for the eye. Only of SLOs about a duration.",
                Unit.SECONDS,
                (Query(quantile, queries.legend(names.LABEL_REGION, names.LABEL_QUANTILE)),),
            ),
            Panel(
                "Alerts of this objective",
                "By name and severity; the name is that of its runbook in docs/runbooks.",
                Unit.COUNT,
                (queries.alerts_firing(SLO),),
                Look.STACKED,
            ),
            Panel(
                "Bad events by replica",
                "Per second. One replica: device or engine. All of a host: the host or its GPU. All: overload, or what "
                "changed. Of SLOs that our replicas count themselves.",
                Unit.REQUESTS_PER_SECOND,
                (Query(bad_rate, queries.legend(names.LABEL_REPLICA)),),
                Look.STACKED,
                links=(TO_REPLICA,),
            ),
            Panel(
                "Bad share by replica",
                "Of each replica's own events: a slow replica stands out whatever its share of the traffic.",
                Unit.RATIO,
                (Query(f"{bad_rate} / ({rate} > 0)", queries.legend(names.LABEL_REPLICA)),),
                links=(TO_REPLICA,),
            ),
            Words("What next", "Where to go from here.", NEXT),
        ),
    )
