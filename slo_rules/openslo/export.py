"""SLOs → OpenSLO v1 documents, such that reading them gives the same SLOs: nothing is lost, or it is not written.

A document is read back before it is handed out. What documents cannot say (a selector that is none, a threshold below a
nanosecond, a text with control characters) is refused there instead of being stored as something else.
"""

from collections.abc import Iterable

from slo_rules.errors import SloError
from slo_rules.indicators import Composite, ExactCounters, Indicator
from slo_rules.model import PAGE_WITHIN_S_DEFAULT, Slo
from slo_rules.openslo.annotations import (
    DEPENDS_ON,
    EXCLUSIONS,
    OWNER,
    PAGE_WITHIN,
    PARTS,
    counters_texts,
    exclusions_text,
    parts_text,
)
from slo_rules.openslo.documents import parse_document
from slo_rules.openslo.reader import encode
from slo_rules.openslo.sources import sli_document, threshold_document
from slo_rules.openslo.units import duration_text
from slo_rules.openslo.windows import OCCURRENCES, TIMESLICES, slices_document, window_document

JsonObject = dict[str, object]


def export(slos: Iterable[Slo]) -> str:
    """A YAML text with one document per SLO; `SloError` for an SLO that a document cannot say."""
    return encode([document_of(slo) for slo in slos])


def document_of(slo: Slo) -> JsonObject:
    """The document of one SLO. `parse_document` gives `slo` back; otherwise this raises `SloError`."""
    try:
        document = _document(slo)
        same = parse_document(document) == slo
    except (ArithmeticError, ValueError) as error:  # SloError is a ValueError; so is a time beyond the year 9999
        raise _not_sayable(slo, str(error)) from error
    if not same:
        raise _not_sayable(slo, "reading it back gives another SLO: a selector or text is not in its canonical form")
    return document


def _not_sayable(slo: Slo, problem: str) -> SloError:
    return SloError(f"slos[{slo.id}]", f"cannot be written as a document: {problem}", "replace the SLO by one that can")


def _document(slo: Slo) -> JsonObject:
    annotations = _annotations(slo)
    metadata: JsonObject = {"name": slo.id, **({"annotations": annotations} if annotations else {})}
    indicator = slo.indicator
    sli: JsonObject = {}
    threshold: JsonObject = {}
    if not isinstance(indicator, ExactCounters | Composite):
        sli = {"indicator": {"metadata": {"name": slo.id}, "spec": sli_document(indicator)}}
        threshold = threshold_document(indicator)
    spec: JsonObject = {
        **({"description": slo.description} if slo.description else {}),
        "service": slo.id,
        **sli,
        "budgetingMethod": OCCURRENCES if slo.slices is None else TIMESLICES,
        "timeWindow": [window_document(slo.window)],
        "objectives": [{**threshold, "target": slo.objective, **slices_document(slo.slices)}],
    }
    return {"apiVersion": "openslo/v1", "kind": "SLO", "metadata": metadata, "spec": spec}


def _annotations(slo: Slo) -> JsonObject:
    page_within = {} if slo.page_within_s == PAGE_WITHIN_S_DEFAULT else {PAGE_WITHIN: duration_text(slo.page_within_s)}
    return {
        **_indicator_texts(slo.indicator),
        **page_within,
        **({OWNER: slo.owner} if slo.owner else {}),
        **({DEPENDS_ON: str(slo.depends_on)} if slo.depends_on is not None else {}),
        **({EXCLUSIONS: exclusions_text(slo.exclusions)} if slo.exclusions else {}),
    }


def _indicator_texts(indicator: Indicator) -> dict[str, str]:
    if isinstance(indicator, ExactCounters):
        return counters_texts(indicator)
    return {PARTS: parts_text(indicator)} if isinstance(indicator, Composite) else {}
