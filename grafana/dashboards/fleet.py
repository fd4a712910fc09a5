"""Are users served, everywhere? The page to begin with; every panel leads to the one that explains it."""

from contracts import metric_names as names
from contracts.dashboards import DashboardUid
from contracts.vocabulary import GpuAction, ReplicaState, SliKind
from grafana import queries, states
from grafana.model import Dashboard, Limits, Link, Look, Panel, Query, Row, Unit, Words
from slo_rules import promql

TO_SLO = Link("This objective", DashboardUid.SLO, (names.LABEL_SLO, names.LABEL_REGION))
TO_REGION = Link("This region", DashboardUid.REGION, (names.LABEL_REGION,))
TO_LOOP = Link("The control loop", DashboardUid.LOOP, ())
NEXT = """
**What next?** Click a series, or:

- an alert fires: its name is a file in `docs/runbooks/`
- one objective suffers: *Trimtab SLO*
- one region suffers: *Trimtab region*, then *Trimtab replica*
- nothing is done about it: *Trimtab control loop*
- the story so far: `trimtab why`
- what was done, with verdicts: `trimtab actions`
"""


def fleet() -> Dashboard:
    """The overview."""
    return Dashboard(
        DashboardUid.FLEET,
        "Trimtab fleet",
        "Are users served, everywhere, and if not, where to look?",
        (queries.regions(), queries.slos()),
        (_promises(), _traffic(), _machines(), _healing()),
        (queries.pages(queries.REGION), queries.actions()),
    )


def _promises() -> Row:
    budget = promql.selector(names.RULE_BUDGET_REMAINING, queries.SLO, queries.REGION)
    by = (names.LABEL_SLO, names.LABEL_REGION)
    return Row(
        "Are the promises kept?",
        (
            Panel(
                "Error budget left",
                "Share of the window's error budget that is not spent. Below zero the objective is missed.",
                Unit.RATIO,
                (Query(budget, queries.legend(*by)),),
                Look.NUMBER,
                limits=Limits(yellow=0.25, red=0.0),
                links=(TO_SLO,),
            ),
            Panel(
                "State of each objective",
                "No traffic is neither good nor bad. No data is not health: disruptive actions wait until it is back.",
                Unit.COUNT,
                (
                    Query(
                        queries.coded(names.RULE_STATE, names.LABEL_STATE, states.SLO, by, queries.SLO, queries.REGION),
                        queries.legend(*by),
                    ),
                ),
                Look.STATES,
                states=states.SLO,
                links=(TO_SLO,),
            ),
            Panel(
                "Alerts firing",
                "By name and severity; the name is that of its runbook in docs/runbooks.",
                Unit.COUNT,
                (queries.alerts_firing(),),
                Look.STACKED,
                links=(TO_LOOP,),
            ),
        ),
    )


def _traffic() -> Row:
    total = promql.equals(names.LABEL_SLI, SliKind.TOTAL.value)
    slowest = promql.selector(f"{names.TTS_REQUEST_SECONDS}_bucket", queries.REGION, total)
    region = (names.LABEL_REGION,)
    return Row(
        "What do users get?",
        (
            Panel(
                "Requests, good and bad",
                "Per second, as the objectives count them: a refused or failed request is bad.",
                Unit.REQUESTS_PER_SECOND,
                (
                    queries.rate_by(
                        names.SLO_EVENTS_TOTAL, (names.LABEL_SLO, names.LABEL_OUTCOME), queries.SLO, queries.REGION
                    ),
                ),
                Look.STACKED,
                links=(Link("This objective", DashboardUid.SLO, (names.LABEL_SLO,)),),
            ),
            Panel(
                "Whole answer, p95 per region",
                "Interpolated from buckets, for the eye. Verdicts come from exact counts.",
                Unit.SECONDS,
                (Query(promql.quantile(0.95, slowest, region, queries.RATE), queries.legend(*region)),),
                links=(TO_REGION,),
            ),
            Panel(
                "Where requests are served",
                "Requests per second that the gateways sent into each region. A shift shows here within seconds.",
                Unit.REQUESTS_PER_SECOND,
                (
                    Query(
                        promql.sum_by(
                            (names.LABEL_GATEWAY, names.LABEL_TO_ZONE),
                            promql.rate(names.ENVOY_ZONE_REQUESTS_TOTAL, queries.RATE),
                        ),
                        f"{queries.legend(names.LABEL_GATEWAY)} → {queries.legend(names.LABEL_TO_ZONE)}",
                    ),
                ),
                Look.STACKED,
            ),
        ),
    )


