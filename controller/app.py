"""Wiring of the controller: the one module that knows concrete classes.

Start: database, hub and loop, then the listener, then the clockwork. The listener is bound before the first pass, because the
default name in the lease is the address listened on: two living processes cannot share it, and one that was killed and
started again is still the same leader. Stop is the reverse, and gives the lease back.
"""

import asyncio
import logging
import platform
import signal
import socket
import uuid
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from random import Random, SystemRandom
from secrets import token_urlsafe

import httpx
from apscheduler.schedulers.asyncio import AsyncIOScheduler
from fastapi import FastAPI

from chassis.auth import refuse_open_listener
from chassis.clock import Clock, SystemClock
from chassis.logs import logger
from chassis.notify import build_notifier
from controller.admission_office import AdmissionOffice
from controller.api.factory import create_api
from controller.api.parts import ApiParts
from controller.core.policy import Policy
from controller.credentials import CredentialOffice
from controller.drivers.agent import AgentOrders
from controller.drivers.envoy import EnvoyTraffic, Gateway
from controller.drivers.no_gateways import NoGateways
from controller.drivers.prometheus_rules import PrometheusRules
from controller.journal.credentials import SqlCredentials
from controller.journal.database import Database, open_database
from controller.journal.sql import SqlJournal
from controller.journal.stores import SqlIntents, SqlSlos, SqlStory
from controller.listener import RENEW_EVERY_S, Certificate, build_server, listen, read_certificate
from controller.loop import ControlLoop
from controller.metrics import ControllerMetrics, CountingJournal
from controller.ports import TrafficDriver
from controller.pulse import Pulse
from controller.rules_keeper import RulesKeeper
from controller.settings import ControllerSettings
from controller.sources.agents import AgentHub
from controller.sources.alertmanager import AlertInbox
from controller.sources.prometheus import PrometheusSignals
from controller.sources.prometheus_facts import PrometheusFacts
from controller.upkeep import Upkeep, expected_regions, forget_old_lines

log = logger(__name__)

TOKEN_BYTES = 32
"""256 bits: nobody guesses them, and nobody finds two hosts with the same."""
OBJECTIVES_EVERY_S = 15.0
"""How late a change made through another controller, or a region seen for the first time, may arrive."""
OBJECTIVES_SPACING_S = 1.0
PRUNE_EVERY_S = 3_600.0
TICK, OBJECTIVES = "tick", "objectives"


@dataclass(frozen=True, slots=True)
class Controller:
    """A wired controller, not yet running."""

    app: FastAPI
    hub: AgentHub
    pulse: Pulse
    upkeep: Upkeep
    journal: SqlJournal
    wake: "Wake"
    certificate: Certificate


