"""A controller with everything but a mind: the real API, hub, order book and SQL journal, and orders made up by chance.

It journals an order before it offers it and a receipt before it acknowledges it, as `controller.loop` does. A *deposed* one
leads with an older epoch, as a leader that slept through its own end: what it offers must be refused, and what it wants to
write down must be fenced.
"""

import asyncio
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from secrets import token_urlsafe

from bench.killing.host import NUMBERS_PER_SECOND, replica_ids
from chassis.auth import Role
from chassis.clock import Clock
from contracts.agent_api import Order
from contracts.vocabulary import HostId, OrderKey, OrderKind, ProfileId, ReceiptStatus, ReplicaId
from controller.admission.report import Asked, Report
from controller.api.factory import create_api
from controller.api.parts import ApiParts
from controller.credentials import CredentialOffice
from controller.drivers.agent import FINAL, AgentOrders
from controller.drivers.no_gateways import NoGateways
from controller.journal.credentials import SqlCredentials
from controller.journal.database import Database, open_database
from controller.journal.sql import SqlJournal
from controller.journal.stores import SqlIntents, SqlSlos, SqlStory
from controller.listener import Certificate, build_server, listen
from controller.ports import FencedError, Lease, OpenOrder, TickRecord
from controller.rules_keeper import NOT_OURS
from controller.sources.agents import AgentHub
from controller.sources.alertmanager import AlertInbox
from controller.stores import LoopStatus

JOIN_TOKEN = "joins-every-host"  # noqa: S105  # of a bench on loopback
LEASE_S = 0.5
TICK_S = 0.015
ORDER_LIFE_S = 15.0
OPEN_MAX = 12
"""Orders under way at a time, over all hosts."""
RESTARTS_SHARE = 0.4
ISSUE_SHARE = 0.7
"""Of the ticks."""


@dataclass(frozen=True, slots=True)
class LeaderPlan:
    """Where a controller listens and remembers, and whom it orders."""

    port: int
    database_url: str
    hosts: tuple[HostId, ...]
    heard: Path
    """Directory with the highest epoch that each host has obeyed, as its receipts prove."""
    deposed_says: Path
    """File that gets a line for every order of a deposed leader that was refused, and every write that was fenced."""
    holder: str
    deposed: bool
    issues: bool
    """False: only finish what is open."""


