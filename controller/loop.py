"""READ THIS FIRST: the control loop, which is the product.

Trimtab keeps a fleet of text-to-speech servers inside its objectives by itself. Every few seconds this loop does one pass:

1. **Observe**: read the raw counters of every replica, the agents' reports and the gateways; decide how far to trust them.
2. **Detect**: what is broken or unfit (hard), what is too slow too often (soft), what is refused (saturation).
3. **Diagnose**: one replica, one region, a host, overload, or our own last step? Peers tell them apart.
4. **Decide**: restart, shift traffic, switch to a lighter profile, scale, drain and reset a GPU; or hold. A small safety kernel
   judges every plan.
5. **Act**: orders to agents and plans to gateways, in stages that move on observed facts and end by a deadline.
6. **Verify**: did it help, compared with peers at the same time? Worse is undone, no effect climbs the ladder.

The six phases are one pure function, `controller.core.tick.think`; one file per phase lies beside it. This class is the
thin shell around it: it reads everything the phases need, writes what they decided to the journal, and only then touches
the world. So a crash at any point loses nothing that was begun and repeats nothing that was done: the next leader finds
every intent, and agents answer a repeated order from their own memory.

Only the holder of the journal's lease thinks and acts. Its epoch grows with every new holder and fences what older ones
still try: the journal refuses their writes, agents refuse their orders.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import ParamSpec, Protocol, TypeVar

from chassis.clock import Clock
from chassis.logs import logger
from contracts.agent_api import Receipt
from contracts.vocabulary import HostId, Region
from controller.core.actions import ActionRecord
from controller.core.capacity import RegionLoad
from controller.core.facts import Published
from controller.core.findings import Finding
from controller.core.fleet import Fleet, TrafficIntent
from controller.core.gateways import GatewayObservation, GatewayPlan
from controller.core.helplessness import Helpless
from controller.core.policy import Policy
from controller.core.signals import Trust
from controller.core.story import OpenOrder
from controller.core.telemetry import SignalSample, SourceDown
from controller.core.tick import Memory, Phases, TickInput, TickOutput, think
from controller.core.traffic import clashing, keep_former, render_gateway_plans
from controller.ports import (
    Applied,
    Confirmation,
    FencedError,
    FleetSource,
    Journal,
    LeaseHeld,
    Rejected,
    ReplicaDriver,
    SignalSource,
    TrafficDriver,
    Unknown,
)

log = logger(__name__)
P = ParamSpec("P")
R = TypeVar("R")


class Aside(Protocol):
    """Where the journal's calls run: `asyncio.to_thread` for one that waits for a disk, so that agents are answered."""

    def __call__(self, call: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> Awaitable[R]:
        """The result of the call."""
        ...


async def at_once(call: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R:
    """Here and now: for a journal in memory, and for stories that must be the same every time."""
    return call(*args, **kwargs)


@dataclass(frozen=True, slots=True)
class LoopView:
    """What the loop last saw and wants, for the API; replaced whole after every tick."""

    leader: bool = False
    epoch: int = 0
    leader_name: str = ""
    """Who holds the lease; empty before the first tick."""
    ticked_unix_s: float | None = None
    """When this process last finished a tick as leader; None when it never did."""
    fleet: Fleet = field(default_factory=lambda: Fleet(hosts=()))
    trust: Mapping[Region, Trust] = field(default_factory=dict)
    loads: Mapping[Region, RegionLoad] = field(default_factory=dict)
    findings: tuple[Finding, ...] = ()
    traffic: TrafficIntent = field(default_factory=lambda: TrafficIntent(shares=()))
    published_version: str = ""
    """Version the gateways were last told; empty until this leader has told them once."""
    published_confirmed: bool = False
    paused: bool = False
    actions_open: int = 0
    actions: tuple[ActionRecord, ...] = ()
    """Open ones, and those closed within `policy.history_s`."""
    helpless: tuple[Helpless, ...] = ()


class ControlLoop:
    """One controller's loop over its ports. `tick` is called at `policy.tick_s`, or sooner when something happened."""

    def __init__(  # noqa: PLR0913  # keyword-only ports, each a stranger to the others
        self,
        *,
        journal: Journal,
        signals: SignalSource,
        fleet: FleetSource,
        replicas: ReplicaDriver,
        traffic: TrafficDriver,
        clock: Clock,
        ids: Callable[[], str],
        policy: Policy,
        holder: str,
        phases: Phases | None = None,
        aside: Aside = at_once,
    ) -> None:
        self._journal = journal
        self._signals = signals
        self._fleet = fleet
        self._replicas = replicas
        self._traffic = traffic
        self._clock = clock
        self._ids = ids
        self._policy = policy
        self._holder = holder
        self._phases = phases or Phases()
        self._aside = aside
        self._memory = Memory()
        self._published: Published | None = None
        self._plans: tuple[GatewayPlan, ...] = ()
        self._must_publish = False
        self._clashes: tuple[str, ...] = ()
        self._led_since_s = 0.0
        self._renewed_s = 0.0
        self._ticked_monotonic_s: float | None = None
        self.view = LoopView()

    async def tick(self) -> None:
        """One pass; as a standby, only a try for the lease."""
        now_unix_s = self._clock.now_unix_s()
        asked_s = self._clock.monotonic_s()
        try:
            lease = await self._bounded(self._journal.acquire, self._holder, now_unix_s, self._policy.lease_s)
        except Exception:
            self._let_lapse(asked_s)
            raise
        if isinstance(lease, LeaseHeld):
            self._stand_by(lease.holder)
            return
        self._renewed_s = asked_s
        if lease.epoch != self.view.epoch or not self.view.leader:
            self._take_over(lease.epoch)

        tick = await self._gather(now_unix_s, lease.epoch)
        if not self._is_warm(tick):
            log.info("agents_awaited", epoch=lease.epoch)
            return
        output = think(tick, self._memory, self._policy, self._phases)
        try:
            if not output.record.empty:
                await self._bounded(
                    self._journal.write, lease.epoch, output.record
                )  # intent first: nothing has been touched yet
        except FencedError as error:
            log.warning("leadership_lost", epoch=lease.epoch, error=str(error))
            self._stand_by("")
            return
        for decision in output.record.decisions:
            log.info("decision_made", kind=decision.kind, subject=decision.subject, summary=decision.summary)
        self._memory = output.memory
        await self._apply(tick.fleet, output)
        self._ticked_monotonic_s = self._clock.monotonic_s()
        self.view = self._seen(tick, output)

    def tick_age_s(self) -> float | None:
        """Seconds since this process last finished a tick as leader; None when it never did."""
        if self._ticked_monotonic_s is None:
            return None
        return self._clock.monotonic_s() - self._ticked_monotonic_s

    # ── reading ───────────────────────────────────────────────────────────────────────────────────────────────────────
    async def _gather(self, now_unix_s: float, epoch: int) -> TickInput:
        journal = await self._bounded(self._journal.load, now_unix_s, self._policy.history_s)
        async with asyncio.TaskGroup() as group:
            sample = group.create_task(self._sample())
            gateways = group.create_task(self._observe())
        self._note_drift(gateways.result())
        return TickInput(
            now_unix_s=now_unix_s,
            tick_id=self._ids(),
            epoch=epoch,
            fleet=self._fleet.fleet(),
            sample=sample.result(),
            gateways=gateways.result(),
            receipts=from_addressees(self._replicas.receipts(), journal.orders),
            journal=journal,
            published=self._published,
        )

    async def _bounded(self, call: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R:
        """A call of the journal, awaited no longer than a lease lasts: after that somebody else may lead.

        One that was given up may still land, but before anything the next pass reads: it too takes the lease's lock first.
        """
        async with asyncio.timeout(self._policy.lease_s):
            return await self._aside(call, *args, **kwargs)

    async def _sample(self) -> SignalSample | SourceDown:
        try:
            async with asyncio.timeout(self._policy.source_timeout_s):
                return await self._signals.sample()
        except TimeoutError:
            return SourceDown(reason=f"no sample within {self._policy.source_timeout_s} s")

    async def _observe(self) -> tuple[GatewayObservation | SourceDown, ...]:
        try:
            async with asyncio.timeout(self._policy.source_timeout_s):
                return await self._traffic.observe()
        except TimeoutError:
            return (SourceDown(reason=f"gateways did not answer within {self._policy.source_timeout_s} s"),)

    # ── touching ──────────────────────────────────────────────────────────────────────────────────────────────────────
    async def _apply(self, fleet: Fleet, output: TickOutput) -> None:
        """Bring the world to what is journaled; safe to repeat, because everything offered has a key or a version."""
        self._replicas.offer(tuple((issued.host, issued.order) for issued in output.orders))
        self._replicas.settle(output.settled)
        # Nothing is shed here: replicas refuse by themselves and count it as bad, a gateway's refusal nobody would see.
        self._warn_of(clashing(fleet))
        rendered = render_gateway_plans(fleet, output.traffic, {}, self._policy.gateways)
        plans = keep_former(self._plans, rendered)
        if not plans:
            return  # no gateway could serve anybody yet: telling it so would only wipe what it has
        if plans != self._plans or self._published is None or self._must_publish:
            version = await self._publish(plans)
            if version is None:
                return  # perhaps published, perhaps not: the next tick publishes it again
            self._published = Published(version, output.traffic, confirmed=False)
            self._plans, self._must_publish = plans, False
        self._published = replace(self._published, intent=output.traffic)
        if not self._published.confirmed:
            self._published = _after(self._published, await self._confirm(self._published.version))

    def _note_drift(self, gateways: tuple[GatewayObservation | SourceDown, ...]) -> None:
        """A gateway that ran our version and now runs another was changed by another hand: it is told again."""
        if self._published is None or not self._published.confirmed:
            return
        told = {plan.gateway for plan in self._plans}
        read = [g for g in gateways if isinstance(g, GatewayObservation) and g.gateway in told]
        drifted = {g.gateway: g.version for g in read if g.version != self._published.version}
        if drifted:
            log.warning("gateways_drifted", version=self._published.version, found=drifted)
            self._published, self._must_publish = replace(self._published, confirmed=False), True

    def _warn_of(self, clashes: tuple[str, ...]) -> None:
        """Name what gateways are not told of, once per change."""
        if clashes != self._clashes:
            log.warning("replicas_left_out", replicas=clashes)
            self._clashes = clashes

    async def _publish(self, plans: tuple[GatewayPlan, ...]) -> str | None:
        """The version that was published; None when there was no answer in time, or the driver refused the plans."""
        try:
            async with asyncio.timeout(self._policy.source_timeout_s):
                return await self._traffic.apply(plans)
        except TimeoutError:
            log.warning("publishing_timed_out", timeout_s=self._policy.source_timeout_s)
            return None
        except ValueError as error:
            log.warning("plans_refused", error=str(error))  # gateways keep what they run; healing must go on
            return None

    async def _confirm(self, version: str) -> Confirmation:
        timeout_s = self._policy.confirm_timeout_s
        return await _within(self._traffic.confirm(version, timeout_s), 2 * timeout_s)

    # ── leading ───────────────────────────────────────────────────────────────────────────────────────────────────────
    def _take_over(self, epoch: int) -> None:
        log.info("leadership_taken", holder=self._holder, epoch=epoch)
        self._memory, self._published, self._plans = Memory(), None, ()
        self._led_since_s = self._clock.monotonic_s()
        self.view = replace(
            self.view, leader=True, epoch=epoch, leader_name=self._holder, actions=(), helpless=()
        )  # what was seen in a former leadership may be long over

    def _is_warm(self, tick: TickInput) -> bool:
        """False while gateways still send, or may send, to replicas whose agents this new leader has not yet heard."""
        if self._published is not None or self._clock.monotonic_s() - self._led_since_s >= self._policy.takeover_s:
            return True
        if any(isinstance(gateway, SourceDown) for gateway in tick.gateways):
            return False  # it does not say whom it sends to, so a list could cut anybody off
        known = {replica.id for replica in tick.fleet.replicas()}
        read = (gateway for gateway in tick.gateways if isinstance(gateway, GatewayObservation))
        return all(replica in known for gateway in read for replica, _in_flight in gateway.in_flight)

    def _let_lapse(self, now_s: float) -> None:
        """Without a renewal for a whole term somebody else may lead: agents must not hear of us any more."""
        if now_s - self._renewed_s >= self._policy.lease_s:
            self._stand_by("")

    def _stand_by(self, leader_name: str) -> None:
        if self.view.leader:
            log.info("leadership_ended", holder=self._holder, epoch=self.view.epoch)
            self._replicas.offer(())
        self.view = replace(self.view, leader=False, leader_name=leader_name)

    def _seen(self, tick: TickInput, output: TickOutput) -> LoopView:
        published = self._published
        paused = output.record.paused if output.record.paused is not None else tick.journal.paused
        return LoopView(
            leader=True,
            epoch=tick.epoch,
            leader_name=self._holder,
            ticked_unix_s=tick.now_unix_s,
            fleet=tick.fleet,
            trust=output.signals.trust,
            loads=output.loads,
            findings=output.findings,
            traffic=output.traffic,
            published_version=published.version if published is not None else "",
            published_confirmed=published is not None and published.confirmed,
            paused=paused,
            actions_open=output.actions_open,
            actions=output.actions,
            helpless=output.helpless,
        )


def from_addressees(
    receipts: tuple[tuple[HostId, Receipt], ...], orders: tuple[OpenOrder, ...]
) -> tuple[tuple[HostId, Receipt], ...]:
    """Without what a host says about another's order: the keys of one action differ only in the target that each names."""
    addressees = {issued.order.key: issued.host for issued in orders}
    return tuple((host, receipt) for host, receipt in receipts if addressees.get(receipt.key, host) == host)


def _after(published: Published, confirmation: Confirmation) -> Published:
    match confirmation:
        case Applied():
            return replace(published, confirmed=True, rejection="")
        case Rejected(reason=reason):
            return replace(published, rejection=reason)
        case Unknown():
            return published


async def _within(confirmation: Awaitable[Confirmation], timeout_s: float) -> Confirmation:
    try:
        async with asyncio.timeout(timeout_s):
            return await confirmation
    except TimeoutError:
        return Unknown(reason=f"no confirmation within {timeout_s} s")
