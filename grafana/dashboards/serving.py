"""How fast is speech made, what does it wait for, and who is turned away?"""

from contracts import metric_names as names
from contracts.dashboards import DashboardUid
from contracts.vocabulary import SliKind
from grafana import queries
from grafana.model import Dashboard, Limits, Link, Look, Panel, Query, Row, Unit
from grafana.queries import HOST, RATE, REGION, REPLICA
from slo_rules import promql

CHOSEN = (REGION, HOST, REPLICA)
BY_REPLICA = (names.LABEL_REPLICA,)
TO_REPLICA = Link("This replica", DashboardUid.REPLICA, BY_REPLICA)


def serving() -> Dashboard:
    """The replicas as one speech server."""
    return Dashboard(
        DashboardUid.SERVING,
        "Trimtab serving",
        "How fast is speech made, what does it wait for, and who is turned away?",
        (queries.regions(), queries.hosts(), queries.replicas()),
        (_speed(), _waiting(), _quality()),
        (queries.pages(REGION), queries.actions(REGION)),
    )


def _rate(metric: str) -> str:
    return f"sum ({promql.rate(promql.selector(metric, *CHOSEN), RATE)})"


def _speed() -> Row:
    stage = (names.LABEL_STAGE,)
    work = promql.sum_by(stage, promql.rate(promql.selector(names.TTS_SERVICE_SECONDS_TOTAL, *CHOSEN), RATE))
    total, first = (promql.equals(names.LABEL_SLI, sli.value) for sli in (SliKind.TOTAL, SliKind.FIRST_AUDIO))
    return Row(
        "How fast?",
        (
            Panel(
                "Speech made",
                "Seconds of audio per second: how many listeners are kept speaking to at once.",
                Unit.COUNT,
                (queries.rate_by(names.TTS_AUDIO_SECONDS_TOTAL, (names.LABEL_REGION,), *CHOSEN),),
                Look.STACKED,
            ),
            Panel(
                "Requests finished",
                "Per second, by how they ended. A cancelled one breaks no promise: the client went away.",
                Unit.REQUESTS_PER_SECOND,
                (queries.rate_by(names.TTS_REQUESTS_TOTAL, (names.LABEL_OUTCOME,), *CHOSEN),),
                Look.STACKED,
            ),
            Panel(
                "Real-time factor by stage",
                "Seconds of work per second of audio; the sum above 1 means that one worker cannot keep up with one voice.",
                Unit.COUNT,
                (
                    Query(
                        f"{work} / on () group_left () ({_rate(names.TTS_AUDIO_SECONDS_TOTAL)} > 0)",
                        queries.legend(*stage),
                    ),
                ),
                Look.STACKED,
                limits=Limits(yellow=0.7, red=1.0),
            ),
            Panel(
                "First audio: p50, p95, p99",
                "Interpolated from buckets, for the eye.",
                Unit.SECONDS,
                queries.quantiles(names.TTS_REQUEST_SECONDS, (), *CHOSEN, first),
            ),
            Panel(
                "Whole answer: p50, p95, p99",
                "Interpolated from buckets, for the eye.",
                Unit.SECONDS,
                queries.quantiles(names.TTS_REQUEST_SECONDS, (), *CHOSEN, total),
            ),
            Panel(
                "Steps of work per request",
                "Steps are batches of chunks: fewer per request means fuller batches, or shorter texts.",
                Unit.COUNT,
                (queries.mean(names.TTS_PROGRESS_TOTAL, names.TTS_ADMITTED_TOTAL, BY_REPLICA, *CHOSEN),),
                links=(TO_REPLICA,),
            ),
        ),
    )


def _waiting() -> Row:
    return Row(
        "What does it wait for, and who is turned away?",
        (
            Panel(
                "Mean wait before work",
                "High on every replica with flat service time is overload: lighten or scale, do not restart.",
                Unit.SECONDS,
                (queries.mean(names.TTS_QUEUE_SECONDS_TOTAL, names.TTS_ADMITTED_TOTAL, BY_REPLICA, *CHOSEN),),
                links=(TO_REPLICA,),
            ),
            Panel(
                "Work waiting",
                "Predicted seconds of work in the queues.",
                Unit.SECONDS,
                (queries.gauge(names.TTS_QUEUED_AUDIO_SECONDS, BY_REPLICA, *CHOSEN),),
                Look.STACKED,
                links=(TO_REPLICA,),
            ),
            Panel(
                "In flight",
                "Requests admitted and not yet finished; they share the workers chunk by chunk.",
                Unit.COUNT,
                (queries.gauge(names.TTS_IN_FLIGHT, BY_REPLICA, *CHOSEN),),
                Look.STACKED,
                links=(TO_REPLICA,),
            ),
            Panel(
                "Admitted and refused",
                "Requests per second that were taken on, and that were turned away before any work.",
                Unit.REQUESTS_PER_SECOND,
                (
                    Query(_rate(names.TTS_ADMITTED_TOTAL), "admitted"),
                    Query(_rate(names.TTS_REJECTED_TOTAL), "refused"),
                ),
                Look.STACKED,
                width=12,
            ),
            Panel(
                "Refusals by reason",
                "Overload: first audio would come too late. Draining: it is about to stop. Others are the client's.",
                Unit.REQUESTS_PER_SECOND,
                (queries.rate_by(names.TTS_REJECTED_TOTAL, (names.LABEL_REASON,), *CHOSEN),),
                Look.STACKED,
                width=12,
            ),
        ),
    )


def _quality() -> Row:
    outcome = (names.LABEL_OUTCOME,)
    return Row(
        "With which voice, and is it really heard?",
        (
            Panel(
                "Profiles in use",
                "Replicas per profile; anything but the full one is lighter on purpose.",
                Unit.COUNT,
                (queries.gauge(names.TTS_PROFILE_INFO, (names.LABEL_PROFILE,), *CHOSEN),),
                Look.STACKED,
                width=6,
            ),
            Panel(
                "Profile switches",
                "Committed, or rolled back because the self-test failed. No request is dropped by either.",
                Unit.COUNT,
                (queries.increase_by(names.TTS_PROFILE_SWITCHES_TOTAL, outcome, *CHOSEN),),
                Look.STACKED,
                width=6,
            ),
            Panel(
                "Cache lookups",
                "Per second, by outcome; an error costs nothing but the work.",
                Unit.REQUESTS_PER_SECOND,
                (queries.rate_by(names.TTS_CACHE_LOOKUPS_TOTAL, outcome, *CHOSEN),),
                Look.STACKED,
                width=6,
            ),
            Panel(
                "Canary utterances",
                "In quiet times agents let their replicas speak; how it went.",
                Unit.COUNT,
                (queries.increase_by(names.AGENT_CANARIES_TOTAL, outcome, *CHOSEN),),
                Look.STACKED,
                width=6,
            ),
        ),
    )