@dataclass(slots=True)
class Leader:
    """One life of a controller process."""

    plan: LeaderPlan
    database: Database
    clock: Clock
    rng: random.Random
    orders: AgentOrders = field(default_factory=AgentOrders)
    hub: AgentHub = field(init=False)
    open: dict[OrderKey, OpenOrder] = field(default_factory=dict)
    _numbers: Iterator[int] = field(init=False)

    def __post_init__(self) -> None:
        self.hub = AgentHub(orders=self.orders, clock=self.clock)
        start = self.rng.getrandbits(40)  # no two lives draw the same numbers
        self._numbers = iter(range(start, start + 1_000_000))

    async def run(self) -> None:
        """Serve and order until killed."""
        journal = SqlJournal(self.database)
        epoch = await asyncio.to_thread(self._older_epoch) if self.plan.deposed else await self._acquire(journal)
        if epoch < 1:
            return  # nobody has obeyed a second leader yet, so there is none to depose
        self.hub.lead(epoch)
        app = create_api(_parts(self.database, self.hub, self.clock, self.rng))
        with listen("127.0.0.1", self.plan.port) as listener:
            async with asyncio.TaskGroup() as group:
                group.create_task(build_server(app, Certificate(None)).serve(sockets=[listener]))
                await (self._cling(journal, epoch) if self.plan.deposed else self._lead(journal, epoch))

    # ── a leader ──────────────────────────────────────────────────────────────────────────────────────────────────────
    async def _lead(self, journal: SqlJournal, epoch: int) -> None:
        state = await asyncio.to_thread(journal.load, self.clock.now_unix_s(), 0.0)
        self.open = {issued.order.key: issued for issued in state.orders}
        while True:
            await self._tick(journal, epoch)
            await asyncio.sleep(TICK_S)
            if await self._acquire(journal) != epoch:
                return  # as paused for longer than the lease: the next life goes on

    async def _acquire(self, journal: SqlJournal) -> int:
        while True:
            lease = await asyncio.to_thread(journal.acquire, self.plan.holder, self.clock.now_unix_s(), LEASE_S)
            if isinstance(lease, Lease):
                return lease.epoch
            await asyncio.sleep(TICK_S)

    async def _tick(self, journal: SqlJournal, epoch: int) -> None:
        """Journal first, then offer and acknowledge."""
        receipts = self.orders.receipts()
        issued = self._make_up(epoch)
        record = TickRecord(orders_issued=issued, receipts=receipts)
        if not record.empty:
            await asyncio.to_thread(journal.write, epoch, record)
        for host, receipt in receipts:
            if receipt.status in FINAL:
                self.open.pop(receipt.key, None)
            if receipt.executions:
                self._heard(host, receipt.epoch)
        self.open |= {one.order.key: one for one in issued}
        self.orders.offer(
            tuple((one.host, one.order.model_copy(update={"epoch": epoch})) for one in self.open.values())
        )
        self.orders.settle(tuple(receipt.key for _host, receipt in receipts))

    def _make_up(self, epoch: int) -> tuple[OpenOrder, ...]:
        if not self.plan.issues or len(self.open) >= OPEN_MAX or self.rng.random() > ISSUE_SHARE:
            return ()
        host = self.rng.choice(self.plan.hosts)
        return (OpenOrder(host, self._order(host, epoch, "order")),)

    def _order(self, host: HostId, epoch: int, prefix: str) -> Order:
        number = next(self._numbers)
        replica = self.rng.choice(replica_ids(host, 4))
        order = Order(
            key=OrderKey(f"{prefix}-{number}"),
            kind=OrderKind.SWITCH_PROFILE,
            epoch=epoch,
            replica=replica,
            generation=0,
            not_after_unix_s=self.clock.now_unix_s() + ORDER_LIFE_S,
            profile=ProfileId(str(number)),
        )
        generation = self._generation(replica)
        if generation is None or self.rng.random() > RESTARTS_SHARE:
            return order
        restart = {"kind": OrderKind.RESTART, "generation": generation, "profile": None}
        return order.model_copy(update={**restart, "grace_s": number / NUMBERS_PER_SECOND})

    def _generation(self, replica: ReplicaId) -> int | None:
        """As the agent last reported it: it may be another by the time the order arrives, and then it is refused."""
        reports = (report for host in self.hub.reports().values() for report in host.replicas)
        return next((report.generation for report in reports if report.replica == replica), None)

    def _heard(self, host: HostId, epoch: int) -> None:
        path = self.plan.heard / host
        if epoch > epoch_heard(path):
            beside = path.with_suffix(".new")
            beside.write_text(str(epoch), encoding="utf-8")
            beside.replace(path)

    # ── one that was deposed ──────────────────────────────────────────────────────────────────────────────────────────
    def _older_epoch(self) -> int:
        """Older than what every host has obeyed."""
        return min(epoch_heard(self.plan.heard / host) for host in self.plan.hosts) - 1

    async def _cling(self, journal: SqlJournal, epoch: int) -> None:
        hosts = self.plan.hosts * 3
        self.orders.offer(tuple((host, self._order(host, epoch, "stale")) for host in hosts))
        told: set[OrderKey] = set()
        while True:
            receipts = [receipt for _host, receipt in self.orders.receipts() if receipt.key.startswith("stale")]
            if any(receipt.status is not ReceiptStatus.REFUSED for receipt in receipts):
                msg = f"a deposed leader was obeyed: {receipts}"
                raise AssertionError(msg)
            for receipt in receipts:
                if receipt.key not in told:
                    self._say(f"refused {receipt.refusal}")
            told.update(receipt.key for receipt in receipts)
            try:
                await asyncio.to_thread(journal.write, epoch, TickRecord(paused=False))
            except FencedError:
                self._say("fenced")
            await asyncio.sleep(TICK_S * 4)

    def _say(self, what: str) -> None:
        with self.plan.deposed_says.open("a", encoding="utf-8") as file:
            file.write(f"{what}\n")


def epoch_heard(path: Path) -> int:
    """0 when nothing was written there yet."""
    return int(path.read_text(encoding="utf-8")) if path.exists() else 0


class _NoAdmission:
    """`AdmissionDesk` of a controller without a Prometheus; nobody sets an objective here."""

    async def examine(self, asked: Asked) -> Report:
        return Report(slo=asked.slo, tiers=(), findings=())


def _parts(database: Database, hub: AgentHub, clock: Clock, rng: random.Random) -> ApiParts:
    story = SqlStory(database)
    new_id: Callable[[], str] = lambda: f"{rng.getrandbits(64):016x}"  # noqa: E731
    return ApiParts(
        clock=clock,
        tokens={Role.AGENT: JOIN_TOKEN},
        slos=SqlSlos(database),
        admission=_NoAdmission(),
        rules=lambda: NOT_OURS,
        intents=SqlIntents(database),
        story=story,
        fleet=hub,
        agents=hub,
        credentials=CredentialOffice(SqlCredentials(database), clock, lambda: token_urlsafe(32), new_id, required=True),
        alerts=AlertInbox(store=story, clock=clock),
        gateways=NoGateways(),
        status=lambda: LoopStatus("bench", 0.0, 0.0, 0, 0, (), ""),
        slos_changed=lambda: None,
        intent_recorded=lambda: None,
        alerts_received=lambda _count: None,
        new_id=new_id,
        render_metrics=lambda: b"",
    )


def build_leader(plan: LeaderPlan, *, clock: Clock, rng: random.Random) -> Leader:
    """Open the database, and be ready to run."""
    return Leader(plan=plan, database=open_database(plan.database_url), clock=clock, rng=rng)


def draining(plan: LeaderPlan) -> LeaderPlan:
    """The same controller, which issues nothing any more."""
    return replace(plan, issues=False, deposed=False)
