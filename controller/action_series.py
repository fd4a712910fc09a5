"""Open and recent actions as the labels of a gauge, so that an alert can say what was already done about it.

Prometheus looks these series up when it writes an alert's annotations. Every stage of an action is a series of its own
for a while, so their number is bounded: an hour covers what can have to do with a page. Regions take turns, so that what
was done in one is not left out because much was done in another: its page would say that nothing was. `trimtab actions`
has them all.
"""

from collections.abc import Iterable, Mapping
from itertools import islice, zip_longest

from contracts import metric_names as names
from contracts.vocabulary import Region
from controller.core.actions import ActionRecord, Stage
from controller.core.ledger import describe, target_of

KEEP_S = 3_600.0
"""How long a closed action is still told: the longest window of a paging burn alert at usual objectives."""
ACTIONS_MAX = 100
"""The newest of each of a hundred regions, or five each of twenty, which is what a page tells."""
SUMMARY_CHARS_MAX = 160
"""A label is no place for the shares of fifty gateways."""
ACTION_LABELS = (
    names.LABEL_ACTION,
    names.LABEL_KIND,
    names.LABEL_SUBJECT,
    names.LABEL_REGION,
    names.LABEL_SLO,
    names.LABEL_STAGE,
    names.LABEL_VERDICT,
    names.LABEL_SUMMARY,
)


def recent(actions: Iterable[ActionRecord], now_unix_s: float) -> tuple[ActionRecord, ...]:
    """Of every region in turn: open ones first, then the newest closed ones; at most `ACTIONS_MAX` in all."""
    told = [record for record in actions if _is_open(record) or now_unix_s - record.stage_unix_s <= KEEP_S]
    told.sort(key=lambda record: (_is_open(record), record.intended_unix_s, record.id), reverse=True)
    by_region: dict[Region, list[ActionRecord]] = {}
    for record in told:
        by_region.setdefault(record.action.region, []).append(record)
    in_turn = (record for turn in zip_longest(*by_region.values()) for record in turn if record is not None)
    return tuple(islice(in_turn, ACTIONS_MAX))


def labels_of(record: ActionRecord) -> Mapping[str, str]:
    """One value for each of `ACTION_LABELS`; the verdict is empty while there is none, the objective when it has none."""
    summary = describe(record.action)
    return {
        names.LABEL_ACTION: record.id,
        names.LABEL_KIND: record.action.kind,
        names.LABEL_SUBJECT: target_of(record.action),
        names.LABEL_REGION: record.action.region,
        names.LABEL_SLO: record.expectation.slo or "",
        names.LABEL_STAGE: record.stage,
        names.LABEL_VERDICT: record.verdict or "",
        names.LABEL_SUMMARY: summary if len(summary) <= SUMMARY_CHARS_MAX else f"{summary[: SUMMARY_CHARS_MAX - 1]}…",
    }


def _is_open(record: ActionRecord) -> bool:
    return record.stage is not Stage.CLOSED
