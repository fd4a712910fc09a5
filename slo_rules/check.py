"""What must hold between the SLOs of a set, told with the document of each SLO that is at fault."""

from slo_rules.openslo import DocumentSet
from slo_rules.openslo_annotations import DEPENDS_ON, PARTS
from slo_rules.openslo_faults import Attempts
from slo_rules.openslo_yaml import join
from slo_rules.together import check_parents, check_parts, check_together


def check_set(documents: DocumentSet) -> None:
    """Raise `SloError`, or `SloFaults` for several, unless parts and parents are there and fit."""
    by_id = {slo.id: slo for slo in documents.slos}
    attempts = Attempts()
    for slo in documents.slos:
        annotations = join(documents.places[slo.id], "metadata.annotations")
        own = Attempts({"parts": f"{annotations}[{PARTS}]", "depends_on": f"{annotations}[{DEPENDS_ON}]"})
        own.make(check_parts, slo, by_id)
        own.make(check_parents, slo, by_id)
        attempts.make(own.finish)
    attempts.finish()
    check_together(documents.slos)  # what is about the set as a whole
