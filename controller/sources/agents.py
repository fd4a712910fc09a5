"""What the agents say, and the long poll in which they say it.

One request per host is held open at a time. It is answered at once when there is something the agent does not know, and
otherwise after the time that the agent asked for. The newest report wins: within one boot of an agent by `seq`, between
boots by who came last, and a boot that was replaced is told so instead of being believed again.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from chassis.clock import Clock
from chassis.logs import logger
from contracts.agent_api import HostReport, Order, Receipt, ReplicaReport, SyncRequest, SyncResponse
from contracts.serving_api import SloThresholds
from contracts.vocabulary import GpuAction, HostId, OrderKey, ReplicaState
from controller.core.fleet import Fleet
from controller.core.gpus import Gpu
from controller.sources.reports import gpus_of, host_of
from controller.stores import HostLimit, NotLeading, Superseded

log = logger(__name__)

HOSTS_MAX = 10_000
"""About 100 MB of reports; a fleet beyond it wants several controllers."""
FORGET_AFTER_S = 24 * 3600.0
"""A host that was silent for a day was taken away; until then its silence is itself a signal."""
REPEAT_AFTER_S = 1.0
"""An order or threshold that an agent was told is repeated after this, not at once: its receipt may be under way."""
BOOTS_REMEMBERED = 8
_WORSE = frozenset({ReplicaState.HUNG, ReplicaState.CRASHED, ReplicaState.QUARANTINED, ReplicaState.UNREADY})


class OrderDesk(Protocol):
    """The part of the order book that agents see."""

    def tell(self, on_news: Callable[[HostId], None]) -> None:
        """Report hosts whose answer changed."""
        ...

    def take(self, host: HostId, receipts: Iterable[Receipt]) -> bool:
        """File receipts; true when one is new."""
        ...

    def due(self, host: HostId) -> tuple[Order, ...]:
        """Orders to deliver."""
        ...

    def acknowledged(self, host: HostId, receipts: Iterable[Receipt]) -> tuple[OrderKey, ...]:
        """Receipts that are journaled."""
        ...

    def forget(self, host: HostId) -> None:
        """Drop a host."""
        ...


@dataclass(slots=True)
class _HostEntry:
    """What is known about one host, and the request that it holds open."""

    report: HostReport
    received_s: float
    gpus: tuple[Gpu, ...]
    """Of the report, in the core's words."""
    news: asyncio.Event = field(default_factory=asyncio.Event)
    told_s: dict[str, float] = field(default_factory=dict)
    """When each order key, and the thresholds' revision, was last put into an answer."""
    former_boots: deque[str] = field(default_factory=lambda: deque(maxlen=BOOTS_REMEMBERED))


