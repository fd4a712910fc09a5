import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import pytest

from chassis.clock import SystemClock
from contracts.agent_api import HostReport, Order, Receipt, ReflexReport, ReplicaReport, SyncRequest, SyncResponse
from contracts.serving_api import SloThreshold, SloThresholds
from contracts.vocabulary import OrderKind, ReceiptStatus, ReflexKind, ReplicaState, SliKind
from controller.drivers.agent import AgentOrders
from controller.sources.agents import AgentHub, is_news
from controller.stores import HostLimit, NotLeading, Superseded

HOST = "eu-west-a"
WaitUntil = Callable[..., Awaitable[None]]


def replica(state: ReplicaState = ReplicaState.READY, generation: int = 1) -> ReplicaReport:
    return ReplicaReport(
        replica="eu-west-a-0",
        address="127.0.1.1",
        port=9001,
        state=state,
        generation=generation,
        state_age_s=3.0,
        profile="full-fp32-onnx",
    )


def report(seq: int = 1, boot: str = "b1", host: str = HOST, **changes: object) -> HostReport:
    fields: dict[str, object] = {
        "host": host,
        "region": "eu-west",
        "boot_id": boot,
        "seq": seq,
        "runtime": "process",
        "agent_address": "127.0.1.1",
        "agent_port": 9400,
        "replicas": (replica(),),
        "free_slots": ("eu-west-a-1",),
    }
    return HostReport.model_validate({**fields, **changes})


def request(
    said: HostReport | None = None, *, wait_s: float = 0.0, revision: int = 0, receipts: tuple[Receipt, ...] = ()
) -> SyncRequest:
    return SyncRequest(
        sent_unix_s=0.0,
        max_wait_s=wait_s,
        thresholds_revision=revision,
        report=said or report(),
        receipts=receipts,
    )


def order(key: str = "o1") -> Order:
    return Order(
        key=key, kind=OrderKind.RESTART, epoch=1, replica="eu-west-a-0", generation=1, not_after_unix_s=2_000_000_000.0
    )


def receipt(key: str = "o1", status: ReceiptStatus = ReceiptStatus.DONE) -> Receipt:
    return Receipt(key=key, epoch=1, status=status, executions=1)


@dataclass
class Desk:
    orders: AgentOrders = field(default_factory=AgentOrders)
    changes: int = 0
    hub: AgentHub = field(init=False)

    def __post_init__(self) -> None:
        self.hub = AgentHub(orders=self.orders, clock=SystemClock(), hosts_max=2)
        self.hub.on_change(self.count)
        self.hub.lead(1)

    def count(self) -> None:
        self.changes += 1

    async def sync(self, said: SyncRequest) -> SyncResponse:
        answer = await self.hub.sync(said)
        assert isinstance(answer, SyncResponse)
        return answer


@pytest.fixture
def desk() -> Desk:
    return Desk()


async def seconds(work: Awaitable[object]) -> float:
    loop = asyncio.get_running_loop()
    start = loop.time()
    await work
    return loop.time() - start


async def test_with_nothing_to_say_the_request_is_held_for_as_long_as_the_agent_asked(desk: Desk) -> None:
    assert 0.2 <= await seconds(desk.sync(request(wait_s=0.2))) < 1.0


async def test_an_order_ends_the_wait_and_is_delivered(desk: Desk) -> None:
    waiting = asyncio.ensure_future(desk.sync(request(wait_s=20.0)))
    await asyncio.sleep(0.05)
    desk.orders.offer(((HOST, order()),))
    assert (await asyncio.wait_for(waiting, 1.0)).orders == (order(),)


async def test_an_order_for_another_host_does_not(desk: Desk) -> None:
    desk.orders.offer((("us-east-a", order()),))
    answer = await desk.sync(request(wait_s=0.1))
    assert answer.orders == ()


async def test_an_order_is_repeated_until_its_receipt_is_final(desk: Desk) -> None:
    desk.orders.offer(((HOST, order()),))
    assert (await desk.sync(request())).orders == (order(),)
    assert (await desk.sync(request())).orders == (order(),)
    running = request(receipts=(receipt(status=ReceiptStatus.RUNNING),))
    assert (await desk.sync(running)).orders == (order(),)
    assert (await desk.sync(request(receipts=(receipt(),)))).orders == ()


async def test_a_lost_answer_costs_a_second_and_an_order_that_runs_costs_no_spinning(desk: Desk) -> None:
    desk.orders.offer(((HOST, order()),))
    await desk.sync(request(wait_s=5.0))
    assert 0.8 <= await seconds(desk.sync(request(wait_s=5.0))) < 2.0
    running = request(wait_s=0.3, receipts=(receipt(status=ReceiptStatus.RUNNING),))
    assert await seconds(desk.sync(running)) >= 0.3


async def test_an_abandoned_request_does_not_count_as_told(desk: Desk) -> None:
    abandoned = asyncio.ensure_future(desk.sync(request(wait_s=20.0)))
    await asyncio.sleep(0.02)
    desk.orders.offer(((HOST, order()),))  # wakes the abandoned request in the same moment as the next one arrives
    assert (await asyncio.wait_for(desk.sync(request(report(seq=2), wait_s=20.0)), 0.5)).orders == (order(),)
    await asyncio.wait_for(abandoned, 0.5)


async def test_a_newer_request_of_the_same_host_ends_the_older(desk: Desk) -> None:
    older = asyncio.ensure_future(desk.sync(request(wait_s=20.0)))
    await asyncio.sleep(0.02)
    await desk.sync(request(report(seq=2)))
    assert (await asyncio.wait_for(older, 0.5)).orders == ()


