"""What must hold between SLOs: each is valid by itself, but ids, parts and parents are about the others.

One place asks all of it, so that the compiler, the command line and the API refuse the same sets for the same reasons.
"""

from collections.abc import Mapping

from contracts.vocabulary import SloId
from slo_rules.errors import SloError
from slo_rules.indicators import Composite
from slo_rules.model import Slo

SLOS_MAX = 1_000
"""About 25,000 rules in 2,000 groups: with little history, an eighth of one core of a Prometheus 2.42."""


def check_together(slos: tuple[Slo, ...]) -> dict[SloId, Slo]:
    """`slos` by id; `SloError` for the first thing about them that cannot be."""
    if len(slos) > SLOS_MAX:
        raise SloError("slos", f"{len(slos)} are more than {SLOS_MAX}", "split them over several Prometheus servers")
    by_id: dict[SloId, Slo] = {}
    for slo in slos:
        if slo.id in by_id:
            raise SloError("id", f"{slo.id} appears twice", "give every SLO its own name")
        by_id[slo.id] = slo
    for slo in slos:
        check_parts(slo, by_id)
        check_parents(slo, by_id)
    return by_id


def check_parts(slo: Slo, others: Mapping[SloId, Slo]) -> None:
    """A composite adds up what its parts record, so they have to exist and to count the same kind of thing."""
    if not isinstance(slo.indicator, Composite):
        return
    parts = []
    for part in slo.indicator.parts:
        if part.slo not in others:
            raise SloError(
                "parts", f"{part.slo} is no SLO here", "name an existing one, or apply it together with this"
            )
        parts.append(others[part.slo])
    for found in parts:
        if isinstance(found.indicator, Composite):
            raise SloError("parts", f"{found.id} is a composite itself", "name the parts of that one instead")
    if len({found.slices.seconds if found.slices else None for found in parts}) > 1:
        raise SloError(
            "parts", "they count different things: events, or slices of one length", "slice all alike, or none"
        )


def members(slo: Slo, others: Mapping[SloId, Slo]) -> tuple[Slo, ...]:
    """The SLOs whose series `slo` counts: itself, or those of its parts that are among `others`."""
    if not isinstance(slo.indicator, Composite):
        return (slo,)
    return tuple(others[part.slo] for part in slo.indicator.parts if part.slo in others)


def ancestors(slo: Slo, others: Mapping[SloId, Slo]) -> tuple[SloId, ...]:
    """What `slo` depends on, and what that depends on, nearest first; `others` have been checked."""
    found: list[SloId] = []
    while slo.depends_on is not None:
        found.append(slo.depends_on)
        slo = others[slo.depends_on]
    return tuple(found)


def check_parents(slo: Slo, others: Mapping[SloId, Slo]) -> None:
    """Raise unless the chain of `depends_on` ends."""
    seen, at = [slo.id], slo
    while at.depends_on is not None:
        if at.depends_on not in others:
            raise SloError("depends_on", f"{at.depends_on} is no SLO here", "name an existing one, or leave it out")
        at = others[at.depends_on]
        if at.id in seen:
            circle = " → ".join((*seen, at.id))
            raise SloError("depends_on", f"{circle} is a circle", "let one of them depend on nothing")
        seen.append(at.id)