class AgentHub:
    """`ports.FleetSource` for the loop, `stores.AgentDesk` for the API."""

    def __init__(self, *, orders: OrderDesk, clock: Clock, hosts_max: int = HOSTS_MAX) -> None:
        self._orders = orders
        self._clock = clock
        self._hosts_max = hosts_max
        self._entries: dict[HostId, _HostEntry] = {}
        self._thresholds: SloThresholds | None = None
        self._epoch: int | None = None
        self._closed = False
        self._on_change: Callable[[], None] = lambda: None
        orders.tell(self._wake)

    def on_change(self, on_change: Callable[[], None]) -> None:
        """Call this when something happened that should not wait for the next tick."""
        self._on_change = on_change

    def lead(self, epoch: int) -> None:
        """Answer agents, in the name of this epoch."""
        self._epoch = epoch

    def stand_down(self) -> None:
        """Stop answering agents, and let the waiting ones go and find the leader."""
        self._epoch = None
        self._wake_all()

    def close(self) -> None:
        """Answer every waiting agent now: the process is about to stop."""
        self._closed = True
        self._wake_all()

    def publish_thresholds(self, thresholds: SloThresholds) -> None:
        """Deliver these to every host, unless they are already the newest."""
        if self._thresholds is None or thresholds.revision > self._thresholds.revision:
            self._thresholds = thresholds
            self._wake_all()

    def reports(self) -> Mapping[HostId, HostReport]:
        """Newest report of every host."""
        return {host: entry.report for host, entry in sorted(self._entries.items())}

    def fleet(self) -> Fleet:
        """All hosts as the core sees them; those that were silent for a day are forgotten."""
        self._forget_the_lost()
        now_s = self._clock.monotonic_s()
        entries = [entry for _host, entry in sorted(self._entries.items())]
        return Fleet(hosts=tuple(host_of(entry.report, entry.gpus, now_s - entry.received_s) for entry in entries))

    async def sync(self, request: SyncRequest) -> SyncResponse | NotLeading | Superseded | HostLimit:
        """Take the report and the receipts, then answer as soon as there is something new."""
        if self._leading_epoch() is None:
            return NotLeading()
        entry = self._admit(request.report)
        if not isinstance(entry, _HostEntry):
            return entry
        if self._orders.take(request.report.host, request.receipts):
            self._on_change()
        is_heard = await self._wait_for_news(entry, request)
        epoch = self._leading_epoch()
        if epoch is None:
            return NotLeading()
        answer = self._answer(request, epoch)
        if is_heard:
            entry.told_s = dict.fromkeys(_topics(answer), self._clock.monotonic_s())
        return answer

    def _admit(self, report: HostReport) -> _HostEntry | Superseded | HostLimit:
        """File the report under its host, unless something newer is there already."""
        entry = self._entries.get(report.host)
        now_s = self._clock.monotonic_s()
        if entry is None:
            if len(self._entries) >= self._hosts_max:
                return HostLimit(hosts_max=self._hosts_max)
            entry = self._entries[report.host] = _HostEntry(report, now_s, gpus_of(report))
            log.info("host_appeared", host=report.host, region=report.region, replicas=len(report.replicas))
            self._on_change()
            return entry
        if report.boot_id in entry.former_boots:
            return Superseded(boot_id=entry.report.boot_id)
        former = entry.report
        if report.boot_id != former.boot_id:
            entry.former_boots.append(former.boot_id)
            entry.told_s.clear()  # a new process knows nothing of what the old one was told
        elif report.seq < former.seq:
            return entry  # overtaken on the way; its receipts still count
        if former.gpus != report.gpus or former.replicas != report.replicas:
            entry.gpus = gpus_of(report)
        entry.report, entry.received_s = report, now_s
        if is_news(former, report):
            self._on_change()
        return entry

    async def _wait_for_news(self, entry: _HostEntry, request: SyncRequest) -> bool:
        """False when the agent has given this request up and sent another: nobody will read its answer."""
        entry.news.set()  # a former request of this host is answered: the agent has sent this one instead
        news = entry.news = asyncio.Event()
        until_s = self._clock.monotonic_s() + request.max_wait_s
        while not self._closed and entry.news is news and self._leading_epoch() is not None:
            now_s = self._clock.monotonic_s()
            next_look_s = min(until_s, self._unheard_at_s(entry, request, now_s))
            if next_look_s <= now_s:
                break
            try:
                await asyncio.wait_for(news.wait(), next_look_s - now_s)
            except TimeoutError:
                continue
            news.clear()
        return entry.news is news

    def _unheard_at_s(self, entry: _HostEntry, request: SyncRequest, now_s: float) -> float:
        """From when on there is something to say: now for what was never said, later for what may only be delayed."""
        heard = {receipt.key for receipt in request.receipts}
        topics = [str(order.key) for order in self._orders.due(request.report.host) if order.key not in heard]
        if self._thresholds is not None and self._thresholds.revision != request.thresholds_revision:
            topics.append(_thresholds_topic(self._thresholds))
        if request.receipts and self._orders.acknowledged(request.report.host, request.receipts):
            return now_s
        never = float("-inf")
        return min((entry.told_s.get(topic, never) + REPEAT_AFTER_S for topic in topics), default=float("inf"))

    def _leading_epoch(self) -> int | None:
        """None on a standby; asked again after every wait, since leadership may end meanwhile."""
        return self._epoch

    def _answer(self, request: SyncRequest, epoch: int) -> SyncResponse:
        host = request.report.host
        orders = self._orders.due(host)
        thresholds = self._thresholds
        if thresholds is not None and thresholds.revision == request.thresholds_revision:
            thresholds = None
        return SyncResponse(
            epoch=epoch,
            server_unix_s=self._clock.now_unix_s(),
            orders=orders,
            receipts_acked=self._orders.acknowledged(host, request.receipts),
            thresholds=thresholds,
        )

    def _forget_the_lost(self) -> None:
        oldest_s = self._clock.monotonic_s() - FORGET_AFTER_S
        for host in [host for host, entry in self._entries.items() if entry.received_s < oldest_s]:
            del self._entries[host]
            self._orders.forget(host)
            log.info("host_forgotten", host=host, silent_s=FORGET_AFTER_S)

    def _wake(self, host: HostId) -> None:
        entry = self._entries.get(host)
        if entry is not None:
            entry.news.set()

    def _wake_all(self) -> None:
        for host in self._entries:
            self._wake(host)


def is_news(former: HostReport, report: HostReport) -> bool:
    """Whether the loop should hear of it at once: a new boot or reflex; a replica that became worse, ready or gone; a GPU too."""
    if former.boot_id != report.boot_id:
        return True
    if _reflex_marks(report) - _reflex_marks(former):
        return True
    if _gpu_marks(former) != _gpu_marks(report):
        return True
    before = {replica.replica: replica for replica in former.replicas}
    after = {replica.replica: replica for replica in report.replicas}
    return before.keys() != after.keys() or any(_is_notable(before[name], after[name]) for name in after)


def _is_notable(before: ReplicaReport, after: ReplicaReport) -> bool:
    if before.generation != after.generation:
        return True
    return before.state != after.state and (after.state in _WORSE or after.state is ReplicaState.READY)


def _reflex_marks(report: HostReport) -> set[tuple[int, bool]]:
    """Each reflex, and whether it has healed: both are news."""
    return {(reflex.seq, reflex.healed_unix_s is not None) for reflex in report.reflexes}


def _gpu_marks(report: HostReport) -> set[tuple[str, bool, GpuAction]]:
    """What each GPU calls for; its load and temperature are no news."""
    return {(gpu.uuid, gpu.up, gpu.recommended_action) for gpu in report.gpus}


def _topics(answer: SyncResponse) -> list[str]:
    topics = [str(order.key) for order in answer.orders]
    return topics if answer.thresholds is None else [*topics, _thresholds_topic(answer.thresholds)]


def _thresholds_topic(thresholds: SloThresholds) -> str:
    return f"thresholds {thresholds.revision}"
