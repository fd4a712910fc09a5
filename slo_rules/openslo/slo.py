"""One SLO document → `Slo`: every part of it is read, so that all faults of a document are told together."""

from collections.abc import Mapping, Set
from dataclasses import dataclass
from decimal import Decimal

from contracts.vocabulary import SloId
from slo_rules.errors import SloError
from slo_rules.indicators import EventRatio, Indicator
from slo_rules.model import Slo
from slo_rules.openslo.alerting import Notice, use_notices
from slo_rules.openslo.annotations import DEPENDS_ON, EXCLUSIONS, PAGE_WITHIN, PARTS, THRESHOLD, Notes
from slo_rules.openslo.faults import Attempts
from slo_rules.openslo.reader import join
from slo_rules.openslo.schema import Objective, SloDocument, SloSpec
from slo_rules.openslo.sources import Source, indicator_of, source_of
from slo_rules.openslo.windows import slices_of, window_of
from slo_rules.tiers import derive_tiers


@dataclass(frozen=True, slots=True)
class Known:
    """What the other documents of the set define."""

    names: Mapping[str, Set[str]]
    """By kind."""
    data_sources: Mapping[str, str]
    """Type by name."""
    indicators: Mapping[str, Source]
    """By name of the SLI; one that is at fault is in `names` only."""


def slo_of(document: SloDocument, where: str, known: Known) -> Slo | None:
    """The SLO, which could be compiled by itself; None when its SLI is at fault, which is told there.

    Raises `SloError`, or `SloFaults` for several faults, with paths that begin with `where`.
    """
    spec, path = document.spec, join(where, "spec")
    objective, objective_path = spec.objectives[0], f"{path}.objectives[0]"
    notes = Notes(document.metadata.annotations, join(where, "metadata.annotations"))
    places = _places(where, notes, objective)
    attempts = Attempts(places)
    attempts.make(notes.check_names)
    target = attempts.make(_target, objective, objective_path)
    window = attempts.make(window_of, spec.timeWindow, f"{path}.timeWindow")
    slices = attempts.make(slices_of, spec.budgetingMethod, objective, objective_path)
    indicator = attempts.make(_indicator, spec, notes, path, known)
    page_within_s = attempts.make(notes.page_within_s)
    owner = attempts.make(notes.owner)
    exclusions = attempts.make(notes.exclusions)
    depends_on = attempts.make(notes.depends_on)
    attempts.finish()
    if target is None or window is None or indicator is None or page_within_s is None:
        return None
    slo = attempts.make(
        Slo,
        id=SloId(document.metadata.name),
        objective=target,
        indicator=indicator,
        window=window,
        slices=slices,
        page_within_s=page_within_s,
        description=spec.description,
        owner=owner or "",
        exclusions=exclusions or (),
        depends_on=depends_on,
    )
    if slo is not None:
        attempts.make(derive_tiers, slo)  # whether its alerts could fire its author reads now, not whoever compiles
    attempts.finish()
    return slo


def notices_of(document: SloDocument, where: str, known: Known) -> tuple[Notice, ...]:
    """What the document says without effect; `SloError` for an alert policy that is none."""
    spec, path = document.spec, join(where, "spec")
    found: list[Notice] = []
    for index, use in enumerate(spec.alertPolicies):
        found.extend(use_notices(use, f"{path}.alertPolicies[{index}]", known.names))
    if not _is_compared(spec, known):
        objective, text = spec.objectives[0], "not used: only a thresholdMetric is compared with something"
        given = [name for name, value in (("op", objective.op), ("value", objective.value)) if value is not None]
        found.extend(Notice(f"{path}.objectives[0].{name}", text) for name in given)
    return tuple(found)


def _is_compared(spec: SloSpec, known: Known) -> bool:
    """Whether the indicator is a thresholdMetric; also of an SLI at fault, about which nothing more is said."""
    if spec.indicator is not None:
        return spec.indicator.spec.thresholdMetric is not None
    return spec.indicatorRef is not None and not isinstance(known.indicators.get(spec.indicatorRef), EventRatio)


def _indicator(spec: SloSpec, notes: Notes, path: str, known: Known) -> Indicator | None:
    """What is good, said in exactly one way."""
    ways = {
        f"{path}.indicator": spec.indicator is not None,
        f"{path}.indicatorRef": spec.indicatorRef is not None,
        notes.at(THRESHOLD): THRESHOLD in notes.texts,
        notes.at(PARTS): PARTS in notes.texts,
    }
    given = [way for way, is_given in ways.items() if is_given]
    if not given:
        fix = f"add an indicator, an indicatorRef, or the annotation {THRESHOLD} (our own replicas) or {PARTS} (a composite)"
        raise SloError(f"{path}.indicator", "nothing says what is good", fix)
    if len(given) > 1:
        raise SloError(given[0], f"is given besides {given[1]}", "keep one of them")
    if THRESHOLD in notes.texts:
        return notes.counters()
    if PARTS in notes.texts:
        return notes.composite()
    source = _source(spec, path, known)
    if source is None:
        return None
    return indicator_of(source, spec.objectives[0], spec.budgetingMethod, f"{path}.objectives[0]")


def _source(spec: SloSpec, path: str, known: Known) -> Source | None:
    if spec.indicator is not None:
        return source_of(spec.indicator.spec, f"{path}.indicator.spec", known.data_sources)
    name = spec.indicatorRef or ""
    if name not in known.names["SLI"]:
        raise SloError(f"{path}.indicatorRef", f"no SLI of the set is called {name}", "add that SLI to the set")
    return known.indicators.get(name)


def _target(objective: Objective, path: str) -> float:
    """The objective as a ratio: 99.9 percent is 0.999, not 0.9990000000000001."""
    if objective.target is not None and objective.targetPercent is not None:
        raise SloError(f"{path}.targetPercent", "is given besides target", "keep one of them")
    if objective.target is not None:
        return float(objective.target)
    if objective.targetPercent is None:
        raise SloError(f"{path}.target", "is missing", "add target, e.g. target: 0.95")
    return float(Decimal(str(objective.targetPercent)) / 100)


def _places(where: str, notes: Notes, objective: Objective) -> dict[str, str]:
    """Where a field of `Slo` and its parts stands in the document."""
    spec = join(where, "spec")
    objective_path = f"{spec}.objectives[0]"
    return {
        "id": join(where, "metadata.name"),
        "objective": f"{objective_path}.{'target' if objective.targetPercent is None else 'targetPercent'}",
        "threshold_s": notes.at(THRESHOLD),
        "threshold": f"{objective_path}.value",
        "parts": notes.at(PARTS),
        "weight": notes.at(PARTS),
        "window_s": f"{spec}.timeWindow[0].duration",
        "time_zone": f"{spec}.timeWindow[0].calendar.timeZone",
        "slices": f"{spec}.budgetingMethod",
        "slice_s": f"{objective_path}.timeSliceWindow",
        "slice_target": f"{objective_path}.timeSliceTarget",
        "page_within_s": notes.at(PAGE_WITHIN),
        "exclusions": notes.at(EXCLUSIONS),
        "depends_on": notes.at(DEPENDS_ON),
    }