def _machines() -> Row:
    stopped = promql.selector(
        names.AGENT_REPLICA_STATE, promql.equals(names.LABEL_STATE, ReplicaState.STOPPED.value), queries.REGION
    )
    meant = f"{promql.selector(names.AGENT_REPLICA_UP, queries.REGION)} unless on (instance, replica) ({stopped} == 1)"
    region = (names.LABEL_REGION,)
    wanted = promql.selector(
        names.GPU_RECOMMENDED_ACTION,
        promql.Matcher(names.LABEL_ACTION, "!=", GpuAction.NONE.value),
        queries.REGION,
    )
    return Row(
        "Are the machines well?",
        (
            Panel(
                "Replicas ready",
                "Share of the replicas whose last probe said ready; without those that were stopped on purpose.",
                Unit.RATIO,
                (Query(f"avg by (region) ({meant})", queries.legend(*region)),),
                Look.NUMBER,
                limits=Limits(yellow=1.0, red=0.5),
                links=(TO_REGION,),
                width=6,
            ),
            Panel(
                "Replicas by state",
                "As their agents see them.",
                Unit.COUNT,
                (queries.gauge(names.AGENT_REPLICA_STATE, (names.LABEL_STATE,), queries.REGION),),
                Look.STACKED,
                width=6,
            ),
            Panel(
                "Profiles in use",
                "Replicas per profile; anything but the full one is lighter on purpose.",
                Unit.COUNT,
                (queries.gauge(names.TTS_PROFILE_INFO, (names.LABEL_PROFILE,), queries.REGION),),
                Look.STACKED,
                width=6,
            ),
            Panel(
                "GPUs that need something",
                "What agents recommend for GPUs, by kind; none is well.",
                Unit.COUNT,
                (
                    Query(
                        queries.or_none(f"count by ({names.LABEL_ACTION}) ({wanted})", names.LABEL_ACTION),
                        queries.legend(names.LABEL_ACTION),
                    ),
                ),
                Look.STACKED,
                width=6,
            ),
        ),
    )


def _healing() -> Row:
    return Row(
        "Is it being mended?",
        (
            Panel(
                "What agents did by themselves",
                "Local restarts of hung and crashed replicas, and restarts withheld: no order was needed.",
                Unit.COUNT,
                (queries.happened_by(names.AGENT_REFLEXES_TOTAL, (names.LABEL_KIND,), queries.REGION),),
                Look.NUMBER,
                width=6,
            ),
            Panel(
                "Actions of the loop by verdict",
                "Closed within the chosen time range, judged by the objective they were meant to mend.",
                Unit.COUNT,
                (queries.happened_by(names.CONTROLLER_ACTIONS_TOTAL, (names.LABEL_KIND, names.LABEL_VERDICT)),),
                Look.NUMBER,
                links=(TO_LOOP,),
                width=6,
            ),
            Panel(
                "Out of means",
                "Where the loop can do nothing more, and why; a person is needed. None is well.",
                Unit.COUNT,
                (queries.helpless(),),
                Look.NUMBER,
                limits=Limits(yellow=0.5, red=1),
                links=(TO_LOOP,),
                width=6,
            ),
            Words("What next", "Where to go from here.", NEXT, width=6),
        ),
    )
