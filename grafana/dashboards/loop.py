"""The control loop itself: does it run, what does it see, decide and refuse, what did it do, and did that help?"""

from contracts import metric_names as names
from contracts.dashboards import DashboardUid
from grafana import queries
from grafana.model import Dashboard, Limits, Link, Look, Panel, Query, Row, Unit, Words
from grafana.queries import RATE, REGION
from slo_rules import promql

TO_REGION = Link("This region", DashboardUid.REGION, (names.LABEL_REGION,))
NEXT = """
- every decision and its evidence: `trimtab why`, `trimtab why REGION`
- one action from intent to verdict: `trimtab why --action ID`
- actions and verdicts: `trimtab actions`
- hold the loop, or let it go on: `trimtab pause`, `trimtab resume`
- it stands still: `docs/runbooks/ControlLoopStuck.md`
- no controller: `docs/runbooks/ControllerDown.md`
"""


def loop() -> Dashboard:
    """The healer under observation."""
    return Dashboard(
        DashboardUid.LOOP,
        "Trimtab control loop",
        "Does the healer run, what does it see, decide and refuse, what did it do, and did it help?",
        (queries.regions(),),
        (_alive(), _seeing(), _deciding(), _acting()),
        (queries.pages(), queries.actions(REGION)),
    )


def _alive() -> Row:
    tick = f"{names.CONTROLLER_TICK_SECONDS}_bucket"
    return Row(
        "Does it run?",
        (
            Panel(
                "Leaders",
                "Exactly one. Zero: nobody decides. Two: one of them is out of date, and agents refuse its orders.",
                Unit.COUNT,
                (Query(f"sum ({names.CONTROLLER_LEADER})", "leaders"),),
                Look.NUMBER,
                limits=Limits(yellow=1.0, red=0.5),
                width=4,
                height=6,
            ),
            Panel(
                "Paused",
                "1 means that a person holds the loop: it watches, and finishes what is open.",
                Unit.COUNT,
                (Query(f"max ({names.CONTROLLER_PAUSED})", "paused"),),
                Look.NUMBER,
                limits=Limits(yellow=0.5, red=2.0),
                width=4,
                height=6,
            ),
            Panel(
                "Epoch",
                "Of the leader, and the highest that agents have heard of; it rises by one with every change of leader.",
                Unit.COUNT,
                (
                    Query(f"max ({names.CONTROLLER_EPOCH})", "leader"),
                    Query(f"max by ({names.LABEL_HOST}) ({names.AGENT_EPOCH_SEEN})", queries.legend(names.LABEL_HOST)),
                ),
                width=5,
                height=6,
            ),
            Panel(
                "Ticks by outcome",
                "Passes of the loop per second; a failed one decides nothing.",
                Unit.PER_SECOND,
                (queries.rate_by(names.CONTROLLER_TICKS_TOTAL, (names.LABEL_OUTCOME,)),),
                Look.STACKED,
                width=5,
                height=6,
            ),
            Panel(
                "Tick: p50, p95, p99",
                "Duration of a pass.",
                Unit.SECONDS,
                tuple(Query(promql.quantile(q, tick, (), RATE), f"p{q * 100:.0f}") for q in queries.QUANTILES),
                width=6,
                height=6,
            ),
        ),
    )


def _seeing() -> Row:
    by_host = (names.LABEL_HOST,)
    return Row(
        "What does it see?",
        (
            Panel(
                "Trust in the signals",
                "Series per state of trust. Disruptive actions rest on fresh ones only.",
                Unit.COUNT,
                (queries.gauge(names.CONTROLLER_SIGNALS_TRUST, (names.LABEL_TRUST,)),),
                Look.STACKED,
            ),
            Panel(
                "Age of the agents' reports",
                "Per host. Agents report every few seconds, and at once when something changes.",
                Unit.SECONDS,
                (Query(names.CONTROLLER_AGENT_AGE_SECONDS, queries.legend(*by_host)),),
                limits=Limits(yellow=15, red=30),
            ),
            Panel(
                "Sync requests without a usable answer",
                "Per second and reason, from the agents' side: healing goes on locally meanwhile.",
                Unit.PER_SECOND,
                (queries.rate_by(names.AGENT_SYNC_FAILURES_TOTAL, (names.LABEL_REASON,), REGION),),
                Look.STACKED,
            ),
        ),
    )


def _deciding() -> Row:
    return Row(
        "What does it decide?",
        (
            Panel(
                "Decisions by kind",
                "Lines of the story: what was acted on, held, refused, seen and judged.",
                Unit.COUNT,
                (queries.increase_by(names.CONTROLLER_DECISIONS_TOTAL, (names.LABEL_KIND,)),),
                Look.STACKED,
                width=6,
            ),
            Panel(
                "Refusals by reason",
                "Actions that the safety kernel would not allow, within the chosen time range.",
                Unit.COUNT,
                (queries.happened_by(names.CONTROLLER_REFUSALS_TOTAL, (names.LABEL_REASON,)),),
                Look.NUMBER,
                width=6,
            ),
            Panel(
                "Out of means",
                "Where nothing more can be done, and why: a person is needed. None is well.",
                Unit.COUNT,
                (queries.helpless(REGION),),
                Look.STACKED,
                links=(TO_REGION,),
                width=6,
            ),
            Words("What next", "Where to go from here.", NEXT, width=6),
        ),
    )


def _acting() -> Row:
    columns = (names.LABEL_KIND, names.LABEL_SUBJECT, names.LABEL_REGION, names.LABEL_STAGE, names.LABEL_VERDICT)
    begun = promql.selector(names.CONTROLLER_ACTION_BEGUN_TIMESTAMP_SECONDS, REGION)
    return Row(
        "What did it do, and did it help?",
        (
            Panel(
                "Open and recent actions",
                "Of the last hour, the newest of every region, 100 at most; the verdict is empty while an action is being verified.",
                Unit.AGO,
                (Query(queries.or_none(f"{begun} * 1000", names.LABEL_KIND), queries.legend(*columns)),),
                Look.TABLE,
                links=(TO_REGION,),
                columns=columns,
                width=16,
            ),
            Panel(
                "Actions closed, by kind and verdict",
                "Within the chosen time range. Judged by the objective that each was meant to mend.",
                Unit.COUNT,
                (queries.happened_by(names.CONTROLLER_ACTIONS_TOTAL, (names.LABEL_KIND, names.LABEL_VERDICT)),),
                Look.NUMBER,
            ),
            Panel(
                "Orders at the agents",
                "What became of the controller's orders, by kind and outcome.",
                Unit.COUNT,
                (queries.increase_by(names.AGENT_ORDERS_TOTAL, (names.LABEL_KIND, names.LABEL_OUTCOME), REGION),),
                Look.STACKED,
                width=12,
            ),
            Panel(
                "What agents did by themselves",
                "Without being told: the fast path, which the loop only hears of.",
                Unit.COUNT,
                (queries.increase_by(names.AGENT_REFLEXES_TOTAL, (names.LABEL_KIND,), REGION),),
                Look.STACKED,
                width=12,
            ),
        ),
    )
