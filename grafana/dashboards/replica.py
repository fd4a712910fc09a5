"""Is one replica well, and the GPU it runs on?

Which GPU that is, the agent tells in `gpu_container_info`. Where it cannot tell (a replica on processors only, or processes
that it cannot see), every GPU of the replica's host is shown instead: too many is better than none.
"""

from contracts import metric_names as names
from contracts.dashboards import DashboardUid
from contracts.vocabulary import SliKind
from grafana import queries, states
from grafana.model import Dashboard, Limits, Link, Look, Panel, Query, Row, Unit, Variable, Words
from grafana.queries import GPU, HOST, RANGE, RATE, REGION, REPLICA
from slo_rules import promql

THIS = (REGION, HOST, REPLICA)
UP = promql.selector(names.AGENT_REPLICA_UP, REPLICA)
DEVICE = (REGION, HOST, GPU)
ITS_GPU = f"{queries.legend(names.LABEL_HOST)} GPU {queries.legend(names.LABEL_GPU)}"
USERS = promql.selector(names.GPU_CONTAINER_INFO, REPLICA)
TO_SERVING = Link("Serving", DashboardUid.SERVING, (names.LABEL_REGION, names.LABEL_HOST, names.LABEL_REPLICA))
NEXT = """
- what was seen and done: `trimtab why $replica`
- down: `docs/runbooks/ReplicaDown.md`
- its GPU: `trimtab agent doctor` on the host
- give it a fresh start, drained: `trimtab restart $replica`
- break it on purpose, in a stack of your own: `trimtab chaos freeze-replica $replica`
"""


def replica() -> Dashboard:
    """One replica."""
    return Dashboard(
        DashboardUid.REPLICA,
        "Trimtab replica",
        "Is one replica well, and the GPU it runs on?",
        (
            queries.regions(),
            queries.hosts(),
            queries.replicas(several=False),
            Variable(names.LABEL_GPU, names.GPU_UP, (REGION, HOST)),
        ),
        (_life(), _work(), _gpu()),
        (queries.pages(REPLICA), queries.actions(promql.matches(names.LABEL_SUBJECT, "$replica.*"))),
    )


def _life() -> Row:
    by = (names.LABEL_REPLICA,)
    state = queries.coded(names.AGENT_REPLICA_STATE, names.LABEL_STATE, states.REPLICA, by, *THIS)
    restarts = f"sum by (replica) (resets({promql.selector(names.TTS_PROGRESS_TOTAL, *THIS)}[{RANGE}]))"
    probes = promql.selector(f"{names.AGENT_PROBE_SECONDS}_bucket", *THIS)
    return Row(
        "Does it live?",
        (
            Panel(
                "State",
                "As its agent sees it.",
                Unit.COUNT,
                (Query(state, queries.legend(*by)),),
                Look.STATES,
                states=states.REPLICA,
                height=6,
            ),
            Panel(
                "Restarts in this time range",
                "How often its counters began anew, whoever restarted it; `trimtab why` tells who and why.",
                Unit.COUNT,
                (Query(restarts, queries.legend(*by)),),
                Look.NUMBER,
                limits=Limits(yellow=1, red=3),
                width=4,
                height=6,
            ),
            Panel(
                "Liveness probes, p99",
                "The agent gives a probe 250 ms; three late ones in a row with no progress are a hang.",
                Unit.SECONDS,
                (Query(promql.quantile(0.99, probes, by, RATE), queries.legend(*by)),),
                limits=Limits(yellow=0.1, red=0.25),
                width=6,
                height=6,
            ),
            Words("What next", "Where to go from here.", NEXT, width=6, height=6),
        ),
    )


