"""What words and values mean: one number, word and colour per state, and the colours of words in legends."""

from contracts.vocabulary import ReplicaState
from grafana.model import Colour, State

SLO = (
    State(1, "ok", Colour.GREEN),
    State(2, "no_traffic", Colour.BLUE),
    State(3, "no_data", Colour.GREY),
    State(4, "breach", Colour.RED),
)
"""The four states of an objective in a region, as recorded."""
_REPLICA_COLOURS = {
    ReplicaState.STARTING: Colour.BLUE,
    ReplicaState.READY: Colour.GREEN,
    ReplicaState.UNREADY: Colour.YELLOW,
    ReplicaState.HUNG: Colour.RED,
    ReplicaState.CRASHED: Colour.RED,
    ReplicaState.QUARANTINED: Colour.RED,
    ReplicaState.STOPPED: Colour.GREY,
}
REPLICA = tuple(
    State(number, state.value, _REPLICA_COLOURS[state]) for number, state in enumerate(ReplicaState, start=1)
)
"""What an agent knows about a replica."""

WELL = ("good", "ok", "ready", "fresh")
ILL = ("bad", "failed", "dead", "crashed", "hung", "quarantined", "threshold")
COLOURED_WORDS = ((WELL, Colour.GREEN), (ILL, Colour.RED))
"""A series whose name ends in one of these words has its colour, on every dashboard."""


def colour_of_name(name: str) -> Colour | None:
    """Colour of a series by the last word of its name; None leaves it to the palette."""
    last = name.rpartition(" ")[2]
    return next((colour for words, colour in COLOURED_WORDS if last in words), None)
