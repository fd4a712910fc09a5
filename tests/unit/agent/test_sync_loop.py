"""The line to the controller: what it says when there is no answer, how long it waits, and what no clock can make it do."""

import asyncio
import random
from collections import Counter

import pytest

from agent.app import build_agent
from agent.line.call import Failed, Reply
from agent.line.record import SyncFailure, failure_of_status
from agent.line.sync import ABANDONED_IN_A_ROW_MAX, CONTROLLER, NEEDS_A_PERSON, REPORT_BYTES_MAX, REPORT_BYTES_MIN
from agent.settings import AgentSettings
from chassis.clock import ManualClock
from contracts.agent_api import Order, SyncRequest, SyncResponse
from contracts.vocabulary import OrderKey, OrderKind, ReceiptStatus, RefusalReason, ReplicaId

CONTROLLER_NOW = 1_700_000_000.0


class Controller:
    """Answers as it is told to, and ends the loop when the test has seen enough."""

    def __init__(self, clock: ManualClock) -> None:
        self.clock = clock
        self.outcomes: list[Failed | SyncResponse] = []
        self.requests: list[SyncRequest] = []
        self.at_s: list[float] = []
        self.enough = asyncio.Event()

    async def post(self, path, content, *, token, timeout_s):
        self.requests.append(SyncRequest.model_validate_json(content))
        self.at_s.append(self.clock.monotonic_s())
        if not self.outcomes:
            self.enough.set()
            await asyncio.Event().wait()
        outcome = self.outcomes.pop(0)
        return outcome if isinstance(outcome, Failed) else Reply(outcome.model_dump_json().encode())

    async def aclose(self):
        return


@pytest.fixture
def rig(tmp_path):
    class Rig:
        clock = ManualClock(now_unix_s=CONTROLLER_NOW)

    rig = Rig()
    settings = AgentSettings(host_id="h", region="eu", controller_url="http://127.0.0.1:1", state_dir=tmp_path, slots=1)
    rig.agent = build_agent(settings, clock=rig.clock, rng=random.Random(7), environment={})
    rig.controller = rig.agent.sync.line = rig.agent.sync.credentials.line = Controller(rig.clock)
    yield rig
    rig.agent.journal.close()


async def live_through(rig, *outcomes: Failed | SyncResponse) -> None:
    rig.controller.outcomes = list(outcomes)
    rig.controller.enough.clear()
    running = asyncio.ensure_future(rig.agent.sync.run())
    await asyncio.wait_for(rig.controller.enough.wait(), 10)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


def answer(epoch: int = 1, **changes) -> SyncResponse:
    return SyncResponse(**{"epoch": epoch, "server_unix_s": CONTROLLER_NOW, **changes})


def failed(why: SyncFailure, **changes) -> Failed:
    return Failed(why, f"words about {why.value}", **changes)


def order(key: str, *, not_after_unix_s: float, epoch: int = 1) -> Order:
    return Order(
        key=OrderKey(key),
        kind=OrderKind.RESTART,
        epoch=epoch,
        replica=ReplicaId("h-0"),
        generation=9,  # refused as another generation once it is judged: no runtime is needed
        not_after_unix_s=not_after_unix_s,
    )


def pauses(rig) -> list[float]:
    return [later - earlier for earlier, later in zip(rig.controller.at_s, rig.controller.at_s[1:], strict=False)]


# ── when there is no answer ───────────────────────────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize(
    ("status", "why"),
    [
        (401, SyncFailure.UNAUTHORIZED),
        (403, SyncFailure.FORBIDDEN),
        (409, SyncFailure.SUPERSEDED),
        (413, SyncFailure.TOO_LARGE),
        (503, SyncFailure.NOT_LEADING),
        (404, SyncFailure.CLIENT_ERROR),
        (422, SyncFailure.CLIENT_ERROR),
        (500, SyncFailure.SERVER_ERROR),
        (502, SyncFailure.SERVER_ERROR),
    ],
)
def test_every_status_has_its_word(status, why):
    assert failure_of_status(status) is why


@pytest.mark.parametrize("why", list(SyncFailure))
async def test_every_failure_is_counted_and_in_time_said_until_an_answer_comes(rig, why):
    said = []
    await live_through(rig, *[failed(why)] * 4)
    said = [part.reason for part in rig.agent.degradations.current() if part.part == CONTROLLER]
    assert rig.agent.sync.record.failures_total[why] == 4
    assert said[0].startswith(f"words about {why.value}")
    assert (why in NEEDS_A_PERSON) == (said[0] != f"words about {why.value}")
    await live_through(rig, answer())
    assert rig.agent.degradations.current() == ()


async def test_a_controller_that_restarts_is_not_worth_a_word(rig):
    await live_through(rig, failed(SyncFailure.CONNECTION), failed(SyncFailure.CONNECTION), answer())
    assert rig.agent.degradations.current() == ()


async def test_pauses_grow_to_seconds_and_for_what_a_person_must_mend_to_a_minute(rig):
    await live_through(rig, *[failed(SyncFailure.CONNECTION)] * 40)
    assert 3.0 < max(pauses(rig)) <= 5.0
    assert pauses(rig)[0] <= 0.2
    rig.controller.at_s.clear()
    await live_through(rig, *[failed(SyncFailure.UNAUTHORIZED)] * 40)
    assert 30.0 < max(pauses(rig)) <= 60.0
    assert pauses(rig)[0] <= 1.0


async def test_a_pause_that_the_controller_asks_for_is_kept_but_not_by_all_at_once(rig):
    await live_through(rig, *[failed(SyncFailure.NOT_LEADING, retry_after_s=4.0)] * 20)
    assert min(pauses(rig)) >= 2.0
    assert len({round(pause, 3) for pause in pauses(rig)}) > 10


