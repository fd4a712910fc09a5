"""Shares and endpoint lists: arithmetic on what gateways are told, and the rendering of intent and fleet into plans.

The gateway reacts first, in milliseconds, with its own health checks; the loop second, in seconds. So a replica that is
merely hung or unready stays in the list (taking it out would wipe what the gateway has learned about it), and only one
that is known to be gone is left out.
"""

import ipaddress
from collections.abc import Iterable, Mapping

from contracts.vocabulary import Region, ReplicaId, ReplicaState
from controller.core.fleet import Fleet, RegionShare, Replica, TrafficIntent, home_traffic
from controller.core.gateways import Endpoint, GatewayPlan

CRASHED_KEPT_S = 30.0
"""A crash usually heals within 3 s; ten times that and the endpoint is only noise for health checks."""
REPORT_BAND_S = 15.0
"""Reports this close in age count as equally fresh, or two living hosts that clash would take turns at every tick."""
_PORT_MAX = 65_535
_LISTED = frozenset({ReplicaState.READY, ReplicaState.HUNG, ReplicaState.UNREADY})


def render_gateway_plans(
    fleet: Fleet,
    intent: TrafficIntent,
    shed: Mapping[Region, float],
    gateways: tuple[Region, ...] = (),
) -> tuple[GatewayPlan, ...]:
    """One plan per gateway (default: per region of the fleet), without those that would have no routable endpoint."""
    endpoints = tuple(
        Endpoint(replica.id, replica.region, replica.address, replica.port, draining=replica.id in intent.cordoned)
        for replica in _addressable(fleet)
    )
    routable = frozenset(endpoint.region for endpoint in endpoints if not endpoint.draining)
    if not routable:
        return ()
    rows = rows_of(intent)
    return tuple(
        GatewayPlan(
            gateway=gateway,
            shares=_renormalised(gateway, rows.get(gateway, {}), routable),
            endpoints=endpoints,
            shed_ratio=shed.get(gateway, 0.0),
        )
        for gateway in gateways or fleet.regions
    )


def clashing(fleet: Fleet) -> tuple[str, ...]:
    """Replicas that no gateway is told of, though they serve: each has no usable address, or shares its own or its id."""
    kept = {id(replica) for replica in _addressable(fleet)}
    left_out = (replica for replica in fleet.replicas() if _is_listed(replica) and id(replica) not in kept)
    return tuple(sorted(f"{r.id} of {r.locality.host} at {r.address}:{r.port}" for r in left_out))


def keep_former(former: tuple[GatewayPlan, ...], rendered: tuple[GatewayPlan, ...]) -> tuple[GatewayPlan, ...]:
    """The newest plan of every gateway; a gateway without a new one keeps its former one."""
    newest = {plan.gateway: plan for plan in (*former, *rendered)}
    return tuple(newest[gateway] for gateway in sorted(newest))


def complete(intent: TrafficIntent | None, regions: Iterable[Region]) -> TrafficIntent:
    """The same intent with a row for every gateway and region: what was never mentioned is at home."""
    places = tuple(sorted(regions))
    if intent is None:
        return home_traffic(places)
    known = {(share.gateway, share.region) for share in intent.shares}
    if all((gateway, region) in known for gateway in places for region in places):
        return intent
    home = home_traffic(places)
    known_gateways = {share.gateway for share in intent.shares}
    added = tuple(
        share if share.gateway not in known_gateways else RegionShare(share.gateway, share.region, 0.0)
        for share in home.shares
        if (share.gateway, share.region) not in known
    )
    return TrafficIntent(shares=tuple(sorted((*intent.shares, *added))), cordoned=intent.cordoned)


def with_row(intent: TrafficIntent, gateway: Region, row: Mapping[Region, float]) -> TrafficIntent:
    """`intent` with one gateway's shares replaced; regions that `row` omits get 0."""
    shares = tuple(
        RegionShare(gateway, share.region, row.get(share.region, 0.0)) if share.gateway == gateway else share
        for share in intent.shares
    )
    return TrafficIntent(shares=shares, cordoned=intent.cordoned)


