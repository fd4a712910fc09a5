"""The line to the controller: one long poll at a time, sent again at once when something here changed.

Reports and receipts go up, orders and thresholds come down. Nothing on this host waits for it: while the controller is
away, reflexes go on, receipts and reflexes are kept, and the newest thresholds are still handed to fresh replicas.

A thousand agents lose their controller in the same instant, so none returns without a random pause first: also the first
request of a process waits a moment, since hosts are switched on together as well.
"""

import asyncio
import random
from collections.abc import Mapping
from dataclasses import dataclass, field

from pydantic import ValidationError

from agent.core.trim import fitted
from agent.degradation import Degradations
from agent.healing.board import Board
from agent.line.call import ControllerLine, Failed
from agent.line.credentials import Credentials
from agent.line.record import SyncFailure, SyncRecord
from agent.line.report import Reporter
from agent.memory.journal import FileJournal
from agent.orders.desk import OrderDesk
from chassis.clock import Clock
from chassis.logs import logger
from chassis.retry import Backoff
from contracts.agent_api import RECEIPTS_PER_SYNC_MAX, SyncRequest, SyncResponse
from contracts.vocabulary import ReceiptStatus

log = logger(__name__)
CONTROLLER = "controller"
"""Degraded while the controller gives no usable answer; the reason says what a person can do about it."""
REPORT_BYTES_MAX = 1024 * 1024
"""A quarter of what the controller takes: a host with 64 broken replicas fits, with some of their last words left out."""
REPORT_BYTES_MIN = 64 * 1024
"""A host of 64 replicas without any words: what cannot be told in less."""
FAILURES_TOLD_FROM = 3
"""One lost request is a restart of the controller, two are bad luck."""
ABANDONED_IN_A_ROW_MAX = 3
"""A host where something happens all the time gives every poll up for a newer one; after these it waits for an answer, or
it would never hear an order."""
_SOON = Backoff(base_s=0.2, cap_s=5.0)
_FOR_A_PERSON = Backoff(base_s=1.0, cap_s=60.0)


@dataclass(frozen=True, slots=True)
class SyncPace:
    """How often to talk."""

    hold_s: float = 2.0
    """Longest hold of a poll, so that a report is never older than about two seconds."""
    answer_s: float = 3.0
    """Time on top of the hold in which an answer must come."""
    spacing_s: float = 0.1
    """Least time between two requests: a burst of changes travels as one, and no answer can spin us."""
    first_within_s: float = 0.5
    """The first request goes out at a random moment of this time."""
    soon: Backoff = _SOON
    """A returning controller is found within five seconds, by a thousand agents not all at once."""
    for_a_person: Backoff = _FOR_A_PERSON
    """What only a person can mend is not worth a request every few seconds; a minute after it was mended is soon enough."""


NEEDS_A_PERSON: Mapping[SyncFailure, str] = {
    SyncFailure.TLS: "check the certificates of both ends",
    SyncFailure.UNAUTHORIZED: "check the join token of this host",
    SyncFailure.FORBIDDEN: "the host was revoked, or uses another host's credential",
    SyncFailure.SUPERSEDED: "another agent runs with this host's id: give each host its own, or stop one",
    SyncFailure.CLIENT_ERROR: "check the controller's address and version",
}
"""What to do about failures that do not end by themselves."""


@dataclass(frozen=True, slots=True)
class Answered:
    """What was asked, and what the controller said to it."""

    request: SyncRequest
    answer: SyncResponse


@dataclass(frozen=True, slots=True)
class Abandoned:
    """The poll was given up because this host has news."""


