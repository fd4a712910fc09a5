"""The agent's memory on disk: receipts, the highest epoch, replicas, machine orders and SLO thresholds.

One file, written by one thread, so that a slow disk never stops the event loop, let alone healing. An order's RUNNING
receipt is durable *before* the order is executed. If the agent dies in between, the next one finds RUNNING, knows neither
that it worked nor that it did not, and answers FAILED("interrupted") for ever: the key is never executed again.

The disk may fail, and the agent goes on:

- *It takes nothing* (full, read-only, gone): all is kept in memory and `mend` writes it whole when the disk is back. Orders
  are REFUSED meanwhile, not left to be delivered again: the refusal reaches the controller at once, which can turn to
  another host instead of waiting for the order to expire. That it is not durable harms nobody, since nothing was done.
- *It gives back damage*: what can be read is believed, the file is kept aside, and a *fence* goes up. Among the lost lines
  may have been receipts, so a key that is not known may still have been executed. An order cannot live longer than
  `ORDER_LIFE_S_MAX`; hence every order that was issued before the loss ends within that time after the controller was first
  heard again, by the controller's own clock. Orders that end by then are refused; later ones can only be new. The epoch
  cannot serve as the fence: the newest one heard of may be among the lost lines as well.
- *It cannot be read at all*: the same fence, until it could be read after all. One more attempt is made before the file
  is set aside.
"""

import asyncio
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path
from typing import TypeVar

from agent.core.receipts import MachineNote
from agent.errors import JournalError
from agent.memory.entries import NO_FENCE, UNTIL_HEARD, Entry, Memory, fence_entry, remembered
from agent.memory.file import Contents, JournalFile
from agent.ports import ReplicaMemory
from chassis.clock import Clock
from chassis.logs import logger
from contracts.agent_api import ORDER_LIFE_S_MAX, Receipt
from contracts.serving_api import SloThresholds
from contracts.vocabulary import OrderKey, ReceiptStatus

log = logger(__name__)
LINES_MAX = 4096
"""Lines appended before the file is rewritten with what still counts: about 2 MB."""
DISK_S_MAX = 5.0
"""A write takes milliseconds, on a busy spinning disk tenths of a second; a disk that hangs for longer takes nothing."""
PENDING_MAX = 256
"""Writes that wait for the disk's thread. It takes one in a millisecond: so many mean that it does not keep up."""
T = TypeVar("T")