def rows_of(intent: TrafficIntent) -> dict[Region, dict[Region, float]]:
    """Every gateway's shares, read in one go."""
    rows: dict[Region, dict[Region, float]] = {}
    for share in intent.shares:
        rows.setdefault(share.gateway, {})[share.region] = share.share
    return rows


def row_of(intent: TrafficIntent, gateway: Region) -> dict[Region, float]:
    """One gateway's shares."""
    return {share.region: share.share for share in intent.shares if share.gateway == gateway}


def rows_changed(before: TrafficIntent, after: TrafficIntent) -> tuple[Region, ...]:
    """Gateways whose shares differ."""
    rows_before, rows_after = rows_of(before), rows_of(after)
    return tuple(gateway for gateway in sorted(rows_after) if rows_before.get(gateway, {}) != rows_after[gateway])


def merged(intent: TrafficIntent, before: TrafficIntent, after: TrafficIntent) -> TrafficIntent:
    """`intent` with the rows that lead from `before` to `after` replaced: moves of other gateways stay."""
    for gateway in rows_changed(before, after):
        intent = with_row(intent, gateway, row_of(after, gateway))
    return intent


def incoming(intent: TrafficIntent, region: Region) -> float:
    """Sum of what all gateways send to one region; 1 when it serves just its own."""
    return sum(share.share for share in intent.shares if share.region == region)


def regions_raised(before: TrafficIntent, after: TrafficIntent) -> frozenset[Region]:
    """Regions that get more than before."""
    change: dict[Region, float] = {}
    for sign, intent in ((-1.0, before), (1.0, after)):
        for share in intent.shares:
            change[share.region] = change.get(share.region, 0.0) + sign * share.share
    return frozenset(region for region, more in change.items() if more > 1e-9)  # noqa: PLR2004  # rounding, not traffic


def regions_changed(before: TrafficIntent, after: TrafficIntent) -> frozenset[Region]:
    """Regions that get more or less than before."""
    return regions_raised(before, after) | regions_raised(after, before)


def cordoned(intent: TrafficIntent, replicas: frozenset[ReplicaId]) -> TrafficIntent:
    """The same shares with exactly these replicas cordoned."""
    return TrafficIntent(shares=intent.shares, cordoned=replicas)


def _addressable(fleet: Fleet) -> tuple[Replica, ...]:
    """Listed replicas whose address a gateway can use; of several that claim one id or one address, the freshest.

    One mistaken host must cost itself, not the whole fleet: a gateway would refuse the plan that names it.
    """
    by_freshness = sorted(fleet.hosts, key=lambda host: (host.report_age_s // REPORT_BAND_S, host.id))
    ids: set[ReplicaId] = set()
    addresses: set[tuple[str, int]] = set()
    kept: set[int] = set()
    for replica in (replica for host in by_freshness for replica in host.replicas if _is_listed(replica)):
        address = (replica.address, replica.port)
        if _is_usable(replica) and replica.id not in ids and address not in addresses:
            ids.add(replica.id)
            addresses.add(address)
            kept.add(id(replica))
    return tuple(replica for replica in fleet.replicas() if id(replica) in kept)


def _is_usable(replica: Replica) -> bool:
    try:
        ipaddress.ip_address(replica.address)
    except ValueError:
        return False
    return 0 < replica.port <= _PORT_MAX


def _is_listed(replica: Replica) -> bool:
    if replica.state is ReplicaState.CRASHED:
        return replica.state_age_s <= CRASHED_KEPT_S
    if replica.state is ReplicaState.STARTING:
        return replica.generation > 1  # coming back at an address the gateway already checks
    return replica.state in _LISTED


def _renormalised(
    gateway: Region, row: Mapping[Region, float], routable: frozenset[Region]
) -> tuple[tuple[Region, float], ...]:
    """Wanted shares over the regions that can be reached; home, then anywhere, when none of the wanted ones can."""
    wanted = {region: row.get(region, 0.0) for region in sorted(routable)}
    whole = sum(wanted.values())
    if whole <= 0:
        targets = [gateway] if gateway in routable else sorted(routable)
        wanted = {region: 1.0 if region in targets else 0.0 for region in wanted}
        whole = float(len(targets))
    return tuple((region, share / whole) for region, share in wanted.items())
