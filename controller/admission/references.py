"""Objectives that speak of other objectives: composites of their parts, dependents of the one that they need.

What must hold between them is `slo_rules.together`'s to say. Here it is asked about one change: does the new objective find
what it names, and does everything that names it still find what it needs? Asked inside the transaction that makes the change,
so that two operators at a time cannot break together what neither would break alone.
"""

from collections.abc import Iterable, Mapping

from contracts.vocabulary import SloId
from slo_rules.errors import SloError
from slo_rules.indicators import Composite
from slo_rules.model import Slo
from slo_rules.together import check_together


def needs_of(slo: Slo) -> frozenset[SloId]:
    """Objectives that `slo` names."""
    parts = {part.slo for part in slo.indicator.parts} if isinstance(slo.indicator, Composite) else set()
    return frozenset(parts | ({slo.depends_on} if slo.depends_on is not None else set()))


def why_unfit(slo: Slo, others: Iterable[Slo]) -> SloError | None:
    """Why `slo` cannot stand among `others`; one of `others` with its id is the one that it replaces. None: it can."""
    among = {other.id: other for other in others} | {slo.id: slo}
    try:
        check_together(with_needs(slo, among))
    except SloError as error:
        return error
    for dependent in dependents_of(slo.id, among.values()):
        try:
            check_together(with_needs(among[dependent], among))
        except SloError as error:
            return SloError(
                "id", f"{dependent} names it, and would not hold: {error.problem}", f"change {dependent} first"
            )
    return None


def dependents_of(slo: SloId, others: Iterable[Slo]) -> tuple[SloId, ...]:
    """Objectives among `others` that name `slo`: they have to go, or let go of it, first."""
    return tuple(sorted({other.id for other in others if slo in needs_of(other)} - {slo}))


def with_needs(slo: Slo, among: Mapping[SloId, Slo]) -> tuple[Slo, ...]:
    """`slo` and everything that it names, directly or through others, as far as it is there."""
    found = {slo.id: slo}
    queue = [slo]
    for at in queue:  # grows as names are followed, each once
        for name in needs_of(at):
            if name in among and name not in found:
                found[name] = among[name]
                queue.append(among[name])
    return tuple(found.values())
