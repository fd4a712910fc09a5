"""From choices to a complete plan: every program of the embedded system, in an order in which it can start.

The order follows who needs whom: the controller before the agents that report to it, the agents before the gateways
(without a single endpoint a gateway waits for ever, and should), Prometheus after the controller, whom it asks what to
scrape. Pure: same blueprint, same plan.
"""

from collections.abc import Iterable

from trimtab.stack import ours, servers
from trimtab.stack.blueprint import Blueprint
from trimtab.stack.model import Endpoint, Gateway, SimulatedGpus, StackPlan
from trimtab.stack.settings import Layout


def plan_stack(blueprint: Blueprint) -> StackPlan:
    """The complete plan of one embedded stack."""
    layout = blueprint.layout
    return StackPlan(
        processes=(
            servers.redis(blueprint),
            servers.alertmanager(blueprint),
            ours.controller(blueprint),
            *(ours.agent(blueprint, region) for region in layout.regions),
            *(servers.gateway(blueprint, region) for region in layout.regions),
            servers.prometheus(blueprint),
        ),
        endpoints=tuple(_endpoints(layout)),
        gateways=tuple(Gateway(region.region, region.gateway) for region in layout.regions),
        controller=layout.controller,
        scratch=(layout.scratch,),
        simulated_gpus=_simulated_gpus(layout),
    )


def _simulated_gpus(layout: Layout) -> tuple[SimulatedGpus, ...]:
    gpus = layout.settings.gpus
    if gpus == 0:
        return ()
    return tuple(SimulatedGpus(region.host, layout.gpus_dir(region.host), gpus) for region in layout.regions)


def _endpoints(layout: Layout) -> Iterable[Endpoint]:
    for region in layout.regions:
        yield Endpoint(f"gateway {region.region}", region.gateway.url, "POST /tts, POST /v1/audio/speech")
    yield Endpoint("controller", layout.controller.url, "API: trimtab status, trimtab why")
    yield Endpoint("prometheus", layout.prometheus.url, "metrics and rules")
    yield Endpoint("alertmanager", layout.alertmanager.url, "alerts and silences")
    for region in layout.regions:
        gpus = f", {layout.settings.gpus} simulated GPUs (trimtab chaos xid 79)" if layout.settings.gpus else ""
        yield Endpoint(f"agent {region.host}", f"{region.agent.url}/metrics", f"host metrics{gpus}")
        yield Endpoint(f"envoy {region.region}", region.gateway_admin.url, "gateway admin")
    yield Endpoint("redis", f"redis://{layout.redis.address}:{layout.redis.port}", "audio cache")
