"""What must hold between the SLOs of a set, told with the document of each SLO that is at fault."""

from collections.abc import Mapping

from contracts.vocabulary import SloId
from slo_rules.model import Slo
from slo_rules.openslo.annotations import DEPENDS_ON, PAGE_WITHIN, PARTS
from slo_rules.openslo.documents import DocumentSet
from slo_rules.openslo.faults import Attempts
from slo_rules.openslo.reader import join
from slo_rules.tiers import derive_tiers
from slo_rules.together import check_parents, check_parts, check_together


def check_set(documents: DocumentSet) -> None:
    """Raise `SloError`, or `SloFaults` for several, unless parts and parents are there and fit."""
    by_id = {slo.id: slo for slo in documents.slos}
    attempts = Attempts()
    for slo in documents.slos:
        where = documents.places[slo.id]
        annotations = join(where, "metadata.annotations")
        own = Attempts(
            {
                "parts": f"{annotations}[{PARTS}]",
                "depends_on": f"{annotations}[{DEPENDS_ON}]",
                "page_within_s": f"{annotations}[{PAGE_WITHIN}]",
                "window_s": join(where, "spec.timeWindow[0].duration"),
            }
        )
        own.make(_check, slo, by_id)
        attempts.make(own.finish)
    attempts.finish()
    check_together(documents.slos)  # what is about the set as a whole


def _check(slo: Slo, others: Mapping[SloId, Slo]) -> None:
    check_parts(slo, others)
    check_parents(slo, others)
    derive_tiers(slo, others)  # those of a composite depend on what its parts count
