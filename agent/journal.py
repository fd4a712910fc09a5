"""The agent's memory on disk: receipts, the highest epoch, replicas and SLO thresholds.

One file of JSON lines, appended and fsynced by one thread, so that a slow disk never stops the event loop, let alone
healing. An order's RUNNING receipt is durable *before* the order is executed. If the agent dies in between, the next
one finds RUNNING, knows neither that it worked nor that it did not, and answers FAILED("interrupted") for ever: the key
is never executed again. A torn last line, the trace of a crash while writing, is dropped; any other damage stops the start.
"""

import asyncio
import json
import os
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path
from typing import TextIO

from agent.core.receipts import MachineNote, settled
from agent.errors import JournalError
from agent.ports import ReplicaMemory
from chassis.clock import Clock
from chassis.logs import logger
from contracts.agent_api import Receipt
from contracts.serving_api import SloThresholds
from contracts.vocabulary import OrderKey, OrderKind, ReceiptStatus

log = logger(__name__)
RECEIPTS_MAX = 1024
"""Receipts kept. The controller forgets an order minutes after it is acknowledged; a thousand orders take a host hours."""
LINES_MAX = 4096
"""Lines before the file is rewritten with what still counts: about 2 MB."""
MACHINE_NOTES_MAX = 32
"""Machine orders remembered: more than any sane limit allows in a day."""


