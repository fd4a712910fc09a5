"""Traffic where there is nothing to move: a fleet whose clients reach the replicas by other means.

Restarts, profiles and scaling still work. A shift would be confirmed and change nothing, which its verification then says.
"""

from controller.ports import Applied, Confirmation, GatewayObservation, GatewayPlan, SourceDown

VERSION = "no-gateways"


class NoGateways:
    """`ports.TrafficDriver` over zero gateways."""

    async def apply(self, plans: tuple[GatewayPlan, ...]) -> str:  # noqa: ARG002  # the port's shape
        """Nobody to tell."""
        return VERSION

    async def confirm(self, version: str, timeout_s: float) -> Confirmation:  # noqa: ARG002  # the port's shape
        """All of nobody agree."""
        return Applied(version=version)

    async def observe(self) -> tuple[GatewayObservation | SourceDown, ...]:
        """Nobody to ask."""
        return ()
