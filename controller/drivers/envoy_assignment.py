"""A gateway's plan as Envoy's one dynamic resource, the ClusterLoadAssignment: pure, and refused when it could hurt.

Weights, standby, drain, shedding and membership travel in one message, so a gateway is never between two states.
"""

import hashlib
import ipaddress
import json
from collections.abc import Sequence
from typing import Any

from contracts.vocabulary import Region
from controller.drivers.envoy_bootstrap import CLUSTER, METADATA
from controller.ports import Endpoint, GatewayPlan

Json = dict[str, Any]

TYPE = "type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment"
WEIGHT_PER_SHARE = 10_000
"""Shares become whole numbers; a hundredth of a percent is finer than any traffic can show."""
PORT_MAX = 65_535


def render_assignment(plan: GatewayPlan) -> Json:
    """The assignment for `plan`. Raises `ValueError` for one that leaves nothing to route to, or that Envoy would refuse."""
    _refuse(plan)
    weights = _weights(plan)
    localities = [
        _locality(region, weights.get(region), [e for e in plan.endpoints if e.region == region])
        for region in sorted({endpoint.region for endpoint in plan.endpoints})
    ]
    policy: Json = {"overprovisioning_factor": 140}
    if plan.shed_ratio > 0:
        policy["drop_overloads"] = [
            {
                "category": "shed",
                "drop_percentage": {"numerator": _shed(plan), "denominator": "TEN_THOUSAND"},
            }
        ]
    return {"@type": TYPE, "cluster_name": CLUSTER, "endpoints": localities, "policy": policy}


def empty_assignment() -> Json:
    """Membership of a gateway that has never been told anything; only ever a seed, never an update."""
    return {"@type": TYPE, "cluster_name": CLUSTER, "endpoints": []}


def discovery_response(assignment: Json, version: str) -> str:
    """What Envoy reads from the file."""
    return json.dumps({"version_info": version, "resources": [assignment]}, sort_keys=True)


def digest(assignments: Sequence[Json]) -> str:
    """Eight hex digits that name a content: equal plans have equal names."""
    return hashlib.sha256(json.dumps(assignments, sort_keys=True).encode()).hexdigest()[:8]


def _weights(plan: GatewayPlan) -> dict[Region, int]:
    """Weight per active region. A standby has none, which keeps it warm, checked and first in line.

    Where no active region has a routable endpoint, every standby that has one takes over explicitly, with equal weight.
    """
    routable = {endpoint.region for endpoint in plan.endpoints if not endpoint.draining}
    # Envoy takes up a changed shed ratio only together with a changed host set, so the whole scale moves with it.
    scale = WEIGHT_PER_SHARE + _shed(plan)
    active = {region: max(1, round(share * scale)) for region, share in plan.shares if share > 0}
    return active if routable & active.keys() else dict.fromkeys(routable, scale)


def _shed(plan: GatewayPlan) -> int:
    return round(plan.shed_ratio * 10_000)


def _locality(region: Region, weight: int | None, endpoints: list[Endpoint]) -> Json:
    locality: Json = {
        "locality": {"region": region, "zone": region},
        "lb_endpoints": [_endpoint(endpoint) for endpoint in sorted(endpoints, key=lambda e: e.replica)],
    }
    return locality if weight is None else {**locality, "load_balancing_weight": weight}


def _endpoint(endpoint: Endpoint) -> Json:
    return {
        "endpoint": {
            "hostname": endpoint.replica,
            "address": {"socket_address": {"address": endpoint.address, "port_value": endpoint.port}},
        },
        # UNKNOWN means "ask the health checks"; DRAINING leaves the region's share as it is, unlike UNHEALTHY.
        "health_status": "DRAINING" if endpoint.draining else "UNKNOWN",
        "load_balancing_weight": 1,
        "metadata": {"filter_metadata": {METADATA: {"replica": endpoint.replica, "region": endpoint.region}}},
    }


def _refuse(plan: GatewayPlan) -> None:
    problem = next(iter(_problems(plan)), None)
    if problem is not None:
        msg = f"refusing the plan for gateway {plan.gateway}: {problem}"
        raise ValueError(msg)


def _problems(plan: GatewayPlan) -> list[str]:
    problems = []
    if all(endpoint.draining for endpoint in plan.endpoints):
        problems.append("no endpoint is routable")
    if not 0 <= plan.shed_ratio < 1:
        problems.append(f"shed_ratio {plan.shed_ratio} is outside 0..1")
    problems += [f"share {share} of {region} is outside 0..1" for region, share in plan.shares if not 0 <= share <= 1]
    problems += [f"replica {name} appears twice" for name in _repeated([e.replica for e in plan.endpoints])]
    problems += [f"{name} appears twice" for name in _repeated([f"{e.address}:{e.port}" for e in plan.endpoints])]
    problems += [fault for endpoint in plan.endpoints for fault in _address_faults(endpoint)]
    return problems


def _address_faults(endpoint: Endpoint) -> list[str]:
    faults = []
    try:
        ipaddress.ip_address(endpoint.address)
    except ValueError:
        faults.append(f"{endpoint.address!r} of {endpoint.replica} is not an IP address")
    if not 0 < endpoint.port <= PORT_MAX:
        faults.append(f"port {endpoint.port} of {endpoint.replica} is outside 1..{PORT_MAX}")
    return faults


def _repeated(names: Sequence[str]) -> list[str]:
    return sorted({name for name in names if names.count(name) > 1})
