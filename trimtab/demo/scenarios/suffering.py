"""Faults that grow until clients feel them, and the three durations that are counted from there.

How much a machine can take depends on its cores and on who else uses them. So a soft fault begins moderately and becomes
worse step by step until half of the sentences suffer; what is measured starts with the first one that did.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from contracts.vocabulary import Region
from trimtab.api_bodies import Decision
from trimtab.demo.timeline import is_bad, well_since
from trimtab.demo.world import World
from trimtab.load.records import Record

STEP_S = 8.0
"""Between two steps: long enough for the slowed sentences to come back late."""


async def grow_until_felt(
    world: World, worse: Sequence[Callable[[], None]], *, region: Region | None, is_over: Callable[[], bool]
) -> None:
    """Take one step after the other until clients suffer, the fault is over, or no step is left."""
    for step in worse:
        await world.clock.sleep(STEP_S)
        if is_over() or world.suffers(STEP_S, region):
            return
        step()


@dataclass(frozen=True, slots=True)
class Span:
    """When a soft fault was there."""

    began_s: float
    """Monotonic, like the times of the records."""
    began_unix_s: float
    """Wall clock, like the times of the story."""
    ended_s: float


def detect_and_mitigate(
    records: Sequence[Record], begun: Decision | None, span: Span, world: World
) -> tuple[float | None, float | None]:
    """Seconds from the first request that suffered to the first act, and to service that keeps the objective again."""
    threshold_s = world.sizing.threshold_s
    felt_s = next((r.sent_s for r in sorted(records, key=lambda r: r.sent_s) if is_bad(r, threshold_s)), None)
    if felt_s is None or begun is None:
        return None, None
    acted_s = span.began_s + begun.at_unix_s - span.began_unix_s
    well_s = well_since(
        records, from_s=acted_s, until_s=span.ended_s, threshold_s=threshold_s, objective=world.sizing.objective
    )
    return max(0.0, acted_s - felt_s), None if well_s is None else well_s - felt_s