@dataclass(slots=True)
class SyncLoop:
    """Keeps one controller informed, and obeys it within its epoch."""

    path: str
    """`/api/v1/agents/{host}/sync`."""
    line: ControllerLine
    credentials: Credentials
    board: Board
    reporter: Reporter
    journal: FileJournal
    desk: OrderDesk
    degradations: Degradations
    clock: Clock
    rng: random.Random
    pace: SyncPace = field(default_factory=SyncPace)
    record: SyncRecord = field(default_factory=SyncRecord)
    _bytes_max: int = REPORT_BYTES_MAX

    async def run(self) -> None:
        """Sync for ever."""
        failures = abandoned = 0
        await self.clock.sleep(self.pace.first_within_s * self.rng.random())
        while True:
            sent_s = self.clock.monotonic_s()
            outcome = await self._round(patient=abandoned >= ABANDONED_IN_A_ROW_MAX)
            abandoned = abandoned + 1 if isinstance(outcome, Abandoned) else 0
            if isinstance(outcome, Failed):
                failures += 1
                self._failed(outcome, failures)
                await self.clock.sleep(self._pause_s(outcome, failures))
                continue
            if isinstance(outcome, Answered):
                if failures > 0:
                    log.info("controller_found", failures=failures)
                failures = 0
                self._obey(outcome)
            await self.clock.sleep(max(0.0, sent_s + self.pace.spacing_s - self.clock.monotonic_s()))

    async def _round(self, *, patient: bool) -> Answered | Abandoned | Failed:
        """One request and what came of it; a patient one asks for an answer at once and waits for it whatever happens here."""
        token = await self.credentials.token()
        if isinstance(token, Failed):
            return token
        self.board.changed.hush()
        request = self._request(hold_s=0.0 if patient else self.pace.hold_s)
        self.record.requests_total += 1
        if patient:
            return await self._post(request, token)
        async with asyncio.TaskGroup() as group:
            post = group.create_task(self._post(request, token))
            change = group.create_task(self.board.changed.wait())
            await asyncio.wait({post, change}, return_when=asyncio.FIRST_COMPLETED)
            change.cancel()
            if not post.done():
                post.cancel()
        return Abandoned() if post.cancelled() else post.result()

    def _request(self, *, hold_s: float) -> SyncRequest:
        return SyncRequest(
            sent_unix_s=self.clock.now_unix_s(),
            max_wait_s=hold_s,
            thresholds_revision=self.journal.thresholds.revision,
            report=self.reporter.report(),
            receipts=self.journal.unacknowledged()[:RECEIPTS_PER_SYNC_MAX],
        )

    async def _post(self, request: SyncRequest, token: str) -> Answered | Failed:
        body = fitted(request, self._bytes_max)
        reply = await self.line.post(self.path, body, token=token, timeout_s=request.max_wait_s + self.pace.answer_s)
        if isinstance(reply, Failed):
            self.credentials.refused(reply)
            return reply
        try:
            return Answered(request, SyncResponse.model_validate_json(reply.content))
        except ValidationError as error:
            return Failed(SyncFailure.INVALID, f"the answer is none of ours: {error.errors()[0]['msg']}")

    # ── when it fails ─────────────────────────────────────────────────────────────────────────────────────────────────
    def _failed(self, failed: Failed, failures: int) -> None:
        self.record.failed(failed.why)
        if failed.why is SyncFailure.TOO_LARGE:
            self._bytes_max = max(REPORT_BYTES_MIN, self._bytes_max // 2)
        advice = NEEDS_A_PERSON.get(failed.why)
        reason = failed.detail if advice is None else f"{failed.detail}; {advice}"
        if failures == 1:
            log.warning("controller_lost", why=failed.why.value, reason=reason)
        if failures >= FAILURES_TOLD_FROM or advice is not None:
            self.degradations.set(CONTROLLER, reason)

    def _pause_s(self, failed: Failed, failures: int) -> float:
        backoff = self.pace.for_a_person if failed.why in NEEDS_A_PERSON else self.pace.soon
        asked_s = failed.retry_after_s * (0.5 + self.rng.random())
        return max(asked_s, backoff.delay_s(failures, self.rng))

    # ── when it answers ───────────────────────────────────────────────────────────────────────────────────────────────
    def _obey(self, answered: Answered) -> None:
        """Take the answer in. A deposed leader's orders are refused by the desk, and nothing else that it says counts."""
        request, answer = answered.request, answered.answer
        self.degradations.clear(CONTROLLER)
        self.record.last_success_unix_s = self.clock.now_unix_s()
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