class FileJournal:
    """`OrderJournal`, `HostMemory`, `MachineMemory` and `ThresholdStore` in one file: they must agree after a crash."""

    def __init__(self, path: Path, *, clock: Clock, boot_id: str = "") -> None:
        """`boot_id` names the kernel's current boot, so that an ordered reboot is recognised; empty where nobody knows."""
        self._clock = clock
        self._boot_id = boot_id
        self._memory = Memory()
        self._file = JournalFile(path)
        self._disk = ThreadPoolExecutor(max_workers=1, thread_name_prefix="journal")
        self._pending: set[Future[None]] = set()
        self._appended = 0
        self._refused_total = 0
        self._mending: Future[None] | None = None
        self._behind = ""
        """Why the file lacks something that the memory has, beyond what `JournalFile.trouble` knows; empty: nothing."""
        self._is_ours = False
        """The file was written whole by us; until then it may say what we do not know."""
        self._damage = ""
        """What of the file could not be understood; empty: nothing, or it was set aside."""
        self._loss = "a part of the journal was lost before the last start"

    # ── life ──────────────────────────────────────────────────────────────────────────────────────────────────────────
    def open(self) -> None:
        """Read what is there and settle what was interrupted; never fails. Blocks: call before the loop runs."""
        try:
            self._take_in(self._file.read())
        except OSError as error:
            self._memory.fence_unix_s = UNTIL_HEARD
            self._loss = f"{self._file.path} cannot be read: {error.strerror or error}"
            self._file.fail(self._loss)
            return
        try:
            self._rewrite(self._memory.entries(), self._damage)
        except OSError as error:
            log.warning("journal_not_written", path=str(self._file.path), error=repr(error))
        else:
            self._rewritten()

    def close(self) -> None:
        """Finish every pending write, and make up for what was not written while that is still possible."""
        if self._is_ours and (self.trouble or self._mending is not None):
            self._disk.submit(self._rewrite, self._memory.entries(), self._damage)
        self._disk.shutdown(wait=True)
        self._file.close()

    @property
    def trouble(self) -> str:
        """Why what is new is not durable; empty when everything is."""
        return self._file.trouble or self._behind

    @property
    def size_bytes(self) -> int:
        """Of the file."""
        return self._file.size_bytes

    @property
    def write_failures_total(self) -> int:
        """Writes that failed, and those that were not even tried because the disk was known to take nothing."""
        return self._file.failures_total + self._refused_total

    async def mend(self) -> None:
        """Write the whole memory anew; raises `JournalError` while the disk does not take it. Safe to repeat."""
        try:
            if not self._is_ours:
                self._take_in(await self._within_limit(self._disk.submit(self._read_again)))
            if self._mending is None:  # else the disk hangs, and still has the former attempt
                self._behind = ""
                self._mending = self._disk.submit(self._rewrite, self._memory.entries(), self._damage)
            await self._within_limit(self._mending)
            self._rewritten()
        except OSError as error:
            msg = f"cannot rewrite the journal {self._file.path}"
            raise JournalError(msg) from error
        finally:
            if self._mending is not None and self._mending.done():
                self._mending = None

    def settle_interrupted(self) -> None:
        """Turn receipts that nobody works on any more from RUNNING into what can be known of them."""
        for receipt in self._memory.settle_interrupted(self._boot_id, self._clock.now_unix_s()):
            self._write_later(("receipt", receipt.model_dump(mode="json")))

    # ── the fence ─────────────────────────────────────────────────────────────────────────────────────────────────────
    @property
    def fence_unix_s(self) -> float:
        """On the controller's clock: an order that ends by then is refused. 0: none is; infinite: all are."""
        return self._memory.fence_unix_s

    @property
    def loss(self) -> str:
        """What of the memory was lost, while the fence is up; empty otherwise."""
        if self._memory.fence_unix_s == NO_FENCE:
            return ""
        return f"orders from before are refused: {self._loss}"

    def heard(self, server_unix_s: float) -> None:
        """The controller told its time: a fence that waited for it stands, and one whose time is over falls."""
        if self._memory.fence_unix_s == UNTIL_HEARD:
            self._put_fence(server_unix_s + ORDER_LIFE_S_MAX)
        elif NO_FENCE < self._memory.fence_unix_s < server_unix_s:
            self._put_fence(NO_FENCE)

    def _put_fence(self, fence_unix_s: float) -> None:
        self._memory.fence_unix_s = fence_unix_s
        self._write_later(fence_entry(fence_unix_s))

    # ── receipts ──────────────────────────────────────────────────────────────────────────────────────────────────────
    def receipt(self, key: OrderKey) -> Receipt | None:
        """What became of this key; None when it was never seen, or long ago."""
        return self._memory.receipts.get(key)

    async def record(self, receipt: Receipt) -> None:
        """Keep one receipt; durable when it returns, if the disk works.

        RUNNING must be durable: raises `JournalError` when it cannot be, and then the receipt does not exist. A final one is
        the truth whatever the disk does: it is kept, reported, and written as soon as that is possible.
        """
        begins = receipt.status is ReceiptStatus.RUNNING
        if begins and self._memory.is_full:
            msg = f"order {receipt.key} is not begun: the controller confirms no receipts"
            raise JournalError(msg)
        self._memory.keep(receipt)
        self.raise_epoch(receipt.epoch)
        try:
            await self._within_limit(self._write(("receipt", receipt.model_dump(mode="json"))))
        except OSError as error:
            if begins:
                self._memory.drop(receipt.key)
                msg = f"cannot write the receipt of order {receipt.key} to {self._file.path}"
                raise JournalError(msg) from error
        self._memory.forget_oldest()

    def unacknowledged(self) -> tuple[Receipt, ...]:
        """Receipts the controller has not confirmed, oldest first."""
        return self._memory.unacknowledged()

    def acknowledge(self, keys: Sequence[OrderKey], *, known: bool = True) -> None:
        """Confirmed receipts stay for replays but are reported no more, until the controller asks again."""
        changed = self._memory.acknowledgeable(keys, known=known)
        if changed:
            entry = ("acknowledged", {"keys": changed, "known": known})
            self._memory.apply(entry)
            self._write_later(entry)

    # ── memory ────────────────────────────────────────────────────────────────────────────────────────────────────────
    @property
    def epoch_seen(self) -> int:
        """Highest leader epoch ever heard of."""
        return self._memory.epoch

    def raise_epoch(self, epoch: int) -> None:
        """Remember a higher epoch."""
        if epoch > self._memory.epoch:
            self._memory.epoch = epoch
            self._write_later(("epoch", epoch))

    def replicas(self) -> tuple[ReplicaMemory, ...]:
        """What was remembered of each replica."""
        return tuple(self._memory.replicas.values())

    def remember(self, memory: ReplicaMemory) -> None:
        """Replace what is remembered of one replica."""
        self._memory.replicas[memory.replica] = memory
        self._write_later(("replica", asdict(memory)))

    def machine_notes(self) -> tuple[MachineNote, ...]:
        """Machine orders that were begun, oldest first."""
        return tuple(self._memory.machine_notes)

    async def note_machine(self, note: MachineNote) -> None:
        """Durable when it returns; raises `JournalError`, and then the order must not be executed."""
        self._memory.note(note)
        try:
            await self._within_limit(self._write(("machine", asdict(note))))
        except OSError as error:
            self._memory.machine_notes.remove(note)
            msg = f"cannot write down the machine order {note.key} to {self._file.path}"
            raise JournalError(msg) from error

    @property
    def thresholds(self) -> SloThresholds:
        """The newest SLO thresholds."""
        return self._memory.thresholds

    def keep_thresholds(self, thresholds: SloThresholds) -> None:
        """Replace them."""
        self._memory.thresholds = thresholds
        self._write_later(("thresholds", thresholds.model_dump(mode="json")))

    # ── reading ───────────────────────────────────────────────────────────────────────────────────────────────────────
    def _take_in(self, contents: Contents) -> None:
        """Believe what the file says, and fence off what it fails to say."""
        read, misunderstood = remembered(contents.entries)
        damaged, lines = contents.damaged + misunderstood, len(contents.entries) + contents.damaged
        fence_unix_s = self._memory.fence_unix_s
        self._memory = self._memory.over(read)
        if damaged:
            self._damage = self._loss = f"{damaged} of {lines} lines of {self._file.path} are damaged"
            self._memory.fence_unix_s = fence_unix_s or UNTIL_HEARD
            log.error("journal_damaged", path=str(self._file.path), damaged=damaged, lines=lines)
        self._memory.settle_interrupted(self._boot_id, self._clock.now_unix_s())

    def _read_again(self) -> Contents:
        """On the disk's thread: what could not be read at the start. Still not: nothing of it, all of it damaged."""
        try:
            return self._file.read()
        except OSError:
            return Contents((), damaged=1)

    # ── writing ───────────────────────────────────────────────────────────────────────────────────────────────────────
    def _rewrite(self, entries: list[Entry], damage: str) -> None:
        """On the disk's thread: the file says `entries`; a damaged one is kept aside first."""
        try:
            if damage:
                self._file.set_aside(self._clock.now_unix_s())
        except OSError as error:
            self._file.fail(f"{self._file.path} cannot be set aside: {error.strerror or error}")
            raise
        self._file.replace(entries)

    def _rewritten(self) -> None:
        self._damage, self._is_ours = "", True

    def _write(self, entry: Entry) -> Future[None]:
        """Append, or rewrite in its turn. While the disk takes nothing, nothing is tried: the memory has it, and `mend` it."""
        if (self.trouble and self._mending is None) or len(self._pending) >= PENDING_MAX:
            self._behind = self.trouble or "the disk does not keep up"
            self._refused_total += 1
            refused: Future[None] = Future()
            refused.set_exception(OSError(self._behind))
            return refused
        self._appended += 1
        if self._appended >= LINES_MAX:
            self._appended = 0
            write = self._disk.submit(self._rewrite, self._memory.entries(), "")
        else:
            write = self._disk.submit(self._file.append, entry)
        self._pending.add(write)
        write.add_done_callback(self._pending.discard)
        return write

    def _write_later(self, entry: Entry) -> None:
        """In the background; what fails shows in `trouble`, and `mend` makes up for it."""
        self._write(entry)

    async def _within_limit(self, work: Future[T]) -> T:
        """The result; `OSError` when the disk hangs, and then the file counts as behind until it was rewritten.

        Whoever waits may be cancelled, as at the end of the process: what the memory has is written all the same.
        """
        try:
            async with asyncio.timeout(DISK_S_MAX):
                return await asyncio.shield(asyncio.wrap_future(work))
        except TimeoutError as error:
            work.cancel()  # what still waits for the disk is taken back
            self._behind = f"{self._file.path}: the disk did not answer within {DISK_S_MAX:g} s"
            raise OSError(self._behind) from error
