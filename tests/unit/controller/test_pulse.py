import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

from chassis.clock import ManualClock
from controller.core.fleet import Fleet
from controller.core.signals import Trust
from controller.loop import LoopView
from controller.metrics import ControllerMetrics
from controller.ports import FencedError
from controller.pulse import SPACING_S, Pulse


class NoFleet:
    def fleet(self) -> Fleet:
        return Fleet(hosts=())


@dataclass
class FakeLoop:
    """A loop whose next passes are scripted."""

    view: LoopView = field(default_factory=LoopView)
    script: list[Callable[[], None]] = field(default_factory=list)
    running: int = 0
    running_max: int = 0

    async def tick(self) -> None:
        self.running += 1
        self.running_max = max(self.running_max, self.running)
        await asyncio.sleep(0)
        self.running -= 1
        if self.script:
            self.script.pop(0)()

    def lead(self, epoch: int = 3) -> Callable[[], None]:
        def take() -> None:
            self.view = LoopView(leader=True, epoch=epoch, trust={"eu": Trust.FRESH, "us": Trust.DEAD})

        return take

    def follow(self) -> None:
        self.view = LoopView(leader=False, leader_name="other")


class Rig:
    def __init__(self) -> None:
        self.loop, self.clock, self.heard = FakeLoop(), ManualClock(), list[str]()
        self.metrics = ControllerMetrics(NoFleet())
        self.pulse = Pulse(
            loop=self.loop,  # type: ignore[arg-type]  # only tick and view are used
            clock=self.clock,
            metrics=self.metrics,
            holder="me",
            lead=lambda epoch: self.heard.append(f"lead {epoch}"),
            stand_down=lambda: self.heard.append("stand down"),
        )


def raise_(error: Exception) -> Callable[[], None]:
    def fail() -> None:
        raise error

    return fail


async def test_a_pass_that_fails_is_counted_and_the_next_one_comes() -> None:
    rig = Rig()
    rig.loop.script = [rig.loop.lead(), raise_(RuntimeError("boom")), lambda: None]
    await rig.pulse.beat()
    await rig.pulse.beat()
    assert "boom" in rig.pulse.status().why_not_ready
    await rig.pulse.beat()
    status = rig.pulse.status()
    assert (status.ticks_ok, status.ticks_failed, status.why_not_ready) == (2, 1, "")
    exported = rig.metrics.render().decode()
    assert 'controller_ticks_total{outcome="failed"} 1.0' in exported
    assert 'controller_signals_trust{trust="fresh"} 1.0' in exported


async def test_a_fenced_leader_stands_down() -> None:
    rig = Rig()
    rig.loop.script = [rig.loop.lead(), raise_(FencedError("epoch 4 leads"))]
    await rig.pulse.beat()
    await rig.pulse.beat()
    assert rig.heard[:2] == ["lead 3", "stand down"]


async def test_agents_hear_of_every_change_of_leadership() -> None:
    rig = Rig()
    rig.loop.script = [rig.loop.lead(3), rig.loop.follow, rig.loop.lead(5)]
    for _ in range(3):
        await rig.pulse.beat()
    assert rig.heard == ["lead 3", "stand down", "lead 5"]


async def test_a_standby_is_alive_but_not_ready_and_says_who_leads() -> None:
    rig = Rig()
    rig.loop.script = [rig.loop.follow]
    assert rig.pulse.status().why_not_ready == "no tick yet"
    await rig.pulse.beat()
    status = rig.pulse.status()
    assert (status.leading_for_s, status.why_not_ready) == (None, "standby: other leads")


async def test_passes_never_overlap_and_keep_their_distance() -> None:
    rig = Rig()
    await asyncio.gather(*(rig.pulse.beat() for _ in range(5)))
    assert rig.loop.running_max == 1
    assert rig.pulse.wait_s() == SPACING_S
    rig.clock.advance(SPACING_S)
    assert rig.pulse.wait_s() == 0.0


async def test_how_long_it_leads_counts_from_the_first_pass_as_leader() -> None:
    rig = Rig()
    rig.loop.script = [rig.loop.lead()]
    await rig.pulse.beat()
    rig.clock.advance(12.0)
    await rig.pulse.beat()
    assert rig.pulse.status().leading_for_s == 12.0