def _work() -> Row:
    total = promql.equals(names.LABEL_SLI, SliKind.TOTAL.value)
    by = (names.LABEL_REPLICA,)
    profile = Query(
        f"{promql.selector(names.TTS_PROFILE_INFO, *THIS)} == 1",
        queries.legend(names.LABEL_REPLICA, names.LABEL_PROFILE),
    )
    return Row(
        "Does it work?",
        (
            Panel(
                "Progress",
                "Steps of work per second: the heartbeat. Standing still with work in flight is a hang; without, it is idle.",
                Unit.PER_SECOND,
                (queries.rate_by(names.TTS_PROGRESS_TOTAL, by, *THIS),),
                links=(TO_SERVING,),
            ),
            Panel(
                "In flight",
                "Requests admitted and not yet finished.",
                Unit.COUNT,
                (queries.gauge(names.TTS_IN_FLIGHT, by, *THIS),),
            ),
            Panel(
                "Work waiting",
                "Predicted seconds of work in its queue; admission refuses what would come too late.",
                Unit.SECONDS,
                (queries.gauge(names.TTS_QUEUED_AUDIO_SECONDS, by, *THIS),),
            ),
            Panel(
                "Whole answer: p50, p95, p99",
                "Interpolated from buckets, for the eye.",
                Unit.SECONDS,
                queries.quantiles(names.TTS_REQUEST_SECONDS, (), *THIS, total),
            ),
            Panel(
                "Profile",
                "The one in use; a line that ends and another that begins is a switch.",
                Unit.COUNT,
                (profile,),
                Look.STACKED,
            ),
            Panel(
                "Canary utterances",
                "In quiet times its agent lets it speak; by how it went.",
                Unit.PER_SECOND,
                (queries.rate_by(names.AGENT_CANARIES_TOTAL, (names.LABEL_OUTCOME,), *THIS),),
                Look.STACKED,
            ),
        ),
    )


def of_its_gpus(series: str) -> str:
    """`series` of the GPUs that the replica uses, or of all GPUs of its host where nobody knows."""
    used = f"({series} and on (instance, uuid) {USERS})"
    nobody_knows = f"({series} and on (instance) ({UP} unless on (instance) {USERS}))"
    return f"{used} or {nobody_knows}"


def _of_gpu(metric: str, legend: str) -> Query:
    return Query(of_its_gpus(promql.selector(metric, *DEVICE)), legend)


def _held() -> Query:
    """Why clocks are low. An idle GPU lowers them itself, which is nobody's trouble."""
    reasons = promql.Matcher(names.LABEL_REASON, "!=", "gpu_idle")
    seconds = promql.rate(promql.selector(names.GPU_CLOCK_EVENT_SECONDS_TOTAL, *DEVICE, reasons), RATE)
    by = (names.LABEL_REASON,)
    return Query(promql.sum_by(by, of_its_gpus(seconds)), queries.legend(*by))


def _xids() -> Query:
    events = promql.increase(promql.selector(names.GPU_XID_ERRORS_TOTAL, *DEVICE), RANGE)
    seen = f"round({promql.sum_by((names.LABEL_XID,), of_its_gpus(events))}) > 0"
    return Query(queries.or_none(seen, names.LABEL_XID), f"Xid {queries.legend(names.LABEL_XID)}")


def _gpu() -> Row:
    return Row(
        "How is its GPU?",
        (
            Panel(
                "Temperature",
                "Of the core, and the threshold at which the hardware slows it down.",
                Unit.CELSIUS,
                (
                    _of_gpu(names.GPU_TEMPERATURE_CELSIUS, ITS_GPU),
                    _of_gpu(names.GPU_TEMPERATURE_SLOWDOWN_CELSIUS, f"slow-down of {ITS_GPU}"),
                ),
            ),
            Panel(
                "Clock over its maximum",
                "Low and idle is normal; low and busy is slow.",
                Unit.RATIO,
                (
                    _of_gpu(names.GPU_SM_CLOCK_RATIO, f"clock of {ITS_GPU}"),
                    _of_gpu(names.GPU_UTILIZATION_RATIO, f"busy: {ITS_GPU}"),
                ),
            ),
            Panel(
                "What holds the clocks down",
                "Share of time per reason. sw_power_cap is normal; thermal, hw_slowdown and power brake are not.",
                Unit.RATIO,
                (_held(),),
            ),
            Panel(
                "Memory in use",
                "Of the device, and by this replica where its process can be seen.",
                Unit.BYTES,
                (
                    _of_gpu(names.GPU_MEMORY_USED_BYTES, f"in use: {ITS_GPU}"),
                    _of_gpu(names.GPU_MEMORY_TOTAL_BYTES, f"all: {ITS_GPU}"),
                    queries.gauge(names.GPU_PROCESS_MEMORY_USED_BYTES, (names.LABEL_REPLICA,), REPLICA),
                ),
            ),
            Panel(
                "Power",
                "And the limit in force.",
                Unit.WATTS,
                (_of_gpu(names.GPU_POWER_WATTS, ITS_GPU), _of_gpu(names.GPU_POWER_LIMIT_WATTS, f"limit of {ITS_GPU}")),
            ),
            Panel(
                "Xids in this time range",
                "Driver errors by number, as events; none is well. agent/data/xid_actions.yaml says what each calls for.",
                Unit.COUNT,
                (_xids(),),
                Look.NUMBER,
                limits=Limits(yellow=0.5, red=1),
            ),
        ),
    )
