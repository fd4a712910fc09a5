"""The line to the controller: one long poll at a time, sent again at once when something here changed.

Reports and receipts go up, orders and thresholds come down. Nothing on this host waits for it: while the controller is
away, reflexes go on, receipts and reflexes are kept, and the newest thresholds are still handed to fresh replicas.
"""

import asyncio
import random
from dataclasses import dataclass, field

import httpx
from pydantic import ValidationError

from agent.board import Board
from agent.journal import FileJournal
from agent.orders import OrderDesk
from agent.report import Reporter
from agent.sync_record import SyncFailure, SyncRecord, failure_of_status
from chassis.clock import Clock
from chassis.logs import logger
from chassis.retry import Backoff
from contracts.agent_api import RECEIPTS_PER_SYNC_MAX, SyncRequest, SyncResponse
from contracts.vocabulary import ReceiptStatus

log = logger(__name__)


@dataclass(frozen=True, slots=True)
class SyncPace:
    """How often to talk."""

    hold_s: float = 2.0
    """Longest hold of a poll, so that a report is never older than about two seconds."""
    answer_s: float = 3.0
    """Time on top of the hold in which an answer must come."""
    spacing_s: float = 0.1
    """Least time between two requests: a burst of changes travels as one, and no answer can spin us."""
    backoff: Backoff = field(default_factory=lambda: Backoff(base_s=0.2, cap_s=5.0))
    """A returning controller is found within five seconds, by a thousand agents not all at once."""


@dataclass(frozen=True, slots=True)
class Abandoned:
    """The poll was given up because this host has news."""


@dataclass(slots=True)
class SyncLoop:
    """Keeps one controller informed, and obeys it within its epoch."""

    url: str
    """`…/api/v1/agents/{host}/sync`."""
    client: httpx.AsyncClient
    token: str
    board: Board
    reporter: Reporter
    journal: FileJournal
    desk: OrderDesk
    clock: Clock
    rng: random.Random
    pace: SyncPace = field(default_factory=SyncPace)
    record: SyncRecord = field(default_factory=SyncRecord)

    async def run(self) -> None:
        """Sync for ever."""
        failures = 0
        while True:
            sent_s = self.clock.monotonic_s()
            self.board.changed.hush()
            request = self._request()
            answer = await self._exchange(request)
            if answer is None:
                if failures == 0:
                    log.warning("controller_lost", url=self.url)
                failures += 1
                await self.clock.sleep(self.pace.backoff.delay_s(failures, self.rng))
                continue
            if failures > 0:
                log.info("controller_found", url=self.url, failures=failures)
            failures = 0
            if isinstance(answer, SyncResponse):
                self.record.last_success_unix_s = self.clock.now_unix_s()
                self._obey(request, answer)
            await self.clock.sleep(max(0.0, sent_s + self.pace.spacing_s - self.clock.monotonic_s()))

    def _request(self) -> SyncRequest:
        return SyncRequest(
            sent_unix_s=self.clock.now_unix_s(),
            max_wait_s=self.pace.hold_s,
            thresholds_revision=self.journal.thresholds.revision,
            report=self.reporter.report(),
            receipts=self.journal.unacknowledged()[:RECEIPTS_PER_SYNC_MAX],
        )

    async def _exchange(self, request: SyncRequest) -> SyncResponse | Abandoned | None:
        """The answer; `Abandoned` when something changed here meanwhile; None when no usable answer came."""
        async with asyncio.TaskGroup() as group:
            post = group.create_task(self._post(request))
            change = group.create_task(self.board.changed.wait())
            await asyncio.wait({post, change}, return_when=asyncio.FIRST_COMPLETED)
            change.cancel()
            if not post.done():
                post.cancel()
        return Abandoned() if post.cancelled() else post.result()

    async def _post(self, request: SyncRequest) -> SyncResponse | None:
        headers = {"Content-Type": "application/json"}
        if self.token:
            headers["Authorization"] = f"Bearer {self.token}"
        self.record.requests_total += 1
        try:
            answer = await self.client.post(
                self.url,
                content=request.model_dump_json(),
                headers=headers,
                timeout=self.pace.hold_s + self.pace.answer_s,
            )
            answer.raise_for_status()
            return SyncResponse.model_validate_json(answer.content)
        except (httpx.HTTPError, ValidationError) as error:
            self.record.failed(_why(error))
            log.debug("sync_failed", error=repr(error)[:300])
            return None

    def _obey(self, request: SyncRequest, answer: SyncResponse) -> None:
        """Take the answer in. A deposed leader's orders are refused by the desk, and nothing else that it says counts."""
        if answer.epoch < self.journal.epoch_seen:
            log.warning("stale_leader_ignored", epoch=answer.epoch, epoch_seen=self.journal.epoch_seen)
            self._deliver(answer)
            return
        self.journal.raise_epoch(answer.epoch)
        self.desk.controller_time.heard(answer.server_unix_s)
        self.journal.heard(answer.server_unix_s)
        self._deliver(answer)
        final = {receipt.key for receipt in request.receipts if receipt.status is not ReceiptStatus.RUNNING}
        self.journal.acknowledge([key for key in answer.receipts_acked if key in final])
        if answer.thresholds is not None and answer.thresholds.revision != self.journal.thresholds.revision:
            self.journal.keep_thresholds(answer.thresholds)
            log.info("thresholds_received", revision=answer.thresholds.revision)

    def _deliver(self, answer: SyncResponse) -> None:
        """After its time was heard: orders are judged by it."""
        for order in answer.orders:
            self.desk.deliver(order)


def _why(error: httpx.HTTPError | ValidationError) -> SyncFailure:
    match error:
        case ValidationError():
            return SyncFailure.INVALID
        case httpx.HTTPStatusError():
            return failure_of_status(error.response.status_code)
        case httpx.TimeoutException():
            return SyncFailure.TIMEOUT
        case _:
            return SyncFailure.CONNECTION