class FileJournal:
    """`OrderJournal`, `HostMemory`, `MachineMemory` and `ThresholdStore` in one file: they must agree after a crash."""

    def __init__(self, path: Path, *, clock: Clock, boot_id: str = "") -> None:
        """`boot_id` names the kernel's current boot, so that an ordered reboot is recognised; empty where nobody knows."""
        self._path = path
        self._clock = clock
        self._boot_id = boot_id
        self._machine_notes: deque[MachineNote] = deque(maxlen=MACHINE_NOTES_MAX)
        self._receipts: dict[OrderKey, Receipt] = {}
        self._acknowledged: set[OrderKey] = set()
        self._replicas: dict[str, ReplicaMemory] = {}
        self._epoch = 0
        self._thresholds = SloThresholds(revision=0, thresholds=())
        self._lines = 0
        self._file: TextIO | None = None
        self._disk = ThreadPoolExecutor(max_workers=1, thread_name_prefix="journal")

    # ── life ──────────────────────────────────────────────────────────────────────────────────────────────────────────
    def open(self) -> None:
        """Read what is there and settle what was interrupted; raises `JournalError`. Blocks: call before the loop runs."""
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            for line in self._intact_lines():
                self._apply(json.loads(line))
            self._settle_interrupted()
            self._compact(self._snapshot())
        except (OSError, ValueError, KeyError, TypeError) as error:
            msg = f"cannot read the journal {self._path}; move it away to start without memory"
            raise JournalError(msg) from error

    def close(self) -> None:
        """Finish every pending write."""
        self._disk.shutdown(wait=True)
        if self._file is not None:
            self._file.close()

    def settle_interrupted(self) -> None:
        """Turn receipts that nobody works on any more from RUNNING into what can be known of them."""
        for receipt in self._settle_interrupted():
            self._write_later("receipt", receipt.model_dump(mode="json"))

    # ── receipts ──────────────────────────────────────────────────────────────────────────────────────────────────────
    def receipt(self, key: OrderKey) -> Receipt | None:
        """What became of this key; None when it was never seen, or long ago."""
        return self._receipts.get(key)

    async def record(self, receipt: Receipt) -> None:
        """Durable when it returns; raises `JournalError`, and then the receipt does not exist."""
        former = self._receipts.get(receipt.key)
        self._receipts[receipt.key] = receipt
        self._acknowledged.discard(receipt.key)
        self.raise_epoch(receipt.epoch)
        try:
            await asyncio.wrap_future(self._write("receipt", receipt.model_dump(mode="json")))
        except OSError as error:
            if former is None:
                del self._receipts[receipt.key]
            else:
                self._receipts[receipt.key] = former
            msg = f"cannot write the receipt of order {receipt.key} to {self._path}"
            raise JournalError(msg) from error
        self._forget_oldest()

    def unacknowledged(self) -> tuple[Receipt, ...]:
        """Receipts the controller has not confirmed, oldest first."""
        return tuple(receipt for key, receipt in self._receipts.items() if key not in self._acknowledged)

    def acknowledge(self, keys: Sequence[OrderKey], *, known: bool = True) -> None:
        """Confirmed receipts stay for replays but are reported no more, until the controller asks again."""
        final = [
            key for key in keys if key in self._receipts and self._receipts[key].status is not ReceiptStatus.RUNNING
        ]
        changed = [key for key in final if (key in self._acknowledged) is not known]
        if not changed:
            return
        (self._acknowledged.update if known else self._acknowledged.difference_update)(changed)
        self._write_later("acknowledged", {"keys": changed, "known": known})

    # ── memory ────────────────────────────────────────────────────────────────────────────────────────────────────────
    @property
    def epoch_seen(self) -> int:
        """Highest leader epoch ever heard of."""
        return self._epoch

    def raise_epoch(self, epoch: int) -> None:
        """Remember a higher epoch."""
        if epoch > self._epoch:
            self._epoch = epoch
            self._write_later("epoch", epoch)

    def replicas(self) -> tuple[ReplicaMemory, ...]:
        """What was remembered of each replica."""
        return tuple(self._replicas.values())

    def remember(self, memory: ReplicaMemory) -> None:
        """Replace what is remembered of one replica."""
        self._replicas[memory.replica] = memory
        self._write_later("replica", asdict(memory))

    def machine_notes(self) -> tuple[MachineNote, ...]:
        """Machine orders that were begun, oldest first."""
        return tuple(self._machine_notes)

    async def note_machine(self, note: MachineNote) -> None:
        """Durable when it returns; raises `JournalError`, and then the order must not be executed."""
        self._machine_notes.append(note)
        try:
            await asyncio.wrap_future(self._write("machine", asdict(note)))
        except OSError as error:
            self._machine_notes.remove(note)
            msg = f"cannot write down the machine order {note.key} to {self._path}"
            raise JournalError(msg) from error

    @property
    def thresholds(self) -> SloThresholds:
        """The newest SLO thresholds."""
        return self._thresholds

    def keep_thresholds(self, thresholds: SloThresholds) -> None:
        """Replace them."""
        self._thresholds = thresholds
        self._write_later("thresholds", thresholds.model_dump(mode="json"))

    # ── the file ──────────────────────────────────────────────────────────────────────────────────────────────────────
    def _intact_lines(self) -> list[str]:
        if not self._path.exists():
            return []
        text = self._path.read_text(encoding="utf-8", errors="replace")
        return text.split("\n")[:-1]  # after the last newline there is nothing, or a line that was never finished

    def _apply(self, entry: dict[str, object]) -> None:
        kind, data = str(entry["kind"]), entry["data"]
        match kind:
            case "receipt":
                receipt = Receipt.model_validate(data)
                self._receipts[receipt.key] = receipt
                self._acknowledged.discard(receipt.key)
            case "acknowledged" if isinstance(data, dict):
                (self._acknowledged.update if data["known"] else self._acknowledged.difference_update)(data["keys"])
            case "epoch" if isinstance(data, int):
                self._epoch = max(self._epoch, data)
            case "replica" if isinstance(data, dict):
                self._replicas[str(data["replica"])] = ReplicaMemory(**{**data, "gpus": tuple(data.get("gpus", ()))})
            case "machine" if isinstance(data, dict):
                note = MachineNote(**{**data, "kind": OrderKind(data["kind"])})
                self._machine_notes.append(note)
            case "thresholds":
                self._thresholds = SloThresholds.model_validate(data)
            case _:
                msg = f"unknown journal entry {kind}"
                raise ValueError(msg)

    def _settle_interrupted(self) -> list[Receipt]:
        notes = {note.key: note for note in self._machine_notes}
        now_unix_s = self._clock.now_unix_s()
        final = [
            settled(receipt, notes.get(receipt.key), self._boot_id, now_unix_s)
            for receipt in self._receipts.values()
            if receipt.status is ReceiptStatus.RUNNING
        ]
        self._receipts.update({receipt.key: receipt for receipt in final})
        return final

    def _forget_oldest(self) -> None:
        """Stay within `RECEIPTS_MAX`: the oldest acknowledged go; unacknowledged ones are never forgotten."""
        surplus = len(self._receipts) - RECEIPTS_MAX
        for key in [key for key in self._receipts if key in self._acknowledged][: max(0, surplus)]:
            del self._receipts[key]
            self._acknowledged.discard(key)

    def _snapshot(self) -> str:
        entries: list[tuple[str, object]] = [("epoch", self._epoch)]
        entries += [("replica", asdict(memory)) for memory in self._replicas.values()]
        entries += [("machine", asdict(note)) for note in self._machine_notes]
        entries.append(("thresholds", self._thresholds.model_dump(mode="json")))
        entries += [("receipt", receipt.model_dump(mode="json")) for receipt in self._receipts.values()]
        entries.append(("acknowledged", {"keys": sorted(self._acknowledged), "known": True}))
        return "".join(_line(kind, data) for kind, data in entries)

    def _write(self, kind: str, data: object) -> Future[None]:
        if self._lines >= LINES_MAX:
            self._lines = 0
            return self._disk.submit(self._compact, self._snapshot())
        self._lines += 1
        return self._disk.submit(self._append, _line(kind, data))

    def _write_later(self, kind: str, data: object) -> None:
        self._write(kind, data).add_done_callback(_log_failure)

    def _append(self, line: str) -> None:
        if self._file is None:
            self._file = self._path.open("a", encoding="utf-8")
        self._file.write(line)
        self._file.flush()
        os.fsync(self._file.fileno())

    def _compact(self, content: str) -> None:
        """Replace the file by `content` atomically: a crash leaves the old file or the new one, never a mixture."""
        beside = self._path.with_suffix(".new")
        with beside.open("w", encoding="utf-8") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(self._path)
        directory = os.open(self._path.parent, os.O_RDONLY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)
        if self._file is not None:
            self._file.close()
            self._file = None


def _line(kind: str, data: object) -> str:
    return json.dumps({"kind": kind, "data": data}, separators=(",", ":")) + "\n"


def _log_failure(write: Future[None]) -> None:
    error = write.exception()
    if error is not None:
        log.error("journal_write_failed", error=repr(error))