async def test_receipts_wait_for_the_loop_and_are_acknowledged_once_journaled(desk: Desk) -> None:
    done = request(receipts=(receipt(),))
    assert (await desk.sync(done)).receipts_acked == ()
    assert desk.orders.receipts() == ((HOST, receipt()),)
    desk.orders.settle(("o1",))
    assert desk.orders.receipts() == ()
    assert (await desk.sync(done)).receipts_acked == ("o1",)
    assert desk.orders.receipts() == (), "a journaled receipt that comes again is not news"


async def test_settling_ends_the_wait_of_the_agent_that_sent_the_receipt(desk: Desk) -> None:
    waiting = asyncio.ensure_future(desk.sync(request(wait_s=20.0, receipts=(receipt(),))))
    await asyncio.sleep(0.05)
    desk.orders.settle(("o1",))
    assert (await asyncio.wait_for(waiting, 1.0)).receipts_acked == ("o1",)


async def test_a_running_receipt_never_hides_the_final_one(desk: Desk) -> None:
    await desk.sync(request(receipts=(receipt(status=ReceiptStatus.RUNNING),)))
    desk.orders.settle(("o1",))
    await desk.sync(request(receipts=(receipt(),)))
    assert desk.orders.receipts() == ((HOST, receipt()),)


def thresholds(revision: int) -> SloThresholds:
    return SloThresholds(revision=revision, thresholds=(SloThreshold(slo="fast", sli=SliKind.TOTAL, threshold_s=0.2),))


async def test_new_thresholds_end_the_wait_and_are_sent_to_those_who_lack_them(desk: Desk) -> None:
    waiting = asyncio.ensure_future(desk.sync(request(wait_s=20.0)))
    await asyncio.sleep(0.05)
    desk.hub.publish_thresholds(thresholds(3))
    assert (await asyncio.wait_for(waiting, 1.0)).thresholds == thresholds(3)
    assert (await desk.sync(request(revision=3))).thresholds is None


async def test_an_older_revision_never_replaces_a_newer_one(desk: Desk) -> None:
    desk.hub.publish_thresholds(thresholds(3))
    desk.hub.publish_thresholds(thresholds(2))
    assert (await desk.sync(request(revision=2))).thresholds == thresholds(3)


async def test_the_newest_report_wins_whatever_the_order_of_arrival(desk: Desk) -> None:
    await desk.sync(request(report(seq=5)))
    await desk.sync(request(report(seq=4, replicas=())))
    assert desk.hub.reports()[HOST].seq == 5


async def test_a_new_boot_replaces_the_old_one_which_is_told_so(desk: Desk) -> None:
    await desk.sync(request(report(seq=50, boot="b1")))
    await desk.sync(request(report(seq=1, boot="b2")))
    assert desk.hub.fleet().hosts[0].boot_id == "b2"
    assert await desk.hub.sync(request(report(seq=51, boot="b1"))) == Superseded(boot_id="b2")


async def test_a_standby_answers_no_agent_and_lets_the_waiting_ones_go(desk: Desk) -> None:
    waiting = asyncio.ensure_future(desk.hub.sync(request(wait_s=20.0)))
    await asyncio.sleep(0.02)
    desk.hub.stand_down()
    assert await asyncio.wait_for(waiting, 1.0) == NotLeading()
    assert await desk.hub.sync(request()) == NotLeading()


async def test_closing_lets_every_waiting_agent_go(desk: Desk) -> None:
    waiting = asyncio.ensure_future(desk.sync(request(wait_s=20.0)))
    await asyncio.sleep(0.02)
    desk.hub.close()
    await asyncio.wait_for(waiting, 1.0)


async def test_the_number_of_hosts_is_bounded(desk: Desk) -> None:
    for name in ("h1", "h2"):
        await desk.sync(request(report(host=name)))
    assert await desk.hub.sync(request(report(host="h3"))) == HostLimit(hosts_max=2)


async def test_the_fleet_is_the_newest_report_with_its_age(desk: Desk) -> None:
    await desk.sync(request())
    await asyncio.sleep(0.05)
    (host,) = desk.hub.fleet().hosts
    assert host.report_age_s >= 0.05
    assert (host.replicas[0].region, host.replicas[0].ready) == ("eu-west", True)


REFLEX = ReflexReport(seq=1, kind=ReflexKind.RESTART_HUNG, replica="eu-west-a-0", generation=1, detected_unix_s=1.0)


@pytest.mark.parametrize(
    ("after", "news"),
    [
        (report(seq=2), False),
        (report(seq=2, replicas=(replica(ReplicaState.HUNG),)), True),
        (report(seq=2, replicas=(replica(generation=2),)), True),
        (report(seq=2, replicas=()), True),
        (report(seq=2, reflexes=(REFLEX,)), True),
        (report(seq=1, boot="b2"), True),
        (report(seq=2, replicas=(replica(ReplicaState.STARTING),)), False),
    ],
)
def test_what_should_not_wait_for_the_next_tick(after: HostReport, news: bool) -> None:
    assert is_news(report(), after) is news


def test_the_healing_of_a_known_reflex_is_news_too() -> None:
    healed = REFLEX.model_copy(update={"healed_unix_s": 2.0})
    assert is_news(report(reflexes=(REFLEX,)), report(seq=2, reflexes=(healed,)))


async def test_the_loop_is_woken_by_what_matters_and_only_by_that(desk: Desk) -> None:
    await desk.sync(request())
    assert desk.changes == 1, "a host appeared"
    await desk.sync(request(report(seq=2)))
    assert desk.changes == 1
    await desk.sync(request(report(seq=3), receipts=(receipt(),)))
    assert desk.changes == 2
    await desk.sync(request(report(seq=4), receipts=(receipt(),)))
    assert desk.changes == 2, "the same receipt again is no news"
