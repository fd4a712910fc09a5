"""What goes on in one region: what its users get, where its traffic goes, how its hosts and replicas are?"""

from contracts import metric_names as names
from contracts.dashboards import DashboardUid
from contracts.vocabulary import SliKind
from grafana import queries, states
from grafana.model import Dashboard, Limits, Link, Look, Panel, Query, Row, Unit
from grafana.queries import HOST, RATE, REGION
from slo_rules import promql

BY_REPLICA = (names.LABEL_HOST, names.LABEL_REPLICA)
TO_REPLICA = Link("This replica", DashboardUid.REPLICA, (names.LABEL_HOST, names.LABEL_REPLICA))
TO_SLO = Link("This objective", DashboardUid.SLO, (names.LABEL_SLO,))


def region() -> Dashboard:
    """One region, and one or all of its hosts."""
    return Dashboard(
        DashboardUid.REGION,
        "Trimtab region",
        "What goes on in one region: its users, its traffic, its replicas and its hosts?",
        (queries.regions(several=False), queries.hosts()),
        (_users(), _traffic(), _replicas(), _hosts()),
        (queries.pages(REGION), queries.actions(REGION)),
    )


def _users() -> Row:
    budget = promql.selector(names.RULE_BUDGET_REMAINING, REGION)
    total = promql.equals(names.LABEL_SLI, SliKind.TOTAL.value)
    return Row(
        "What do its users get?",
        (
            Panel(
                "Error budget left here",
                "Of every objective, in this region. Below zero it is missed.",
                Unit.RATIO,
                (Query(budget, queries.legend(names.LABEL_SLO)),),
                Look.NUMBER,
                limits=Limits(yellow=0.25, red=0.0),
                links=(TO_SLO,),
            ),
            Panel(
                "Requests, good and bad",
                "Per second, as the objectives count them: a refused or failed request is bad.",
                Unit.REQUESTS_PER_SECOND,
                (queries.rate_by(names.SLO_EVENTS_TOTAL, (names.LABEL_SLO, names.LABEL_OUTCOME), REGION, HOST),),
                Look.STACKED,
                links=(TO_SLO,),
            ),
            Panel(
                "Whole answer: p50, p95, p99",
                "Interpolated from buckets, for the eye.",
                Unit.SECONDS,
                queries.quantiles(names.TTS_REQUEST_SECONDS, (), REGION, HOST, total),
            ),
        ),
    )


def _traffic() -> Row:
    here = promql.matches(names.LABEL_TO_ZONE, f"${names.LABEL_REGION}")
    served = promql.rate(promql.selector(names.ENVOY_ZONE_REQUESTS_TOTAL, here), RATE)
    own = promql.matches(names.LABEL_GATEWAY, f"${names.LABEL_REGION}")
    weight = promql.selector(names.CONTROLLER_REGION_WEIGHT, own)
    # An agent's own region is the scrape's; that of the gateway it reached has to step back from the name.
    rtt = Query(
        promql.selector(names.AGENT_REGION_RTT_NEWEST_SECONDS, REGION, HOST),
        f"{queries.legend(names.LABEL_HOST)} → {queries.legend(names.LABEL_EXPORTED_REGION)}",
    )
    return Row(
        "Where does its traffic go?",
        (
            Panel(
                "Wanted: share of its gateway's traffic",
                "Per serving region; 0 is standby. Set by the loop, step by step.",
                Unit.RATIO,
                (Query(promql.sum_by((names.LABEL_REGION,), weight), queries.legend(names.LABEL_REGION)),),
                Look.STACKED,
            ),
            Panel(
                "Observed: requests served here, by gateway",
                "Per second, as the gateways count them. Another region's gateway means that it leans on this one.",
                Unit.REQUESTS_PER_SECOND,
                (Query(promql.sum_by((names.LABEL_GATEWAY,), served), queries.legend(names.LABEL_GATEWAY)),),
                Look.STACKED,
            ),
            Panel(
                "Round trip to the other regions",
                "Opening a TCP connection from this region's hosts to each gateway: what a shift would add.",
                Unit.SECONDS,
                (rtt,),
            ),
        ),
    )


def _replicas() -> Row:
    state = queries.coded(names.AGENT_REPLICA_STATE, names.LABEL_STATE, states.REPLICA, BY_REPLICA, REGION, HOST)
    replica = queries.legend(names.LABEL_REPLICA)
    return Row(
        "How are its replicas?",
        (
            Panel(
                "State of each replica",
                "As its agent sees it.",
                Unit.COUNT,
                (Query(state, replica),),
                Look.STATES,
                states=states.REPLICA,
                links=(TO_REPLICA,),
                width=12,
            ),
            Panel(
                "Mean wait before work",
                "High on every replica with flat service time is overload: lighten or scale, do not restart.",
                Unit.SECONDS,
                (
                    queries.mean(
                        names.TTS_QUEUE_SECONDS_TOTAL, names.TTS_ADMITTED_TOTAL, (names.LABEL_REPLICA,), REGION, HOST
                    ),
                ),
                width=12,
            ),
            Panel(
                "Work waiting",
                "Predicted seconds of work in each queue.",
                Unit.SECONDS,
                (Query(promql.selector(names.TTS_QUEUED_AUDIO_SECONDS, REGION, HOST), replica),),
                links=(TO_REPLICA,),
            ),
            Panel(
                "Refused",
                "Requests turned away before any work, by reason. Only overload counts against an objective.",
                Unit.REQUESTS_PER_SECOND,
                (queries.rate_by(names.TTS_REJECTED_TOTAL, (names.LABEL_REASON,), REGION, HOST),),
                Look.STACKED,
            ),
            Panel(
                "Profiles in use",
                "Replicas per profile; anything but the full one is lighter on purpose.",
                Unit.COUNT,
                (queries.gauge(names.TTS_PROFILE_INFO, (names.LABEL_PROFILE,), REGION, HOST),),
                Look.STACKED,
            ),
        ),
    )


def _hosts() -> Row:
    host = queries.legend(names.LABEL_HOST)
    used, total = (
        promql.selector(metric, REGION, HOST)
        for metric in (names.HOST_MEMORY_USED_BYTES, names.HOST_MEMORY_TOTAL_BYTES)
    )
    margin = promql.selector(names.GPU_TEMPERATURE_MARGIN_CELSIUS, REGION, HOST)
    return Row(
        "How are its hosts?",
        (
            Panel(
                "Processors busy",
                "Share of all processors of the host.",
                Unit.RATIO,
                (Query(promql.selector(names.HOST_CPU_UTILIZATION_RATIO, REGION, HOST), host),),
                limits=Limits(yellow=0.8, red=0.95),
                width=6,
            ),
            Panel(
                "Tasks waiting",
                "Running or waiting tasks per processor, mean over a minute; above 1 some wait.",
                Unit.COUNT,
                (Query(promql.selector(names.HOST_LOAD_PER_CPU, REGION, HOST), host),),
                limits=Limits(yellow=1.0, red=2.0),
                width=6,
            ),
            Panel(
                "Memory in use",
                "What could not be had without swapping, as a share of all.",
                Unit.RATIO,
                (Query(f"{used} / {total}", host),),
                limits=Limits(yellow=0.85, red=0.95),
                width=6,
            ),
            Panel(
                "GPUs: degrees left before slow-down",
                "Below zero the hardware lowers the clocks.",
                Unit.CELSIUS,
                (Query(margin, queries.legend(names.LABEL_HOST, names.LABEL_GPU)),),
                limits=Limits(yellow=10.0, red=3.0),
                width=6,
            ),
        ),
    )
