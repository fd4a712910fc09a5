"""OpenSLO v1 documents → SLOs: all kinds of a set together, every document checked, all faults at once.

An SLO says what is good in exactly one of three ways: an `indicator` (or `indicatorRef` to an SLI of the set) that names series
of Prometheus, the annotation `trimtab/threshold` for the exact counters of our own replicas, or `trimtab/parts` for a composite
of other SLOs. `docs/slos.md` is the reference of every field.

Promises: a set with one fault gives no SLO at all; a fault names the path inside its document and what to write instead;
what is accepted without being used is told as a notice. Whether SLOs agree with each other is `together`'s part.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from contracts.vocabulary import SloId
from slo_rules.errors import SloError
from slo_rules.model import Slo
from slo_rules.openslo.alerting import Notice, condition_notice, policy_notices, target_notice
from slo_rules.openslo.faults import Attempts, shape_of
from slo_rules.openslo.reader import Decoded, join
from slo_rules.openslo.schema import (
    KINDS,
    NAME_PATTERN,
    TEXT_CHARS_MAX,
    ConditionDocument,
    DataSourceDocument,
    Document,
    PolicyDocument,
    SliDocument,
    SloDocument,
    TargetDocument,
)
from slo_rules.openslo.slo import Known, notices_of, slo_of
from slo_rules.openslo.sources import source_of

__all__ = ["NAME_PATTERN", "TEXT_CHARS_MAX", "DocumentSet", "Notice", "parse_document", "parse_set"]


@dataclass(frozen=True, slots=True)
class DocumentSet:
    """What a set of documents says."""

    slos: tuple[Slo, ...]
    """In the order of their documents."""
    places: Mapping[SloId, str]
    """Where each stands, e.g. `slos.yaml[2]`."""
    notices: tuple[Notice, ...]
    """What is accepted and not used."""


@dataclass(frozen=True, slots=True)
class _Placed:
    """A document that has its kind's shape."""

    where: str
    shape: Document


def parse_document(raw: object) -> Slo:
    """One decoded document that is an SLO and needs no other; `SloError` whose `field` is a path inside it."""
    slos = parse_set((Decoded("", raw),)).slos
    if len(slos) != 1:
        raise SloError("kind", "is not SLO", "send one SLO")
    return slos[0]


def parse_set(documents: Iterable[Decoded]) -> DocumentSet:
    """Every SLO of the documents, or `SloError`, which is `SloFaults` when there are several."""
    attempts = Attempts()
    shaped = [found for document in documents if (found := attempts.make(_shaped, document)) is not None]
    known = _known(shaped, attempts)
    notices = [note for found in shaped for note in attempts.make(_notices, found, known) or ()]
    slos: dict[SloId, tuple[str, Slo]] = {}
    for found in shaped:
        if isinstance(found.shape, SloDocument):
            slo = attempts.make(slo_of, found.shape, found.where, known)
            slos.update({slo.id: (found.where, slo)} if slo is not None else {})
    attempts.finish()
    return DocumentSet(
        slos=tuple(slo for _, slo in slos.values()),
        places={slo: where for slo, (where, _) in slos.items()},
        notices=tuple(notices),
    )


def _shaped(document: Decoded) -> _Placed:
    return _Placed(document.where, shape_of(document.value, document.where))


def _known(shaped: list[_Placed], attempts: Attempts) -> Known:
    """Names by kind, data sources and indicators, so that documents may refer to later ones; a name twice is a fault."""
    names: dict[str, set[str]] = {kind: set() for kind in KINDS}
    for found in shaped:
        kind, name = found.shape.kind, found.shape.metadata.name
        if name in names[kind]:
            problem = f"another {kind} of the set is called {name}"
            attempts.note(SloError(join(found.where, "metadata.name"), problem, "rename one of them"))
        names[kind].add(name)
    types = {f.shape.metadata.name: f.shape.spec.type for f in shaped if isinstance(f.shape, DataSourceDocument)}
    slis = [(f.where, f.shape) for f in shaped if isinstance(f.shape, SliDocument)]
    sources = {sli.metadata.name: attempts.make(source_of, sli.spec, join(where, "spec"), types) for where, sli in slis}
    return Known(names, types, {name: source for name, source in sources.items() if source is not None})


def _notices(found: _Placed, known: Known) -> tuple[Notice, ...]:
    """What a document says without effect; `SloError` where it says something that is none."""
    shape, spec = found.shape, join(found.where, "spec")
    labels = Notice(join(found.where, "metadata.labels"), "not used: series carry the SLO's name and region only")
    notices = [labels] if shape.metadata.labels else []
    match shape:
        case SloDocument():
            notices.extend(notices_of(shape, found.where, known))
        case DataSourceDocument() if shape.spec.connectionDetails is not None:
            text = "not used: the Prometheus that loads the rules is the one that is read"
            notices.append(Notice(f"{spec}.connectionDetails", text))
        case ConditionDocument():
            notices.append(condition_notice(shape.spec.condition, f"{spec}.condition"))
        case TargetDocument():
            notices.append(target_notice(spec))
        case PolicyDocument():
            notices.extend(policy_notices(shape.spec, spec, known.names))
        case _:
            pass
    return tuple(notices)
