"""What an action is measured by: a scope, and bad and total events there and at its peers in the same blocks.

Peers see the same hour of the day and the same text, so comparing with them keeps a falling peak from being credited to
an action. A region's peers are the regions that nothing was done to meanwhile; a replica's are the others of its region.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from contracts.vocabulary import Region, ReplicaId, SloId
from controller.core.actions import (
    Action,
    ActionKind,
    Measure,
    RebootHost,
    ResetGpu,
    Restart,
    ScaleIn,
    ScaleOut,
    Shift,
    SwitchProfile,
)
from controller.core.fleet import Fleet
from controller.core.ledger import regions_of
from controller.core.policy import Policy
from controller.core.signals import Block, Signals, Tally

FLEET = "fleet"


@dataclass(frozen=True, slots=True)
class Scope:
    """Whose events count, and who the peers are."""

    name: str
    """`replica=…`, `gpu=…`, `host=…`, `region=…` or `fleet`."""
    replica: ReplicaId | None
    """None unless one replica is measured."""
    regions: frozenset[Region]
    """Measured regions, or the region of the replica; none for a machine."""


def scope_of(action: Action, fleet: Fleet) -> Scope:
    """Where the effect of an action shows."""
    match action:
        case Restart():
            return Scope(f"replica={action.replica}", action.replica, frozenset({action.region}))
        case Shift(kind=ActionKind.RETURN_TRAFFIC):  # a probe's tenth must not drown in the nine that stay away
            return Scope(f"region={action.region}", None, frozenset({action.region}))
        case Shift():
            touched = regions_of(action)
            name = FLEET if touched >= frozenset(fleet.regions) else f"region={'+'.join(sorted(touched))}"
            return Scope(name, None, touched)
        case SwitchProfile() | ScaleOut() | ScaleIn():
            return Scope(f"region={action.region}", None, frozenset({action.region}))
        case ResetGpu():  # nothing is served there: its agent's reports show the effect
            return Scope(f"gpu={action.gpu}", None, frozenset())
        case RebootHost():
            return Scope(f"host={action.host}", None, frozenset())


def measure(
    scope: Scope,
    signals: Signals,
    blocks: tuple[Block, ...],
    fleet: Fleet,
    treated: frozenset[Region] = frozenset(),
    slo: SloId | None = None,
) -> Measure:
    """Events in the scope and at its peers over `blocks`; regions in `treated` were acted on too and are no peers.

    Of one objective, or of all together when `slo` is None: a loose objective's events would drown those of a tight one.
    """
    if scope.replica is not None:
        others = [r.id for region in scope.regions for r in fleet.replicas(region) if r.id != scope.replica]
        peers = [signals.over_replica(peer, blocks) for peer in others]
    else:
        untouched = [region for region in fleet.regions if region not in scope.regions | treated]
        peers = [signals.over_region(region, blocks) for region in untouched]
    bad, total = _sum(_tallies(scope, signals, blocks), slo)
    peer_bad, peer_total = _sum(peers, slo)
    return Measure(bad, total, peer_bad, peer_total)


def worst_slo(
    scope: Scope, signals: Signals, blocks: tuple[Block, ...], budgets: Mapping[SloId, float]
) -> SloId | None:
    """The objective furthest beyond its error budget in the scope, of equals the tightest; None without any events."""
    tallies = _tallies(scope, signals, blocks)
    pace = {}
    for slo, budget in budgets.items():
        bad, total = _sum(tallies, slo)
        if total > 0:
            pace[slo] = (bad / total / budget, -budget, slo)
    return max(pace, key=lambda slo: pace[slo], default=None)


def before_blocks(intended_unix_s: float, signals: Signals, policy: Policy) -> tuple[Block, ...]:
    """The blocks that an action begun at `intended_unix_s` is compared with."""
    since_unix_s = intended_unix_s - policy.verify_s - policy.block_s
    return tuple(block for block in signals.since(since_unix_s) if block.end_unix_s <= intended_unix_s)


def _tallies(scope: Scope, signals: Signals, blocks: tuple[Block, ...]) -> list[Tally]:
    if scope.replica is not None:
        return [signals.over_replica(scope.replica, blocks)]
    return [signals.over_region(region, blocks) for region in sorted(scope.regions)]


def _sum(tallies: Iterable[Tally], slo: SloId | None) -> tuple[float, float]:
    counts = [tally.events(slo) for tally in tallies]
    return sum(bad for bad, _total in counts), sum(total for _bad, total in counts)
