"""The hands in a simulated world: orders reach simulated agents, plans reach simulated gateways."""

from itertools import count

from contracts.agent_api import Order, Receipt
from contracts.vocabulary import HostId, OrderKey
from controller.ports import Applied, Confirmation, GatewayObservation, GatewayPlan, SourceDown, Unknown
from controller.simulation.faults import FaultKind
from controller.simulation.world import SimulatedWorld


class SimulatedReplicas:
    """A `ReplicaDriver` over the simulated agents; delivery happens as time passes."""

    def __init__(self, world: SimulatedWorld, controller: str = "controller") -> None:
        self._world = world
        self._controller = controller

    def offer(self, orders: tuple[tuple[HostId, Order], ...]) -> None:
        """Replace the open orders."""
        self._world.offers[self._controller] = orders

    def receipts(self) -> tuple[tuple[HostId, Receipt], ...]:
        """Receipts that arrived and are not settled."""
        return tuple(self._world.answers.values())

    def settle(self, keys: tuple[OrderKey, ...]) -> None:
        """Forget these receipts."""
        for key in keys:
            self._world.settled.add(key)
            self._world.answers.pop(key, None)


class SimulatedTraffic:
    """A `TrafficDriver` over the simulated gateways: plans arrive at once, unless gateways are stuck."""

    def __init__(self, world: SimulatedWorld, controller: str = "controller") -> None:
        self._world = world
        self._versions = (f"{controller}-{number}" for number in count(1))
        self._wanted: dict[str, tuple[GatewayPlan, ...]] = {}

    async def apply(self, plans: tuple[GatewayPlan, ...]) -> str:
        """Publish; raises `ValueError` for a plan that could route nothing."""
        for plan in plans:
            if not any(not endpoint.draining for endpoint in plan.endpoints):
                msg = f"the plan for gateway {plan.gateway} has no routable endpoint"
                raise ValueError(msg)
        version = next(self._versions)
        self._wanted = {version: plans}
        self._take_up()
        return version

    async def confirm(self, version: str, timeout_s: float) -> Confirmation:  # noqa: ARG002  # simulated time stands still
        """Applied once every gateway runs that version."""
        self._take_up()
        running = {gateway.version for gateway in self._world.gateways.values() if gateway.plan is not None}
        return Applied(version) if running == {version} else Unknown(reason="gateways run something else")

    async def observe(self) -> tuple[GatewayObservation | SourceDown, ...]:
        """Read every gateway's counters; in flight is what a replica has in its queue."""
        in_flight = tuple((r.id, 1 if r.backlog_s > 0 else 0) for r in self._world.replicas())
        return tuple(
            GatewayObservation(
                gateway=gateway.region,
                version=gateway.version,
                completed=tuple(gateway.completed.items()),
                failed=tuple(gateway.failed.items()),
                in_flight=in_flight,
            )
            for gateway in self._world.gateways.values()
        )

    def _take_up(self) -> None:
        if self._world.active(FaultKind.GATEWAYS_STUCK):
            return
        for version, plans in self._wanted.items():
            for plan in plans:
                gateway = self._world.gateways.get(plan.gateway)
                if gateway is not None:
                    gateway.plan, gateway.version = plan, version
