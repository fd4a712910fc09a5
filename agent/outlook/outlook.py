"""What the agent finds out by asking around in quiet times: whether replicas can speak, and how far other regions are."""

import random
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

import httpx

from agent.core.canary import CanaryPolicy
from agent.healing.board import Board
from agent.outlook.canary import Canaries
from agent.outlook.rtt import Gateway, RegionRtts
from agent.probes.speech import HttpSpeaker
from agent.settings import AgentSettings
from chassis.clock import Clock
from contracts.vocabulary import Region


@dataclass(frozen=True, slots=True)
class Outlook:
    """Both, and what keeps them going."""

    canaries: Canaries
    rtts: RegionRtts

    @property
    def watchers(self) -> Mapping[str, Callable[[], Awaitable[None]]]:
        """By name; a supervisor keeps each alive."""
        return {"canaries": self.canaries.run, "region_rtts": self.rtts.run}


def build_outlook(
    settings: AgentSettings, board: Board, client: httpx.AsyncClient, *, clock: Clock, rng: random.Random
) -> Outlook:
    """As the settings say."""
    return Outlook(
        canaries=Canaries(
            board=board,
            speaker=HttpSpeaker(client),
            policy=CanaryPolicy(after_s=settings.canary_after_s),
            clock=clock,
            rng=rng,
        ),
        rtts=RegionRtts(gateways=other_gateways(settings), clock=clock, rng=rng),
    )


def other_gateways(settings: AgentSettings) -> dict[Region, Gateway]:
    """Of every region but this host's."""
    return {
        Region(region): Gateway(host.strip("[]"), int(port))
        for region, (host, _, port) in ((name, address.rpartition(":")) for name, address in settings.gateways.items())
        if region != settings.region
    }