async def test_a_report_that_is_too_large_is_halved_until_it_fits(rig):
    await live_through(rig, failed(SyncFailure.TOO_LARGE), failed(SyncFailure.TOO_LARGE))
    assert rig.agent.sync._bytes_max == REPORT_BYTES_MAX // 4
    await live_through(rig, *[failed(SyncFailure.TOO_LARGE)] * 9)
    assert rig.agent.sync._bytes_max == REPORT_BYTES_MIN


async def test_a_host_where_something_happens_all_the_time_still_hears_its_orders(rig, wait_until_async):
    """Every poll would be given up for a newer one: after a few, one is waited for."""

    async def post(path, content, *, token, timeout_s):
        rig.controller.requests.append(SyncRequest.model_validate_json(content))
        for _ in range(5):
            rig.agent.board.changed.ring()
            await asyncio.sleep(0.001)
        return Reply(answer(orders=(order("a", not_after_unix_s=CONTROLLER_NOW + 9),)).model_dump_json().encode())

    rig.controller.post = post
    running = asyncio.ensure_future(rig.agent.sync.run())
    await wait_until_async(lambda: not rig.agent.desk._inbox.empty(), within_s=10, what="the order arrives")
    running.cancel()
    assert [request.max_wait_s for request in rig.controller.requests[: ABANDONED_IN_A_ROW_MAX + 1]] == [
        *[2.0] * ABANDONED_IN_A_ROW_MAX,
        0.0,
    ]


# ── the herd ──────────────────────────────────────────────────────────────────────────────────────────────────────────
async def test_a_fleet_does_not_return_in_the_same_moment(rig):
    """A controller is gone for 30 s. Each agent's loop runs on its own clock; counted is who comes when it is back."""
    back_s, agents, arrivals = 30.0, 300, []
    for seed in range(agents):
        rig.agent.sync.rng = random.Random(seed)
        rig.clock._monotonic_s = 0.0
        rig.controller.at_s.clear()
        await live_through(rig, *[failed(SyncFailure.CONNECTION)] * 40)
        arrivals.append(next(at_s for at_s in rig.controller.at_s if at_s >= back_s) - back_s)
    per_100_ms = Counter(int(arrival * 10) for arrival in arrivals)
    assert max(per_100_ms.values()) < agents / 10  # a tenth of the fleet at most, while all of it returns …
    assert max(arrivals) <= 5.0  # … within the longest pause


async def test_hosts_that_are_switched_on_together_do_not_start_together(rig):
    first = set()
    for seed in range(20):
        rig.agent.sync.rng = random.Random(seed)
        before_s = rig.clock.monotonic_s()
        rig.controller.at_s.clear()
        await live_through(rig)
        first.add(round(rig.controller.at_s[0] - before_s, 4))
    assert len(first) == 20
    assert max(first) <= 0.5


# ── clocks ────────────────────────────────────────────────────────────────────────────────────────────────────────────
async def judged(rig, wait_until_async, key: str) -> RefusalReason:
    running = asyncio.ensure_future(rig.agent.desk.run())
    await wait_until_async(lambda: rig.agent.journal.receipt(OrderKey(key)) is not None, within_s=5, what="a receipt")
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    receipt = rig.agent.journal.receipt(OrderKey(key))
    assert (receipt.status, receipt.executions) == (ReceiptStatus.REFUSED, 0)
    return receipt.refusal


@pytest.mark.parametrize("wrong_by_s", [-3600.0, 0.0, 3600.0])
async def test_a_host_whose_clock_is_an_hour_wrong_judges_by_the_controllers(rig, wait_until_async, wrong_by_s):
    rig.clock._wall_s = CONTROLLER_NOW + wrong_by_s
    in_time = order("in-time", not_after_unix_s=CONTROLLER_NOW + 15.0)
    late = order("late", not_after_unix_s=CONTROLLER_NOW - 0.1)
    await live_through(rig, answer(orders=(in_time, late)))
    assert await judged(rig, wait_until_async, "in-time") is not RefusalReason.TOO_LATE
    assert await judged(rig, wait_until_async, "late") is RefusalReason.TOO_LATE


@pytest.mark.parametrize("jump_s", [-3600.0, 3600.0])
async def test_a_clock_that_jumps_while_running_moves_no_deadline(rig, wait_until_async, jump_s):
    await live_through(rig, answer())
    rig.clock._wall_s += jump_s
    rig.clock.advance(10.0)
    rig.agent.desk.deliver(order("in-time", not_after_unix_s=CONTROLLER_NOW + 15.0))
    rig.agent.desk.deliver(order("late", not_after_unix_s=CONTROLLER_NOW + 9.0))
    assert await judged(rig, wait_until_async, "in-time") is not RefusalReason.TOO_LATE
    assert await judged(rig, wait_until_async, "late") is RefusalReason.TOO_LATE


# ── epochs ────────────────────────────────────────────────────────────────────────────────────────────────────────────
async def test_a_deposed_leader_is_told_so_and_moves_nothing_not_even_the_time(rig, wait_until_async):
    await live_through(rig, answer(epoch=5))
    stale = answer(
        epoch=4,
        server_unix_s=CONTROLLER_NOW - 600.0,
        orders=(order("stale", not_after_unix_s=CONTROLLER_NOW + 9, epoch=4),),
    )
    await live_through(rig, stale)
    assert abs(rig.agent.desk.controller_time.now_unix_s() - CONTROLLER_NOW) < 60.0
    assert await judged(rig, wait_until_async, "stale") is RefusalReason.STALE_EPOCH
    assert rig.agent.journal.epoch_seen == 5