class Wake:
    """Something happened: callable from any thread, remembered until the clockwork has seen it."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self.news = asyncio.Event()
        self.objectives = asyncio.Event()
        self._epoch: int | None = None
        """In which this process led last; None: it never did."""

    def tick(self) -> None:
        """The loop should look sooner."""
        self._loop.call_soon_threadsafe(self.news.set)

    def follow_objectives(self) -> None:
        """Objectives changed: agents, Prometheus and the loop should hear of it."""
        self._loop.call_soon_threadsafe(self.objectives.set)
        self.tick()

    def lead(self, epoch: int) -> None:
        """Said after every pass as the leader: rules that only a leader publishes do not wait for their usual turn."""
        if epoch != self._epoch:
            self._epoch = epoch
            self.objectives.set()


async def run(settings: ControllerSettings, policy: Policy, told: Mapping[str, str]) -> None:
    """Run until SIGTERM or SIGINT; `told` is what the service manager asked for, if there is one."""
    address = str(settings.address)
    refuse_open_listener(address, settings.tokens)
    clock = SystemClock()
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with AsyncExitStack() as stack:
        listener = stack.enter_context(listen(address, settings.port))
        database = await asyncio.to_thread(open_database, settings.database_url)
        stack.callback(database.close)
        controller = await _build(settings, policy, clock, database, stack)
        await stack.enter_async_context(build_notifier(told, clock=clock).speaking())
        await _serve(controller, settings, policy, clock, listener, stop)
    log.info("controller_stopped")


async def _build(
    settings: ControllerSettings, policy: Policy, clock: Clock, database: Database, stack: AsyncExitStack
) -> Controller:
    ids = new_ids(SystemRandom())
    client = await stack.enter_async_context(httpx.AsyncClient(trust_env=False))
    signals = PrometheusSignals(url=settings.prometheus_url, clock=clock)
    stack.callback(signals.close)
    traffic = await _traffic(settings, client, clock)
    orders, wake = AgentOrders(), Wake()
    hub = AgentHub(orders=orders, clock=clock)
    hub.on_change(wake.tick)
    metrics = ControllerMetrics(hub)
    journal, slos, story = SqlJournal(database), SqlSlos(database), SqlStory(database)
    holder = settings.holder or f"{platform.node()}:{settings.address}:{settings.port}"
    loop = ControlLoop(
        journal=CountingJournal(journal, metrics),
        signals=signals,
        fleet=hub,
        replicas=orders,
        traffic=traffic,
        clock=clock,
        ids=ids,
        policy=policy,
        holder=holder,
        aside=asyncio.to_thread,
    )
    pulse = _pulse(loop, hub, wake, metrics, clock, holder)
    keeper = _rules_keeper(settings, client, clock, metrics)
    facts = PrometheusFacts(url=settings.prometheus_url, client=client)
    regions = partial(expected_regions, story, hub, policy.gateways)
    upkeep = Upkeep(slos=slos, thresholds=hub, rules=keeper, regions=regions, clock=clock)
    parts = ApiParts(
        clock=clock,
        tokens=settings.tokens,
        slos=slos,
        intents=SqlIntents(database),
        story=story,
        fleet=hub,
        agents=hub,
        credentials=_credentials(settings, database, clock, ids),
        alerts=AlertInbox(store=story, clock=clock),
        gateways=traffic,
        status=pulse.status,
        slos_changed=wake.follow_objectives,
        rules=lambda: keeper.state,
        admission=AdmissionOffice(facts=facts, regions=regions, clock=clock),
        intent_recorded=wake.tick,
        alerts_received=metrics.alerts_received,
        new_id=ids,
        render_metrics=metrics.render,
    )
    return Controller(
        app=create_api(parts),
        hub=hub,
        pulse=pulse,
        upkeep=upkeep,
        journal=journal,
        wake=wake,
        certificate=read_certificate(settings),
    )


def _pulse(
    loop: ControlLoop, hub: AgentHub, wake: Wake, metrics: ControllerMetrics, clock: Clock, holder: str
) -> Pulse:
    def lead(epoch: int) -> None:
        hub.lead(epoch)
        wake.lead(epoch)

    return Pulse(loop=loop, clock=clock, metrics=metrics, holder=holder, lead=lead, stand_down=hub.stand_down)


def _rules_keeper(
    settings: ControllerSettings, client: httpx.AsyncClient, clock: Clock, metrics: ControllerMetrics
) -> RulesKeeper:
    if settings.rules_file is None:
        return RulesKeeper(None, clock, metrics.rules)
    publisher = PrometheusRules(url=settings.prometheus_url, path=settings.rules_file, client=client, clock=clock)
    return RulesKeeper(publisher, clock, metrics.rules)


def _credentials(
    settings: ControllerSettings, database: Database, clock: Clock, ids: Callable[[], str]
) -> CredentialOffice:
    return CredentialOffice(
        store=SqlCredentials(database),
        clock=clock,
        new_token=partial(token_urlsafe, TOKEN_BYTES),
        new_id=ids,
        required=settings.host_credentials_required,
        life_s=settings.host_credential_life_s,
    )


async def _traffic(settings: ControllerSettings, client: httpx.AsyncClient, clock: Clock) -> TrafficDriver:
    if not settings.gateways:
        return NoGateways()
    gateways = [
        Gateway(region=g.region, admin_url=g.admin_url.rstrip("/"), eds_dir=g.eds_dir) for g in settings.gateways
    ]
    driver = EnvoyTraffic(gateways=gateways, client=client, clock=clock, boot=f"{clock.now_unix_s():.0f}")
    await driver.seed()
    return driver


async def _serve(
    controller: Controller,
    settings: ControllerSettings,
    policy: Policy,
    clock: Clock,
    listener: socket.socket,
    stop: asyncio.Event,
) -> None:
    """Serve and tick until `stop`; then end the long polls, finish the pass under way and give the lease back."""
    server = build_server(controller.app, controller.certificate)
    clockwork = _clockwork(controller, settings, policy, clock)
    log.info("controller_started", address=str(settings.address), port=settings.port, gateways=list(policy.gateways))
    async with asyncio.TaskGroup() as group:
        serving = group.create_task(server.serve(sockets=[listener]))
        watchers = [
            group.create_task(_tick_on_news(controller, clockwork, clock)),
            group.create_task(_follow_objectives_on_change(controller, clockwork, clock)),
        ]
        clockwork.start()
        await stop.wait()
        clockwork.pause()
        for watcher in watchers:
            watcher.cancel()
        controller.hub.close()
        await controller.pulse.rest()
        clockwork.shutdown(wait=False)
        if controller.pulse.leads:  # a lease that ends now spares the next leader the wait for it to expire
            holder = controller.pulse.status().holder
            await asyncio.to_thread(controller.journal.acquire, holder, clock.now_unix_s(), 0.0)
        server.should_exit = True
        await serving


def _clockwork(controller: Controller, settings: ControllerSettings, policy: Policy, clock: Clock) -> AsyncIOScheduler:
    """Everything periodic. A run that is late is made up for once, and nothing runs twice at a time."""
    clockwork = AsyncIOScheduler(
        timezone=UTC, job_defaults={"max_instances": 1, "coalesce": True, "misfire_grace_time": None}
    )
    logging.getLogger("apscheduler").setLevel(logging.ERROR)  # a pass brought forward makes the regular one superfluous
    now = _utc(clock)

    async def follow_objectives() -> None:
        await controller.upkeep.follow_objectives(leading=controller.pulse.leads)

    async def prune() -> None:
        if controller.pulse.leads:
            await forget_old_lines(controller.journal.prune, clock, settings.keep_story_s)

    clockwork.add_job(controller.pulse.beat, "interval", seconds=policy.tick_s, id=TICK, next_run_time=now)
    clockwork.add_job(follow_objectives, "interval", seconds=OBJECTIVES_EVERY_S, id=OBJECTIVES, next_run_time=now)
    clockwork.add_job(prune, "interval", seconds=PRUNE_EVERY_S, id="prune")
    clockwork.add_job(controller.certificate.renew, "interval", seconds=RENEW_EVERY_S, id="certificate")
    return clockwork


async def _tick_on_news(controller: Controller, clockwork: AsyncIOScheduler, clock: Clock) -> None:
    """Bring the next pass forward when something happened, at a distance from the last."""
    while True:
        await controller.wake.news.wait()
        await controller.pulse.rest()
        await clock.sleep(controller.pulse.wait_s())
        controller.wake.news.clear()
        clockwork.modify_job(TICK, next_run_time=_utc(clock))


async def _follow_objectives_on_change(controller: Controller, clockwork: AsyncIOScheduler, clock: Clock) -> None:
    """The same for objectives; a burst of edits is followed once."""
    while True:
        await controller.wake.objectives.wait()
        controller.wake.objectives.clear()
        clockwork.modify_job(OBJECTIVES, next_run_time=_utc(clock))
        await clock.sleep(OBJECTIVES_SPACING_S)


def new_ids(rng: Random) -> Callable[[], str]:
    """Unique names from a given source of randomness."""
    return lambda: uuid.UUID(int=rng.getrandbits(128), version=4).hex


def _utc(clock: Clock) -> datetime:
    return datetime.fromtimestamp(clock.now_unix_s(), tz=UTC)
